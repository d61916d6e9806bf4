#include "plugin/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::plugin {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(Health, NothingWrongIsAnEmptyList) { EXPECT_THAT(health_messages({}), IsEmpty()); }

TEST(Health, PutsErrorsFirstAndSaysEachThingOnce) {
  HealthFacts facts;
  facts.notes = {{"warning", "a"}, {"error", "b"}, {"warning", "a"}};
  facts.unsafe = {"ci/agent:1", "ci/agent:1"};
  const auto messages = health_messages(facts);
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0].type, "error");
  EXPECT_THAT(messages[1].message, HasSubstr("ci/agent:1"));
  EXPECT_EQ(messages[2].message, "a");
}

TEST(Health, NamesTheEngineTheTimeAndTheReason) {
  HealthFacts facts;
  facts.unreachable = {{.name = "tcp://host:2376", .since = TimePoint(std::chrono::hours(1)), .error = "refused"}};
  EXPECT_EQ(health_messages(facts).at(0).message,
            "The engine tcp://host:2376 can't be reached since 1970-01-01T01:00:00.000Z: refused");
}

TEST(Health, NamesSomeOfManyWaitingJobs) {
  HealthFacts facts;
  facts.limits = {{.engine = "e", .agents = 2, .limit = 2, .waiting = {"1", "2", "3", "4", "5", "6", "7"}}};
  EXPECT_THAT(health_messages(facts).at(0).message, HasSubstr("2 of 2 agents. Waiting: 1, 2, 3, 4, 5 and 2 more."));
}

TEST(Health, TellsWhatRefusesToGo) {
  HealthFacts facts;
  facts.removals = {{.agent = "ebbtide-1", .tries = 3, .left = {"volume x: in use"}}};
  EXPECT_THAT(health_messages(facts).at(0).message, HasSubstr("after 3 tries: volume x: in use"));
}

}  // namespace
}  // namespace ebbtide::plugin
