// Recovery: makes the tables agree with an engine: takes up the agents that a former process left there, and reaps what
// owners that no longer exist left behind. After every listing of the engine; runs on the core's upkeep pool.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "plugin/creator.h"
#include "plugin/fleet_core.h"
#include "plugin/terminator.h"

namespace ebbtide::plugin {

class Recovery {
 public:
  Recovery(FleetCore& core, Creator& creator, Terminator& terminator);

  void run(const std::string& cluster_key);

 private:
  Result<void> take_up(Cluster& cluster);
  bool knows_all_agents(Cluster& cluster) const;
  void end_vanished(Cluster& cluster);
  void adopt(Cluster& cluster, const ContainerSummary& container);
  void reopen_gateways(Cluster& cluster);
  void remove_leftovers(Cluster& cluster);
  std::vector<std::string> owners_of_places() const;
  bool is_left_over(Cluster& cluster, const std::string& owner) const;
  void remove_leftover(Cluster& cluster, const std::string& owner);

  FleetCore& core_;
  Creator& creator_;
  Terminator& terminator_;
};

}  // namespace ebbtide::plugin
