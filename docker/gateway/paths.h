// Paths: what a bind source in a job's container means on the engine's machine. The path is resolved as the container
// sees it, found again in what the container mounts there (a volume, a bind, its own file system), and that very
// directory or file is bound to a place below the gateway's staging directory, which the engine is then given: nothing
// that the job renames or links meanwhile changes what is mounted.
//
// Needs: the engine's files at the same paths here, its processes visible (one PID namespace), and the right to mount.
// Where something of that is missing, it says so. Functions block for the disk; any thread, one at a time for a staging
// directory. (Linux 5.6 for openat2; Engine 20.10, tried; docs/decisions/0007-paths-are-staged.md.)
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"
#include "docker/engine/address.h"
#include "docker/gateway/model.h"

namespace ebbtide::gateway {

// The container that names the path.
struct CallerFiles {
  struct Mount {
    std::string destination;
    std::string source;  // on the engine's machine
    bool read_only = false;
  };
  pid_t pid = 0;              // of its first process
  std::string root;           // its file system, on the engine's machine; empty: the engine doesn't say
  std::vector<Mount> mounts;  // volumes and binds
};

// From GET /containers/{id}/json. Nothing: it does not run.
std::optional<CallerFiles> read_caller(const Json& container);

struct Staged {
  std::string source;      // on the engine's machine
  bool read_only = false;  // as the caller has it
};

struct StagingRequest {
  const CallerFiles& caller;
  std::string path;           // absolute, clean
  bool make_missing = false;  // as a directory, as the engine makes sources of Binds
  std::string staging;        // "<run_dir>/mounts/<owner>/"
  const EngineAddress& engine;
};

// kNotFound: there is no such path in the caller. kDenied: there is, but it can't be handed on; the message says why
// and what to do. kUnavailable: this machine does not let us.
Result<Staged> stage(const StagingRequest& request);

// Unmounts all that is staged below the directory and removes it. Never removes what is mounted.
Result<void> clear_staging(const std::string& staging);

}  // namespace ebbtide::gateway
