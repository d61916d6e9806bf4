// UnderWay: requests of one kind that are under way on one engine, whosesoever, and what was there before them. Such a
// request (a load, a pull) changes what others would take for a fact until it has been judged; so while any is, what
// counts is what was seen before the first. One for all gateways of an engine. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>

namespace ebbtide::gateway {

template <class Fact>
class UnderWay {
 public:
  using Facts = std::map<std::string, Fact>;

  // One request, from before it looks at what is there until it has been judged.
  class Open {
   public:
    explicit Open(UnderWay& all) : all_(all) { all_.begin(); }
    ~Open() { all_.end(); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

    // What was before any of the requests under way; of what nobody saw before, what is now.
    Facts before(const Facts& now) { return all_.merge(now); }

   private:
    UnderWay& all_;
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
  Facts merge(const Facts& now) {
    const std::scoped_lock lock(mutex_);
    before_.insert(now.begin(), now.end());
    return before_;
  }

  std::mutex mutex_;  // guards what follows
  std::size_t under_way_ = 0;
  Facts before_;
};

// Loads of images: references and ids, and the ids that they mean.
using Loads = UnderWay<std::string>;
// Pulls of jobs that don't see all images: ids of images, and the manifests by which each is known.
using Pulls = UnderWay<std::set<std::string>>;

}  // namespace ebbtide::gateway
