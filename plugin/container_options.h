// What an elastic agent profile says of its container beyond the keys of the existing Docker plugin: read from the
// profile, and put into the body with which the engine makes the container. Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "docker/engine/engine.h"
#include "plugin/profile_reader.h"

namespace ebbtide::plugin {

struct Ulimit {
  std::string name;
  std::int64_t soft = 0;  // -1: unlimited
  std::int64_t hard = 0;
};

struct Device {
  std::string host;
  std::string container;
  std::string permissions;  // of r, w and m
};

struct Gpus {
  int count = 0;                 // -1: all; 0: those of ids
  std::vector<std::string> ids;  // as the engine's driver names them
};

struct ContainerOptions {
  std::vector<std::string> cap_add;  // without CAP_
  std::vector<std::string> cap_drop;
  std::map<std::string, std::string> tmpfs;  // path: mount options
  std::int64_t shm_bytes = 0;
  std::vector<Ulimit> ulimits;
  bool init = false;
  std::vector<std::string> dns;
  std::vector<std::string> dns_search;
  std::vector<std::string> dns_options;
  std::string user;
  std::vector<std::string> groups;
  std::vector<Device> devices;
  std::optional<Gpus> gpus;
  Labels labels;
  std::uint32_t stop_seconds = 0;  // 0: it is killed at once
  std::string platform;            // "linux/arm64"; empty: the engine's
  std::string runtime;
};

ContainerOptions read_container_options(ProfileReader& reader);

// body: as of POST /containers/create, with a HostConfig; what it has of groups and labels stays.
void apply_container_options(const ContainerOptions& options, nlohmann::json& body);

}  // namespace ebbtide::plugin
