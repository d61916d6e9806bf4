// Loads: the loads of images that are under way on one engine, whosesoever. A load shows what tags it took only when it
// is done; until it has given back those that it may not take, nobody else must believe what they mean. One for all
// gateways of an engine. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>

namespace ebbtide::gateway {

class Loads {
 public:
  using Images = std::map<std::string, std::string>;  // references and ids → ids

  // One load, from before it looks at what is there until it has given back what it must.
  class Open {
   public:
    explicit Open(Loads& loads) : loads_(loads) { loads_.begin(); }
    ~Open() { loads_.end(); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

    // What each reference meant before any of the loads under way; those that nobody saw before mean what they do now.
    Images before(const Images& now) { return loads_.merge(now); }

   private:
    Loads& loads_;
  };

 private:
  void begin() {
    const std::scoped_lock lock(mutex_);
    ++under_way_;
  }
  void end() {
    const std::scoped_lock lock(mutex_);
    if (--under_way_ == 0) before_.clear();
  }
  Images merge(const Images& now) {
    const std::scoped_lock lock(mutex_);
    before_.insert(now.begin(), now.end());
    return before_;
  }

  std::mutex mutex_;  // guards what follows
  std::size_t under_way_ = 0;
  Images before_;
};

}  // namespace ebbtide::gateway
