// Reaper: removes an owner's belongings, and the owner's own container, from one engine. Every step may be
// repeated, at any time, by any process. The order: the belongings' containers, then the owner's (children
// may stand on its file system), networks, volumes, images; again, until two passes find nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "docker/ledger/engine_watch.h"

namespace ebbtide {

enum class ImageMode {
  kShared,    // the job's images stay
  kClean,     // what the job added goes, what was there before stays
  kIsolated,  // as clean; the gateway also hides others' images
};
std::string_view to_string(ImageMode mode);

struct ReapOptions {
  ImageMode images = ImageMode::kClean;
  unsigned concurrency = 6;  // removals in flight; the engine gains nothing from more
};

struct ReapReport {
  std::size_t containers = 0;  // removed
  std::size_t networks = 0;
  std::size_t volumes = 0;
  std::size_t images = 0;
  std::vector<std::string> left;  // "network 3f2a (ci_default): the engine answered 403: …"
  unsigned passes = 0;
  std::chrono::milliseconds duration{};

  bool complete() const { return left.empty(); }
  std::string summary() const;  // "4 containers, 1 network, 2 volumes, 0 images in 812 ms"
};

// One try, on the calling thread: passes until nothing is found twice running, or a pass removed nothing, or
// stopped() is true. Fails (kUnavailable, kTimeout) where the engine could not be listed: then nothing is
// known to be gone. The owner's gateway must be closed to creates before (Ledger::close), else it may never
// end.
Result<ReapReport> reap(
    EngineWatch& watch, const std::string& owner, const ReapOptions& options,
    const std::function<bool()>& stopped = [] { return false; });

}  // namespace ebbtide
