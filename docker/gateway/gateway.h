// GatewayHost: the gateways of one engine. A gateway is one owner's Docker endpoint: a unix socket in a
// directory of its own, <directory>/docker.sock, that speaks the Engine API and shows the owner its own
// objects only.
//
// It owns its loops (threads); one gateway and all its connections live on one loop. Functions: any thread;
// they return when done and must not be called from a loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "docker/gateway/policy.h"
#include "docker/gateway/scope.h"
#include "docker/ledger/engine_watch.h"
#include "docker/ledger/reaper.h"

namespace ebbtide::gateway {

struct GatewaySpec {
  std::string owner;
  std::string directory;  // on the host; made if missing. The socket is <directory>/docker.sock
  // Where paths of the owner's containers are bound for its other containers to mount (paths.h), with a slash at its
  // end:
  // "/run/ebbtide/mounts/eb-1/". Empty: such mounts are refused. clear_staging removes it, after the reap.
  std::string staging;
  // Its clients come over the network (front.h), to an engine that doesn't see the directory. No staging then.
  bool remote = false;
  // Where build contexts lie while they are read, in files without a name; on a disk. Empty: where temporary files do.
  std::string contexts;
  ImageMode images = ImageMode::kClean;
  Policy policy;
  SharedVolumes shared_volumes;
  std::size_t max_belongings = 0;  // containers, networks and volumes together; 0: no limit
  OwnerLimits limits;
  std::string cgroup_parent;  // of all the owner's containers; set by open where the engine allows it, else empty
  // Labels that every container, network and volume of the owner bears besides the ledger's (ebbtide.gocd).
  Labels extra_labels;
};

struct GatewayCounters {
  std::map<std::string, std::uint64_t> requests;  // "POST /containers/create 201" → count
  std::map<std::string, std::uint64_t> refusals;  // by rule
  std::uint64_t open_connections = 0;
  std::uint64_t open_streams = 0;  // tunnels, logs, events …
};

class GatewayHost {
 public:
  // watch must outlive the host.
  GatewayHost(EngineWatch& watch, unsigned loops);
  ~GatewayHost();

  // Listens; a socket file that a former process left is replaced. Opening an owner again changes its spec.
  Result<void> open(const GatewaySpec& spec);
  // New requests are answered with 503 from now on; what runs goes on.
  void refuse(const std::string& owner);
  // refuse, then waits up to limit for creates in flight, then ends every connection and removes socket and
  // directory.
  void close(const std::string& owner, std::chrono::milliseconds limit = std::chrono::seconds(10));
  bool is_open(const std::string& owner) const;
  // What the owner's own container must have as HostConfig.CgroupParent; empty: nothing.
  std::string cgroup_parent(const std::string& owner) const;
  GatewayCounters counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide::gateway
