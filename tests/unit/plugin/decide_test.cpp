#include "plugin/decide.h"

#include <gtest/gtest.h>

namespace ebbtide::plugin {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kNow{std::chrono::hours(480'000)};

struct Case {
  const char* name;
  AgentState state;
  std::chrono::seconds in_state;                              // how long ago it got there
  std::optional<std::chrono::seconds> registered;             // how long ago
  std::chrono::seconds last_create;                           // how long ago GoCD asked for an agent for its job
  std::optional<std::pair<const char*, const char*>> listed;  // agent_state, config_state
  std::chrono::seconds listed_since;
  std::optional<EndCause> end;  // nothing: it is kept
};

std::string name_of(const testing::TestParamInfo<Case>& info) { return info.param.name; }

class Decide : public testing::TestWithParam<Case> {};

TEST_P(Decide, KnowsWhatBecomesOfTheAgent) {
  const Case& row = GetParam();
  Agent agent{.id = "ebbtide-1", .state = row.state, .state_since = kNow - row.in_state};
  if (row.registered) agent.registered = kNow - *row.registered;
  agent.last_create_request = kNow - row.last_create;
  std::optional<AgentStatus> listed;
  if (row.listed) {
    listed = AgentStatus{
        .agent_id = agent.id, .agent_state = row.listed->first, .build_state = "", .config_state = row.listed->second};
    agent.status = listed;
    agent.status_at = kNow - row.listed_since;
  }
  const auto verdict = decide(agent, listed, Timings{}, kNow);
  if (row.end) {
    EXPECT_EQ(verdict.action, Verdict::Action::kEnd);
    EXPECT_EQ(to_string(verdict.cause), to_string(*row.end));
  } else {
    EXPECT_EQ(verdict.action, Verdict::Action::kKeep) << to_string(verdict.cause);
  }
}

constexpr std::pair<const char*, const char*> listed(const char* agent_state, const char* config_state = "Enabled") {
  return {agent_state, config_state};
}

using enum AgentState;

INSTANTIATE_TEST_SUITE_P(
    Rules, Decide,
    testing::Values(
        Case{"QueuedIsKept", kQueued, 2h, {}, 2h, {}, 0s, {}}, Case{"PullingIsKept", kPulling, 2h, {}, 2h, {}, 0s, {}},
        Case{"CreatingIsKept", kCreating, 2h, {}, 2h, {}, 0s, {}},
        Case{"TerminatingIsKept", kTerminating, 2h, 3h, 2h, listed("Idle"), 0s, {}},
        Case{"ReapingIsKept", kReaping, 2h, 3h, 2h, {}, 0s, {}},
        Case{"UnregisteredWithinItsTimeIsKept", kRegistering, 9min, {}, 9min, {}, 0s, {}},
        Case{"NeverRegistered", kRegistering, 11min, {}, 1min, {}, 0s, EndCause::kNeverRegistered},
        Case{"ForgottenByGocd", kIdle, 1min, 1min, 1min, {}, 0s, EndCause::kForgottenByGocd},
        Case{"BuildingThatGocdForgotIsEnded", kBuilding, 1min, 2min, 3min, {}, 0s, EndCause::kForgottenByGocd},
        Case{"BuildingIsNeverEnded", kBuilding, 48h, 49h, 49h, listed("Building"), 48h, {}},
        Case{"BuildingIsNeverEndedThoughDisabled", kBuilding, 48h, 49h, 49h, listed("Building", "Disabled"), 48h, {}},
        Case{"GocdSaysBuildingBeforeWeKnow", kIdle, 48h, 49h, 49h, listed("Building"), 0s, {}},
        Case{"IdleWhileItsJobWaitsIsKept", kIdle, 10min, 10min, 100s, listed("Idle"), 10min, {}},
        Case{"JustIdleIsKept", kIdle, 60s, 60s, 10min, listed("Idle"), 60s, {}},
        Case{"CancelledBeforeAssignment", kIdle, 3min, 3min, 5min, listed("Idle"), 3min, EndCause::kNotNeeded},
        Case{"IdleAgainAfterItsJobIsKeptForAMoment", kIdle, 60s, 1h, 1h, listed("Idle"), 60s, {}},
        Case{"IdleAgainAndNoCompletionCame", kIdle, 3min, 1h, 1h, listed("Idle"), 3min, EndCause::kNotNeeded},
        Case{"DisabledAndIdleGetsNoWorkAnyMore", kIdle, 1s, 1s, 1s, listed("Idle", "Disabled"), 1s,
             EndCause::kNotNeeded},
        Case{"MissingAfterARestartOfGocdIsKept", kBuilding, 1h, 1h, 1h, listed("Missing"), 2min, {}},
        Case{"MissingForTooLongIsLost", kIdle, 1h, 1h, 1h, listed("Missing"), 6min, EndCause::kLost},
        Case{"LostContactIsKeptForAWhile", kBuilding, 1h, 1h, 1h, listed("LostContact"), 4min, {}},
        Case{"LostContactWithALivingContainer", kBuilding, 1h, 1h, 1h, listed("LostContact"), 6min, EndCause::kLost},
        Case{"UnknownForTooLongIsLost", kIdle, 1h, 1h, 1h, listed("Unknown"), 6min, EndCause::kLost}),
    name_of);

TEST(DecideTimings, TheClustersAutoRegisterTimeoutCounts) {
  const Agent agent{.id = "ebbtide-1", .state = kRegistering, .state_since = kNow - 3min};
  EXPECT_EQ(decide(agent, {}, Timings{}, kNow).action, Verdict::Action::kKeep);
  EXPECT_EQ(decide(agent, {}, Timings{.auto_register_timeout = 2min}, kNow).action, Verdict::Action::kEnd);
}

}  // namespace
}  // namespace ebbtide::plugin
