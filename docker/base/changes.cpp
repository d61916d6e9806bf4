#include "docker/base/changes.h"

namespace ebbtide {

void Changes::note() {
  {
    const std::scoped_lock lock(mutex_);
    ++count_;
  }
  moved_.notify_all();
}

std::uint64_t Changes::count() const {
  const std::scoped_lock lock(mutex_);
  return count_;
}

std::uint64_t Changes::wait(std::uint64_t seen, std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  moved_.wait_for(lock, limit, [&] { return closed_ || count_ != seen; });
  return count_;
}

void Changes::close() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  moved_.notify_all();
}

bool Changes::closed() const {
  const std::scoped_lock lock(mutex_);
  return closed_;
}

}  // namespace ebbtide
