// Cluster profiles and elastic agent profiles: GoCD's key-value properties as types, validated. Keys and
// their meanings are those of the existing Docker elastic agent plugin (4.1.0), with its faults mended, and
// Ebbtide's own. Pure; any thread. Which keys exist: keys.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "docker/engine/address.h"
#include "docker/engine/cgroup.h"
#include "docker/engine/engine.h"
#include "docker/gateway/policy.h"
#include "docker/ledger/reaper.h"
#include "plugin/container_options.h"
#include "plugin/messages.h"
#include "plugin/profile_reader.h"

namespace ebbtide::plugin {

struct ClusterProfile {
  std::string go_server_url;  // ends in /go
  EngineAddress engine;
  std::uint32_t max_agents = 0;  // max_docker_containers
  std::chrono::minutes auto_register_timeout{10};
  Environment environment;        // environment_variables
  bool pull_always = false;       // pull_on_container_create
  bool registry_enabled = false;  // enable_private_registry_authentication
  bool registry_custom = true;    // private_registry_custom_credentials; else ~/.docker/config.json
  RegistryLogin registry;
  gateway::Policy policy;  // docker_policy and its allowances
};

enum class DockerAccess { kTracked, kNone, kHost, kDind };
std::string_view to_string(DockerAccess access);

// When an agent's image is pulled; without one the cluster profile says it.
enum class PullPolicy { kAsCluster, kAlways, kIfNotPresent, kNever };

struct Mount {
  std::string source;  // a host path, or a volume's name
  std::string target;
  bool read_only = false;
};

struct AgentProfile {
  std::string image;  // with a tag or digest
  std::vector<std::string> command;
  Environment environment;
  std::int64_t reserved_memory_bytes = 0;
  std::int64_t max_memory_bytes = 0;
  double cpus = 0;
  std::uint32_t max_pids = 0;         // processes and threads of the agent and its belongings together; 0: no limit
  std::vector<Mount> mounts;          // without the docker socket
  bool mounts_docker_socket = false;  // Mounts named the host's socket: the gateway takes its place
  std::vector<std::string> networks;
  std::vector<std::string> extra_hosts;  // "name:ip", one each
  bool privileged = false;
  DockerAccess access = DockerAccess::kTracked;
  ImageMode images = ImageMode::kClean;
  std::vector<std::string> shared_volumes;  // patterns of names of volumes that outlive their agent; Volumes
  std::uint32_t max_belongings = 0;
  std::chrono::minutes keep_on_failure{0};
  PullPolicy pull = PullPolicy::kAsCluster;
  ContainerOptions options;

  OwnerLimits limits() const { return {.memory_bytes = max_memory_bytes, .cpus = cpus, .pids = max_pids}; }
};

tl::expected<ClusterProfile, ProfileErrors> read_cluster_profile(const Properties& properties);
tl::expected<AgentProfile, ProfileErrors> read_agent_profile(const Properties& properties);

// "gocd/agent" → "gocd/agent:latest"; "host:5000/x" → "host:5000/x:latest"; digests stay.
std::string with_tag(std::string_view image);

}  // namespace ebbtide::plugin
