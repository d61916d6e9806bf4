#include "docker/gateway/buildkit.h"

#include <gmock/gmock.h>

#include "docker/gateway/build_session.h"

namespace ebbtide::gateway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(BuildSessions, AreTheirOwnersAsLongAsTheyAreOpen) {
  BuildSessions sessions;
  {
    const auto open = sessions.open("a1", "x");
    ASSERT_TRUE(open);
    EXPECT_EQ(sessions.owner_of("x"), "a1");
    EXPECT_FALSE(sessions.open("a2", "x")) << "or its builds would call a1 back";
    EXPECT_FALSE(sessions.open("a1", "x"));
  }
  EXPECT_FALSE(sessions.owner_of("x"));
  EXPECT_TRUE(sessions.open("a2", "x"));
}

TEST(BuildSessions, AreMeantByWhatFollowsAColon) {
  BuildSessions sessions;
  const auto open = sessions.open("a1", "x");
  EXPECT_EQ(sessions.owner_of("stage:x"), "a1");
  EXPECT_FALSE(sessions.owner_of("x:y"));
  EXPECT_FALSE(sessions.owner_of(""));
}

std::string rule_of(const std::string& type, const Policy& policy = {}) {
  const auto refusal = check_output(policy, {.type = type, .attributes = {}});
  return refusal ? refusal->rule : "";
}

TEST(BuildOutput, GoesToTheImagesOrToTheClient) {
  for (const auto* type : {"", "moby", "image", "docker", "local", "tar", "oci", "cacheonly"})
    EXPECT_EQ(rule_of(type), "") << type;
  EXPECT_EQ(rule_of("containerd"), "build-output");
  EXPECT_EQ(rule_of("containerd", {.level = PolicyLevel::kTrusted}), "");
}

TEST(BuildOutput, IsReadStrictly) {
  const auto outputs =
      parse_build_outputs(R"([{"Type":"image","Attrs":{"name":"a:1, b"}},{"Type":"tar","Attrs":null}])");
  ASSERT_TRUE(outputs);
  EXPECT_THAT(names_of(outputs->at(0)), ElementsAre("a:1", "b"));
  EXPECT_THAT(names_of(outputs->at(1)), IsEmpty());
  EXPECT_EQ(to_text(*outputs), R"([{"Type":"image","Attrs":{"name":"a:1, b"}},{"Type":"tar","Attrs":{}}])");
  for (const auto* text : {"{}", "[1]", R"([{"type":"image"}])", R"([{"Type":"image","Attrs":{"name":1}}])", "["})
    EXPECT_FALSE(parse_build_outputs(text)) << text;
}

TEST(BuildOutput, BringsNoConfigurationOfItsOwn) {
  const auto outputs = parse_build_outputs(R"([{"Type":"moby","Attrs":{"containerimage.config":"{}","name":"a"}}])");
  ASSERT_TRUE(outputs);
  EXPECT_EQ(to_text(*outputs), R"([{"Type":"moby","Attrs":{"name":"a"}}])");
}

TEST(BuildCache, IsIsolatedByAnArgument) {
  http::Query query;
  ASSERT_TRUE(isolate_cache(query, "own"));
  EXPECT_EQ(query.get("buildargs"), R"({"BUILDKIT_CACHE_MOUNT_NS":"own"})");
  query.set("buildargs", R"({"A":null,"BUILDKIT_CACHE_MOUNT_NS":"theirs"})");
  ASSERT_TRUE(isolate_cache(query, "own"));
  EXPECT_EQ(query.get("buildargs"), R"({"A":null,"BUILDKIT_CACHE_MOUNT_NS":"own"})");
  query.set("buildargs", "[]");
  EXPECT_FALSE(isolate_cache(query, "own"));
}

TEST(BuildId, IsInItsOwnersSpace) {
  const auto id = own_build_id("s1", "a1", "x");
  EXPECT_TRUE(id.ends_with("-x"));
  EXPECT_NE(id, own_build_id("s1", "a2", "x"));
  EXPECT_NE(id, own_build_id("s2", "a1", "x"));
  EXPECT_EQ(own_build_id("s1", "a1", "upload-request:x"), "upload-request:" + id);
}

}  // namespace
}  // namespace ebbtide::gateway
