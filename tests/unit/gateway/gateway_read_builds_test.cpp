// Where builds are read (isolated images): which builds reach the engine, and as what.
#include <gmock/gmock.h>
#include <poll.h>

#include <algorithm>
#include <condition_variable>

#include "buildkit.pb.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"
#include "tests/support/grpc_peer.h"
#include "tests/support/tar.h"
#include "tests/unit/gateway/gateway_harness.h"

namespace ebbtide::gateway::test {
namespace {

using ebbtide::test::GrpcAnswer;
using ebbtide::test::GrpcCall;
using ebbtide::test::GrpcClient;
using ebbtide::test::tar_entry;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string kFiles = "/moby.filesync.v1.FileSync/DiffCopy";
const std::string kCredentials = "/moby.filesync.v1.Auth/Credentials";
const std::string kOwnLabel = R"({"Labels":{"ebbtide.image-agent":"s1/a1"}})";

std::string image(const std::string& id, const std::string& tag, const std::string& config = "{}") {
  return R"({"Id":"sha256:)" + id + R"(","RepoTags":[")" + tag + R"("],"RepoDigests":["pulled@sha256:d1"],"Config":)" +
         config + "}";
}

std::string context(const std::string& dockerfile) {
  return tar_entry("Dockerfile", dockerfile) + tar_entry("other", "x") + std::string(1024, '\0');
}

std::string dechunked(std::string_view body) {
  std::string content;
  while (true) {
    const auto size = std::stoul(std::string(body.substr(0, body.find("\r\n"))), nullptr, 16);
    if (size == 0) return content;
    body.remove_prefix(body.find("\r\n") + 2);
    content += body.substr(0, size);
    body.remove_prefix(size + 2);
  }
}

class GatewayReadBuilds : public GatewayTest {
 protected:
  void SetUp() override {
    images_["theirs:1"] = image("theirs", "theirs:1");
    images_["mine:1"] = image("mine", "mine:1", kOwnLabel);
    open([this](Wire& wire, const auto& asked) { return serve(wire, asked); }, {.images = ImageMode::kIsolated});
  }

  bool serve(Wire& wire, const ScriptedServer::Request& asked) {
    const auto path = asked.target.substr(asked.target.find('/', 1));
    if (path == "/session") return serve_session(wire);
    if (path.starts_with("/images/create")) return wire.write(pull(asked));
    if (path.starts_with("/images/json")) return wire.write(answer_text(200, listed()));
    if (path.starts_with("/images/") && path.find("/json") != std::string::npos) {
      if (path.find("bad%3A") != std::string::npos || path.find("bad:") != std::string::npos)
        return wire.write(answer_text(400, R"({"message":"invalid reference format"})"));
      const std::scoped_lock lock(mutex_);
      const auto asked_for = *percent_decode(path.substr(8, path.size() - 8 - 5));
      const auto known = images_.find(asked_for);
      const auto text = known == images_.end() ? "" : known->second;
      if (moves_ && asked_for == "mine:1") images_["mine:1"] = images_["theirs:1"];
      if (!text.empty()) return wire.write(answer_text(200, text));
      return wire.write(answer_text(404, R"({"message":"none"})"));
    }
    if (path.starts_with("/images/load")) {
      context_ = wire.read_until("0\r\n\r\n");
      return wire.write(answer_text(200, "{\"stream\":\"Loaded image: theirs:1\\n\"}\r\n"));
    }
    if (asked.method == "POST" && path.starts_with("/build") && asked.head.find("chunked") != std::string::npos)
      context_ = wire.read_until("0\r\n\r\n");
    return wire.write(answer_text(200, ""));
  }

  std::string listed() {
    const std::scoped_lock lock(mutex_);
    auto list = Json::array();
    for (const auto& [name, text] : images_) {
      auto each = Json::parse(text);
      each["Labels"] = each["Config"].value("Labels", Json::object());
      list.push_back(std::move(each));
    }
    return list.dump();
  }

  // What a registry has is "pulled:1".
  std::string pull(const ScriptedServer::Request& asked) {
    const std::scoped_lock lock(mutex_);
    pulls_.push_back(asked.head);
    if (fails_ || asked.target.find("fromImage=pulled&") == std::string::npos)
      return answer_text(404, R"({"message":"pull access denied"})");
    for (const auto* name : {"pulled:1", "pulled@sha256:d1"}) images_[name] = image("pulled", "pulled:1");
    return answer_text(200, "{\"status\":\"Digest: sha256:d1\"}\r\n{\"status\":\"Status: done\"}\r\n");
  }

  // An engine that fetches the Dockerfile of a build as soon as it is asked to.
  bool serve_session(Wire& wire) {
    wire.write(kUpgradedToH2c);
    GrpcClient engine(wire);
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return fetch_; });
    }
    auto answer = engine.call(fetch_path_, "", {{"dir-name", folder_name_}});
    std::unique_lock lock(mutex_);
    fetched_ = std::move(answer);
    changed_.notify_all();
    changed_.wait(lock, [this] { return !stays_; });
    return false;
  }

  // What the engine gets of a client's Dockerfile, in a session of a build. meanwhile: before the session ends.
  GrpcAnswer fetched(
      const std::string& dockerfile, const std::string& query = "", const std::function<void()>& meanwhile = [] {}) {
    auto wire = client();
    EXPECT_TRUE(
        wire.write("POST /v1.41/session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
                   "X-Docker-Expose-Session-Uuid: x\r\n\r\n"));
    EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
    if (query != "no build") EXPECT_THAT(build_in_session(query), StartsWith("HTTP/1.1 200"));
    change([this] { fetch_ = stays_ = true; });
    std::thread peer([&] {
      ebbtide::test::serve_grpc(
          wire,
          [&](const GrpcCall& call) {
            return call.path() == kCredentials ? credentials(call) : std::optional(sent(dockerfile));
          },
          [] {});
    });
    EXPECT_TRUE(await([this] { return fetched_.has_value(); }));
    meanwhile();
    change([this] { stays_ = false; });
    peer.join();
    return fetched_.value_or(GrpcAnswer());
  }
  std::string build_in_session(const std::string& query) const {
    return post("/v1.41/build?version=2&session=x&remote=client-session" + query, "");
  }

  // The client is asked for a login.
  std::optional<std::string> credentials(const GrpcCall& call) {
    buildkit::CredentialsRequest request;
    const auto message = grpc::unframe(call.body);
    EXPECT_TRUE(message && request.ParseFromString(*message));
    change([&] { hosts_.push_back(request.host()); });
    return login_ ? std::optional(grpc::frame(login_->SerializeAsString())) : std::nullopt;
  }

  void change(const std::function<void()>& act) {
    const std::scoped_lock lock(mutex_);
    act();
    changed_.notify_all();
  }
  bool await(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), condition);
  }

  std::string sent(const std::string& dockerfile) const {
    buildkit::FilePacket name;
    name.mutable_stat()->set_path("Dockerfile");
    buildkit::FilePacket data;
    data.set_type(buildkit::FilePacket::DATA);
    data.set_data(dockerfile);
    auto end = data;
    end.clear_data();
    std::string all;
    for (const auto& packet : {name, data, end}) all += grpc::frame(packet.SerializeAsString());
    buildkit::FilePacket fin;
    fin.set_type(buildkit::FilePacket::FIN);
    return fin_ ? all + grpc::frame(fin.SerializeAsString()) : all;
  }

  std::string build(const std::string& dockerfile, const std::string& query = "", const std::string& headers = "") {
    const auto tar = context(dockerfile);
    return ask("POST /v1.41/build?" + query + " HTTP/1.1\r\nHost: d\r\n" + headers +
               "Content-Length: " + std::to_string(tar.size()) + "\r\n\r\n" + tar);
  }
  std::vector<std::string> pulls() {
    const std::scoped_lock lock(mutex_);
    return pulls_;
  }

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::map<std::string, std::string> images_;  // by reference, as inspected
  std::vector<std::string> pulls_;             // heads
  std::optional<GrpcAnswer> fetched_;
  std::string context_;             // of the last build, as the engine got it
  std::vector<std::string> hosts_;  // whose login the client was asked for
  bool fails_ = false;              // every pull
  bool fetch_ = false;
  bool stays_ = false;  // the session goes on after its Dockerfile
  bool fin_ = false;    // the client ends its files
  bool moves_ = false;  // mine:1 becomes another's as soon as it was looked at
  std::optional<buildkit::Credentials> login_ = buildkit::Credentials();  // nothing: the client says nothing
  std::string fetch_path_ = kFiles;
  std::string folder_name_ = "dockerfile";
};

TEST_F(GatewayReadBuilds, ASentDockerfileReachesTheEngineWholeWhereItTakesWhatTheJobSees) {
  const auto answer = fetched("FROM mine:1\n");
  EXPECT_EQ(answer.status(), "0");
  EXPECT_EQ(answer.body, sent("FROM mine:1\n"));
}

TEST_F(GatewayReadBuilds, ASentDockerfileThatTakesAnothersImageNeverBecomesWhole) {
  const auto answer = fetched("FROM theirs:1\n");
  EXPECT_EQ(answer.status(), "7");
  EXPECT_THAT(std::string(grpc::value_of(answer.trailers, "grpc-message")),
              AllOf(HasSubstr("pull access denied"), HasSubstr("(rule: build-image)")));
  const auto messages = grpc::MessageReader(1 << 20).feed(answer.body);
  ASSERT_TRUE(messages);
  std::vector<buildkit::FilePacket> packets(messages->size());
  for (std::size_t i = 0; i < packets.size(); ++i) ASSERT_TRUE(packets[i].ParseFromString((*messages)[i]));
  for (const auto& packet : packets) EXPECT_NE(packet.type(), buildkit::FilePacket::DATA);
  ASSERT_FALSE(packets.empty());
  EXPECT_EQ(packets.back().type(), buildkit::FilePacket::ERROR);
  EXPECT_THAT(packets.back().data(), AllOf(HasSubstr("pull access denied"), HasSubstr("(rule: build-image)")));
  EXPECT_EQ(host_->counters().refusals["build-image"], 1U);
  EXPECT_THAT(audited(), Contains(testing::Field(&AuditRecord::rule, "build-image")));
}

TEST_F(GatewayReadBuilds, TheEngineReadsADockerfileItselfWhateverFrontendItAsksFor) {
  const auto answer = fetched("# syntax=theirs:1\nFROM mine:1\n");
  EXPECT_EQ(answer.status(), "0");
  EXPECT_EQ(answer.body, sent("# ignore=theirs:1\nFROM mine:1\n"));
}

TEST_F(GatewayReadBuilds, AFrontendOfAnUncommonFormIsRefused) {
  EXPECT_EQ(fetched("#\n\n# syntax=theirs:1\nFROM mine:1\n").status(), "7");
}

TEST_F(GatewayReadBuilds, TheArgumentsOfTheBuildCount) {
  const auto answer = fetched("ARG BASE=mine\nFROM $BASE:1\n", "&buildargs=%7B%22BASE%22%3A%22theirs%22%7D");
  EXPECT_EQ(answer.status(), "7");
}

TEST_F(GatewayReadBuilds, ADockerfileOfNoBuildIsNotSent) {
  EXPECT_EQ(fetched("FROM mine:1\n", "no build").status(), "7");
}

TEST_F(GatewayReadBuilds, OtherFoldersAreNotRead) {
  folder_name_ = "context";
  EXPECT_EQ(fetched("FROM theirs:1\n").status(), "0");
}

TEST_F(GatewayReadBuilds, FilesAreSentInNoOtherWay) {
  fetch_path_ = "/moby.filesync.v1.FileSync/TarStream";
  EXPECT_EQ(fetched("FROM theirs:1\n").status(), "12");
}

TEST_F(GatewayReadBuilds, BuildsWhoseDockerfileComesInAnotherWayAreRefused) {
  const std::string from_session = "version=2&remote=client-session";
  const std::vector<std::string> queries = {"version=2&remote=upload-request", "version=2", from_session,
                                            from_session + "&dockerfile=x.dockerignore",
                                            from_session + "&buildargs=%7B%22BUILDKIT_SYNTAX%22%3A%22x%22%7D"};
  for (const auto& query : queries)
    EXPECT_THAT(post("/v1.41/build?" + query, ""), HasSubstr("(rule: build-image)")) << query;
  for (const auto& request : server_->requests()) EXPECT_THAT(request, Not(HasSubstr("/build")));
}

TEST_F(GatewayReadBuilds, TheClassicBuildersContextIsWrittenAnewWithTheDockerfileAtItsEnd) {
  EXPECT_THAT(build("FROM mine:1\nRUN x\n", "t=a"), StartsWith("HTTP/1.1 200"));
  const auto other = context_.find("other");
  EXPECT_NE(other, std::string::npos);
  EXPECT_NE(context_.find("FROM mine:1\nRUN x\n", other), std::string::npos);
}

TEST_F(GatewayReadBuilds, ABuildThatTakesAnothersImageNeverReachesTheEngine) {
  for (const auto* dockerfile : {"FROM theirs:1\n", "FROM mine:1\nCOPY --from=theirs:1 /s /s\n", "FROM sha256:theirs\n",
                                 "ARG B=theirs\nFROM $B:1\n"})
    EXPECT_THAT(build(dockerfile), AllOf(StartsWith("HTTP/1.1 403"), HasSubstr("(rule: build-image)"))) << dockerfile;
  EXPECT_EQ(context_, "");
}

TEST_F(GatewayReadBuilds, WhatAnImageMakesThoseWhoBuildUponItTakeCountsToo) {
  images_["mine:2"] = image("mine2", "mine:2",
                            R"({"Labels":{"ebbtide.image-agent":"s1/a1"},"OnBuild":["COPY --from=theirs:1 /s /s"]})");
  EXPECT_THAT(build("FROM mine:2\n"), StartsWith("HTTP/1.1 403"));
}

TEST_F(GatewayReadBuilds, AStageHasNoNameOfAnothersImage) {
  images_["base"] = image("base", "base:latest");
  EXPECT_THAT(build("FROM mine:1 AS base\nFROM base\n"), AllOf(StartsWith("HTTP/1.1 403"), HasSubstr("stage base")));
  EXPECT_THAT(build("FROM mine:1 AS other\nFROM other\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(GatewayReadBuilds, WhatIsInARegistryIsPulledOnTheJobsBehalfWithItsLogin) {
  const auto logins = base64_encode(R"({"https://index.docker.io/v1/":{"username":"u"}})");
  EXPECT_THAT(build("FROM pulled:1\n", "", "X-Registry-Config: " + logins + "\r\n"), StartsWith("HTTP/1.1 200"));
  ASSERT_EQ(pulls().size(), 1U);
  EXPECT_THAT(pulls()[0], HasSubstr("X-Registry-Auth: " + base64_encode(R"({"username":"u"})")));
  EXPECT_THAT(build("FROM pulled:1\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(pulls().size(), 1U) << "it is the job's now";
  EXPECT_THAT(get("/v1.41/images/pulled:1/json"), StartsWith("HTTP/1.1 200"));
}

TEST_F(GatewayReadBuilds, ABuildkitClientIsAskedForItsLogin) {
  login_->set_username("u");
  login_->set_secret("p");
  EXPECT_EQ(fetched("FROM pulled:1\n").status(), "0");
  EXPECT_THAT(hosts_, testing::ElementsAre("registry-1.docker.io"));
  ASSERT_EQ(pulls().size(), 1U);
  EXPECT_THAT(pulls()[0], HasSubstr("X-Registry-Auth: " + base64_encode(R"({"password":"p","username":"u"})")));
}

TEST_F(GatewayReadBuilds, ABuildkitClientsIdentityTokenIsALogin) {
  login_->set_secret("t");
  EXPECT_EQ(fetched("FROM pulled:1\n").status(), "0");
  ASSERT_EQ(pulls().size(), 1U);
  EXPECT_THAT(pulls()[0], HasSubstr("X-Registry-Auth: " + base64_encode(R"({"identitytoken":"t"})")));
}

TEST_F(GatewayReadBuilds, WhatIsPulledForABuildkitClientWithoutALoginIsPulledWithoutOne) {
  EXPECT_EQ(fetched("FROM pulled:1\n").status(), "0");
  EXPECT_EQ(hosts_.size(), 1U);
  ASSERT_EQ(pulls().size(), 1U);
  EXPECT_THAT(pulls()[0], Not(HasSubstr("X-Registry-Auth")));
}

// The client never says what its login is, and its session ends while another request of the build waits for that.
TEST_F(GatewayReadBuilds, AClientThatGoesIsNoLongerAskedForItsLogin) {
  login_ = std::nullopt;
  std::thread build;
  std::string answer;
  const auto sent = fetched("ARG BASE=mine\nFROM $BASE:1\n", "", [&] {
    build = std::thread([&] { answer = build_in_session("&buildargs=%7B%22BASE%22%3A%22pulled%22%7D"); });
    EXPECT_TRUE(await([this] { return !hosts_.empty(); }));
  });
  build.join();
  EXPECT_EQ(sent.status(), "0");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  ASSERT_EQ(pulls().size(), 1U);
  EXPECT_THAT(pulls()[0], Not(HasSubstr("X-Registry-Auth")));
}

TEST_F(GatewayReadBuilds, APullThatFailsGivesNothing) {
  EXPECT_THAT(post("/v1.41/images/create?fromImage=theirs&tag=1", ""), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(get("/v1.41/images/theirs:1/json"), StartsWith("HTTP/1.1 404")) << "that one is another's";
  EXPECT_THAT(post("/v1.41/images/create?fromImage=later&tag=1", ""), StartsWith("HTTP/1.1 404"));
  post("/v1.41/images/create?fromImage=bad:", "");
  const auto records = watch_->store().images_of("unix://" + server_->path(), "a1");
  ASSERT_TRUE(records);
  EXPECT_TRUE(records->empty()) << "whoever makes later:1 keeps it, and no image can be bad:";
}

TEST_F(GatewayReadBuilds, AFailedPullOfWhatIsThereClaimsNothingOfIt) {
  const auto wanted = [this](const std::string& reference) {
    return watch_->store().image_wanted_by_others("unix://" + server_->path(), "another", reference);
  };
  EXPECT_THAT(post("/v1.41/images/create?fromImage=theirs&tag=1", ""), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(build("FROM theirs:1\n"), StartsWith("HTTP/1.1 403"));
  EXPECT_FALSE(*wanted("theirs:1")) << "whose it is could not remove it";
  EXPECT_THAT(post("/v1.41/images/create?fromImage=pulled&tag=1", ""), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(*wanted("pulled:1"));
  change([this] { fails_ = true; });
  EXPECT_THAT(post("/v1.41/images/create?fromImage=pulled&tag=1", ""), StartsWith("HTTP/1.1 404"));
  EXPECT_TRUE(*wanted("pulled:1")) << "the former pull stands";
}

// The engine has had the image by the same name: the archive alone tells that it is the job's too.
TEST_F(GatewayReadBuilds, ALoadedImageThatTheEngineHadIsSeenByWhoseArchiveHasIt) {
  const std::string config = R"({"rootfs":{}})";
  images_["theirs:1"] = image(sha256_hex(config), "theirs:1");
  const auto load = [this](const std::string& tar) {
    return ask("POST /v1.41/images/load HTTP/1.1\r\nHost: d\r\nContent-Length: " + std::to_string(tar.size()) +
               "\r\n\r\n" + tar);
  };
  const auto other = tar_entry("manifest.json", "[]") + tar_entry("c.json", "{}") + std::string(1024, '\0');
  EXPECT_THAT(load(other), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get("/v1.41/images/theirs:1/json"), StartsWith("HTTP/1.1 404"));
  const auto archive =
      tar_entry("layer.tar", std::string(2 << 20, 'l')) + tar_entry("c.json", config) + std::string(1024, '\0');
  EXPECT_THAT(load(archive), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("Loaded image: theirs:1")));
  EXPECT_EQ(dechunked(context_), archive);
  EXPECT_THAT(get("/v1.41/images/theirs:1/json"), StartsWith("HTTP/1.1 200"));
}

TEST_F(GatewayReadBuilds, APulledImageIsSeenAtOnce) {
  EXPECT_THAT(get("/v1.41/images/pulled:1/json"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(post("/v1.41/images/create?fromImage=pulled&tag=1", ""), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get("/v1.41/images/pulled:1/json"), StartsWith("HTTP/1.1 200"));
}

TEST_F(GatewayReadBuilds, AnOwnerKeepsSoManyContextsAtOnceAndTheNextWaits) {
  const auto begun = [this] {
    auto wire = client();
    EXPECT_TRUE(
        wire.write("POST /v1.41/build HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"));
    return wire;
  };
  std::vector<Wire> under_way;
  for (int i = 0; i < 4; ++i) {
    under_way.push_back(begun());
    ASSERT_THAT(under_way.back().read_until("\r\n\r\n"), StartsWith("HTTP/1.1 100"));
  }
  auto next = begun();
  // The gateway's one loop has read what next sent long before it has answered these.
  for (int i = 0; i < 20; ++i) ASSERT_THAT(get("/v1.41/images/mine:1/json"), StartsWith("HTTP/1.1 200"));
  pollfd has_come{.fd = next.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&has_come, 1, 0), 0);
  under_way.pop_back();
  EXPECT_THAT(next.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 100"));
}

TEST_F(GatewayReadBuilds, AContextWhoseClientGoesReachesNobody) {
  {
    auto wire = client();
    ASSERT_TRUE(wire.write("POST /v1.41/build HTTP/1.1\r\nHost: d\r\nContent-Length: 100000\r\n\r\n" +
                           context("FROM mine:1\n")));
  }
  EXPECT_THAT(build("FROM mine:1\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(std::ranges::count_if(server_->requests(),
                                  [](const auto& each) { return each.find("/build") != std::string::npos; }),
            1);
}

TEST_F(GatewayReadBuilds, EachTriggerIsReadByItself) {
  images_["mine:2"] =
      image("mine2", "mine:2",
            R"({"Labels":{"ebbtide.image-agent":"s1/a1"},"OnBuild":["RUN true \\","COPY --from=theirs:1 /s /s"]})");
  EXPECT_THAT(build("FROM mine:2\n"), StartsWith("HTTP/1.1 403"));
}

TEST_F(GatewayReadBuilds, ANameThatCouldBeAnIdIsNoImageOfABuild) {
  images_["0b37caf"] = image("mine", "0b37caf:latest", kOwnLabel);
  EXPECT_THAT(build("FROM 0b37caf\n"), AllOf(StartsWith("HTTP/1.1 403"), HasSubstr("by its name or by its id")));
  images_["0b37caf:latest"] = images_["0b37caf"];
  EXPECT_THAT(build("FROM 0b37caf:latest\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(GatewayReadBuilds, ANameThatCouldBeAnIdIsTakenByTheIdThatItMeans) {
  images_["0b37caf"] = image("mine", "0b37caf:latest", kOwnLabel);
  EXPECT_THAT(post("/v1.41/images/0b37caf/tag?repo=x&tag=1", ""), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get("/v1.41/images/0b37caf/get"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(server_->requests(), Contains(HasSubstr("/images/sha256:mine/tag?")));
  EXPECT_THAT(server_->requests(), Contains(HasSubstr("/images/get?names=0b37caf%3Alatest")));
}

TEST_F(GatewayReadBuilds, ARepositoryIsSavedByItsOwnTags) {
  images_["mine:theirs"] = image("theirs2", "mine:theirs");
  EXPECT_THAT(get("/v1.41/images/get?names=mine"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(server_->requests(), Contains("GET /v1.41/images/get?names=mine%3A1"));
  for (const auto* names : {"names=theirs", "names=theirs:1", "names=mine:1&names=theirs:1", "names=none"})
    EXPECT_THAT(get(std::string("/v1.41/images/get?") + names), StartsWith("HTTP/1.1 404")) << names;
  EXPECT_THAT(get("/v1.41/images/theirs/get"), StartsWith("HTTP/1.1 404"));
}

TEST_F(GatewayReadBuilds, WhatIsPushedIsWhatTheTagMeans) {
  EXPECT_THAT(post("/v1.41/images/mine/push?tag=1", ""), StartsWith("HTTP/1.1 200"));
  images_["theirs:latest"] = images_["mine:1"];
  EXPECT_THAT(post("/v1.41/images/theirs/push?tag=1", ""), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(post("/v1.41/images/mine/push", ""), HasSubstr("(rule: shared-image)"));
}

TEST_F(GatewayReadBuilds, WhatARegistryOnlySaysThatItHasIsNotSeen) {
  images_["theirs:2"] = R"({"Id":"sha256:pulled","RepoTags":["theirs:2"],"RepoDigests":["a@sha256:d2"],"Config":{}})";
  for (int twice = 0; twice < 2; ++twice) {
    EXPECT_THAT(post("/v1.41/images/create?fromImage=pulled&tag=1", ""), HasSubstr("whose it is can't be told"));
    EXPECT_THAT(get("/v1.41/images/pulled:1/json"), StartsWith("HTTP/1.1 404"));
    EXPECT_THAT(build("FROM pulled:1\n"), StartsWith("HTTP/1.1 403"));
  }
}

TEST_F(GatewayReadBuilds, AnImageThatTheEngineHasByTheSameManifestIsPulled) {
  images_["theirs:2"] = R"({"Id":"sha256:pulled","RepoTags":["theirs:2"],"RepoDigests":["a@sha256:d1"],"Config":{}})";
  EXPECT_THAT(post("/v1.41/images/create?fromImage=pulled&tag=1", ""), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get("/v1.41/images/pulled:1/json"), StartsWith("HTTP/1.1 200"));
}

TEST_F(GatewayReadBuilds, AnImageThatIsNotThereAndOneThatIsHiddenAreAlike) {
  const auto hidden = post("/v1.41/containers/create?name=%21%21", R"({"Image":"theirs:1"})");
  const auto absent = post("/v1.41/containers/create?name=%21%21", R"({"Image":"absent:1"})");
  EXPECT_THAT(hidden, HasSubstr("No such image: theirs:1"));
  EXPECT_THAT(absent, HasSubstr("No such image: absent:1"));
}

TEST_F(GatewayReadBuilds, ADockerfileIsHeldAgainstWhatIsThereWhenTheBuildBegins) {
  fin_ = true;
  moves_ = true;
  EXPECT_EQ(fetched("FROM mine:1\n").status(), "7");
}

}  // namespace
}  // namespace ebbtide::gateway::test
