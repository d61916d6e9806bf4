// Credentials for registries as the docker CLI keeps them: the "auths" of ~/.docker/config.json. Credential helpers are
// not run. Any thread.
#pragma once

#include <optional>
#include <string>

#include "docker/engine/engine.h"

namespace ebbtide::plugin {

// $DOCKER_CONFIG/config.json, else ~/.docker/config.json of the user that runs Ebbtide; empty without a home.
std::string docker_config_path();

// For the registry that image names; nothing if the file has none for it.
std::optional<RegistryLogin> login_from_config(const std::string& path, const std::string& image);

// "registry.example:5000/ci/agent:1" → "registry.example:5000"; empty for Docker Hub.
std::string registry_of(const std::string& image);

}  // namespace ebbtide::plugin
