#include "docker/gateway/counting.h"

namespace ebbtide::gateway {

void Counting::request(std::string_view method, std::string_view pattern, int status) {
  std::string key(method);
  key.append(" ").append(pattern).append(" ").append(std::to_string(status));
  const std::scoped_lock lock(mutex_);
  ++requests_[key];
}

void Counting::refusal(std::string_view rule) {
  const std::scoped_lock lock(mutex_);
  ++refusals_[std::string(rule)];
}

GatewayCounters Counting::read() const {
  const std::scoped_lock lock(mutex_);
  return {.requests = requests_,
          .refusals = refusals_,
          .open_connections = connections.load(),
          .open_streams = streams.load()};
}

}  // namespace ebbtide::gateway
