// UsageSampler: the CPU and memory of agents' and belongings' containers, asked of the engines one by one and gently,
// and only while somebody looks. It owns a thread. Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "plugin/fleet.h"

namespace ebbtide::api {

struct Usage {
  double cpu_percent = 0;  // of one CPU
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_limit_bytes = 0;  // the engine's memory where the container has no limit
};
using UsageByContainer = std::map<std::string, Usage>;

class UsageSampler {
 public:
  explicit UsageSampler(plugin::Fleet& fleet);
  ~UsageSampler();

  // Somebody looks: go on for kLooked.
  void look();
  // Another number after each change to of(agent_id).
  std::uint64_t revision(const std::string& agent_id) const;
  UsageByContainer of(const std::string& agent_id) const;

 private:
  struct Reading {
    std::uint64_t cpu_ns = 0;
    std::chrono::steady_clock::time_point at;
  };
  struct Agent {
    UsageByContainer usage;
    std::map<std::string, Reading> readings;  // the last of each container
    std::uint64_t revision = 0;
  };

  void run();
  void sample(const plugin::AgentView& view);
  void forget_others(const std::vector<plugin::AgentRevision>& present);
  // False: stop.
  bool pause(std::chrono::milliseconds time);

  plugin::Fleet& fleet_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::map<std::string, Agent> agents_;
  std::chrono::steady_clock::time_point looked_{};
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace ebbtide::api
