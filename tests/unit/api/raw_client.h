// An HTTP client over a bare socket, so that tests can send what no library would. One connection, used by one thread;
// reads give up after ten seconds.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <string>

#include "docker/base/text.h"
#include "docker/base/unique_fd.h"

namespace ebbtide::api::test {

struct RawAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string header(const std::string& name) const { return headers.contains(name) ? headers.at(name) : ""; }
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    if (::connect(fd_.get(), generic, sizeof address) != 0) fd_.reset();
  }

  bool send(const std::string& bytes) const {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  void end_sending() const { ::shutdown(fd_.get(), SHUT_WR); }
  void hang_up() { fd_.reset(); }

  // More bytes into the buffer; false at the end of the connection, or after limit.
  bool fill(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, static_cast<int>(limit.count())) <= 0) return false;
    char piece[4096];
    const auto got = ::read(fd_.get(), piece, sizeof piece);
    if (got > 0) kept_.append(piece, static_cast<std::size_t>(got));
    return got > 0;
  }

  // Up to and without the delimiter; all there is where it does not come.
  std::string until(const std::string& delimiter) {
    while (kept_.find(delimiter) == std::string::npos)
      if (!fill()) return std::exchange(kept_, {});
    const auto at = kept_.find(delimiter);
    auto text = kept_.substr(0, at);
    kept_.erase(0, at + delimiter.size());
    return text;
  }

  // One answer with a length; its head alone where it has none.
  RawAnswer answer(bool has_body = true) {
    RawAnswer read;
    const auto lines = split(until("\r\n\r\n"), '\n');
    if (lines[0].size() > 12) read.status = std::atoi(lines[0].c_str() + 9);
    for (std::size_t i = 1; i < lines.size(); ++i) {
      const auto colon = lines[i].find(':');
      if (colon != std::string::npos)
        read.headers[to_lower(lines[i].substr(0, colon))] = trim(std::string_view(lines[i]).substr(colon + 1));
    }
    const auto length = parse_number(read.header("content-length")).value_or(0);
    while (has_body && kept_.size() < length && fill()) {
    }
    if (has_body) read.body = kept_.substr(0, length);
    if (has_body) kept_.erase(0, length);
    return read;
  }

  // A line of a chunked stream, where each chunk is a line; empty at its end.
  std::string stream_line() {
    if (const auto size = until("\r\n"); size.empty() || size == "0") return {};
    auto line = until("\n");
    until("\r\n");
    return line;
  }
  const std::string& kept() const { return kept_; }

 private:
  UniqueFd fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::string kept_;  // read, and not taken yet
};

// One request on a connection of its own.
inline RawAnswer ask(std::uint16_t port, const std::string& method, const std::string& target,
                     const std::string& headers = "", const std::string& body = "") {
  RawClient client(port);
  const auto length =
      method == "GET" || method == "HEAD" ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n";
  client.send(method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + headers + length +
              "\r\n" + body);
  return client.answer(method != "HEAD");
}

}  // namespace ebbtide::api::test
