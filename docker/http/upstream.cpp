#include "docker/http/upstream.h"

#include <boost/asio/this_coro.hpp>

#include "docker/http/deadline.h"

namespace ebbtide::http {
namespace {

constexpr std::chrono::seconds kCallLimit{30};
constexpr std::size_t kMaxIdle = 32;

}  // namespace

Upstream::Upstream(EngineAddress address) : address_(std::move(address)) {}

Task<Result<Upstream::Lease>> Upstream::acquire(bool fresh) {
  while (!fresh && !idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    if (!connection->stream().quiet()) continue;  // it has ended, or is out of step
    Lease lease{.connection = std::move(connection), .reused = true};
    co_return lease;
  }
  auto stream = co_await connect(address_);
  if (!stream) co_return fail(stream.error());
  Lease lease{.connection = std::make_unique<Connection>(std::move(*stream)), .reused = false};
  co_return lease;
}

void Upstream::release(std::unique_ptr<Connection> connection) {
  if (idle_.size() < kMaxIdle && connection->buffered().empty()) idle_.push_back(std::move(connection));
}

Task<Result<SmallAnswer>> Upstream::exchange(Connection& connection, std::string_view head, std::string_view body,
                                             std::string_view method, std::size_t limit) {
  auto sent = co_await connection.write(head);
  if (sent && !body.empty()) sent = co_await connection.write(body);
  if (!sent) co_return fail(sent.error());
  SmallAnswer answer;
  do {
    auto read = co_await connection.read_response_head(method);
    if (!read) co_return fail(read.error());
    answer.head = std::move(*read);
  } while (answer.head.status < 200);
  const BodyFrame frame{answer.head.framing, answer.head.length};
  auto content = co_await connection.read_body(frame, limit);
  if (!content) co_return fail(content.error());
  answer.body = std::move(*content);
  co_return answer;
}

Task<Result<SmallAnswer>> Upstream::call(std::string method, std::string target, std::string body,
                                         std::size_t max_body) {
  RequestHead head{.method = method, .target = std::move(target), .fields = {}};
  if (!body.empty()) {
    head.fields.add("Content-Type", "application/json");
    head.framing = Framing::kLength;
    head.length = body.size();
  }
  const auto bytes = to_bytes(head);
  const auto executor = co_await asio::this_coro::executor;
  for (const bool fresh : {false, true}) {
    auto lease = co_await acquire(fresh);
    if (!lease) co_return fail(lease.error());
    auto& connection = *lease->connection;
    const Deadline limit(executor, kCallLimit, [&connection] { connection.close(); });
    auto answer = co_await exchange(connection, bytes, body, method, max_body);
    if (limit.expired())
      co_return fail(Error::timeout("the engine " + address_.text() + " did not answer within 30 s"));
    if (answer) {
      if (answer->head.keep_alive) release(std::move(lease->connection));
      co_return answer;
    }
    // A connection that had been idle may have been closed by the engine: once more on a new one.
    if (!lease->reused || method != "GET") co_return fail(answer.error());
  }
  co_return fail(Error::unavailable("can't reach the engine " + address_.text()));
}

}  // namespace ebbtide::http
