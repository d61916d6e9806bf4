#include "tests/support/scripted_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "docker/base/text.h"

namespace ebbtide::test {
namespace {

constexpr int kPatienceMs = 10'000;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size() + 1, sizeof address.sun_path));
  return address;
}

std::string make_folder() {
  std::string name = "/tmp/ebbtide-scripted.XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  return name;
}

// The body's length by its head; chunked: nothing.
std::optional<std::size_t> length_of(const std::string& head) {
  const auto lower = to_lower(head);
  if (lower.find("transfer-encoding: chunked") != std::string::npos) return std::nullopt;
  const auto at = lower.find("content-length: ");
  if (at == std::string::npos) return 0;
  const auto begin = at + std::strlen("content-length: ");
  return parse_number(std::string_view(lower).substr(begin, lower.find('\r', begin) - begin)).value_or(0);
}

}  // namespace

Wire::Wire(UniqueFd socket) : socket_(std::move(socket)) {}

Wire Wire::connect(const std::string& path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = address_of(path);
  const auto connected = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  EXPECT_EQ(connected, 0) << path << ": " << std::strerror(errno);
  return Wire(std::move(socket));
}

bool Wire::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Wire::fill() {
  pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&readable, 1, kPatienceMs) <= 0) return false;
  char bytes[65536];
  const auto got = ::recv(socket_.get(), bytes, sizeof bytes, 0);
  if (got <= 0) return false;
  kept_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

std::string Wire::read_until(std::string_view text) {
  auto at = kept_.find(text);
  while (at == std::string::npos && fill()) at = kept_.find(text);
  const auto size = at == std::string::npos ? kept_.size() : at + text.size();
  auto read = kept_.substr(0, size);
  kept_.erase(0, size);
  return read;
}

std::string Wire::read_exactly(std::size_t size) {
  while (kept_.size() < size && fill()) {
  }
  auto read = kept_.substr(0, size);
  kept_.erase(0, read.size());
  return read;
}

std::string Wire::read_to_end() {
  while (fill()) {
  }
  return std::exchange(kept_, {});
}

std::string Wire::read_message() {
  auto message = read_until("\r\n\r\n");
  if (const auto length = length_of(message)) return message + read_exactly(*length);
  return message + read_until("0\r\n\r\n");
}

void Wire::shutdown_send() { ::shutdown(socket_.get(), SHUT_WR); }
void Wire::close() { socket_ = {}; }

ScriptedServer::ScriptedServer(Handler handler) : handler_(std::move(handler)), folder_(make_folder()) {
  path_ = folder_ + "/socket";
  listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = address_of(path_);
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_.get(), 64) != 0)
    throw std::runtime_error("can't listen at " + path_);
  acceptor_ = std::thread([this] { accept(); });
}

ScriptedServer::~ScriptedServer() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
    for (const auto& wire : wires_) ::shutdown(wire->fd(), SHUT_RDWR);
  }
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (auto& thread : threads_) thread.join();
  ::unlink(path_.c_str());
  ::rmdir(folder_.c_str());
}

std::vector<std::string> ScriptedServer::requests() const {
  const std::scoped_lock lock(mutex_);
  return requests_;
}

std::size_t ScriptedServer::connections() const {
  const std::scoped_lock lock(mutex_);
  return wires_.size();
}

void ScriptedServer::accept() {
  while (true) {
    UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::scoped_lock lock(mutex_);
    if (ending_ || socket.get() < 0) return;
    auto wire = std::make_shared<Wire>(std::move(socket));
    wires_.push_back(wire);
    threads_.emplace_back([this, wire] { serve(*wire); });
  }
}

void ScriptedServer::serve(Wire& wire) {
  while (true) {
    Request request{.method = {}, .target = {}, .head = wire.read_until("\r\n\r\n")};
    const auto words = split(request.head.substr(0, request.head.find('\r')), ' ');
    if (!request.head.ends_with("\r\n\r\n") || words.size() != 3) break;
    request.method = words[0];
    request.target = words[1];
    {
      const std::scoped_lock lock(mutex_);
      requests_.push_back(request.method + " " + request.target);
    }
    if (!handler_(wire, request)) break;
  }
  // The descriptor stays until the end, so that the destructor never shuts down somebody else's.
  ::shutdown(wire.fd(), SHUT_RDWR);
}

std::string answer_text(int status, std::string_view body, std::string_view more_headers) {
  return "HTTP/1.1 " + std::to_string(status) +
         " Scripted\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(more_headers) + "\r\n" + std::string(body);
}

}  // namespace ebbtide::test
