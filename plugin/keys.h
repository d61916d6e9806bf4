// The keys of GoCD's profiles, each with what GoCD must know of it. The one list in the program; plugin/resources holds
// the same for GoCD, and a test compares both.
#pragma once

#include <array>
#include <string_view>

namespace ebbtide::plugin {

struct ProfileKey {
  std::string_view name;
  bool required = false;
  bool secure = false;
};

// Those of the Docker elastic agent plugin 4.1.0, then Ebbtide's.
inline constexpr std::array kClusterKeys = {
    ProfileKey{"go_server_url", true},
    ProfileKey{"docker_uri", true},
    ProfileKey{"max_docker_containers", true},
    ProfileKey{"auto_register_timeout", true},
    ProfileKey{"environment_variables"},
    ProfileKey{"docker_ca_cert"},
    ProfileKey{"docker_client_cert"},
    ProfileKey{"docker_client_key", false, true},
    ProfileKey{"enable_private_registry_authentication"},
    ProfileKey{"private_registry_server"},
    ProfileKey{"private_registry_custom_credentials"},
    ProfileKey{"private_registry_username"},
    ProfileKey{"private_registry_password", false, true},
    ProfileKey{"pull_on_container_create"},
    ProfileKey{"docker_policy"},
    ProfileKey{"docker_policy_allow"},
    ProfileKey{"docker_publish"},
};

inline constexpr std::array kAgentKeys = {
    ProfileKey{"Image", true}, ProfileKey{"Command"},       ProfileKey{"Environment"},   ProfileKey{"ReservedMemory"},
    ProfileKey{"MaxMemory"},   ProfileKey{"Cpus"},          ProfileKey{"Mounts"},        ProfileKey{"Networks"},
    ProfileKey{"Hosts"},       ProfileKey{"Privileged"},    ProfileKey{"DockerAccess"},  ProfileKey{"Images"},
    ProfileKey{"Volumes"},     ProfileKey{"MaxBelongings"}, ProfileKey{"KeepOnFailure"}, ProfileKey{"MaxPids"},
};

}  // namespace ebbtide::plugin
