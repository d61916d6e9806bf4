// Creator: from a create-agent message to a started container: a place in the cluster, the image, the gateway, the
// container. Each step is told on the job's console. What fails is handed to the terminator, which removes whatever was
// made. Any thread; what takes time runs on the core's pools.
#pragma once

#include <memory>
#include <string>

#include "plugin/agent_container.h"
#include "plugin/fleet_core.h"
#include "plugin/terminator.h"

namespace ebbtide::plugin {

class Creator {
 public:
  Creator(FleetCore& core, Terminator& terminator);

  // A new agent for the job, or the one that it has already is told of the request.
  void request(const std::shared_ptr<Cluster>& cluster, const ClusterProfile& cluster_profile,
               const AgentProfile& profile, const CreateAgent& request);
  // Gives the cluster's free places to those who wait, in the order of their coming. Only once its engine is connected
  // and its agents are known.
  void admit(const std::string& cluster_key);
  // A tracked agent's endpoint, at its creation and after a restart.
  Result<void> open_gateway(Cluster& cluster, const AgentEntry& entry);

 private:
  AgentEntry new_entry(const Cluster& cluster, const ClusterProfile& cluster_profile, const AgentProfile& profile,
                       const CreateAgent& request) const;
  AgentEntry* agent_for(const Agent& wanted);
  void number(const std::vector<AgentEntry*>& queue);
  void tell_place(const Cluster& cluster, const std::string& id);
  Result<void> can_reach_gateway(Cluster& cluster, const AgentEntry& entry) const;
  void find_image(const std::string& id);
  void pull(const std::string& id);
  void pulled(const std::string& id, const Result<void>& result, TimePoint began);
  void tell_progress(const std::string& id, const PullProgress& progress);
  void build(const std::string& id);
  Result<void> make(Cluster& cluster, const AgentEntry& entry);
  Result<AgentPlan> plan(Cluster& cluster, const AgentEntry& entry);
  Result<std::string> make_container(Cluster& cluster, const AgentEntry& entry, const AgentPlan& plan);
  void claim(Cluster& cluster, const Agent& agent, const std::string& container);
  Result<void> show_gateway(Cluster& cluster, const AgentEntry& entry, const std::string& container);
  void link_socket(Cluster& cluster, const AgentEntry& entry, const std::string& container);
  void started(const std::string& id);
  // Tries again when the engine is back, or gives up.
  void failed(const std::string& id, const Error& error);
  bool hand_over(const std::string& id);
  void wait_for_engine(const std::string& id);
  bool wanted(const std::string& id, AgentState state) const;

  FleetCore& core_;
  Terminator& terminator_;
};

}  // namespace ebbtide::plugin
