#include "docker/gateway/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::gateway {
namespace {

struct Expected {
  std::string_view method;
  std::string_view path;
  Handling handling;
  std::string_view object;
};

class KnownRoute : public testing::TestWithParam<Expected> {};

TEST_P(KnownRoute, IsFoundWithItsObject) {
  const auto& expected = GetParam();
  const auto match = match_route(expected.method, expected.path);
  ASSERT_TRUE(match);
  EXPECT_EQ(match->route->handling, expected.handling);
  EXPECT_EQ(match->object, expected.object);
}

INSTANTIATE_TEST_SUITE_P(
    Route, KnownRoute,
    testing::Values(
        Expected{"GET", "/containers/json", Handling::kListContainers, ""},
        Expected{"POST", "/containers/create", Handling::kCreateContainer, ""},
        Expected{"GET", "/containers/db/json", Handling::kInspect, "db"},
        Expected{"POST", "/containers/db/attach", Handling::kUpgrade, "db"},
        Expected{"GET", "/containers/db/attach/ws", Handling::kUpgrade, "db"},
        Expected{"HEAD", "/containers/db/archive", Handling::kRelay, "db"},
        Expected{"DELETE", "/containers/db", Handling::kRemove, "db"},
        Expected{"POST", "/exec/3f2a/start", Handling::kUpgrade, "3f2a"},
        Expected{"GET", "/exec/3f2a/json", Handling::kExecInspect, "3f2a"},
        Expected{"GET", "/images/json", Handling::kListImages, ""},
        Expected{"GET", "/images/get", Handling::kRelayImage, ""},
        Expected{"GET", "/images/busybox/json", Handling::kInspect, "busybox"},
        Expected{"GET", "/images/registry:5000/team/app:1/json", Handling::kInspect, "registry:5000/team/app:1"},
        Expected{"POST", "/images/team/app/push", Handling::kRelayImage, "team/app"},
        Expected{"DELETE", "/images/team/app:1", Handling::kRemoveImage, "team/app:1"},
        Expected{"GET", "/distribution/library/busybox/json", Handling::kRelayImage, "library/busybox"},
        Expected{"POST", "/build", Handling::kBuild, ""}, Expected{"POST", "/session", Handling::kBuildSession, ""},
        Expected{"POST", "/grpc", Handling::kBuildControl, ""},
        Expected{"POST", "/build/cancel", Handling::kCancelBuild, ""},
        Expected{"POST", "/build/prune", Handling::kPruneCache, ""}, Expected{"POST", "/commit", Handling::kCommit, ""},
        Expected{"GET", "/networks", Handling::kListNetworks, ""},
        Expected{"GET", "/networks/", Handling::kListNetworks, ""},
        Expected{"GET", "/networks/a/b", Handling::kInspect, "a/b"},
        Expected{"POST", "/networks/ci/connect", Handling::kConnectNetwork, "ci"},
        Expected{"GET", "/volumes/cache", Handling::kInspect, "cache"}, Expected{"HEAD", "/_ping", Handling::kPing, ""},
        Expected{"GET", "/events", Handling::kEvents, ""}, Expected{"GET", "/system/df", Handling::kDiskUsage, ""},
        Expected{"OPTIONS", "/containers/json", Handling::kOptions, "containers/json"}));

class RefusedRoute : public testing::TestWithParam<std::pair<std::string_view, std::string_view>> {};

TEST_P(RefusedRoute, SaysWhy) {
  const auto match = match_route(GetParam().first, GetParam().second);
  ASSERT_TRUE(match);
  EXPECT_EQ(match->route->handling, Handling::kRefuse);
  EXPECT_GT(match->route->refusal.size(), 20U);
}

INSTANTIATE_TEST_SUITE_P(Route, RefusedRoute,
                         testing::Values(std::pair{"POST", "/swarm/init"}, std::pair{"GET", "/swarm"},
                                         std::pair{"GET", "/nodes"}, std::pair{"POST", "/services/create"},
                                         std::pair{"GET", "/tasks/x/logs"}, std::pair{"POST", "/secrets/create"},
                                         std::pair{"POST", "/configs/create"}, std::pair{"POST", "/plugins/pull"},
                                         std::pair{"POST", "/plugins/vieux/sshfs/enable"},
                                         std::pair{"POST", "/containers/db/checkpoints"},
                                         std::pair{"DELETE", "/containers/db/checkpoints/one"},
                                         std::pair{"GET", "/debug/pprof/heap"}, std::pair{"PUT", "/volumes/cache"}));

class UnknownRoute : public testing::TestWithParam<std::pair<std::string_view, std::string_view>> {};

TEST_P(UnknownRoute, IsNotFound) { EXPECT_FALSE(match_route(GetParam().first, GetParam().second)); }

INSTANTIATE_TEST_SUITE_P(Route, UnknownRoute,
                         testing::Values(std::pair{"GET", "/Containers/json"}, std::pair{"POST", "/containers/json"},
                                         std::pair{"GET", "/containers"}, std::pair{"GET", "/containers/"},
                                         std::pair{"GET", "/images//json"}, std::pair{"HEAD", "/containers/json"},
                                         std::pair{"POST", "/containers/db/json"}, std::pair{"GET", "/swarmed"},
                                         std::pair{"POST", "/containers/db/copy"}, std::pair{"get", "/containers/json"},
                                         std::pair{"GET", "/"}));

TEST(Route, LegacyLinkPathsDoNotLeadToTheLinkedContainer) {
  EXPECT_FALSE(match_route("GET", "/containers/own/alias/json"));
  EXPECT_FALSE(match_route("POST", "/containers/own/alias/exec"));
  EXPECT_FALSE(match_route("DELETE", "/containers/own/alias"));
}

TEST(Route, OnlyKnownQueryKeysGoOn) {
  http::Query query;
  query.add("v", "1");
  query.add("link", "1");
  query.add("force", "1");
  query.add("force", "0");
  keep_known_keys(*match_route("DELETE", "/containers/db")->route, query);
  EXPECT_EQ(query.to_text(), "v=1&force=1");
}

TEST(Route, RepeatableQueryKeysKeepAllTheirValues) {
  http::Query query;
  query.add("t", "app:1");
  query.add("t", "app:2");
  query.add("evil", "x");
  keep_known_keys(*match_route("POST", "/build")->route, query);
  EXPECT_THAT(query.get_all("t"), testing::ElementsAre("app:1", "app:2"));
  EXPECT_FALSE(query.get("evil"));
}

TEST(Route, StartTakesNoCheckpointFromTheHost) {
  http::Query query;
  query.add("checkpoint", "one");
  query.add("checkpoint-dir", "/etc");
  const auto match = match_route("POST", "/containers/db/start");
  keep_known_keys(*match->route, query);
  EXPECT_TRUE(query.list().empty());
  EXPECT_FALSE(match->route->json_body) << "a body would be a HostConfig under API 1.23";
  EXPECT_FALSE(match->route->stream_body);
}

}  // namespace
}  // namespace ebbtide::gateway
