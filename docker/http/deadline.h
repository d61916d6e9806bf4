// Deadline: does something when a time has passed, unless it ended before. A coroutine's local on one loop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace ebbtide::http {

class Deadline {
 public:
  Deadline(const boost::asio::any_io_executor& executor, std::chrono::milliseconds limit,
           std::function<void()> on_expiry)
      : timer_(executor, limit) {
    timer_.async_wait([state = state_, act = std::move(on_expiry)](const boost::system::error_code& code) {
      // An expiry may already be queued when the deadline ends: cancelling does not take it back.
      if (code || state->ended) return;
      state->expired = true;
      act();
    });
  }
  ~Deadline() { state_->ended = true; }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  bool expired() const { return state_->expired; }

 private:
  struct State {
    bool ended = false;
    bool expired = false;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
  boost::asio::steady_timer timer_;
};

}  // namespace ebbtide::http
