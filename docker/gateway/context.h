// What the exchanges of one gateway share, and small tools of theirs. One loop; not thread-safe but for what it points
// to.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "docker/base/worker_pool.h"
#include "docker/gateway/build_reading.h"
#include "docker/gateway/build_session.h"
#include "docker/gateway/counting.h"
#include "docker/gateway/gateway.h"
#include "docker/gateway/under_way.h"
#include "docker/http/upstream.h"

namespace ebbtide::gateway {

template <class T>
using Task = http::Task<T>;

struct Context {
  GatewaySpec spec;
  EngineWatch& watch;
  http::Upstream& upstream;  // of the loop
  WorkerPool& disk;          // where the database is written, so that the loop doesn't wait
  Counting& counting;
  Scope scope;
  WorkerPool& archives;     // where build contexts are read and written
  BuildSessions& sessions;  // of all gateways of the engine
  Loads& loads;             // of all, too
  Pulls& pulls;
  BuildReadings readings;
  std::size_t contexts = 0;  // that are kept now
  // Where images are isolated: ids and references whose events the owner sees, besides those that bear its label.
  std::set<std::string> seen_images;
  bool refusing = false;

  Ledger& ledger() const { return watch.ledger(); }
  const std::string& server_id() const { return watch.server_id(); }
};

// Counts one for as long as it lives.
class Turn {
 public:
  explicit Turn(std::size_t& taken) : taken_(&taken) { ++taken; }
  Turn(Turn&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
  Turn& operator=(Turn&&) = delete;
  ~Turn() {
    if (taken_ != nullptr) --*taken_;
  }

 private:
  std::size_t* taken_;
};

// Runs work on the pool and comes back to this coroutine's loop with its value.
template <class Work>
Task<std::invoke_result_t<Work>> off_loop(WorkerPool& pool, Work work) {
  using Value = std::invoke_result_t<Work>;
  const auto executor = co_await http::asio::this_coro::executor;
  auto initiate = [&pool, executor, work = std::move(work)](auto handler) mutable {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    pool.submit([shared, executor, work = std::move(work)]() mutable {
      auto value = std::make_shared<Value>(work());
      http::asio::post(executor, [shared, value] { (*shared)(std::move(*value)); });
    });
  };
  co_return co_await http::asio::async_initiate<decltype(http::asio::use_awaitable), void(Value)>(
      std::move(initiate), http::asio::use_awaitable);
}

}  // namespace ebbtide::gateway
