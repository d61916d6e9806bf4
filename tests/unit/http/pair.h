// Two ends of a unix socket on a loop of the test's own, and coroutines run to their end.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <chrono>
#include <csignal>
#include <exception>
#include <memory>

#include "docker/http/connection.h"

namespace ebbtide::http::test {

class Loop {
 public:
  Loop() { std::signal(SIGPIPE, SIG_IGN); }  // as the server does: writing to a peer that has gone is an error, no more

  asio::io_context& context() { return context_; }

  // Starts work; run() runs all that was started until it has ended.
  template <class Result>
  void spawn(Task<Result> work) {
    asio::co_spawn(context_, std::move(work), [](const std::exception_ptr& fault, auto&&...) {
      if (fault) std::rethrow_exception(fault);
    });
  }

  void run() {
    context_.run_for(std::chrono::seconds(30));
    EXPECT_TRUE(context_.stopped()) << "something still waits";
    context_.restart();
  }

  std::pair<std::unique_ptr<Connection>, std::unique_ptr<Connection>> pair() {
    asio::local::stream_protocol::socket a(context_);
    asio::local::stream_protocol::socket b(context_);
    asio::local::connect_pair(a, b);
    return {std::make_unique<Connection>(make_unix_stream(std::move(a))),
            std::make_unique<Connection>(make_unix_stream(std::move(b)))};
  }

 private:
  asio::io_context context_;
};

}  // namespace ebbtide::http::test
