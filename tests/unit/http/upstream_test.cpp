#include "docker/http/upstream.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tests/unit/http/pair.h"

namespace ebbtide::http {
namespace {

using Unix = asio::local::stream_protocol;
using test::Loop;

// An engine at a real socket: every connection gets the answers in turn, one a request, and is then closed.
class Engine {
 public:
  Engine(Loop& loop, std::vector<std::string> answers)
      : answers_(std::move(answers)), path_("http-upstream-" + std::to_string(::getpid()) + ".sock") {
    ::unlink(path_.c_str());
    acceptor_ = std::make_unique<Unix::acceptor>(loop.context(), Unix::endpoint(path_));
  }
  ~Engine() { ::unlink(path_.c_str()); }

  EngineAddress address() const { return {.path = path_, .host = {}, .tls = {}}; }
  std::size_t connections() const { return connections_; }

  Task<void> serve(std::size_t connections) {
    while (connections_ < connections) {
      auto [code, socket] = co_await acceptor_->async_accept(asio::as_tuple(asio::use_awaitable));
      if (code) co_return;
      ++connections_;
      Connection connection(make_unix_stream(std::move(socket)));
      co_await answer(connection);
    }
  }

 private:
  Task<void> answer(Connection& connection) {
    for (const auto& text : answers_) {
      const auto head = co_await connection.read_request_head();
      if (!head || !*head) co_return;
      const BodyFrame frame{(*head)->framing, (*head)->length};
      EXPECT_TRUE(co_await connection.read_body(frame, 1 << 20));
      if (text.empty()) break;
      EXPECT_TRUE(co_await connection.write(text));
    }
    connection.close();
  }

  std::vector<std::string> answers_;
  std::string path_;
  std::unique_ptr<Unix::acceptor> acceptor_;
  std::size_t connections_ = 0;
};

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

Task<void> call(Upstream& upstream, std::string method, std::vector<Result<SmallAnswer>>* answers, std::size_t times) {
  for (std::size_t i = 0; i < times; ++i) {
    auto answer = co_await upstream.call(method, "/info");
    answers->push_back(std::move(answer));
  }
}

// Its idle connections end with it.
Task<void> call_and_end(EngineAddress address, std::vector<Result<SmallAnswer>>* answers, std::size_t times) {
  Upstream upstream(std::move(address));
  co_await call(upstream, "GET", answers, times);
}

TEST(Upstream, UsesAConnectionAgain) {
  Loop loop;
  Engine engine(loop, {kOk, kOk, kOk});
  Upstream upstream(engine.address());
  std::vector<Result<SmallAnswer>> answers;
  loop.spawn(engine.serve(1));
  loop.spawn(call(upstream, "GET", &answers, 3));
  loop.run();
  ASSERT_EQ(answers.size(), 3U);
  for (const auto& answer : answers) EXPECT_EQ(answer->body, "ok");
  EXPECT_EQ(engine.connections(), 1U);
}

TEST(Upstream, DropsIdleConnectionsThatTheEngineClosed) {
  Loop loop;
  Engine engine(loop, {kOk});
  Upstream upstream(engine.address());
  std::vector<Result<SmallAnswer>> answers;
  loop.spawn(engine.serve(2));
  loop.spawn(call(upstream, "POST", &answers, 1));
  loop.context().run_for(std::chrono::milliseconds(50));
  loop.spawn(call(upstream, "POST", &answers, 1));
  loop.context().restart();
  loop.run();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_TRUE(answers[1]) << "a POST is not sent twice, so the dead connection must not be tried";
  EXPECT_EQ(engine.connections(), 2U);
}

TEST(Upstream, AsksOnceMoreWhenAReusedConnectionDiesBeforeAnAnswer) {
  Loop loop;
  Engine engine(loop, {kOk, ""});
  std::vector<Result<SmallAnswer>> answers;
  loop.spawn(engine.serve(2));
  loop.spawn(call_and_end(engine.address(), &answers, 2));
  loop.run();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_TRUE(answers[1]);
  EXPECT_EQ(engine.connections(), 2U);
}

TEST(Upstream, PassesOverInterimAnswers) {
  Loop loop;
  Engine engine(loop, {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + kOk});
  Upstream upstream(engine.address());
  std::vector<Result<SmallAnswer>> answers;
  loop.spawn(engine.serve(1));
  loop.spawn(call(upstream, "GET", &answers, 1));
  loop.run();
  ASSERT_TRUE(answers.at(0));
  EXPECT_EQ(answers[0]->head.status, 200);
  EXPECT_EQ(answers[0]->body, "ok");
}

TEST(Upstream, AnAnswerThatEndsWithTheConnectionIsNotUsedAgain) {
  Loop loop;
  Engine engine(loop, {"HTTP/1.1 200 OK\r\n\r\nuntil the end"});
  Upstream upstream(engine.address());
  std::vector<Result<SmallAnswer>> answers;
  loop.spawn(engine.serve(2));
  loop.spawn(call(upstream, "GET", &answers, 2));
  loop.run();
  ASSERT_EQ(answers.size(), 2U);
  for (const auto& answer : answers) EXPECT_EQ(answer->body, "until the end");
  EXPECT_EQ(engine.connections(), 2U);
}

TEST(Upstream, SaysWhichEngineCannotBeReached) {
  Loop loop;
  Upstream upstream(EngineAddress{.path = "/nowhere.sock", .host = {}, .tls = {}});
  std::vector<Result<SmallAnswer>> answers;
  loop.spawn(call(upstream, "GET", &answers, 1));
  loop.run();
  ASSERT_FALSE(answers.at(0));
  EXPECT_EQ(answers[0].error().kind, ErrorKind::kUnavailable);
  EXPECT_NE(answers[0].error().message.find("/nowhere.sock"), std::string::npos);
}

Task<void> connect_to(EngineAddress address, std::unique_ptr<Stream>* stream) {
  auto connected = co_await connect(address);
  if (connected) *stream = std::move(*connected);
}

Task<void> accept_all(Unix::acceptor& acceptor, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    auto [code, socket] = co_await acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    EXPECT_FALSE(code);
  }
}

TEST(Connect, WaitsForAnEngineWhoseBacklogIsFull) {
  Loop loop;
  const auto path = "http-backlog-" + std::to_string(::getpid()) + ".sock";
  ::unlink(path.c_str());
  Unix::acceptor acceptor(loop.context());
  acceptor.open();
  acceptor.bind(Unix::endpoint(path));
  acceptor.listen(1);
  std::vector<std::unique_ptr<Stream>> streams(4);
  for (auto& stream : streams) loop.spawn(connect_to({.path = path, .host = {}, .tls = {}}, &stream));
  loop.context().run_for(std::chrono::milliseconds(30));
  EXPECT_LT(std::ranges::count_if(streams, [](const auto& stream) { return stream != nullptr; }), 4);
  loop.spawn(accept_all(acceptor, streams.size()));
  loop.context().restart();
  loop.run();
  for (const auto& stream : streams) EXPECT_TRUE(stream);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace ebbtide::http
