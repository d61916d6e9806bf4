// Ways around a gateway that are known of it and of its like, each from a client's own bytes to what the engine hears.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/gateway/gateway_harness.h"

namespace ebbtide::gateway::test {
namespace {

using testing::AnyOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

struct Raw {
  const char* name;
  std::string bytes;
  const char* answer;  // how it begins; empty: the connection just ends
};

std::string request(const std::string& line, const std::string& headers = "", const std::string& body = "") {
  return line + " HTTP/1.1\r\nHost: d\r\n" + headers + "\r\n" + body;
}

class GatewayBypass : public GatewayTest {
 protected:
  void SetUp() override {
    open([this](Wire& wire, const auto& asked) {
      if (const auto at = asked.head.find("ontent-Length: "); at != std::string::npos)
        body_ = wire.read_exactly(std::stoul(asked.head.substr(at + 15)));
      return wire.write(
          answer_text(asked.target.starts_with("/v1.41/containers/create") ? 201 : 200, "{\"Id\":\"new\"}"));
    });
  }
  // What the engine heard, but for looking up an image.
  std::vector<std::string> heard() const {
    auto all = server_->requests();
    std::erase_if(all, [](const std::string& each) { return each.find("/images/") != std::string::npos; });
    return all;
  }
  nlohmann::json created(const std::string& body) {
    const auto answer = post("/v1.41/containers/create", body);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 201")) << body;
    return nlohmann::json::parse(body_);
  }
  std::string refused(const std::string& body) {
    const auto answer = post("/v1.41/containers/create", body);
    EXPECT_THAT(answer, AnyOf(StartsWith("HTTP/1.1 403"), StartsWith("HTTP/1.1 400"))) << body;
    EXPECT_THAT(heard(), IsEmpty()) << body;
    return answer;
  }

  std::string body_;  // of the last request that had one
};

class NeverReachesTheEngine : public GatewayBypass, public testing::WithParamInterface<Raw> {};

TEST_P(NeverReachesTheEngine, AndGetsNoGoodAnswer) {
  auto wire = client();
  ASSERT_TRUE(wire.write(GetParam().bytes));
  wire.shutdown_send();
  const auto answer = wire.read_to_end();
  EXPECT_THAT(answer, StartsWith(GetParam().answer));
  EXPECT_THAT(answer, Not(StartsWith("HTTP/1.1 2")));
  EXPECT_THAT(heard(), IsEmpty());
  if (answer.empty()) return;
  const auto records = audited();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records.front().status, std::stoi(answer.substr(9, 3)));
  EXPECT_NE(records.front().rule, "");
}

const std::string kForm = "Content-Type: application/x-www-form-urlencoded\r\n";

INSTANTIATE_TEST_SUITE_P(
    Bytes, NeverReachesTheEngine,
    testing::Values(
        Raw{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400"},
        Raw{"UpgradeToHttp2",
            request("GET /containers/db/json", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"),
            "HTTP/1.1 400"},
        Raw{"AbsoluteTarget", "GET http://d/containers/theirs/json HTTP/1.1\r\nHost: d\r\n\r\n", "HTTP/1.1 400"},
        Raw{"AuthorityTarget", "CONNECT d:80 HTTP/1.1\r\nHost: d\r\n\r\n", "HTTP/1.1 4"},
        Raw{"DotSegments", request("GET /containers/db/../theirs/json"), "HTTP/1.1 4"},
        Raw{"EncodedDotSegments", request("GET /containers/db/%2e%2e/theirs/json"), "HTTP/1.1 4"},
        Raw{"EncodedSlash", request("GET /containers/db%2f..%2ftheirs/json"), "HTTP/1.1 4"},
        Raw{"DoubleSlash", request("GET //containers/theirs/json"), "HTTP/1.1 4"},
        Raw{"LengthAndChunked",
            request("POST /containers/db/kill", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            "HTTP/1.1 400"},
        Raw{"TwoLengths", request("POST /containers/db/kill", "Content-Length: 3\r\nContent-Length: 5\r\n", "abcde"),
            "HTTP/1.1 400"},
        Raw{"FoldedHeader", request("POST /containers/db/kill", "Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
            "HTTP/1.1 400"},
        Raw{"BareLineFeeds", "GET /containers/theirs/json HTTP/1.1\nHost: d\n\n", ""},
        Raw{"OldHttp", "GET /containers/db/json HTTP/1.0\r\n\r\n", "HTTP/1.1 400"},
        Raw{"FormInsteadOfQuery", request("POST /containers/prune", kForm + "Content-Length: 10\r\n", "filters={}"),
            "HTTP/1.1 400"},
        Raw{"FormThatRenames", request("POST /containers/db/rename?name=x", kForm + "Content-Length: 6\r\n", "name=y"),
            "HTTP/1.1 400"},
        Raw{"BuildKitWithoutAnUpgrade", request("POST /grpc"), "HTTP/1.1 400"},
        Raw{"SessionWithoutAnId", request("POST /session", "Connection: Upgrade\r\nUpgrade: h2c\r\n"), "HTTP/1.1 400"},
        Raw{"Swarm", request("POST /swarm/init", "Content-Length: 2\r\n", "{}"), "HTTP/1.1 403"},
        Raw{"Plugins", request("POST /plugins/pull?remote=x"), "HTTP/1.1 403"},
        Raw{"Checkpoints", request("POST /containers/db/checkpoints", "Content-Length: 2\r\n", "{}"), "HTTP/1.1 403"},
        Raw{"CheckpointAtStart", request("POST /containers/db/start?checkpoint=c&checkpoint-dir=/etc"), "HTTP/1.1 403"},
        Raw{"RemovalOfALink", request("DELETE /containers/db?link=1"), "HTTP/1.1 403"},
        Raw{"ClusterVolumes", request("PUT /volumes/v", "Content-Length: 2\r\n", "{}"), "HTTP/1.1 403"},
        Raw{"Debug", request("GET /debug/pprof/heap"), "HTTP/1.1 403"},
        Raw{"OddVersion", request("GET /v1.041/containers/json"), "HTTP/1.1 4"},
        Raw{"HostAsVolume",
            request("POST /volumes/create", "Content-Length: 66\r\n",
                    R"({"Name":"v","DriverOpts":{"type":"none","o":"bind","device":"/"}}  )"),
            "HTTP/1.1 403"},
        Raw{"NetworkOnTheHostsInterface",
            request("POST /networks/create", "Content-Length: 60\r\n",
                    R"({"Name":"n","Driver":"macvlan","Options":{"parent":"eth0"}} )"),
            "HTTP/1.1 403"},
        Raw{"RouteOfOthers",
            request("POST /networks/create", "Content-Length: 60\r\n",
                    R"({"Name":"n","IPAM":{"Config":[{"Subnet":"140.82.0.0/16"}]}} )"),
            "HTTP/1.1 403"},
        Raw{"UnknownEndpoint", request("POST /v1.41/frobnicate"), "HTTP/1.1 404"},
        Raw{"RemoteContext", request("POST /build?remote=http://internal/x.tar"), "HTTP/1.1 403"},
        Raw{"RemoteContextForBuildKit", request("POST /build?version=2&remote=http://internal/x.tar"), "HTTP/1.1 403"},
        Raw{"HostNetworkForBuildKit", request("POST /build?version=2&networkmode=host"), "HTTP/1.1 403"},
        Raw{"RemoteImport", request("POST /images/create?fromSrc=http://internal/x.tar"), "HTTP/1.1 403"},
        Raw{"HostNetworkInABuild", request("POST /build?networkmode=host"), "HTTP/1.1 403"},
        Raw{"CgroupOfABuild", request("POST /build?cgroupparent=/"), "HTTP/1.1 403"}),
    [](const auto& tested) { return std::string(tested.param.name); });

class ForeignObject : public GatewayBypass, public testing::WithParamInterface<const char*> {};

// The engine may be asked whose it is; nothing else, and its answer goes to nobody.
TEST_P(ForeignObject, LooksLikeNone) {
  auto line = std::string(GetParam());
  line.replace(line.find("{}"), 2, foreign_.substr(0, 12));
  const bool posts = line.starts_with("POST");
  const auto answer =
      ask(request(line, posts ? "Content-Type: application/json\r\nContent-Length: 2\r\n" : "", posts ? "{}" : ""));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 404")) << line;
  // As a name of the owner's own, or as an id.
  EXPECT_THAT(heard(),
              Each(AllOf(StartsWith("GET "), HasSubstr("/containers/"), HasSubstr(foreign_.substr(0, 12) + "/json"))));
  EXPECT_EQ(answer.find("\"Id\""), std::string::npos);
  const auto records = audited();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records.front().rule, "not-found");
}

INSTANTIATE_TEST_SUITE_P(Container, ForeignObject,
                         testing::Values("GET /v1.41/containers/{}/json", "GET /v1.41/containers/{}/logs?stdout=1",
                                         "GET /v1.41/containers/{}/top", "GET /v1.41/containers/{}/stats",
                                         "GET /v1.41/containers/{}/archive?path=/etc/shadow",
                                         "GET /v1.41/containers/{}/export", "GET /v1.41/containers/{}/changes",
                                         "POST /v1.41/containers/{}/start", "POST /v1.41/containers/{}/kill",
                                         "POST /v1.41/containers/{}/exec", "POST /v1.41/containers/{}/update",
                                         "POST /v1.41/containers/{}/rename?name=mine", "POST /v1.41/containers/{}/wait",
                                         "POST /v1.41/containers/{}/attach?stream=1", "POST /v1.41/commit?container={}",
                                         "DELETE /v1.41/containers/{}?force=1"));

TEST_F(GatewayBypass, LinkPathsToForeignContainersAreUnknown) {
  EXPECT_THAT(get("/v1.41/containers/db/alias/theirs/json"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(heard(), IsEmpty());
}

// The engine takes a full id for a name before it takes it for a prefix, and a name may look like a full id.
TEST_F(GatewayBypass, ANameThatIsAForeignIdMeansTheOwnContainer) {
  const auto twin = add(foreign_, "a1");
  ASSERT_TRUE(watch_->resync());
  EXPECT_THAT(ask(request("POST /v1.41/containers/" + foreign_ + "/kill")), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(heard(), ElementsAre("POST /v1.41/containers/" + twin + "/kill"));
}

TEST_F(GatewayBypass, AStartTakesNoHostConfig) {
  EXPECT_THAT(post("/v1.23/containers/db/start", R"({"Privileged":true,"Binds":["/:/h"]})"),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(heard(), ElementsAre("POST /v1.23/containers/" + own_ + "/start"));
  EXPECT_EQ(body_, "");
}

TEST_F(GatewayBypass, TheAgentsProcessesAreNotShared) {
  add("the-agent", "a1", Role::kAgent);
  ASSERT_TRUE(watch_->resync());
  for (const auto* mode : {"PidMode", "IpcMode"})
    EXPECT_THAT(refused(std::string(R"({"Image":"a","HostConfig":{")") + mode + R"(":"container:the-agent"}})"),
                HasSubstr("rule: own-agent"));
}

TEST_F(GatewayBypass, AGuessedExecIsUnknown) {
  const std::string exec = "/v1.41/exec/" + std::string(64, 'a');
  EXPECT_THAT(get(exec + "/json"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(post(exec + "/start", "{}"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(heard(), Each(StartsWith("GET ")));
  for (const auto& record : audited()) EXPECT_EQ(record.rule, "not-found");
}

TEST_F(GatewayBypass, KeysCountHoweverTheyAreSpelt) {
  for (const auto* body :
       {R"({"hostconfig":{"privileged":true}})", R"({"HostConfig":{},"HOSTCONFIG":{"PRIVILEGED":true}})",
        "{\"Ho\u017ftConfig\":{\"Privileged\":true}}", R"({"Privileged":true})",
        R"({"HostConfig":{"Privileged":false,"privileged":true}})"})
    EXPECT_THAT(refused(body), AnyOf(HasSubstr("rule: privileged"), HasSubstr("is there twice"),
                                     HasSubstr("not known to the gateway")));
}

TEST_F(GatewayBypass, TheWayToTheHostIsRefusedByEveryDoor) {
  for (
      const auto* host :
      {R"("Binds":["/:/h"])",
       R"("Binds":["//etc:/h"])",
       R"("Binds":["/var/run:/h"])",
       R"("Binds":["/var/./run/../lib:/h"])",
       R"("Mounts":[{"Type":"bind","Source":"/etc","Target":"/h"}])",
       R"("Mounts":[{"Type":"volume","Source":"v","Target":"/h","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/"}}}}])",
       R"("PidMode":"host")",
       R"("IpcMode":"host")",
       R"("NetworkMode":"host")",
       R"("UTSMode":"host")",
       R"("UsernsMode":"host")",
       R"("CgroupnsMode":"host")",
       R"("CapAdd":["sys_admin"])",
       R"("CapAdd":["ALL"])",
       R"("Devices":[{"PathOnHost":"/dev/sda","PathInContainer":"/dev/sda","CgroupPermissions":"rwm"}])",
       R"("DeviceCgroupRules":["b *:* rwm"])",
       R"("SecurityOpt":["seccomp=unconfined"])",
       R"("SecurityOpt":["apparmor=unconfined"])",
       R"("MaskedPaths":[])",
       R"("ReadonlyPaths":[])",
       R"("Sysctls":{"kernel.core_pattern":"|/x"})",
       R"("Runtime":"other")",
       R"("CgroupParent":"/")",
       R"("VolumeDriver":"other")",
       R"("LogConfig":{"Type":"syslog"})",
       R"("OomScoreAdj":-1000)"}) {
    const auto answer = refused(std::string(R"({"Image":"a","HostConfig":{)") + host + "}}");
    EXPECT_THAT(answer, HasSubstr("rule: ")) << host;
  }
  for (const auto& record : audited()) EXPECT_NE(record.rule, "");
}

TEST_F(GatewayBypass, ForeignContainersCantBeEntered) {
  for (const auto* mode :
       {R"("PidMode":"container:theirs")", R"("NetworkMode":"container:theirs")", R"("IpcMode":"container:theirs")",
        R"("VolumesFrom":["theirs"])", R"("Links":["theirs:x"])"}) {
    const auto answer = post("/v1.41/containers/create", std::string(R"({"Image":"a","HostConfig":{)") + mode + "}}");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400")) << mode;
    EXPECT_THAT(heard(), Each(Not(StartsWith("POST")))) << mode;
  }
}

TEST_F(GatewayBypass, OurLabelsAreOursAlone) {
  const auto body = created(R"({"Image":"a","Labels":{"ebbtide.agent":"a2","EBBTIDE.x":"y","mine":"stays"}})");
  EXPECT_EQ(body["Labels"]["ebbtide.agent"], "a1");
  EXPECT_EQ(body["Labels"]["mine"], "stays");
  EXPECT_EQ(body["Labels"]["ebbtide.server"], "s1");
}

TEST_F(GatewayBypass, NoLabelsOrNullOnesAreStampedToo) {
  for (const auto* given : {R"({"Image":"a"})", R"({"Image":"a","Labels":null})", R"({"Image":"a","labels":{}})"})
    EXPECT_EQ(created(given)["Labels"]["ebbtide.agent"], "a1") << given;
}

TEST_F(GatewayBypass, TheEngineGetsAHostConfigAndNoBytesAfterTheDocument) {
  EXPECT_TRUE(created(R"({"Image":"a"})")["HostConfig"].is_object());
  EXPECT_THAT(post("/v1.41/containers/create", R"({"Image":"a"}{"HostConfig":{"Privileged":true}})"),
              StartsWith("HTTP/1.1 400"));
}

TEST_F(GatewayBypass, TheHostsSocketBecomesTheGateways) {
  for (const auto* bind :
       {"/var/run/docker.sock:/var/run/docker.sock", "/run/docker.sock:/s", "//var/run/docker.sock:/s"}) {
    const auto body = created(std::string(R"({"Image":"a","HostConfig":{"Binds":[")") + bind + "\"]}}");
    EXPECT_THAT(body["HostConfig"].dump(), HasSubstr((folder_ / "a1").string())) << bind;
    EXPECT_THAT(body["HostConfig"].dump(), Not(HasSubstr("/run/docker.sock:/"))) << bind;
  }
}

TEST_F(GatewayBypass, TheFirstOfARepeatedQueryKeyCountsAndUnknownOnesGo) {
  EXPECT_THAT(ask(request("POST /v1.41/containers/db/kill?signal=TERM&signal=KILL&evil=1")),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(heard(), ElementsAre("POST /v1.41/containers/" + own_ + "/kill?signal=TERM"));
}

TEST_F(GatewayBypass, ListsAreFilteredByOwnerWhateverIsAsked) {
  get("/v1.41/containers/json?all=1&filters=%7B%22label%22%3A%7B%22x%22%3Atrue%7D%7D");
  ASSERT_EQ(heard().size(), 1U);
  EXPECT_THAT(heard().front(), HasSubstr("ebbtide.agent%3Da1"));
  EXPECT_THAT(get("/v1.41/containers/json?filters=%7B%22label%22%3A%5B%22ebbtide.agent%3Da2%22%5D%7D"),
              StartsWith("HTTP/1.1 4"));
}

TEST_F(GatewayBypass, PrunesAreForcedToTheOwner) {
  for (const auto* kind : {"containers", "networks", "volumes"})
    ask(request("POST /v1.41/" + std::string(kind) + "/prune"));
  EXPECT_THAT(heard(), Each(HasSubstr("ebbtide.agent%3Da1")));
  EXPECT_EQ(heard().size(), 3U);
}

TEST_F(GatewayBypass, TheAgentsOwnContainerIsNotTheJobsToEnd) {
  add("the-agent", "a1", Role::kAgent);
  for (const auto* line : {"POST /v1.41/containers/the-agent/kill", "DELETE /v1.41/containers/the-agent?force=1",
                           "POST /v1.41/containers/the-agent/stop"})
    EXPECT_THAT(ask(request(line)), StartsWith("HTTP/1.1 403")) << line;
  EXPECT_THAT(heard(), IsEmpty());
}

TEST_F(GatewayBypass, WhatIsNotRefusedIsMadeHarmless) {
  const auto body = created(
      R"({"Image":"a","StopTimeout":-1,"HostConfig":{"Runtime":"runc","ContainerIDFile":"/etc/x","GroupAdd":["0"],
          "PortBindings":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"80"}]},"LogConfig":{"Type":"json-file"}}})");
  EXPECT_EQ(body["StopTimeout"], 300);
  EXPECT_FALSE(body["HostConfig"].contains("Runtime"));
  EXPECT_FALSE(body["HostConfig"].contains("ContainerIDFile"));
  EXPECT_EQ(body["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"], "");
  EXPECT_EQ(body["HostConfig"]["LogConfig"]["Config"]["max-size"], "100m");
}

TEST_F(GatewayBypass, RegistriesThatAreNotListedAreNotSpokenTo) {
  ASSERT_TRUE(host_->open({.owner = "a1", .directory = folder_ / "a1", .policy = {.registries = {"r.example:5000"}}}));
  for (const auto* line :
       {"POST /v1.41/images/create?fromImage=app&tag=1", "POST /v1.41/images/evil.example/app/push?tag=1",
        "GET /v1.41/distribution/evil.example/app/json", "GET /v1.41/images/search?term=evil.example/app"})
    EXPECT_THAT(ask(request(line)), HasSubstr("rule: registry")) << line;
  EXPECT_THAT(heard(), IsEmpty());
  EXPECT_THAT(ask(request("POST /v1.41/images/r.example:5000/app/push?tag=1")), StartsWith("HTTP/1.1 200"));
}

TEST_F(GatewayBypass, RefusalsAreCountedByRule) {
  auto wire = client();
  const auto two = request("POST /build?networkmode=host") + request("GET /_ping");
  ASSERT_TRUE(wire.write(two));
  EXPECT_THAT(wire.read_message(), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(wire.read_message(), StartsWith("HTTP/1.1 200"));  // the first has been counted by now
  EXPECT_EQ(host_->counters().refusals["host-network"], 1U);
}

TEST_F(GatewayBypass, MoreThanTheProfileAllowsIsRefused) {
  ASSERT_TRUE(host_->open({.owner = "a1", .directory = folder_ / "a1", .max_belongings = 1}));
  EXPECT_THAT(refused(R"({"Image":"a"})"), HasSubstr("rule: max-belongings"));
}

}  // namespace
}  // namespace ebbtide::gateway::test
