#include "plugin/cluster.h"

namespace ebbtide::plugin {

std::string cluster_key(const std::string& gocd, const ClusterProfile& profile) {
  return gocd + "|" + profile.engine.text();
}

Cluster::Cluster(std::string gocd, ClusterProfile profile, Parts parts)
    : gocd_(std::move(gocd)),
      key_(cluster_key(gocd_, profile)),
      profile_(std::move(profile)),
      watch_(std::move(parts.engine), std::move(parts.store), std::move(parts.server_id), parts.sweep),
      gateways_(watch_, parts.gateway_loops) {
  watch_.ledger().report_to(std::move(parts.changes));
}

ClusterProfile Cluster::profile() const {
  const std::scoped_lock lock(mutex_);
  return profile_;
}

void Cluster::set_profile(ClusterProfile profile) {
  const std::scoped_lock lock(mutex_);
  profile_ = std::move(profile);
}

}  // namespace ebbtide::plugin
