#include "plugin/decide.h"

#include <algorithm>

namespace ebbtide::plugin {
namespace {

constexpr Verdict kKeep{};

Verdict end(EndCause cause) { return {.action = Verdict::Action::kEnd, .cause = cause}; }

bool runs(AgentState state) {
  return state == AgentState::kRegistering || state == AgentState::kIdle || state == AgentState::kBuilding;
}

// An agent retries a refused registration for ever and its key serves once, so only time tells; but one that GoCD
// listed before and does not list now was deleted there.
Verdict unlisted(const Agent& agent, const Timings& timings, TimePoint now) {
  if (agent.registered) return end(EndCause::kForgottenByGocd);
  return now - agent.state_since > timings.auto_register_timeout ? end(EndCause::kNeverRegistered) : kKeep;
}

// After a restart of GoCD its agents are Missing for some seconds, and come back.
Verdict silent(const Agent& agent, const Timings& timings, TimePoint now) {
  const auto since = agent.status_at.value_or(now);
  return now - since > timings.lost_limit ? end(EndCause::kLost) : kKeep;
}

// Nothing tells that a job was cancelled before its assignment, but that GoCD no longer asks for an agent for it.
Verdict idle(const Agent& agent, const AgentStatus& listed, const Timings& timings, TimePoint now) {
  if (listed.config_state == "Disabled") return end(EndCause::kNotNeeded);
  const auto idle_since = std::max(agent.registered.value_or(now), agent.state_since);
  const bool job_is_silent = now - agent.last_create_request > timings.job_silence;
  return job_is_silent && now - idle_since > timings.idle_limit ? end(EndCause::kNotNeeded) : kKeep;
}

}  // namespace

Verdict decide(const Agent& agent, const std::optional<AgentStatus>& listed, const Timings& timings, TimePoint now) {
  if (!runs(agent.state)) return kKeep;
  if (!listed) return unlisted(agent, timings, now);
  if (listed->agent_state == "Building") return kKeep;
  if (listed->agent_state == "Idle") return idle(agent, *listed, timings, now);
  return silent(agent, timings, now);
}

}  // namespace ebbtide::plugin
