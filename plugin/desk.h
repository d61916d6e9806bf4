// Desk: what admins do to agents and clusters, and what they look at on the engine: logs, usage. Every action is
// logged with who did it. Actions return at once; what looks at the engine blocks. Any thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/fleet_core.h"
#include "plugin/terminator.h"

namespace ebbtide::plugin {

class Desk {
 public:
  Desk(FleetCore& core, Terminator& terminator) : core_(core), terminator_(terminator) {}

  Result<void> end(const std::string& id, const std::string& who);
  Result<void> reap(const std::string& id, const std::string& who);
  Result<void> keep(const std::string& id, std::chrono::minutes time, const std::string& who);
  Result<std::shared_ptr<Cluster>> drain(const std::string& key, bool drain, const std::string& who);
  // Volumes that jobs of the cluster's GoCD server have in common, as jobs call them. Asks the engine.
  Result<std::vector<std::string>> caches(const std::string& key) const;
  Result<CachesPruned> prune_caches(const std::string& key, const std::string& who);

  Result<void> read_log(const std::string& id, const std::string& container, const LogWishes& wishes,
                        const std::function<bool(std::string_view)>& write, const std::function<bool()>& wanted) const;
  Result<ContainerUsage> usage(const std::string& id, const std::string& container) const;

 private:
  // Name on the engine and name of the job's.
  Result<std::map<std::string, std::string>> find_caches(Cluster& cluster) const;
  // The cluster of a container that is the agent's; kNotFound if it is not.
  Result<std::shared_ptr<Cluster>> cluster_with(const AgentEntry& entry, const std::string& container) const;

  FleetCore& core_;
  Terminator& terminator_;
};

// Cuts secrets out of text that comes in pieces: a piece goes on when its line is whole, or too long to wait for.
class SecretFilter {
 public:
  explicit SecretFilter(const std::vector<std::string>& secrets);
  std::string feed(std::string_view piece);
  std::string finish();  // what is still held back

 private:
  std::vector<std::string> secrets_;  // line by line
  std::size_t longest_ = 0;
  std::string kept_;
};

}  // namespace ebbtide::plugin
