// Cluster: one engine in the service of one GoCD server: the connection and what watches it, its gateways, and the
// settings around it. It owns threads (of the watch and the gateways); its destructor ends them, and must not run on
// one of the watch's. All functions: any thread.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "docker/engine/image_puller.h"
#include "docker/gateway/gateway.h"
#include "docker/ledger/engine_watch.h"
#include "plugin/profile.h"

namespace ebbtide::plugin {

// "<gocd>|<engine address>": GoCD's messages name clusters by nothing but their properties, and all of these but the
// engine's address may be edited.
std::string cluster_key(const std::string& gocd, const ClusterProfile& profile);

class Cluster {
 public:
  struct Parts {
    std::shared_ptr<Engine> engine;
    std::shared_ptr<Store> store;
    std::string server_id;
    std::chrono::seconds sweep{60};
    unsigned gateway_loops = 2;
    std::shared_ptr<Changes> changes;
  };
  Cluster(std::string gocd, ClusterProfile profile, Parts parts);

  const std::string& key() const { return key_; }
  const std::string& gocd() const { return gocd_; }
  EngineWatch& watch() { return watch_; }
  const EngineWatch& watch() const { return watch_; }
  Engine& engine() { return watch_.engine(); }
  gateway::GatewayHost& gateways() { return gateways_; }
  const gateway::GatewayHost& gateways() const { return gateways_; }
  ImagePuller& puller() { return puller_; }

  ClusterProfile profile() const;
  void set_profile(ClusterProfile profile);

  // GoCD has no profile of it any more: idle agents end, the others finish, and it is forgotten.
  std::atomic<bool> draining = false;
  // An admin wants no new agents here; those that are there finish.
  std::atomic<bool> drained = false;
  // The agents that the engine had when it was first listed are known: only now can they be counted.
  std::atomic<bool> taken_up = false;

 private:
  const std::string gocd_;
  const std::string key_;
  mutable std::mutex mutex_;  // guards profile_
  ClusterProfile profile_;
  ImagePuller puller_;
  EngineWatch watch_;
  gateway::GatewayHost gateways_;  // after what it uses
};

}  // namespace ebbtide::plugin
