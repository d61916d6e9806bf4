#include "tests/perf/wire.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ebbtide::perf {
namespace {

constexpr std::size_t kBuffer = 256 * 1024;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) give_up("socket path too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// The value of a header field that a trusted peer wrote, or -1.
std::int64_t number_after(std::string_view head, std::string_view name) {
  const auto at = head.find(name);
  return at == std::string_view::npos ? -1 : std::atoll(head.data() + at + name.size());
}

}  // namespace

void give_up(std::string_view what) {
  std::fprintf(stderr, "perf: %.*s\n", static_cast<int>(what.size()), what.data());
  std::exit(1);
}

double seconds(const std::function<void()>& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

Spread spread_of(std::vector<double>& samples) {
  if (samples.empty()) give_up("no samples");
  std::ranges::sort(samples);
  return {samples[samples.size() / 2], samples[samples.size() * 99 / 100]};
}

Client::Client(const std::string& socket_path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const auto address = address_of(socket_path);
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    give_up("no connection to " + socket_path);
  buffer_.resize(kBuffer);
}

std::uint64_t Client::get(const std::string& target) {
  send("GET " + target + " HTTP/1.1\r\nHost: perf\r\n\r\n");
  return read_body(read_head());
}

void Client::upload(const std::string& target, std::uint64_t bytes) {
  send("POST " + target + " HTTP/1.1\r\nHost: perf\r\nContent-Type: application/x-tar\r\nContent-Length: " +
       std::to_string(bytes) + "\r\n\r\n");
  static const std::string zeros(kBuffer, '\0');
  for (auto left = bytes; left > 0;) {
    const auto piece = std::min<std::uint64_t>(left, zeros.size());
    send(std::string_view(zeros).substr(0, piece));
    left -= piece;
  }
  read_body(read_head());
}

void Client::send(std::string_view bytes) {
  if (!send_all(socket_.get(), bytes)) give_up("the connection broke while sending");
}

void Client::fill() {
  begin_ = end_ = 0;
  const auto got = ::recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
  if (got <= 0) give_up("the connection ended early");
  end_ = static_cast<std::size_t>(got);
}

std::string Client::read_line() {
  std::string line;
  while (true) {
    if (begin_ == end_) fill();
    const char c = buffer_[begin_++];
    if (c == '\n') return line;
    if (c != '\r') line += c;
  }
}

std::string Client::read_head() {
  std::string head;
  for (auto line = read_line(); !line.empty(); line = read_line()) head += line + "\n";
  if (head.size() < 12 || head[9] != '2') give_up("unexpected answer: " + head.substr(0, 200));
  return head;
}

void Client::skip(std::uint64_t bytes) {
  while (bytes > 0) {
    if (begin_ == end_) fill();
    const auto piece = std::min<std::uint64_t>(bytes, end_ - begin_);
    begin_ += piece;
    bytes -= piece;
  }
}

std::uint64_t Client::read_chunks() {
  std::uint64_t total = 0;
  while (true) {
    const auto size = std::strtoull(read_line().c_str(), nullptr, 16);
    skip(size);
    read_line();
    if (size == 0) return total;
    total += size;
  }
}

std::uint64_t Client::read_body(const std::string& head) {
  if (head.find("chunked") != std::string::npos) return read_chunks();
  const auto length = std::max<std::int64_t>(0, number_after(head, "Content-Length: "));
  skip(static_cast<std::uint64_t>(length));
  return static_cast<std::uint64_t>(length);
}

SyntheticEngine::SyntheticEngine(std::string socket_path, std::uint64_t body_bytes)
    : path_(std::move(socket_path)),
      body_bytes_(body_bytes),
      listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const auto address = address_of(path_);
  ::unlink(path_.c_str());
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener_.get(), 64) != 0)
    give_up("can't listen on " + path_);
  acceptor_ = std::thread([this] {
    while (true) {
      const int connection = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      connections_.push_back(connection);
      servers_.emplace_back([this, connection] { serve(connection); });
    }
  });
}

SyntheticEngine::~SyntheticEngine() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (const int connection : connections_) ::shutdown(connection, SHUT_RDWR);
  for (auto& server : servers_) server.join();
  for (const int connection : connections_) ::close(connection);
  ::unlink(path_.c_str());
}

void SyntheticEngine::serve(int connection) {
  std::string buffer;
  while (answer(connection, buffer)) {
  }
}

bool SyntheticEngine::answer(int connection, std::string& buffer) {
  static const std::string piece(32 * 1024, 'x');
  std::string incoming(kBuffer, '\0');
  std::size_t head_end = 0;
  while ((head_end = buffer.find("\r\n\r\n")) == std::string::npos) {
    const auto got = ::recv(connection, incoming.data(), incoming.size(), 0);
    if (got <= 0) return false;
    buffer.append(incoming, 0, static_cast<std::size_t>(got));
  }
  const std::string head = buffer.substr(0, head_end + 4);
  buffer.erase(0, head_end + 4);
  auto left = std::max<std::int64_t>(0, number_after(head, "Content-Length: "));
  for (left -= static_cast<std::int64_t>(buffer.size()), buffer.clear(); left > 0;) {
    const auto got = ::recv(connection, incoming.data(), incoming.size(), 0);
    if (got <= 0) return false;
    left -= got;
  }
  if (head.find("/fixed/get") != std::string::npos) {
    if (!send_all(connection, "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nContent-Length: " +
                                  std::to_string(body_bytes_) + "\r\n\r\n"))
      return false;
    for (std::uint64_t sent = 0; sent < body_bytes_; sent += piece.size())
      if (!send_all(connection, piece)) return false;
    return true;
  }
  if (head.find("/chunked/get") != std::string::npos) {
    if (!send_all(connection,
                  "HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n"))
      return false;
    const std::string chunk = "8000\r\n" + piece + "\r\n";
    for (std::uint64_t sent = 0; sent < body_bytes_; sent += piece.size())
      if (!send_all(connection, chunk)) return false;
    return send_all(connection, "0\r\n\r\n");
  }
  return send_all(connection, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{}\n");
}

}  // namespace ebbtide::perf
