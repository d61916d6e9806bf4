// Event: coroutines of one loop wait until another of them says that something has changed. Not thread-safe. Who waits
// looks again at what it waits for: an event tells only that it may be worth while.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "docker/http/stream.h"

namespace ebbtide::grpc {

class Event {
 public:
  explicit Event(const http::asio::any_io_executor& executor)
      : timer_(executor, http::asio::steady_timer::time_point::max()) {}

  http::Task<void> wait() {
    const auto [cancelled] = co_await timer_.async_wait(http::asio::as_tuple(http::asio::use_awaitable));
    static_cast<void>(cancelled);  // it never ends otherwise
  }
  void notify() { timer_.cancel(); }

 private:
  http::asio::steady_timer timer_;
};

}  // namespace ebbtide::grpc
