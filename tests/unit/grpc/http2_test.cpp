// Two ends of HTTP/2 over a pair of sockets, on one loop.
#include "docker/grpc/http2.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <csignal>

#include "docker/grpc/message.h"

namespace ebbtide::grpc {
namespace {

namespace asio = http::asio;
using asio::local::stream_protocol;

const Headers kHead = {{":method", "POST"}, {":scheme", "http"}, {":path", "/a/b"}, {":authority", "d"}};
const Headers kAnswer = {{":status", "200"}};

class Http2Pair : public testing::Test {
 protected:
  Http2Pair() {
    std::signal(SIGPIPE, SIG_IGN);  // as the server does
    stream_protocol::socket one(loop_);
    stream_protocol::socket two(loop_);
    asio::local::connect_pair(one, two);
    client_connection_.emplace(http::make_unix_stream(std::move(one)));
    server_connection_.emplace(http::make_unix_stream(std::move(two)));
    client_.emplace(*client_connection_, loop_.get_executor(), Http2::Side::kClient);
    server_.emplace(*server_connection_, loop_.get_executor(), Http2::Side::kServer);
    spawn(client_->run());
    spawn(server_->run());
  }
  ~Http2Pair() override {
    client_->end();
    server_->end();
    loop_.run();
  }

  void spawn(Task<void> work) {
    asio::co_spawn(loop_, std::move(work), [](std::exception_ptr fault) {
      if (fault) std::rethrow_exception(fault);
    });
  }
  // Runs the loop until work has ended.
  void run(Task<void> work) {
    bool done = false;
    asio::co_spawn(loop_, std::move(work), [&](std::exception_ptr fault) {
      done = true;
      if (fault) std::rethrow_exception(fault);
    });
    while (!done) loop_.run_one();
  }

  asio::io_context loop_{1};
  std::optional<http::Connection> client_connection_;
  std::optional<http::Connection> server_connection_;
  std::optional<Http2> client_;
  std::optional<Http2> server_;
};

TEST_F(Http2Pair, ACallGoesThereAndBack) {
  run([](Http2& client, Http2& server) -> Task<void> {
    const auto call = client.open(kHead);
    auto written = co_await call->write("question");
    EXPECT_TRUE(written);
    call->finish();
    const auto served = co_await server.accept();
    EXPECT_EQ(value_of(served->head(), ":path"), "/a/b");
    const auto question = co_await read_all(*served, 100);
    EXPECT_EQ(question, "question");
    served->respond(kAnswer, false);
    written = co_await served->write("answer");
    EXPECT_TRUE(written);
    served->finish({{"grpc-status", "0"}});
    const auto head = co_await call->wait_head();
    EXPECT_TRUE(head);
    const auto answer = co_await read_all(*call, 100);
    EXPECT_EQ(answer, "answer");
    EXPECT_EQ(value_of(call->trailers(), "grpc-status"), "0");
    EXPECT_TRUE(call->at_end());
  }(*client_, *server_));
}

TEST_F(Http2Pair, AnAnswerMayBeAHeadAlone) {
  run([](Http2& client, Http2& server) -> Task<void> {
    const auto call = client.open(kHead);
    const auto served = co_await server.accept();
    answer_error(*served, Code::kPermissionDenied, "50% of\nit");
    const auto rest = co_await read_all(*call, 100);
    EXPECT_EQ(rest, "");
    EXPECT_EQ(value_of(call->head(), "grpc-status"), "7");
    EXPECT_EQ(value_of(call->head(), "grpc-message"), "50%25 of%0Ait");
  }(*client_, *server_));
}

TEST_F(Http2Pair, AWriterWaitsForItsReader) {
  run([](Http2& client, Http2& server, asio::io_context& loop) -> Task<void> {
    constexpr std::size_t kPieces = 200;
    const auto call = client.open(kHead);
    const auto served = co_await server.accept();
    std::size_t written = 0;
    bool done = false;
    auto write = [&]() -> Task<void> {
      for (; written < kPieces; ++written) {
        const auto one = co_await call->write(std::string(64 << 10, 'x'));
        EXPECT_TRUE(one);
      }
      call->finish();
      done = true;
    };
    asio::co_spawn(loop, write(), [](const std::exception_ptr&) {});
    // Until nothing moves: the writer is far from its end.
    for (std::size_t still = 0, last = 0; still < 1000; still = written == last ? still + 1 : 0) {
      last = written;
      co_await asio::post(loop, asio::use_awaitable);
    }
    EXPECT_LT(written, 16U);
    EXPECT_FALSE(done);
    const auto all = co_await read_all(*served, kPieces << 16);
    EXPECT_TRUE(all);
    if (all) EXPECT_EQ(all->size(), kPieces << 16);
    EXPECT_TRUE(done);
  }(*client_, *server_, loop_));
}

TEST_F(Http2Pair, AResetIsHeardAtTheOtherEnd) {
  run([](Http2& client, Http2& server) -> Task<void> {
    const auto call = client.open(kHead);
    const auto served = co_await server.accept();
    bool told = false;
    served->when_closed([&told] { told = true; });
    call->reset();
    const auto rest = co_await served->read();
    EXPECT_FALSE(rest);
    EXPECT_TRUE(told);
    EXPECT_TRUE(served->closed());
    const auto written = co_await served->write("late");
    EXPECT_FALSE(written);
    served->respond(kAnswer, true);  // of no consequence
  }(*client_, *server_));
}

TEST_F(Http2Pair, AServerThatHasSaidAllEndsTheCall) {
  run([](Http2& client, Http2& server) -> Task<void> {
    const auto call = client.open(kHead);
    const auto served = co_await server.accept();
    served->respond(kAnswer, true);
    const auto rest = co_await served->read();  // the client never ended its half
    EXPECT_FALSE(rest);
    const auto answer = co_await read_all(*call, 100);
    EXPECT_EQ(answer, "");
  }(*client_, *server_));
}

TEST_F(Http2Pair, TheEndOfTheConnectionIsTheEndOfItsCalls) {
  run([](Http2& client, Http2& server) -> Task<void> {
    const auto call = client.open(kHead);
    const auto served = co_await server.accept();
    server.end();
    const auto head = co_await call->wait_head();
    EXPECT_FALSE(head);
    EXPECT_TRUE(served->closed());
    const auto next = co_await server.accept();
    EXPECT_EQ(next, nullptr);
    const auto late = client.open(kHead);
    EXPECT_TRUE(late->closed());
  }(*client_, *server_));
}

TEST_F(Http2Pair, ATooLargeHeadIsReset) {
  run([](Http2& client, Http2&) -> Task<void> {
    auto head = kHead;
    for (int i = 0; i < 40; ++i) head.push_back({"x-" + std::to_string(i), std::string(3000, 'x')});
    const auto call = client.open(head);
    const auto answered = co_await call->wait_head();
    EXPECT_FALSE(answered);
  }(*client_, *server_));
}

TEST_F(Http2Pair, MoreStreamsThanAllowedWait) {
  run([](Http2& client, Http2& server) -> Task<void> {
    std::vector<std::shared_ptr<Stream>> calls;
    for (int i = 0; i < 150; ++i) calls.push_back(client.open(kHead));
    for (int i = 0; i < 150; ++i) {
      const auto served = co_await server.accept();
      served->respond(kAnswer, true);
    }
    for (const auto& call : calls) {
      const auto head = co_await call->wait_head();
      EXPECT_TRUE(head);
    }
  }(*client_, *server_));
}

TEST_F(Http2Pair, WhatIsNotHttp2EndsTheConnection) {
  server_->end();
  stream_protocol::socket one(loop_);
  stream_protocol::socket two(loop_);
  asio::local::connect_pair(one, two);
  http::Connection connection(http::make_unix_stream(std::move(two)));
  Http2 server(connection, loop_.get_executor(), Http2::Side::kServer);
  asio::write(one, asio::buffer(std::string("GET / HTTP/1.1\r\n\r\n")));
  run(server.run());
}

}  // namespace
}  // namespace ebbtide::grpc
