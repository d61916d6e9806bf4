// Temper: what a policy changes in a body in place of refusing it, since most who ask for it can do without. Pure
// functions over canonical bodies (model.h); any thread.
#pragma once

#include <string>
#include <string_view>

#include "docker/engine/cgroup.h"
#include "docker/gateway/policy.h"

namespace ebbtide::gateway {

// What is known of the engine; empty: not known, and left alone.
struct EngineDefaults {
  std::string log_driver;
};

// To be called after check_container. Nothing is changed for those who are trusted.
//  - published ports: as Policy::publish says
//  - logs in the engine's files: at most 100 MB each, ten of them
//  - StopTimeout: at most 5 min, since the engine's own end waits for it
//  - Runtime: the engine's default, which may be a stronger one than runc
//  - ContainerIDFile: out, engines ignore it
//  - strict: no-new-privileges; and no restarts, which would outlive the engine's own
void temper_container(const Policy& policy, const EngineDefaults& engine, Json& body);
void temper_update(const Policy& policy, Json& body);

// The owner's limits in the HostConfig of a create, or in the body of an update. With a cgroup_parent all containers of
// the owner are held to them together by it, and only more CPUs than it has are cut, which cgroup v1 would refuse at
// the start. Without one each container is held to them by itself, and gets them where it asks for none.
void put_limits(const OwnerLimits& limits, const std::string& cgroup_parent, bool creates, Json& resources);
// The same for a build.
void put_build_limits(const OwnerLimits& limits, const std::string& cgroup_parent, http::Query& query);

// An engine's error about a port that is taken, with what to do about it; every other one as it is.
std::string explain_port_collision(const Policy& policy, std::string error_body);

}  // namespace ebbtide::gateway
