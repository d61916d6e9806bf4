#include "docker/gateway/front.h"

#include <pthread.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>
#include <vector>

#include "docker/base/log.h"
#include "docker/http/tls_stream.h"

namespace ebbtide::gateway {
namespace {

namespace asio = http::asio;
using asio::ip::tcp;
using http::Stream;
using http::Task;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kAcceptPause{100};
// A client reads the last of an answer before its connection is cut, if it has more to send.
constexpr std::chrono::seconds kLinger{10};
constexpr std::size_t kPiece = 64 * 1024;

// One client and its gateway; held by the two coroutines that move bytes between them.
class Relay : public std::enable_shared_from_this<Relay> {
 public:
  Relay(asio::io_context& loop, std::unique_ptr<Stream> client, std::unique_ptr<Stream> gateway)
      : client_(std::move(client)), gateway_(std::move(gateway)), linger_(loop) {}

  // A client ends its half with close_notify. The end of TCP means that it has gone for good: the gateway must know at
  // once, since what the engine does for it ends then.
  Task<void> to_gateway() {
    const auto self = shared_from_this();
    std::vector<char> piece(kPiece);
    bool listens = true;
    while (true) {
      const auto got = co_await client_->read_some(asio::buffer(piece));
      if (!got) co_return close();
      if (*got == 0) break;
      // What a gateway that has answered does not want is read all the same: unread, it would cost the client the
      // answer (TCP resets).
      if (listens) listens = (co_await gateway_->write_all(asio::buffer(piece.data(), *got))).has_value();
    }
    co_await gateway_->shutdown_send();
    while (client_->quiet())
      if (!co_await client_->wait_readable()) break;
    close();
  }

  Task<void> to_client() {
    const auto self = shared_from_this();
    std::vector<char> piece(kPiece);
    while (true) {
      // A gateway that closes without having read all resets its socket: the end all the same.
      const auto got = co_await gateway_->read_some(asio::buffer(piece));
      if (closed_) co_return;
      if (!got || *got == 0) break;
      if (!co_await client_->write_all(asio::buffer(piece.data(), *got))) co_return close();
    }
    co_await client_->shutdown_send();
    co_await gateway_->wait_gone();
    if (closed_) co_return;
    linger_.expires_after(kLinger);
    co_await linger_.async_wait(kTuple);
    close();
  }

 private:
  void close() {
    closed_ = true;
    client_->close();
    gateway_->close();
    linger_.cancel();
  }

  std::unique_ptr<Stream> client_;
  std::unique_ptr<Stream> gateway_;
  asio::steady_timer linger_;
  bool closed_ = false;
};

}  // namespace

class Front::Impl {
 public:
  Impl(FrontSettings settings, http::TlsServer server) : settings_(std::move(settings)), server_(std::move(server)) {}

  ~Impl() {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Result<void> start() {
    try {
      tcp::resolver resolver(loop_);
      const auto flags = tcp::resolver::passive | tcp::resolver::numeric_service;
      const auto endpoints = resolver.resolve(settings_.address, std::to_string(settings_.port), flags);
      acceptor_ = tcp::acceptor(loop_, endpoints.begin()->endpoint());
    } catch (const std::exception& error) {
      return fail(Error::unavailable("gateway_listen: can't listen on " + settings_.address + " port " +
                                     std::to_string(settings_.port) + ": " + error.what()));
    }
    spawn(accept_all());
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "gateway-front");
      loop_.run();
    });
    return {};
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  void spawn(Task<void> work) {
    asio::co_spawn(loop_, std::move(work), [](const std::exception_ptr& fault) {
      if (fault) try {
          std::rethrow_exception(fault);
        } catch (const std::exception& error) {
          log_error("a connection to a gateway failed: this is a fault of ebbtide", {{"what", error.what()}});
        }
    });
  }

  Task<void> accept_all() {
    while (true) {
      auto [code, socket] = co_await acceptor_.async_accept(kTuple);
      if (!code) {
        ++handshakes_;
        spawn(welcome(std::move(socket)));
      }
      // Out of descriptors, most likely: those that are open go on, and free some in time.
      if (code && code != asio::error::connection_aborted) co_await pause(kAcceptPause);
      while (handshakes_ >= settings_.most_handshakes) co_await pause(settings_.handshake_limit);
    }
  }

  Task<void> pause(std::chrono::milliseconds time) {
    room_.expires_after(time);
    co_await room_.async_wait(kTuple);
  }

  Task<void> welcome(tcp::socket socket) {
    boost::system::error_code ignored;  // slower without, no more
    socket.set_option(tcp::no_delay(true), ignored);
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    const auto peer = socket.remote_endpoint(ignored).address().to_string(ignored);
    auto client = co_await http::accept_tls_stream(std::move(socket), server_, settings_.handshake_limit);
    --handshakes_;
    room_.cancel();
    if (!client) {
      log_info("no client of a gateway", {{"address", peer}, {"error", client.error().message}});
      co_return;
    }
    auto gateway = co_await connect_gateway(client->name);
    if (!gateway) {
      log_info("a gateway's client finds no gateway", {{"address", peer}, {"agent", client->name}});
      co_await client->stream->shutdown_send();
      client->stream->close();
      co_return;
    }
    const auto relay = std::make_shared<Relay>(loop_, std::move(client->stream), std::move(*gateway));
    spawn(relay->to_gateway());
    spawn(relay->to_client());
  }

  Task<Result<std::unique_ptr<Stream>>> connect_gateway(const std::string& owner) {
    EngineAddress address;
    address.path = settings_.socket_of(owner);
    co_return co_await http::connect(address);
  }

  FrontSettings settings_;
  const http::TlsServer server_;
  std::thread thread_;
  // What follows is the loop's. Connections go with the loop, before what they use.
  unsigned handshakes_ = 0;
  asio::io_context loop_{1};
  tcp::acceptor acceptor_{loop_};
  asio::steady_timer room_{loop_};
};

Front::Front(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Front::~Front() = default;
std::uint16_t Front::port() const { return impl_->port(); }

Result<std::unique_ptr<Front>> Front::start(FrontSettings settings) {
  auto server = http::make_tls_server(settings.tls);
  if (!server) return fail(server.error());
  auto impl = std::make_unique<Impl>(std::move(settings), std::move(*server));
  if (const auto started = impl->start(); !started) return fail(started.error());
  return std::unique_ptr<Front>(new Front(std::move(impl)));
}

}  // namespace ebbtide::gateway
