#include "docker/engine/address.h"

#include <arpa/inet.h>

#include "docker/base/text.h"

namespace ebbtide {
namespace {

constexpr std::uint16_t kPlainPort = 2375;
constexpr std::uint16_t kTlsPort = 2376;

Result<void> check_tls(const EngineTls& tls) {
  if (tls.cert_pem.empty() != tls.key_pem.empty())
    return fail(Error::invalid("a client certificate and its key go together: give both or neither"));
  return {};
}

Result<void> read_host_and_port(std::string_view rest, EngineAddress& address) {
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#@ ") != std::string_view::npos)
    return fail(Error::invalid("an engine's address is host and port only, as tcp://host:2375"));
  const auto bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  const auto colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  address.host = rest.substr(0, colon);
  address.port = address.kind == EngineAddress::Kind::kTls ? kTlsPort : kPlainPort;
  if (colon != std::string_view::npos) {
    const auto port = parse_number(rest.substr(colon + 1));
    if (!port || *port == 0 || *port > 65535)
      return fail(Error::invalid("the port must be a number from 1 to 65535, as in tcp://host:2375"));
    address.port = static_cast<std::uint16_t>(*port);
  }
  if (address.host.empty()) return fail(Error::invalid("the host is missing, as in tcp://host:2375"));
  return {};
}

}  // namespace

Result<EngineAddress> EngineAddress::parse(std::string_view uri, EngineTls tls) {
  uri = trim(uri);
  EngineAddress address;
  if (const auto sound = check_tls(tls); !sound) return fail(sound.error());
  if (uri.starts_with("unix://")) {
    address.kind = Kind::kUnix;
    address.path = uri.substr(7);
    if (!address.path.starts_with('/'))
      return fail(Error::invalid("a socket's path must be absolute, as in unix:///var/run/docker.sock"));
    if (address.path.size() > 107) return fail(Error::invalid("a socket's path may have 107 bytes at the most"));
    return address;
  }
  if (uri.starts_with("npipe://"))
    return fail(Error::invalid("named pipes are Windows' own: use unix://, tcp:// or https://"));
  const auto separator = uri.find("://");
  const auto scheme = uri.substr(0, separator);
  if (separator == std::string_view::npos || (scheme != "tcp" && scheme != "http" && scheme != "https"))
    return fail(Error::invalid("\"" + std::string(uri) +
                               "\" names no engine: use unix:///var/run/docker.sock, tcp://host:2375 or "
                               "https://host:2376"));
  if (scheme == "http" && tls.any())
    return fail(Error::invalid("http:// can't use certificates: use https:// or tcp://"));
  address.kind = scheme == "https" || tls.any() ? Kind::kTls : Kind::kTcp;
  address.tls = std::move(tls);
  if (const auto read = read_host_and_port(uri.substr(separator + 3), address); !read) return fail(read.error());
  return address;
}

bool EngineAddress::is_remote() const {
  if (kind == Kind::kUnix || host == "localhost" || host == "[::1]") return false;
  in_addr ipv4{};  // a name may begin with 127. too
  return ::inet_pton(AF_INET, host.c_str(), &ipv4) != 1 || !host.starts_with("127.");
}

std::string EngineAddress::text() const {
  if (kind == Kind::kUnix) return "unix://" + path;
  return (kind == Kind::kTls ? "https://" : "tcp://") + host + ":" + std::to_string(port);
}

}  // namespace ebbtide
