#include "docker/gateway/under_way.h"

#include <gtest/gtest.h>

#include <optional>

namespace ebbtide::gateway {
namespace {

TEST(Loads, AReferenceMeansWhatItDidBeforeAnyOfThoseUnderWay) {
  Loads loads;
  std::optional<Loads::Open> one(loads);
  EXPECT_EQ(one->before({{"app:1", "sha256:host"}}).at("app:1"), "sha256:host");
  std::optional<Loads::Open> two(loads);
  const auto seen = two->before({{"app:1", "sha256:evil"}, {"new:1", "sha256:new"}});
  EXPECT_EQ(seen.at("app:1"), "sha256:host");
  EXPECT_EQ(seen.at("new:1"), "sha256:new");
  one.reset();
  std::optional<Loads::Open> three(loads);
  EXPECT_EQ(three->before({{"app:1", "sha256:evil"}}).at("app:1"), "sha256:host") << "two has not given it back";
  two.reset();
  three.reset();
  Loads::Open later(loads);
  EXPECT_EQ(later.before({{"app:1", "sha256:newer"}}).at("app:1"), "sha256:newer");
}

}  // namespace
}  // namespace ebbtide::gateway
