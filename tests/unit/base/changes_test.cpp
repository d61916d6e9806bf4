#include "docker/base/changes.h"

#include <gtest/gtest.h>

#include <future>

#include "docker/base/histogram.h"

namespace ebbtide {
namespace {

using namespace std::chrono_literals;

TEST(Changes, AWaitEndsWithTheNextChange) {
  Changes changes;
  const auto seen = changes.count();
  auto next = std::async(std::launch::async, [&] { return changes.wait(seen, 10s); });
  changes.note();
  EXPECT_NE(next.get(), seen);
}

TEST(Changes, WhatChangedBeforeIsNotWaitedFor) {
  Changes changes;
  const auto seen = changes.count();
  changes.note();
  EXPECT_NE(changes.wait(seen, 10s), seen);
}

TEST(Changes, AWaitHasAnEnd) {
  Changes changes;
  EXPECT_EQ(changes.wait(changes.count(), 1ms), changes.count());
}

TEST(Changes, ClosingEndsWaits) {
  Changes changes;
  const auto seen = changes.count();
  auto waiting = std::async(std::launch::async, [&] { return changes.wait(seen, 10s); });
  changes.close();
  EXPECT_EQ(waiting.get(), seen);
  EXPECT_EQ(changes.wait(seen, 10s), seen);
  EXPECT_TRUE(changes.closed());
}

TEST(Histogram, CountsWhatIsAtMostEachBound) {
  Histogram histogram;
  for (const double seconds : {0.001, 0.005, 0.2, 400.0}) histogram.add(seconds);
  EXPECT_EQ(histogram.count(), 4U);
  EXPECT_DOUBLE_EQ(histogram.sum(), 400.206);
  EXPECT_EQ(histogram.at_most(0), 2U);
  EXPECT_EQ(histogram.at_most(4), 2U);
  EXPECT_EQ(histogram.at_most(5), 3U);
  EXPECT_EQ(histogram.at_most(Histogram::kBounds.size() - 1), 3U);
}

}  // namespace
}  // namespace ebbtide
