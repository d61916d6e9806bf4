#include "docker/gateway/remote.h"

#include "docker/gateway/stamp.h"

namespace ebbtide::gateway {

std::optional<Refusal> check_remote_sources(const Policy& policy, const Json& container) {
  for (const auto& source : path_sources(container)) {
    if (gateway_source(source.path, "/"))
      return Refusal{"docker-socket",
                     "there is no docker socket to mount, since the engine is on another machine than Ebbtide: give "
                     "the container this agent's access instead, with --volumes-from $HOSTNAME -e DOCKER_HOST "
                     "-e DOCKER_TLS_VERIFY -e DOCKER_CERT_PATH"};
    if (policy.level == PolicyLevel::kTrusted || is_allowed_source(policy, source.path)) continue;
    return Refusal{"host-path", "the path " + source.path +
                                    " can't be mounted, since the engine is on another machine than Ebbtide: use a "
                                    "volume (docker volume create) and docker cp, or --volumes-from $HOSTNAME for "
                                    "what this agent has in volumes"};
  }
  return std::nullopt;
}

}  // namespace ebbtide::gateway
