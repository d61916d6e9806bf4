// Round: what follows a ping of GoCD: asks it for its agents, takes its word over, and ends who should end by the rules
// of decide.h. Runs on the core's upkeep pool, one at a time for one GoCD server.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "plugin/fleet_core.h"
#include "plugin/terminator.h"

namespace ebbtide::plugin {

class Round {
 public:
  Round(FleetCore& core, Terminator& terminator);

  void run(const std::string& gocd);

 private:
  struct Listed {
    std::uint64_t asked = 0;  // FleetCore::listings
    std::map<std::string, AgentStatus> agents;
    // GoCD was heard on this agent since the listing was asked for: it may be the older word.
    bool is_stale(const AgentEntry& entry) const { return asked <= entry.heard; }
  };

  void take_over(const std::string& gocd, const Listed& listed);
  void take_over(AgentEntry& entry, const AgentStatus& status, std::vector<AgentEntry>& registered);
  void end_who_should(const std::string& gocd, const Listed& listed);
  std::optional<EndCause> cause_to_end(const AgentEntry& entry, const Listed& listed);
  void tell_of_slow_registration(const std::string& gocd);
  void forget_unknown_agents(const std::string& gocd, const Listed& listed);
  void remove_drained_clusters(const std::string& gocd);
  bool remove_if_drained(const Cluster& cluster);
  std::vector<AgentEntry> agents_of(const std::string& gocd) const;

  FleetCore& core_;
  Terminator& terminator_;
};

}  // namespace ebbtide::plugin
