// ImagePuller: one pull for one image of one engine, however many wait for it. The caller that comes first pulls, on
// its own thread; those that come while it does leave their callbacks and go. Any thread.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "docker/engine/engine.h"

namespace ebbtide {

class ImagePuller {
 public:
  struct Waiter {
    std::function<void(const PullProgress&)> progress;  // may be empty
    std::function<void(const Result<void>&)> done;      // once
  };

  // Callbacks run on the thread of the caller that pulls, outside of any lock.
  void pull(Engine& engine, const WantedImage& image, const std::optional<RegistryLogin>& login, Waiter waiter);

 private:
  std::vector<Waiter> waiters_of(const std::string& key);

  std::mutex mutex_;                                    // guards waiting_
  std::map<std::string, std::vector<Waiter>> waiting_;  // by engine, image and login; present while a pull runs
};

}  // namespace ebbtide
