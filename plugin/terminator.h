// Terminator: ends agents: tells GoCD, closes the gateway, reaps, and tries again until nothing is left. Any thread;
// what takes time runs on the core's pools.
#pragma once

#include <functional>
#include <string>

#include "plugin/fleet_core.h"

namespace ebbtide::plugin {

class Terminator {
 public:
  // recreate: how a job whose agent died before registering gets another one at once.
  using Recreate = std::function<void(const std::string& gocd, const CreateAgent& request)>;
  Terminator(FleetCore& core, Recreate recreate);

  // No work is assigned to it from now on. Nothing happens if it is ending already, unless it is only kept for a look.
  void end(const std::string& id, EndCause cause);
  // Its container ended; returns at once, for the thread of the engine's events.
  void died(const AgentDeath& death);
  // Takes over an agent that is terminating, from the creator or after a restart.
  void proceed(const std::string& id);
  // What refused to go is tried again now, instead of later.
  void try_again(const std::string& id);

 private:
  void terminate(const std::string& id);
  bool confirm(const Agent& agent);
  void keep_after_all(const std::string& id, const AgentStatus& status);
  Agent last_words(const AgentEntry& entry);
  void tell_death(const AgentEntry& entry);
  void tell_never_registered(const AgentEntry& entry);
  void try_again_with_newer_key(const AgentEntry& entry);
  std::chrono::milliseconds grace(const AgentEntry& entry);
  void reap_agent(const std::string& id);
  void stop_softly(Cluster& cluster, const AgentEntry& entry);
  void close_gateway(Cluster& cluster, const Agent& agent);
  void finished(const AgentEntry& entry, const ReapReport& report);
  void left_over(const std::string& id, const std::vector<std::string>& left);
  void drop(const AgentEntry& entry, const std::string& reaped);

  FleetCore& core_;
  const Recreate recreate_;
};

}  // namespace ebbtide::plugin
