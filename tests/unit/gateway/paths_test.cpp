// Which paths a container names, and what is put in their place. That staging itself keeps a job in its own files is
// shown on a real engine (tests/e2e/isolation.py).
#include "docker/gateway/paths.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "docker/gateway/stamp.h"

namespace ebbtide::gateway {
namespace {

const Json kBody = Json::parse(R"({"HostConfig":{
  "Binds":["/src/./a/:/a:Z,rw","vol:/v","/anonymous","/b//c:/c"],
  "Mounts":[{"Type":"bind","Source":"/src/a","Target":"/m","BindOptions":{"CreateMountpoint":true}},
            {"Type":"bind","Source":"/only","Target":"/o"},{"Type":"volume","Source":"/not","Target":"/n"}]}})");

TEST(PathSources, AreCleanAndNamedOnce) {
  const auto sources = path_sources(kBody);
  ASSERT_EQ(sources.size(), 3U);
  EXPECT_EQ(sources[0].path, "/src/a");
  EXPECT_TRUE(sources[0].made_if_missing);
  EXPECT_EQ(sources[1].path, "/b/c");
  EXPECT_EQ(sources[2].path, "/only");
  EXPECT_FALSE(sources[2].made_if_missing);
}

TEST(PathSources, ArePutInPlaceEverywhere) {
  auto body = kBody;
  place_sources(body, {{"/src/a", {"/st/1/src/a", true}}, {"/only", {"/st/2/only", false}}});
  const auto& host = body["HostConfig"];
  EXPECT_EQ(host["Binds"], Json::parse(R"(["/st/1/src/a:/a:z,ro","vol:/v","/anonymous","/b//c:/c"])"));
  EXPECT_EQ(host["Mounts"][0]["Source"], "/st/1/src/a");
  EXPECT_EQ(host["Mounts"][0]["ReadOnly"], true);
  EXPECT_FALSE(host["Mounts"][0]["BindOptions"].contains("CreateMountpoint"));
  EXPECT_EQ(host["Mounts"][1]["Source"], "/st/2/only");
  EXPECT_FALSE(host["Mounts"][1].contains("ReadOnly"));
  EXPECT_EQ(host["Mounts"][2]["Source"], "/not");
}

TEST(CallerFiles, AreReadFromWhatTheEngineSays) {
  const auto caller = read_caller(Json::parse(R"({"State":{"Pid":42},
    "GraphDriver":{"Name":"overlay2","Data":{"MergedDir":"/d/merged"}},
    "Mounts":[{"Type":"volume","Source":"/d/v/_data","Destination":"/work","RW":true},
              {"Type":"bind","Source":"/etc","Destination":"/e","RW":false}]})"));
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->pid, 42);
  EXPECT_EQ(caller->root, "/d/merged");
  ASSERT_EQ(caller->mounts.size(), 2U);
  EXPECT_FALSE(caller->mounts[0].read_only);
  EXPECT_TRUE(caller->mounts[1].read_only);
}

TEST(CallerFiles, AreNotReadOfWhatDoesNotRun) {
  for (const auto* text : {"[]", "{}", R"({"State":{"Pid":0},"GraphDriver":{"Data":{"MergedDir":"/m"}}})"})
    EXPECT_FALSE(read_caller(Json::parse(text))) << text;
}

TEST(CallerFiles, MayHaveARootThatTheEngineDoesNotTell) {
  for (const auto* text :
       {R"({"State":{"Pid":7},"GraphDriver":{"Name":"overlayfs","Data":null}})", R"({"State":{"Pid":7}})"}) {
    const auto caller = read_caller(Json::parse(text));
    ASSERT_TRUE(caller) << text;
    EXPECT_EQ(caller->root, "");
  }
}

TEST(Staging, OnAnotherMachineIsRefusedWithARemedy) {
  const auto engine = EngineAddress::parse("tcp://127.0.0.1:2375");
  const CallerFiles caller{.pid = 1, .root = "/", .mounts = {}};
  const auto staged = stage({.caller = caller, .path = "/src", .staging = "/tmp/none/", .engine = *engine});
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().kind, ErrorKind::kDenied);
  EXPECT_NE(staged.error().message.find("docker volume create"), std::string::npos);
}

TEST(Staging, OfAContainerThatIsNotSeenHereIsRefused) {
  const CallerFiles caller{.pid = ::getpid(), .root = "/tmp", .mounts = {}};
  const auto engine = EngineAddress::parse("unix:///run/none.sock");
  const auto staged = stage({.caller = caller, .path = "/src", .staging = "/tmp/none/", .engine = *engine});
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().kind, ErrorKind::kUnavailable);
}

TEST(ClearStaging, LeavesWhatIsNotAnEmptyPlace) {
  std::string folder = "/tmp/ebbtide-staging.XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  std::filesystem::create_directories(folder + "/3f2a9c01/src");
  std::ofstream(folder + "/3f2a9c01/file");
  EXPECT_TRUE(clear_staging(folder + "/"));
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_TRUE(clear_staging(folder + "/")) << "again";
  std::filesystem::create_directories(folder + "/3f2a9c01");
  std::ofstream(folder + "/3f2a9c01/somebodys") << "text";
  EXPECT_FALSE(clear_staging(folder + "/"));
  EXPECT_TRUE(std::filesystem::exists(folder + "/3f2a9c01/somebodys"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ebbtide::gateway
