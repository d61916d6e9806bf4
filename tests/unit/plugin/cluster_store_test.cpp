#include "plugin/cluster_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::plugin {
namespace {

TEST(ClusterStore, KeepsWhatTheConnectionNeedsAndNoPassword) {
  const auto database = Database::in_memory();
  ClusterStore(database).save({.key = "g|e",
                               .gocd = "g",
                               .properties = {{"docker_uri", "unix:///x"},
                                              {"docker_client_key", "PEM"},
                                              {"environment_variables", "A=secret"},
                                              {"private_registry_password", "secret"}}});
  const auto rows = ClusterStore(database).all();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].key, "g|e");
  EXPECT_EQ(rows[0].gocd, "g");
  EXPECT_EQ(rows[0].properties, (Properties{{"docker_uri", "unix:///x"}, {"docker_client_key", "PEM"}}));
}

TEST(ClusterStore, ReplacesAndForgets) {
  ClusterStore store(Database::in_memory());
  store.save({.key = "a", .gocd = "g", .properties = {{"max_docker_containers", "1"}}});
  store.save({.key = "a", .gocd = "g", .properties = {{"max_docker_containers", "2"}}});
  store.save({.key = "b", .gocd = "g", .properties = {}});
  store.forget("b");
  const auto rows = store.all();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].properties.at("max_docker_containers"), "2");
}

}  // namespace
}  // namespace ebbtide::plugin
