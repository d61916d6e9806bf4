#include "plugin/agent.h"

#include <gtest/gtest.h>

#include <set>

namespace ebbtide::plugin {
namespace {

TEST(AgentState, EveryStateHasAWordOfItsOwn) {
  std::set<std::string_view> words;
  for (int i = 0; i < kAgentStates; ++i) words.insert(to_string(static_cast<AgentState>(i)));
  EXPECT_EQ(words.size(), static_cast<std::size_t>(kAgentStates));
}

TEST(AgentState, NothingFollowsGone) {
  for (int i = 0; i < kAgentStates; ++i) EXPECT_FALSE(may_become(AgentState::kGone, static_cast<AgentState>(i)));
}

TEST(AgentState, WhateverHasAContainerEndsByTerminatingAndReaping) {
  for (const auto state : {AgentState::kPulling, AgentState::kCreating, AgentState::kRegistering, AgentState::kIdle,
                           AgentState::kBuilding}) {
    EXPECT_TRUE(may_become(state, AgentState::kTerminating)) << to_string(state);
    EXPECT_FALSE(may_become(state, AgentState::kReaping)) << to_string(state);
    EXPECT_FALSE(may_become(state, AgentState::kGone)) << to_string(state);
  }
  EXPECT_TRUE(may_become(AgentState::kTerminating, AgentState::kReaping));
  EXPECT_TRUE(may_become(AgentState::kReaping, AgentState::kGone));
}

TEST(AgentState, OnceItIsBeingReapedThereIsNoWayBack) {
  for (const auto state : {AgentState::kIdle, AgentState::kBuilding, AgentState::kRegistering}) {
    EXPECT_TRUE(may_become(AgentState::kTerminating, state)) << to_string(state);
    EXPECT_FALSE(may_become(AgentState::kReaping, state)) << to_string(state);
  }
}

}  // namespace
}  // namespace ebbtide::plugin
