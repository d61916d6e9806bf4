// Cgroups: a control group for each owner on the engine's machine, the parent of all its containers' groups, so that
// limits of memory, CPU and processes are for all of them together, and containers that can't bear labels (the classic
// builder's) are known as the owner's. Only where the engine is on this machine and we may make groups.
//
// cgroup v1 and v2. With the engine's driver cgroupfs the group is /ebbtide-<server id>/<owner>; with systemd it is the
// slice ebbtide-<server id>-<owner>.slice, whose properties systemctl sets. Blocks for the kernel, or for systemctl.
// Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "docker/base/result.h"
#include "docker/engine/address.h"
#include "docker/engine/engine.h"

namespace ebbtide {

// Of an owner's containers together; 0: no limit.
struct OwnerLimits {
  std::int64_t memory_bytes = 0;
  double cpus = 0;
  std::int64_t pids = 0;

  bool any() const { return memory_bytes > 0 || cpus > 0 || pids > 0; }
  bool operator==(const OwnerLimits&) const = default;
};

class Cgroups {
 public:
  enum class Driver { kCgroupfs, kSystemd };

  // An error says why there can be none: the engine is elsewhere, or we may not.
  static Result<Cgroups> find(const EngineAddress& engine, const EngineInfo& info, const std::string& server_id);
  // root: where the kernel's groups are mounted.
  Cgroups(Driver driver, int version, std::string server_id, std::string root = "/sys/fs/cgroup",
          std::string systemctl = "systemctl");

  // What HostConfig.CgroupParent must be.
  std::string parent_of(const std::string& owner) const;
  // Makes the owner's group, or changes what is there.
  Result<void> make(const std::string& owner, const OwnerLimits& limits) const;
  // Without what containers left in it. kConflict: something still runs there. One that is not there is no error.
  Result<void> remove(const std::string& owner) const;
  // Whose groups there are.
  std::vector<std::string> owners() const;
  // Ids of the containers that run in the owner's group.
  std::vector<std::string> containers_of(const std::string& owner) const;

 private:
  std::string group() const;
  std::string path_of(const std::string& owner) const;
  std::vector<std::string> hierarchies() const;
  Result<void> make_v1(const std::string& owner, const OwnerLimits& limits) const;
  Result<void> make_v2(const std::string& owner, const OwnerLimits& limits) const;
  Result<void> make_slice(const std::string& owner, const OwnerLimits& limits) const;

  Driver driver_;
  int version_;
  std::string server_id_;
  std::string root_;
  std::string systemctl_;
};

}  // namespace ebbtide
