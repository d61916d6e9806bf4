// What administrators should know, as GoCD's server health shows it: one list, built anew from what is so now. Pure;
// any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plugin/channel.h"

namespace ebbtide::plugin {

struct HealthFacts {
  struct Engine {
    std::string name;
    TimePoint since{};
    std::string error;
  };
  struct Limit {
    std::string engine;
    std::size_t agents = 0;
    std::size_t limit = 0;
    std::vector<std::string> waiting;  // jobs
  };
  struct Removal {
    std::string agent;
    int tries = 0;
    std::vector<std::string> left;
  };
  std::vector<Engine> unreachable;
  std::vector<Limit> limits;
  std::vector<Removal> removals;
  std::vector<std::string> unsafe;  // profiles' images whose agents hold the raw socket of the host
  std::vector<Channel::HealthMessage> notes;
};

// Errors first; each text once.
std::vector<Channel::HealthMessage> health_messages(const HealthFacts& facts);

}  // namespace ebbtide::plugin
