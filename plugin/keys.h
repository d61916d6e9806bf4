// The keys of GoCD's profiles: the one list in the program. plugin/resources has the same for GoCD (what must be given,
// what is kept encrypted, a form), plugin/profile.cpp reads them, docs/profiles.md explains them; tests hold all four
// together.
#pragma once

#include <array>
#include <string_view>

namespace ebbtide::plugin {

// How a form asks for it.
enum class Input { kText, kLines, kFlag, kChoice };

struct ProfileKey {
  std::string_view name;
  Input input;
  std::string_view example;  // a sound value, in docs/profiles.md as it stands here
  bool required = false;
  bool secure = false;
};

// Those of the Docker elastic agent plugin 4.1.0, then Ebbtide's.
inline constexpr std::array kClusterKeys = {
    ProfileKey{"go_server_url", Input::kText, "https://gocd.example.com/go", true},
    ProfileKey{"docker_uri", Input::kText, "unix:///var/run/docker.sock", true},
    ProfileKey{"max_docker_containers", Input::kText, "20", true},
    ProfileKey{"auto_register_timeout", Input::kText, "10", true},
    ProfileKey{"environment_variables", Input::kLines, "TZ=Europe/Berlin"},
    ProfileKey{"docker_ca_cert", Input::kLines, "-----BEGIN CERTIFICATE-----"},
    ProfileKey{"docker_client_cert", Input::kLines, "-----BEGIN CERTIFICATE-----"},
    ProfileKey{"docker_client_key", Input::kLines, "-----BEGIN PRIVATE KEY-----", false, true},
    ProfileKey{"enable_private_registry_authentication", Input::kFlag, "true"},
    ProfileKey{"private_registry_server", Input::kText, "registry.example.com:5000"},
    ProfileKey{"private_registry_custom_credentials", Input::kFlag, "true"},
    ProfileKey{"private_registry_username", Input::kText, "ci"},
    ProfileKey{"private_registry_password", Input::kText, "{{SECRET:[file][registry]}}", false, true},
    ProfileKey{"pull_on_container_create", Input::kFlag, "false"},
    ProfileKey{"docker_policy", Input::kChoice, "ci"},
    ProfileKey{"docker_policy_allow", Input::kLines, "device /dev/kvm\nhost-path /etc/localtime"},
    ProfileKey{"docker_publish", Input::kChoice, "ephemeral"},
};

inline constexpr std::array kAgentKeys = {
    ProfileKey{"Image", Input::kText, "gocd/gocd-agent-debian-13:v26.1.0", true},
    ProfileKey{"Command", Input::kLines, "--verbose"},
    ProfileKey{"Environment", Input::kLines, "LANG=C.UTF-8\nMAVEN_OPTS=-Xmx1g"},
    ProfileKey{"ReservedMemory", Input::kText, "1G"},
    ProfileKey{"MaxMemory", Input::kText, "2G"},
    ProfileKey{"Cpus", Input::kText, "1.5"},
    ProfileKey{"Mounts", Input::kLines, "/srv/reference-data:/reference-data:ro\nm2-cache:/home/go/.m2"},
    ProfileKey{"Networks", Input::kLines, "ci-services"},
    ProfileKey{"Hosts", Input::kLines, "10.0.0.5 db db.local"},
    ProfileKey{"Privileged", Input::kFlag, "false"},
    ProfileKey{"DockerAccess", Input::kChoice, "tracked"},
    ProfileKey{"Images", Input::kChoice, "clean"},
    ProfileKey{"Volumes", Input::kLines, "shared:m2-*"},
    ProfileKey{"MaxPids", Input::kText, "4000"},
    ProfileKey{"MaxBelongings", Input::kText, "50"},
    ProfileKey{"KeepOnFailure", Input::kText, "30"},
    ProfileKey{"PullPolicy", Input::kChoice, "if-not-present"},
    ProfileKey{"Platform", Input::kText, "linux/amd64"},
    ProfileKey{"Runtime", Input::kText, "runc"},
    ProfileKey{"User", Input::kText, "1000:0"},
    ProfileKey{"Groups", Input::kLines, "docker\n1001"},
    ProfileKey{"Init", Input::kFlag, "true"},
    ProfileKey{"StopTimeout", Input::kText, "10"},
    ProfileKey{"ShmSize", Input::kText, "256M"},
    ProfileKey{"Tmpfs", Input::kLines, "/tmp:size=512m,mode=1777"},
    ProfileKey{"Ulimits", Input::kLines, "nofile=4096:65536\ncore=0"},
    ProfileKey{"Dns", Input::kLines, "10.0.0.2"},
    ProfileKey{"DnsSearch", Input::kLines, "ci.example.com"},
    ProfileKey{"DnsOptions", Input::kLines, "ndots:1"},
    ProfileKey{"Labels", Input::kLines, "team=payments"},
    ProfileKey{"CapAdd", Input::kLines, "NET_ADMIN"},
    ProfileKey{"CapDrop", Input::kLines, "NET_RAW"},
    ProfileKey{"Devices", Input::kLines, "/dev/kvm\n/dev/ttyUSB0:/dev/modem:rw"},
    ProfileKey{"Gpus", Input::kText, "all"},
};

}  // namespace ebbtide::plugin
