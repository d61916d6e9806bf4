#include "docker/gateway/remote.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::gateway {
namespace {

using testing::HasSubstr;

Json with_bind(const std::string& bind) { return {{"HostConfig", {{"Binds", {bind}}}}}; }

TEST(Remote, TheDockerSocketIsRefusedWithTheWayToIt) {
  for (const auto* source : {"/var/run/docker.sock", "/run/docker.sock", "/run/ebbtide", "/run/ebbtide/docker.sock"})
    for (const auto level : {PolicyLevel::kStrict, PolicyLevel::kCi, PolicyLevel::kTrusted}) {
      const auto refusal = check_remote_sources({.level = level}, with_bind(std::string(source) + ":/x"));
      ASSERT_TRUE(refusal) << source;
      EXPECT_EQ(refusal->rule, "docker-socket");
      EXPECT_THAT(refusal->message, HasSubstr("--volumes-from $HOSTNAME -e DOCKER_HOST -e DOCKER_TLS_VERIFY"));
    }
}

TEST(Remote, TheAskersPathsAreRefusedAlsoInMounts) {
  const Json mount{{"Type", "bind"}, {"Source", "/go/src"}, {"Target", "/src"}};
  for (const auto& body : {with_bind("/go/src:/src"), Json{{"HostConfig", {{"Mounts", {mount}}}}}}) {
    const auto refusal = check_remote_sources({}, body);
    ASSERT_TRUE(refusal) << body;
    EXPECT_EQ(refusal->rule, "host-path");
    EXPECT_THAT(refusal->message, HasSubstr("docker volume create"));
  }
}

TEST(Remote, VolumesAndWhatTheOperatorAllowsPass) {
  EXPECT_FALSE(check_remote_sources({}, with_bind("data:/data")));
  EXPECT_FALSE(check_remote_sources({.host_paths = {"/etc/localtime"}}, with_bind("/etc/localtime:/etc/localtime:ro")));
  EXPECT_FALSE(check_remote_sources({.level = PolicyLevel::kTrusted}, with_bind("/srv:/srv")));
  EXPECT_FALSE(check_remote_sources({}, Json::object()));
}

}  // namespace
}  // namespace ebbtide::gateway
