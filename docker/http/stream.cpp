#include "docker/http/stream.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>

#include "docker/http/deadline.h"
#include "docker/http/socket.h"
#include "docker/http/tls_stream.h"

namespace ebbtide::http {
namespace {

using asio::ip::tcp;
using asio::local::stream_protocol;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kConnectLimit{10};
constexpr std::chrono::milliseconds kConnectPause{5};
// More than the kernel's default of 208 KiB, so that a writer and its reader take turns less often.
constexpr int kSendBuffer = 2 << 20;

template <class Socket>
class PlainStream final : public Stream {
 public:
  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {
    error_code ignored;  // a smaller buffer is slower, no more
    socket_.set_option(asio::socket_base::send_buffer_size(kSendBuffer), ignored);
    socket_.non_blocking(true, ignored);
  }

  Task<Result<std::size_t>> read_some(asio::mutable_buffer into) override {
    if (ended_) co_return 0;  // asio waits for ever when asked again: epoll tells an end once
    const auto [code, got] = co_await socket_.async_read_some(into, kTuple);
    if (!code || got > 0) co_return got;
    if (code != asio::error::eof) co_return fail(error_of(code));
    ended_ = true;
    co_return 0;
  }

  Task<Result<void>> write_all(asio::const_buffer bytes) override {
    const auto [code, sent] = co_await asio::async_write(socket_, bytes, kTuple);
    if (code) co_return fail(error_of(code));
    co_return Result<void>();
  }

  Task<void> shutdown_send() override {
    error_code ignored;  // the peer may have gone
    socket_.shutdown(Socket::shutdown_send, ignored);
    co_return;
  }

  void close() override { close_socket(socket_); }
  Task<void> wait_gone() override { return wait_for_hang_up(socket_); }
  int plain_fd() const override { return const_cast<Socket&>(socket_).native_handle(); }
  Task<Result<void>> wait_readable() override { return wait_for(socket_, asio::socket_base::wait_read); }
  Task<Result<void>> wait_writable() override { return wait_for(socket_, asio::socket_base::wait_write); }
  bool quiet() override { return is_quiet(socket_); }

 private:
  Socket socket_;
  bool ended_ = false;
};

Error no_connection(const EngineAddress& address, const std::string& why) {
  return Error::unavailable("can't reach the engine " + address.text() + ": " + why);
}

Error no_connection(const EngineAddress& address, const Error& why) {
  return why.within("can't reach the engine " + address.text());
}

// A unix listener with a full backlog answers EAGAIN (Linux, unix(7)), which asio takes for a connection in progress:
// whether there is one shows only in the peer's name. Nothing tells when there is room again, so we look once more.
Task<Result<std::unique_ptr<Stream>>> connect_unix(const EngineAddress& address) {
  const auto executor = co_await asio::this_coro::executor;
  const stream_protocol::endpoint endpoint(address.path);
  const auto end = Clock::now() + kConnectLimit;
  while (true) {
    stream_protocol::socket socket(executor);
    auto [code] = co_await socket.async_connect(endpoint, kTuple);
    if (!code) socket.remote_endpoint(code);
    if (!code) co_return make_unix_stream(std::move(socket));
    if (code != asio::error::not_connected) co_return fail(no_connection(address, code.message()));
    if (Clock::now() > end) co_return fail(no_connection(address, "it accepts no connection"));
    asio::steady_timer pause(executor, kConnectPause);
    co_await pause.async_wait(kTuple);
  }
}

Task<Result<tcp::socket>> connect_tcp(const EngineAddress& address) {
  const auto executor = co_await asio::this_coro::executor;
  tcp::resolver resolver(executor);
  tcp::socket socket(executor);
  const Deadline limit(executor, kConnectLimit, [&] {
    resolver.cancel();
    error_code ignored;  // closed is what it shall be
    socket.close(ignored);
  });
  const auto port = std::to_string(address.port);
  const auto [resolve_error, endpoints] = co_await resolver.async_resolve(address.host, port, kTuple);
  if (resolve_error && !limit.expired()) co_return fail(no_connection(address, resolve_error.message()));
  if (limit.expired()) co_return fail(no_connection(address, "its name was not resolved within 10 s"));
  const auto [code, endpoint] = co_await asio::async_connect(socket, endpoints, kTuple);
  if (limit.expired()) co_return fail(no_connection(address, "no answer within 10 s"));
  if (code) co_return fail(no_connection(address, code.message()));
  error_code ignored;  // slower without, no more
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  co_return std::move(socket);
}

Task<Result<std::unique_ptr<Stream>>> connect_tls(const EngineAddress& address) {
  const auto end = Clock::now() + kConnectLimit;
  auto socket = co_await connect_tcp(address);
  if (!socket) co_return fail(socket.error());
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
  auto stream = co_await make_tls_stream(std::move(*socket), address.host, address.tls, left);
  if (!stream) co_return fail(no_connection(address, stream.error()));
  co_return stream;
}

}  // namespace

std::unique_ptr<Stream> make_unix_stream(stream_protocol::socket socket) {
  return std::make_unique<PlainStream<stream_protocol::socket>>(std::move(socket));
}

Task<Result<std::unique_ptr<Stream>>> connect(const EngineAddress& address) {
  if (address.kind == EngineAddress::Kind::kUnix) co_return co_await connect_unix(address);
  if (address.kind == EngineAddress::Kind::kTls) co_return co_await connect_tls(address);
  auto socket = co_await connect_tcp(address);
  if (!socket) co_return fail(socket.error());
  std::unique_ptr<Stream> made = std::make_unique<PlainStream<tcp::socket>>(std::move(*socket));
  co_return made;
}

}  // namespace ebbtide::http
