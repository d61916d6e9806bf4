// Remote: what a job can't ask of a gateway that it reaches over the network (front.h), since it needs the engine and
// Ebbtide on one machine. Pure; any thread.
#pragma once

#include <optional>

#include "docker/gateway/policy.h"

namespace ebbtide::gateway {

// Of a container's body: the docker socket, and paths of the asker's, as sources. What the policy lets pass as the
// host's own passes.
std::optional<Refusal> check_remote_sources(const Policy& policy, const Json& container);

}  // namespace ebbtide::gateway
