// How an agent's container is made: its body for the engine, its labels, and the link at /var/run/docker.sock. Pure;
// any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "docker/base/result.h"
#include "plugin/agent.h"
#include "plugin/profile.h"

namespace ebbtide::plugin {

// Where an agent finds its gateway's directory, or what it shows to the front.
inline constexpr const char* kGatewayMount = "/run/ebbtide";

struct AgentVolume {
  std::string name;  // on the engine
  std::string target;
};

struct AgentPlan {
  std::string server_id;
  std::string plugin_id;
  std::string auto_register_key;
  std::string gateway_directory;  // on the host; for tracked agents
  std::string gateway_address;    // of the front, host:port; empty: the directory is mounted
  std::vector<AgentVolume> volumes;
  std::string host_socket;        // for DockerAccess host
  std::optional<unsigned> group;  // of that socket
  std::string cgroup_parent;      // empty: the engine's own
};

// A volume of its own for each place that the image declares as VOLUME, so that even these are tracked and the job's
// working directory can be mounted into its containers; and for the engine of a dind agent. A mount of the profile at
// the same place takes precedence.
std::vector<AgentVolume> agent_volumes(const std::string& agent_id, const AgentProfile& profile,
                                       const std::vector<std::string>& image_volumes);
// For the credentials of an agent that reaches its gateway over the network.
AgentVolume credentials_volume(const std::string& agent_id);
Labels volume_labels(const std::string& server_id, const std::string& agent_id, const AgentVolume& volume);

// The platform of the profile's options is not in it: the engine wants that beside the body.
nlohmann::json container_body(const Agent& agent, const ClusterProfile& cluster, const AgentProfile& profile,
                              const AgentPlan& plan);

// What the labels tell of an agent after a restart: all but what only its creation needed.
struct AgentRecord {
  Agent agent;
  AgentProfile profile;
  std::optional<gateway::Policy> policy;  // none: an older Ebbtide made the agent
};
std::optional<AgentRecord> read_labels(const ContainerSummary& container);

// A tar that puts a link to the gateway's socket at <folder>/docker.sock, with the folders above it.
std::string socket_link_tar(const std::string& folder);

// A tar of ca.pem, cert.pem and key.pem, as Docker's clients look for them below DOCKER_CERT_PATH. Any user of the
// container may read them.
std::string credentials_tar(const EngineTls& credentials);

// Names of the values that a log of the agent must not show.
std::vector<std::string> secrets_of(const Environment& environment, const std::string& auto_register_key);

}  // namespace ebbtide::plugin
