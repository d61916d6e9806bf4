#include "docker/gateway/stamp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json container(std::string_view body) { return *decode(ModelName::kContainerCreate, body); }

// Knows what begins with "my-"; says the kind and the name.
Result<std::string> resolve(Kind kind, std::string_view reference) {
  if (!reference.starts_with("my-")) return fail(Error::not_found("no " + std::string(reference)));
  return std::string(to_string(kind)) + "#" + std::string(reference.substr(3));
}

TEST(Stamp, ReplacesReservedLabelsAndKeepsTheJobs) {
  auto body = container(R"({"Labels":{"a":"b","ebbtide.agent":"other","ebbtide.x":"y"}})");
  put_labels(body, {{"ebbtide.agent", "eb-1"}});
  EXPECT_EQ(body["Labels"].dump(), R"({"a":"b","ebbtide.agent":"eb-1"})");
}

TEST(Stamp, MakesLabelsWhereThereAreNone) {
  for (const auto* text : {R"({})", R"({"Labels":null})"}) {
    auto body = container(text);
    put_labels(body, {{"ebbtide.agent", "eb-1"}});
    EXPECT_EQ(body["Labels"].dump(), R"({"ebbtide.agent":"eb-1"})");
  }
}

TEST(Stamp, BlanksOwnershipInCommittedImages) {
  auto body = *decode(ModelName::kCommit, R"({"Labels":{"a":"b","ebbtide.agent":"other"}})");
  put_commit_labels(body, "s/eb-1");
  const auto& labels = body["Labels"];
  EXPECT_EQ(labels["a"], "b");
  EXPECT_EQ(labels["ebbtide.image-agent"], "s/eb-1");
  for (const auto* key : {"ebbtide.server", "ebbtide.agent", "ebbtide.role", "ebbtide.name", "ebbtide.check"})
    EXPECT_EQ(labels[key], "") << key;
}

TEST(Stamp, CleansPaths) {
  EXPECT_EQ(clean_path("//a/./b/../c/"), "/a/c");
  EXPECT_EQ(clean_path("/.."), "/");
  EXPECT_EQ(clean_path("a/b"), std::nullopt);
}

TEST(Stamp, PutsTheGatewayInPlaceOfTheSocket) {
  auto body = container(R"({"HostConfig":{
      "Binds":["//var/run/docker.sock:/var/run/docker.sock:ro","/run/ebbtide:/run/ebbtide","cache:/c","/etc:/e"],
      "Mounts":[{"Type":"bind","Source":"/run/docker.sock","Target":"/s"},
                {"Type":"volume","Source":"/run/docker.sock","Target":"/t"}]}})");
  EXPECT_EQ(point_sockets_at(body, "/srv/gw/eb-1"), 3U);
  const auto& host = body["HostConfig"];
  EXPECT_EQ(host["Binds"].dump(),
            R"(["/srv/gw/eb-1/docker.sock:/var/run/docker.sock:ro","/srv/gw/eb-1:/run/ebbtide","cache:/c","/etc:/e"])");
  EXPECT_EQ(host["Mounts"][0]["Source"], "/srv/gw/eb-1/docker.sock");
  EXPECT_EQ(host["Mounts"][1]["Source"], "/run/docker.sock");
}

TEST(Stamp, ListsNamedVolumesOnce) {
  const auto body =
      container(R"({"HostConfig":{"VolumeDriver":"local","Binds":["cache:/c","/anonymous","/etc:/e","data:/d:ro"],
      "Mounts":[{"Type":"volume","Source":"cache","Target":"/c2"},{"Type":"volume","Target":"/x"},
                {"Type":"volume","Source":"named","Target":"/n","VolumeOptions":{"Labels":{"a":"b","ebbtide.agent":"x"},
                 "DriverConfig":{"Name":"local","Options":{"size":"1g"}}}}]}})");
  const auto volumes = named_volumes(body);
  ASSERT_EQ(volumes.size(), 3U);
  EXPECT_EQ(volumes[0].name, "cache");
  EXPECT_EQ(volumes[0].driver, "local");
  EXPECT_EQ(volumes[1].name, "data");
  EXPECT_EQ(volumes[2].name, "named");
  EXPECT_EQ(volumes[2].driver_options.dump(), R"({"size":"1g"})");
  EXPECT_EQ(volumes[2].labels.dump(), R"({"a":"b"})");
}

// The targets of the entries of Mounts that bear the label.
std::vector<std::string> labelled_targets(const Json& body) {
  std::vector<std::string> targets;
  for (const auto& mount : body["HostConfig"].value("Mounts", Json::array())) {
    const auto labels = mount.value("VolumeOptions", Json::object()).value("Labels", Json::object());
    if (labels.value("ebbtide.agent", "") == "eb-1") targets.push_back(mount["Target"]);
  }
  return targets;
}

TEST(Stamp, LabelsAnonymousVolumesOfEveryOrigin) {
  auto body = container(R"({"Volumes":{"/v/":{}},"HostConfig":{"Binds":["/bare/","cache:/c"],
      "Mounts":[{"Type":"volume","Target":"/m","VolumeOptions":{"Labels":{"a":"b","ebbtide.role":"x"}}}]}})");
  label_anonymous_volumes(body, {"/image//"}, {{"ebbtide.agent", "eb-1"}});
  EXPECT_THAT(labelled_targets(body), ElementsAre("/m", "/bare", "/v", "/image"));
  EXPECT_EQ(body["HostConfig"]["Binds"].dump(), R"(["cache:/c"])");
  EXPECT_EQ(body["HostConfig"]["Mounts"][0]["VolumeOptions"]["Labels"].dump(), R"({"a":"b","ebbtide.agent":"eb-1"})");
}

TEST(Stamp, LeavesDestinationsAloneThatHaveAMount) {
  auto body = container(R"({"Volumes":{"/a/":{},"/b":{}},"HostConfig":{"Binds":["cache:/a"],"Tmpfs":{"/b/":""},
      "Mounts":[{"Type":"tmpfs","Target":"/c"}]}})");
  label_anonymous_volumes(body, {"/b", "/c/", "/d"}, {{"ebbtide.agent", "eb-1"}}, {"/d/"});
  EXPECT_THAT(labelled_targets(body), ElementsAre());
}

TEST(Stamp, LabelsVolumesWithRelativePathsToo) {
  auto body = container(R"({"Volumes":{"data":{},"a:/b":{}}})");
  label_anonymous_volumes(body, {}, {{"ebbtide.agent", "eb-1"}});
  EXPECT_THAT(labelled_targets(body), ElementsAre("/data", "/a:/b"));
  EXPECT_EQ(body["Volumes"].dump(), R"({"/data":{},"/a:/b":{}})");
}

TEST(Stamp, DoesNotTouchNamedVolumesButForReservedLabels) {
  auto body = container(R"({"HostConfig":{"Mounts":[{"Type":"volume","Source":"n","Target":"/m",
      "VolumeOptions":{"Labels":{"a":"b","ebbtide.agent":"x"}}}]}})");
  label_anonymous_volumes(body, {"/m"}, {{"ebbtide.agent", "eb-1"}});
  EXPECT_EQ(body["HostConfig"]["Mounts"].dump(),
            R"([{"Type":"volume","Source":"n","Target":"/m","VolumeOptions":{"Labels":{"a":"b"}}}])");
}

TEST(Stamp, ReplacesEveryReferenceInAContainer) {
  auto body = container(R"({"HostConfig":{"NetworkMode":"my-net","IpcMode":"container:my-a","PidMode":"container:/my-b",
      "VolumesFrom":["my-c:ro","my-d"],"Links":["my-e","/my-f:db"],"Binds":["my-v:/v:ro","/anon"],
      "Mounts":[{"Type":"volume","Source":"my-w","Target":"/w"}]},
      "NetworkingConfig":{"EndpointsConfig":{"my-net":{"Links":["my-g:g"],"Aliases":["x"]},"bridge":{}}}})");
  ASSERT_TRUE(resolve_references(body, resolve));
  EXPECT_EQ(body.dump(),
            R"({"HostConfig":{"NetworkMode":"network#net","IpcMode":"container:container#a",)"
            R"("PidMode":"container:container#b","VolumesFrom":["container#c:ro","container#d"],)"
            R"("Links":["container#e:my-e","container#f:db"],"Binds":["volume#v:/v:ro","/anon"],)"
            R"("Mounts":[{"Type":"volume","Source":"volume#w","Target":"/w"}]},)"
            R"("NetworkingConfig":{"EndpointsConfig":{"network#net":{"Links":["container#g:g"],"Aliases":["x"]},)"
            R"("bridge":{}}}})");
}

class ForeignReference : public testing::TestWithParam<std::string_view> {};

TEST_P(ForeignReference, IsAnsweredWithTheErrorOfResolving) {
  auto body = container(GetParam());
  const auto done = resolve_references(body, resolve);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "no other");
}

INSTANTIATE_TEST_SUITE_P(Stamp, ForeignReference,
                         testing::Values(R"({"HostConfig":{"PidMode":"container:other"}})",
                                         R"({"HostConfig":{"IpcMode":"container:other"}})",
                                         R"({"HostConfig":{"NetworkMode":"container:other"}})",
                                         R"({"HostConfig":{"NetworkMode":"other"}})",
                                         R"({"HostConfig":{"VolumesFrom":["other:rw"]}})",
                                         R"({"HostConfig":{"Links":["other:x"]}})",
                                         R"({"HostConfig":{"Binds":["other:/x"]}})",
                                         R"({"NetworkingConfig":{"EndpointsConfig":{"other":{}}}})"));

TEST(Stamp, LinksOfAnEndpointAreShortIdsOrAliases) {
  auto body = *decode(ModelName::kNetworkConnect, R"({"EndpointConfig":{"Links":["my-a:x","alias:y"]}})");
  ASSERT_TRUE(resolve_network_references(body, [](Kind, std::string_view reference) -> Result<std::string> {
    if (reference == "alias") return fail(Error::not_found("none"));
    return std::string(64, 'f');
  }));
  EXPECT_EQ(body["EndpointConfig"]["Links"].dump(), R"(["ffffffffffff:x","alias:y"])");
}

TEST(Stamp, AsksNotAboutPredefinedModes) {
  for (const auto* mode : {"", "default", "bridge", "none", "host"}) {
    auto body = container(Json({{"HostConfig", {{"NetworkMode", mode}, {"IpcMode", "private"}}}}).dump());
    EXPECT_TRUE(resolve_references(body, resolve)) << mode;
  }
}

TEST(Stamp, RefusesTwoNamesOfOneNetwork) {
  auto body = container(R"({"NetworkingConfig":{"EndpointsConfig":{"my-a":{},"my-b":{}}}})");
  const auto done = resolve_references(body, [](Kind, std::string_view) -> Result<std::string> { return "same"; });
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("my-b is given twice"));
}

TEST(Stamp, ReplacesReferencesInNetworkBodies) {
  auto connect = *decode(ModelName::kNetworkConnect, R"({"Container":"my-a","EndpointConfig":{"Links":["my-b:x"]}})");
  ASSERT_TRUE(resolve_network_references(connect, resolve));
  EXPECT_EQ(connect.dump(), R"({"Container":"container#a","EndpointConfig":{"Links":["container#b:x"]}})");
  auto create = *decode(ModelName::kNetworkCreate, R"({"ConfigFrom":{"Network":"other"}})");
  EXPECT_FALSE(resolve_network_references(create, resolve));
}

TEST(Stamp, StampsBuilds) {
  http::Query query;
  query.add("labels", R"({"a":"b","ebbtide.agent":"other"})");
  query.add("rm", "0");
  ASSERT_TRUE(stamp_build(query, "s/eb-1"));
  EXPECT_EQ(query.get("labels"), R"({"a":"b","ebbtide.image-agent":"s/eb-1"})");
  EXPECT_EQ(query.get_all("rm"), std::vector<std::string>{"1"});
  EXPECT_EQ(query.get("forcerm"), "1");
}

TEST(Stamp, BuildsOfSharedImagesLoseReservedLabelsToo) {
  http::Query query;
  query.add("labels", R"({"a":"b","ebbtide.image-agent":"s/other"})");
  ASSERT_TRUE(stamp_build(query, ""));
  EXPECT_EQ(query.get("labels"), R"({"a":"b"})");
  EXPECT_EQ(query.get("forcerm"), "1");
}

TEST(Stamp, RefusesBuildLabelsThatAreNotTexts) {
  for (const auto* labels : {"[]", "{", R"({"a":1})", "x"}) {
    http::Query query;
    query.add("labels", labels);
    EXPECT_FALSE(stamp_build(query, "s/eb-1")) << labels;
  }
}

TEST(Stamp, ReplacesTheNetworkOfABuild) {
  http::Query query;
  query.add("networkmode", "my-net");
  ASSERT_TRUE(resolve_build_references(query, resolve));
  EXPECT_EQ(query.get("networkmode"), "network#net");
  query.set("networkmode", "container:other");
  EXPECT_FALSE(resolve_build_references(query, resolve));
}

TEST(Stamp, ItsChangeIsTheLast) {
  http::Query query;
  query.add("changes", "LABEL ebbtide.agent=other");
  query.add("changes", "CMD [\"sh\"]");
  ASSERT_TRUE(stamp_changes(query, "s/eb-1"));
  const auto changes = query.get_all("changes");
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[1], "CMD [\"sh\"]");
  EXPECT_THAT(changes[2], HasSubstr(R"("ebbtide.agent"="")"));
  EXPECT_THAT(changes[2], HasSubstr(R"("ebbtide.image-agent"="s/eb-1")"));
}

TEST(Stamp, RefusesAChangeThatWouldSwallowItsOwn) {
  http::Query query;
  query.add("changes", "ENV a=b \\\n");
  EXPECT_FALSE(stamp_changes(query, "s/eb-1"));
}

}  // namespace
}  // namespace ebbtide::gateway
