#include "plugin/registry_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "docker/base/secret.h"

namespace ebbtide::plugin {
namespace {

TEST(RegistryConfig, FindsTheRegistryOfAnImage) {
  EXPECT_EQ(registry_of("gocd/gocd-agent:1"), "");
  EXPECT_EQ(registry_of("alpine"), "");
  EXPECT_EQ(registry_of("docker.io/library/alpine"), "");
  EXPECT_EQ(registry_of("localhost/x"), "localhost");
  EXPECT_EQ(registry_of("registry.example:5000/ci/agent:1"), "registry.example:5000");
}

TEST(RegistryConfig, ReadsTheLoginOfTheImagesRegistryOnly) {
  const auto path = std::filesystem::temp_directory_path() / ("ebbtide-config-" + random_hex(4));
  std::ofstream(path) << R"({"auths": {"registry.example:5000": {"auth": "dXNlcjpwYTpzcw=="}, "broken": {}}})";
  const auto login = login_from_config(path, "registry.example:5000/ci/agent:1");
  ASSERT_TRUE(login);
  EXPECT_EQ(login->server, "registry.example:5000");
  EXPECT_EQ(login->username, "user");
  EXPECT_EQ(login->password, "pa:ss");
  EXPECT_FALSE(login_from_config(path, "gocd/gocd-agent:1"));
  std::filesystem::remove(path);
  EXPECT_FALSE(login_from_config(path, "registry.example:5000/ci/agent:1"));
}

}  // namespace
}  // namespace ebbtide::plugin
