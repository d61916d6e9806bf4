// Changes: a count of what changed, and waiting for the next. Whoever changes a table that pages show notes it; pages
// wait for the count to move. A leaf: it may be called under any lock. Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace ebbtide {

class Changes {
 public:
  void note();
  std::uint64_t count() const;
  // The count, as soon as it is another than seen; at the end of limit, or once closed, as it is.
  std::uint64_t wait(std::uint64_t seen, std::chrono::milliseconds limit) const;
  // Ends every wait, now and later.
  void close();
  bool closed() const;

 private:
  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable moved_;
  std::uint64_t count_ = 1;
  bool closed_ = false;
};

}  // namespace ebbtide
