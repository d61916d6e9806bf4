// Counting: what a gateway host has served, for the metrics. Any thread.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <string_view>

#include "docker/gateway/gateway.h"

namespace ebbtide::gateway {

class Counting {
 public:
  void request(std::string_view method, std::string_view pattern, int status);
  void refusal(std::string_view rule);
  GatewayCounters read() const;

  // Counts one for as long as it lives.
  class Open {
   public:
    explicit Open(std::atomic<std::uint64_t>& number) : number_(number) { ++number_; }
    ~Open() { --number_; }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

   private:
    std::atomic<std::uint64_t>& number_;
  };
  std::atomic<std::uint64_t> connections = 0;
  std::atomic<std::uint64_t> streams = 0;

 private:
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, std::uint64_t> requests_;
  std::map<std::string, std::uint64_t> refusals_;
};

}  // namespace ebbtide::gateway
