// Authority: the certificate authority of the gateways that are reached over TLS (front.h): its own, of this server
// alone. It signs the front's certificate and one for each agent, whose common name is the agent's id. Its key is in a
// file of the state directory; the keys that it makes for others are given away and not kept. Immutable; any thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "docker/engine/address.h"

namespace ebbtide::gateway {

inline constexpr std::chrono::hours kAgentCertificateLife{30 * 24};

class Authority {
 public:
  // Reads the file, or makes it, for its owner only (mode 600). kUnavailable or kInvalid with the remedy.
  static Result<std::shared_ptr<const Authority>> open(const std::string& file);
  ~Authority();

  // For servers that are reached as host: a name or an address (no brackets). As long-lived as the authority.
  Result<EngineTls> for_server(const std::string& host) const;
  // For the client with this id.
  Result<EngineTls> for_agent(const std::string& id, std::chrono::seconds life = kAgentCertificateLife) const;

 private:
  struct Pair;
  explicit Authority(std::unique_ptr<Pair> pair);
  std::unique_ptr<Pair> pair_;
};

}  // namespace ebbtide::gateway
