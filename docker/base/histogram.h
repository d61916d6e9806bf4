// Histogram: how long things took, in seconds, as Prometheus counts it. A value; not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace ebbtide {

class Histogram {
 public:
  // Upper bounds in seconds, from what an engine answers at once to a pull of a large image.
  static constexpr std::array<double, 14> kBounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

  void add(double seconds) {
    const auto bucket = std::ranges::lower_bound(kBounds, seconds) - kBounds.begin();
    ++counts_[static_cast<std::size_t>(bucket)];
    ++count_;
    sum_ += seconds;
  }
  // How many were at most kBounds[bound].
  std::uint64_t at_most(std::size_t bound) const {
    std::uint64_t below = 0;
    for (std::size_t i = 0; i <= bound; ++i) below += counts_[i];
    return below;
  }
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace ebbtide
