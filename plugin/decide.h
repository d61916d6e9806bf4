// What to do with an agent, by what is known of it: pure rules, one row each for the cases that the signals
// of GoCD and the engine can show. Any thread.
#pragma once

#include <chrono>
#include <optional>

#include "plugin/agent.h"

namespace ebbtide::plugin {

struct Timings {
  std::chrono::minutes auto_register_timeout{10};
  std::chrono::seconds idle_limit{120};       // registered, idle, and its job no longer asks for an agent
  std::chrono::seconds job_silence{250};      // GoCD repeats create-agent every 120 s while a job waits: silent for two
  std::chrono::minutes lost_limit{5};         // LostContact or Missing for so long
  std::chrono::seconds completion_grace{10};  // a cancelled job's agent may still run its cancel task
};

struct Verdict {
  enum class Action { kKeep, kEnd };
  Action action = Action::kKeep;
  EndCause cause = EndCause::kAdmin;
};

// agent as Ebbtide knows it; listed: GoCD's word of it in a list that succeeded just now, nothing if it was
// not in it. Never ends an agent whose listed state is Building.
Verdict decide(const Agent& agent, const std::optional<AgentStatus>& listed, const Timings& timings, TimePoint now);

}  // namespace ebbtide::plugin
