#include "plugin/agent.h"

#include <array>
#include <cstdint>

namespace ebbtide::plugin {
namespace {

constexpr std::uint16_t bit(AgentState state) { return static_cast<std::uint16_t>(1U << static_cast<unsigned>(state)); }

template <class... States>
constexpr std::uint16_t any_of(States... states) {
  return static_cast<std::uint16_t>((bit(states) | ...));
}

using enum AgentState;

// By the state that is left, in the order of AgentState.
constexpr std::array<std::uint16_t, kAgentStates> kSuccessors{
    /* kQueued */ any_of(kPulling, kTerminating, kGone),
    /* kPulling */ any_of(kQueued, kCreating, kTerminating),
    /* kCreating */ any_of(kQueued, kRegistering, kTerminating),
    /* kRegistering */ any_of(kIdle, kBuilding, kTerminating),
    /* kIdle */ any_of(kBuilding, kTerminating),
    /* kBuilding */ any_of(kIdle, kTerminating),
    // Back to work: GoCD gave it its job in the moment before it was disabled (gocd/gocd#3095).
    /* kTerminating */ any_of(kRegistering, kIdle, kBuilding, kReaping),
    /* kReaping */ any_of(kGone),
    /* kGone */ 0,
};

}  // namespace

std::string_view to_string(AgentState state) {
  switch (state) {
    case kQueued:
      return "queued";
    case kPulling:
      return "pulling";
    case kCreating:
      return "creating";
    case kRegistering:
      return "registering";
    case kIdle:
      return "idle";
    case kBuilding:
      return "building";
    case kTerminating:
      return "terminating";
    case kReaping:
      return "reaping";
    case kGone:
      return "gone";
  }
  return "unknown";
}

bool may_become(AgentState from, AgentState to) { return (kSuccessors[static_cast<std::size_t>(from)] & bit(to)) != 0; }

std::string_view to_string(EndCause cause) {
  switch (cause) {
    case EndCause::kJobCompleted:
      return "its job is done";
    case EndCause::kContainerDied:
      return "its container died";
    case EndCause::kCreateFailed:
      return "it could not be created";
    case EndCause::kNeverRegistered:
      return "it never registered with GoCD";
    case EndCause::kNotNeeded:
      return "its job needs no agent any more";
    case EndCause::kLost:
      return "GoCD lost contact with it";
    case EndCause::kForgottenByGocd:
      return "GoCD does not know it any more";
    case EndCause::kClusterRemoved:
      return "its cluster profile was removed";
    case EndCause::kAdmin:
      return "an administrator ended it";
  }
  return "unknown";
}

}  // namespace ebbtide::plugin
