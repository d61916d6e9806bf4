#include "tests/support/grpc_peer.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <list>
#include <optional>

namespace ebbtide::test {
namespace {

namespace asio = http::asio;
using grpc::Http2;
using grpc::Task;

// A loop with one end of HTTP/2 on it.
struct Peer {
  Peer(Wire& wire, Http2::Side side)
      : connection(http::make_unix_stream(
            asio::local::stream_protocol::socket(loop, asio::local::stream_protocol(), ::dup(wire.fd())))),
        http2(connection, loop.get_executor(), side) {
    connection.unread(wire.take_kept());
    spawn(http2.run());
  }
  ~Peer() {
    http2.end();
    loop.run();
  }
  void spawn(Task<void> work) {
    asio::co_spawn(loop, std::move(work), [](std::exception_ptr fault) {
      if (fault) std::rethrow_exception(fault);
    });
  }
  void run_until(const std::function<bool()>& done) {
    while (!done() && loop.run_one() > 0) {
    }
  }

  asio::io_context loop{1};
  http::Connection connection;
  Http2 http2;
};

grpc::Headers head_of(const std::string& path, const grpc::Headers& more) {
  grpc::Headers head = {{":method", "POST"}, {":scheme", "http"}, {":path", path},
                        {":authority", "d"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  head.insert(head.end(), more.begin(), more.end());
  return head;
}

Task<void> call_once(std::shared_ptr<grpc::Stream> stream, std::string body, GrpcAnswer& answer, bool& done) {
  const auto written = co_await stream->write(std::move(body));
  if (written) stream->finish();
  const auto head = co_await stream->wait_head();
  if (head) {
    const auto all = co_await grpc::read_all(*stream, 64 << 20);
    if (all) answer = {.head = stream->head(), .body = *all, .trailers = stream->trailers()};
  }
  done = true;
}

using Answer = std::function<std::optional<std::string>(const GrpcCall&)>;

Task<void> serve_call(std::shared_ptr<grpc::Stream> stream, const Answer& answer, const std::function<void()>& ended) {
  stream->when_closed(ended);
  const auto body = co_await grpc::read_all(*stream, 64 << 20);
  if (!body) co_return;
  if (const auto given = answer({.head = stream->head(), .body = *body})) {
    stream->when_closed(nullptr);
    co_await grpc::answer(*stream, *given);
  }
}

Task<void> serve_all(Peer& peer, const Answer& answer, const std::function<void()>& ended) {
  while (const auto stream = co_await peer.http2.accept()) peer.spawn(serve_call(stream, answer, ended));
}

}  // namespace

std::string_view GrpcAnswer::status() const {
  const auto status = grpc::value_of(trailers, "grpc-status");
  return status.empty() ? grpc::value_of(head, "grpc-status") : status;
}

struct GrpcClient::State : Peer {
  explicit State(Wire& wire) : Peer(wire, Http2::Side::kClient) {}
};

GrpcClient::GrpcClient(Wire& wire) : state_(std::make_unique<State>(wire)) {}
GrpcClient::~GrpcClient() = default;

GrpcAnswer GrpcClient::call(const std::string& path, const std::string& message, const grpc::Headers& more) {
  return call_raw(path, grpc::frame(message), more);
}

GrpcAnswer GrpcClient::call_raw(const std::string& path, const std::string& body, const grpc::Headers& more) {
  GrpcAnswer answer;
  bool done = false;
  state_->spawn(call_once(state_->http2.open(head_of(path, more)), body, answer, done));
  state_->run_until([&] { return done; });
  return answer;
}

void GrpcClient::begin_and_reset(const std::string& path, const std::string& message,
                                 const std::function<bool()>& begun) {
  GrpcAnswer answer;
  bool done = false;
  const auto stream = state_->http2.open(head_of(path, {}));
  state_->spawn(call_once(stream, grpc::frame(message), answer, done));
  while (!begun()) state_->loop.run_one_for(std::chrono::milliseconds(10));
  stream->reset();
  state_->run_until([&] { return done; });
}

void serve_grpc(Wire& wire, const Answer& answer, const std::function<void()>& ended) {
  Peer peer(wire, Http2::Side::kServer);
  peer.spawn(serve_all(peer, answer, ended));
  peer.loop.run();
}

}  // namespace ebbtide::test
