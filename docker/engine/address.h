// Where an engine is: unix:///var/run/docker.sock, tcp://host:2375, http://host:2375, https://host:2376.
// tcp:// with client certificates means TLS, as for the docker CLI. A value; immutable once made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "docker/base/result.h"

namespace ebbtide {

// PEM texts; empty where not given. The CA verifies the engine, the pair is shown to it.
struct EngineTls {
  std::string ca_pem;
  std::string cert_pem;
  std::string key_pem;

  bool any() const { return !ca_pem.empty() || !cert_pem.empty() || !key_pem.empty(); }
  bool operator==(const EngineTls&) const = default;
};

struct EngineAddress {
  enum class Kind { kUnix, kTcp, kTls };

  Kind kind = Kind::kUnix;
  std::string path;  // of the socket, for kUnix
  std::string host;  // for kTcp and kTls
  std::uint16_t port = 0;
  EngineTls tls;

  // kInvalid, with the remedy, where uri can't be an engine or the TLS texts don't go together.
  static Result<EngineAddress> parse(std::string_view uri, EngineTls tls = {});

  // Reached over the network, by a name or address that isn't this machine's loopback.
  bool is_remote() const;
  // One text for one engine, without secrets: the cluster's identity, shown on pages and in logs.
  std::string text() const;
  bool operator==(const EngineAddress&) const = default;
};

}  // namespace ebbtide
