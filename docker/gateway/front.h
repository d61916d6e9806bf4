// Front: where agents on other machines' engines reach their gateways: one TCP port with mutual TLS. A client's
// certificate tells whose it is (authority.h); its bytes are relayed, both ways, to the socket of that agent's gateway,
// which does all else. It owns its loop (a thread), which its destructor ends with all connections. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "docker/engine/address.h"

namespace ebbtide::gateway {

struct FrontSettings {
  std::string address;  // to listen on: "0.0.0.0", "::", a name
  std::uint16_t port = 0;
  EngineTls tls;  // what it shows, and the CA of its clients
  // The path of that gateway's socket, there or not.
  std::function<std::string(const std::string& owner)> socket_of;
  std::chrono::milliseconds handshake_limit{10'000};
  unsigned most_handshakes = 128;  // under way at once; others wait to be accepted
};

class Front {
 public:
  // kUnavailable if it can't listen there.
  static Result<std::unique_ptr<Front>> start(FrontSettings settings);
  ~Front();

  std::uint16_t port() const;

 private:
  class Impl;
  explicit Front(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide::gateway
