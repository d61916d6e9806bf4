// Policy: what a job may ask of the shared engine. Pure functions over canonical bodies (model.h); any
// thread. A refusal names its rule and says what to do; it becomes a 403.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"
#include "docker/gateway/model.h"
#include "docker/http/target.h"

namespace ebbtide::gateway {

enum class PolicyLevel {
  kStrict,   // as kCi, and: nothing published, no capability beyond the engine's own, listed registries only
  kCi,       // the default: nothing that leads out to the host
  kTrusted,  // nothing is refused; ownership is still kept
};
std::string_view to_string(PolicyLevel level);
std::optional<PolicyLevel> policy_level(std::string_view text);

// Where a published port may be on the host.
enum class Publish {
  kEphemeral,  // the default: the engine chooses a free port, so that jobs don't collide
  kLoopback,   // on 127.0.0.1, the port as asked
  kAny,        // as asked
};
std::string_view to_string(Publish publish);
std::optional<Publish> publish_named(std::string_view text);

struct Policy {
  PolicyLevel level = PolicyLevel::kCi;
  Publish publish = Publish::kEphemeral;
  // Single allowances over the level, as the cluster profile gives them.
  bool privileged = false;
  bool host_network = false;
  // Bind sources that are allowed, each as it is: what lies below could be a link that the job made, and the engine
  // would follow it on the host (Engine 20.10, tried).
  std::vector<std::string> host_paths;
  std::vector<std::string> capabilities;  // beyond the default set, without CAP_
  std::vector<std::string> devices;       // host paths: /dev/kvm
  // HOST[:PORT]; if there are any, or the level is kStrict, only from and to these.
  std::vector<std::string> registries;
};

struct Refusal {
  std::string rule;     // one word: "privileged", "host-path", "capability"
  std::string message;  // for the job's author: what was refused, and what to do instead
};

// Bind sources that pass, since the gateway puts its own socket or directory in their place afterwards
// (point_sockets_at in stamp.h).
bool is_docker_socket(std::string_view path);

// Whether the operator allows this path of the host as a bind source, or the gateway's own socket is meant.
bool is_allowed_source(const Policy& policy, std::string_view source);

std::optional<Refusal> check_container(const Policy& policy, const Json& body);
std::optional<Refusal> check_update(const Policy& policy, const Json& body);
std::optional<Refusal> check_exec(const Policy& policy, const Json& body);
std::optional<Refusal> check_network(const Policy& policy, const Json& body);
std::optional<Refusal> check_connect(const Policy& policy, const Json& body);
std::optional<Refusal> check_volume(const Policy& policy, const Json& body);
std::optional<Refusal> check_build(const Policy& policy, const http::Query& query);
std::optional<Refusal> check_pull(const Policy& policy, const http::Query& query);
// Whether not every registry is allowed.
bool limits_registries(const Policy& policy);
// Of pulls, pushes, searches and whatever else makes the engine speak to a registry about reference.
std::optional<Refusal> check_registry(const Policy& policy, std::string_view reference);
// What the query of an endpoint asks for that is not carried: dropped silently it would do something else.
std::optional<Refusal> check_query(std::string_view action, const http::Query& query);

// "docker.io" for "app", "host:5000" for "host:5000/team/app:1".
std::string registry_of(std::string_view reference);

}  // namespace ebbtide::gateway
