#include "docker/http/stream.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "docker/http/deadline.h"

namespace ebbtide::http {
namespace {

using asio::ip::tcp;
using asio::local::stream_protocol;
using boost::system::error_code;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds kConnectLimit{10};
// More than the kernel's default of 208 KiB, so that a writer and its reader take turns less often.
constexpr int kSendBuffer = 2 << 20;

Error error_of(const error_code& code) {
  if (code == asio::error::operation_aborted || code == asio::error::bad_descriptor)
    return Error::cancelled("the connection was closed");
  return Error::unavailable(code.message());
}

// Of sockets, and of TLS streams, whose shutdown and descriptor differ.
template <class Socket>
Task<Result<std::size_t>> read_from(Socket& socket, asio::mutable_buffer into) {
  const auto [code, got] = co_await socket.async_read_some(into, kTuple);
  if (!code || got > 0) co_return got;
  if (code == asio::error::eof || code == asio::ssl::error::stream_truncated) co_return 0;
  co_return fail(error_of(code));
}

template <class Socket>
Task<Result<void>> write_to(Socket& socket, asio::const_buffer bytes) {
  const auto [code, sent] = co_await asio::async_write(socket, bytes, kTuple);
  if (code) co_return fail(error_of(code));
  co_return Result<void>();
}

// Completes on a hang-up of the whole connection. On Linux asio tells it with wait_error, and a mere end of the peer's
// half does not (epoll: EPOLLHUP, not EPOLLRDHUP).
template <class Socket>
Task<void> wait_for_hang_up(Socket& socket) {
  const auto [code] = co_await socket.async_wait(Socket::wait_error, kTuple);
  static_cast<void>(code);  // an error is an end as well
}

template <class Socket>
Task<Result<void>> wait_for(Socket& socket, asio::socket_base::wait_type what) {
  const auto [code] = co_await socket.async_wait(what, kTuple);
  if (code) co_return fail(error_of(code));
  co_return Result<void>();
}

template <class Socket>
class PlainStream final : public Stream {
 public:
  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {
    error_code ignored;  // a smaller buffer is slower, no more
    socket_.set_option(asio::socket_base::send_buffer_size(kSendBuffer), ignored);
    socket_.non_blocking(true, ignored);
  }

  Task<Result<std::size_t>> read_some(asio::mutable_buffer into) override { return read_from(socket_, into); }
  Task<Result<void>> write_all(asio::const_buffer bytes) override { return write_to(socket_, bytes); }

  Task<void> shutdown_send() override {
    error_code ignored;  // the peer may have gone
    socket_.shutdown(Socket::shutdown_send, ignored);
    co_return;
  }

  void close() override {
    error_code ignored;  // closed is what it shall be
    socket_.shutdown(Socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

  Task<void> wait_gone() override { return wait_for_hang_up(socket_); }
  int plain_fd() const override { return const_cast<Socket&>(socket_).native_handle(); }
  Task<Result<void>> wait_readable() override { return wait_for(socket_, asio::socket_base::wait_read); }
  Task<Result<void>> wait_writable() override { return wait_for(socket_, asio::socket_base::wait_write); }

 private:
  Socket socket_;
};

class TlsStream final : public Stream {
 public:
  TlsStream(std::shared_ptr<asio::ssl::context> context, tcp::socket socket)
      : context_(std::move(context)), stream_(std::move(socket), *context_) {}

  Task<Result<void>> handshake(const std::string& host) {
    if (!SSL_set_tlsext_host_name(stream_.native_handle(), host.c_str()))
      co_return fail(Error::internal("TLS takes no host name"));
    stream_.set_verify_callback(asio::ssl::host_name_verification(host));
    const auto [code] = co_await stream_.async_handshake(asio::ssl::stream_base::client, kTuple);
    if (code) co_return fail(Error::unavailable("TLS with " + host + ": " + code.message()));
    co_return Result<void>();
  }

  Task<Result<std::size_t>> read_some(asio::mutable_buffer into) override { return read_from(stream_, into); }
  Task<Result<void>> write_all(asio::const_buffer bytes) override { return write_to(stream_, bytes); }

  // close_notify only: SSL_shutdown's first half. asio's async_shutdown would wait for the peer's as well.
  Task<void> shutdown_send() override {
    SSL_shutdown(stream_.native_handle());
    const asio::const_buffer nothing;
    const auto [code, sent] = co_await stream_.async_write_some(nothing, kTuple);  // flushes what SSL_shutdown left
    static_cast<void>(code);
    error_code ignored;  // the peer may have gone
    if (!code) stream_.lowest_layer().shutdown(tcp::socket::shutdown_send, ignored);
  }

  void close() override {
    error_code ignored;  // closed is what it shall be
    stream_.lowest_layer().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.lowest_layer().close(ignored);
  }

  Task<void> wait_gone() override { return wait_for_hang_up(stream_.next_layer()); }
  int plain_fd() const override { return -1; }
  Task<Result<void>> wait_readable() override { return wait_for(stream_.next_layer(), asio::socket_base::wait_read); }
  Task<Result<void>> wait_writable() override { return wait_for(stream_.next_layer(), asio::socket_base::wait_write); }

 private:
  std::shared_ptr<asio::ssl::context> context_;
  asio::ssl::stream<tcp::socket> stream_;
};

Result<std::shared_ptr<asio::ssl::context>> make_tls_context(const EngineTls& tls) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  error_code code;
  const auto failed = [&code](const char* what) {
    return fail(Error::invalid(std::string("the engine's ") + what + ": " + code.message()));
  };
  context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, code);
  context->set_verify_mode(asio::ssl::verify_peer, code);
  if (tls.ca_pem.empty()) context->set_default_verify_paths(code);
  if (!tls.ca_pem.empty()) context->add_certificate_authority(asio::buffer(tls.ca_pem), code);
  if (code) return failed("CA certificate can't be read");
  if (!tls.cert_pem.empty()) {
    context->use_certificate_chain(asio::buffer(tls.cert_pem), code);
    if (code) return failed("client certificate can't be read");
    context->use_private_key(asio::buffer(tls.key_pem), asio::ssl::context::pem, code);
    if (code) return failed("client key can't be read");
  }
  constexpr unsigned char kAlpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(context->native_handle(), kAlpn, sizeof(kAlpn));
  return context;
}

Error no_connection(const EngineAddress& address, const std::string& why) {
  return Error::unavailable("can't reach the engine " + address.text() + ": " + why);
}

Task<Result<std::unique_ptr<Stream>>> connect_unix(const EngineAddress& address) {
  stream_protocol::socket socket(co_await asio::this_coro::executor);
  const stream_protocol::endpoint endpoint(address.path);
  const auto [code] = co_await socket.async_connect(endpoint, kTuple);
  if (code) co_return fail(no_connection(address, code.message()));
  co_return make_unix_stream(std::move(socket));
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
  const auto context = make_tls_context(address.tls);
  if (!context) co_return fail(context.error());
  auto socket = co_await connect_tcp(address);
  if (!socket) co_return fail(socket.error());
  auto stream = std::make_unique<TlsStream>(*context, std::move(*socket));
  const auto shaken = co_await stream->handshake(address.host);
  if (!shaken) co_return fail(no_connection(address, shaken.error().message));
  std::unique_ptr<Stream> made = std::move(stream);
  co_return made;
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
