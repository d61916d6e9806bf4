// Agent: one elastic agent, from the create-agent message to its end, and the states it goes through. Values;
// the Fleet owns them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/clock.h"
#include "plugin/messages.h"
#include "plugin/profile.h"

namespace ebbtide::plugin {

enum class AgentState {
  kQueued,       // the cluster is at its limit
  kPulling,      // waiting for its image
  kCreating,     // gateway, container, start
  kRegistering,  // runs; GoCD does not know it yet
  kIdle,         // GoCD knows it
  kBuilding,     // it was given its job
  kTerminating,  // no work any more; GoCD is being told to disable it
  kReaping,      // its container and belongings are being removed
  kGone,         // nothing is left of it; history
};
std::string_view to_string(AgentState state);
inline constexpr int kAgentStates = 9;

// The table of legal transitions.
bool may_become(AgentState from, AgentState to);

// Why an agent ended; written to log, console and history.
enum class EndCause {
  kJobCompleted,
  kContainerDied,  // exited, killed, or removed by someone else
  kCreateFailed,
  kNeverRegistered,  // not known to GoCD within the cluster's auto_register_timeout
  kNotNeeded,        // registered, and its job went away
  kLost,             // GoCD has not heard of it for too long
  kForgottenByGocd,  // GoCD does not list it any more
  kClusterRemoved,
  kAdmin,
};
std::string_view to_string(EndCause cause);

// What happened to an agent, for its time line.
struct Step {
  TimePoint at{};
  std::string text;  // one line
};

inline constexpr std::size_t kSteps = 100;

struct Agent {
  std::string id;  // elastic agent id = container name
  std::string gocd;
  std::string cluster;  // the key of its cluster
  JobIdentifier job;
  std::string environment;
  AgentState state = AgentState::kQueued;
  TimePoint created{};  // when create-agent came (or the container's creation, after a restart)
  TimePoint state_since{};
  std::optional<TimePoint> registered;
  std::string container_id;
  std::string image;
  DockerAccess access = DockerAccess::kTracked;
  ImageMode images = ImageMode::kClean;
  std::optional<AgentStatus> status;   // GoCD's last word
  std::optional<TimePoint> status_at;  // since when its agent_state is so
  TimePoint last_create_request{};     // GoCD repeats create-agent while the job waits
  std::string phase;                   // for people: "pulling 43 %", "reaping, 3 left"
  std::optional<EndCause> end_cause;
  int exit_code = 0;
  bool oom_killed = false;
  std::string last_log;  // the last lines of a container that died
  int reap_tries = 0;
  std::vector<std::string> reap_left;  // what refused to go at the last try
  std::vector<Step> steps;             // the newest kSteps
};

}  // namespace ebbtide::plugin
