// The time of day, behind a seam so that tests can set it. Any thread.
#pragma once

#include <chrono>

namespace ebbtide {

using TimePoint = std::chrono::system_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::system_clock::now(); }
};

}  // namespace ebbtide
