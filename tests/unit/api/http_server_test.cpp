#include "api/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "tests/unit/api/raw_client.h"

namespace ebbtide::api {
namespace {

using namespace std::chrono_literals;
using test::ask;
using test::RawClient;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::size_t kMiB = 1 << 20;

HttpResponse echo(const HttpRequest& request) {
  if (request.path == "/fault") throw std::runtime_error("hunter2");
  HttpResponse response;
  response.body = request.method + " " + request.path + " " + std::to_string(request.body.size());
  if (request.path == "/peer") response.body = request.peer;
  if (request.path == "/query") response.body = request.query.contains("a") ? request.query.at("a") : "none";
  return response;
}

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() { EXPECT_TRUE(server.start("127.0.0.1", 0)); }
  std::uint16_t port() const { return server.port(); }

  std::atomic<int> handled = 0;
  HttpServer server{{.threads = 8, .read_limit = 300ms}, [this](const HttpRequest& request) {
                      ++handled;
                      return echo(request);
                    }};
};

TEST_F(HttpServerTest, AnswersOnAPortOfItsOwn) {
  EXPECT_NE(port(), 0);
  const auto answer = ask(port(), "GET", "/a%20b?a=1");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "GET /a b 0");
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
}

TEST_F(HttpServerTest, ATakenPortIsAnError) {
  HttpServer second({.threads = 1}, echo);
  const auto started = second.start("127.0.0.1", port());
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message, HasSubstr("the port is taken"));
}

TEST_F(HttpServerTest, AnAddressOfAnotherMachineIsAnError) {
  HttpServer second({.threads = 1}, echo);
  EXPECT_FALSE(second.start("192.0.2.1", 0));
}

TEST_F(HttpServerTest, HeadIsAsGetWithoutTheBody) {
  RawClient client(port());
  client.send("HEAD /x HTTP/1.1\r\nHost: test\r\n\r\n");
  const auto head = client.answer(false);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), "9");
  client.send("GET /y HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(client.answer().body, "GET /y 0");
}

TEST_F(HttpServerTest, MethodsThatNobodyServesAreRefused) {
  for (const auto* method : {"PUT", "PATCH", "DELETE", "OPTIONS"}) {
    const auto answer = ask(port(), method, "/x");
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.header("allow"), "GET, HEAD, POST") << method;
  }
  for (const auto* method : {"TRACE", "CONNECT", "BREW"})
    EXPECT_THAT(ask(port(), method, "/x").status, AnyOf(400, 405));
  EXPECT_EQ(handled, 0);
}

TEST_F(HttpServerTest, ABodyOfAMebibyteIsTheLargest) {
  EXPECT_EQ(ask(port(), "POST", "/x", "", std::string(kMiB, 'x')).body, "POST /x 1048576");
  EXPECT_EQ(ask(port(), "POST", "/x", "Content-Type: application/json\r\n", std::string(kMiB + 1, 'x')).status, 413);
  EXPECT_EQ(handled, 1);
}

TEST_F(HttpServerTest, ABodyInChunksHasTheSameLimit) {
  RawClient client(port());
  client.send("POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(client.answer().body, "POST /x 5");
  RawClient large(port());
  large.send("POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  for (int i = 0; i < 20; ++i)
    if (!large.send(chunk)) break;
  EXPECT_THAT(large.answer().status, AnyOf(413, 0));
  EXPECT_EQ(handled, 1);
}

TEST_F(HttpServerTest, APostWithoutALengthHasNoBody) {
  RawClient client(port());
  client.send("POST /x HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(client.answer().body, "POST /x 0");
}

TEST_F(HttpServerTest, FormsAreNotRead) {
  const std::string form = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
  EXPECT_EQ(ask(port(), "POST", "/query", "Content-Type: multipart/form-data; boundary=b\r\n", form).status, 415);
  EXPECT_EQ(handled, 0);
  EXPECT_EQ(ask(port(), "POST", "/query", "Content-Type: application/x-www-form-urlencoded\r\n", "a=1").body, "none");
  EXPECT_EQ(ask(port(), "GET", "/query?a=1").body, "1");
}

// What lies behind the head would be taken for the next request.
TEST_F(HttpServerTest, AGetWithABodyIsRefusedAndItsConnectionEnds) {
  RawClient client(port());
  client.send("GET /x HTTP/1.1\r\nHost: test\r\nContent-Length: 34\r\n\r\n");
  EXPECT_EQ(client.answer().status, 400);
  client.send("POST /end HTTP/1.1\r\nHost: test\r\n\r\n");
  while (client.fill()) {
  }
  EXPECT_EQ(client.kept(), "");
  EXPECT_EQ(handled, 0);
}

TEST_F(HttpServerTest, ALengthAndChunksTogetherAreRefused) {
  RawClient client(port());
  client.send("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  EXPECT_EQ(client.answer().status, 400);
  EXPECT_EQ(handled, 0);
}

TEST_F(HttpServerTest, RangesAreNotServed) {
  for (const auto* range : {"bytes=0-1", "bytes=0-0,0-0,0-0,0-0,0-0,0-0", "bytes=9-1", "lines=1"}) {
    const auto answer = ask(port(), "GET", "/x", std::string("Range: ") + range + "\r\n");
    EXPECT_EQ(answer.status, 416) << range;
    EXPECT_EQ(answer.body, "") << range;
  }
}

TEST_F(HttpServerTest, ThePeerIsTheSocketsAndCanNotBeShadowed) {
  EXPECT_EQ(ask(port(), "GET", "/peer").body, "127.0.0.1");
  for (const auto* name : {"REMOTE_ADDR", "remote_port", "LOCAL_ADDR", "Local_Port"})
    EXPECT_EQ(ask(port(), "GET", "/peer", std::string(name) + ": 10.0.0.1\r\n").status, 400) << name;
}

TEST_F(HttpServerTest, AFaultOfOursShowsNothingOfIt) {
  const auto answer = ask(port(), "GET", "/fault");
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, HasSubstr("internal fault"));
  EXPECT_THAT(answer.body, Not(HasSubstr("hunter2")));
}

TEST_F(HttpServerTest, NoHttpIsRefused) {
  RawClient client(port());
  client.send("\x16\x03\x01 not http\r\n\r\n");
  EXPECT_THAT(client.answer().status, AnyOf(400, 0));
  EXPECT_EQ(ask(port(), "GET", "/ok").status, 200);
}

TEST_F(HttpServerTest, AHeadOrTargetWithoutEndIsCut) {
  EXPECT_THAT(ask(port(), "GET", "/" + std::string(10'000, 'x')).status, AnyOf(400, 414));
  EXPECT_THAT(ask(port(), "GET", "/x", "X-Long: " + std::string(100'000, 'x') + "\r\n").status, AnyOf(400, 431, 0));
  EXPECT_EQ(handled, 0);
}

TEST_F(HttpServerTest, ASlowClientKeepsNobodyWaitingAndIsLetGo) {
  RawClient slow(port());
  slow.send("POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf");
  EXPECT_EQ(ask(port(), "GET", "/quick").status, 200);
  EXPECT_EQ(slow.answer().status, 408);
  EXPECT_EQ(handled, 1);
}

TEST_F(HttpServerTest, AStreamIsSentAsItComesAndItsEndIsTold) {
  std::atomic<int> ended = 0;
  HttpServer streaming({.threads = 8}, [&ended](const HttpRequest&) {
    HttpResponse response{.content_type = "text/plain"};
    response.stream = [left = std::make_shared<int>(3)](std::string& piece) {
      piece = "line\n";
      return (*left)-- > 0;
    };
    response.stream_ended = [&ended] { ++ended; };
    return response;
  });
  ASSERT_TRUE(streaming.start("127.0.0.1", 0));
  RawClient client(streaming.port());
  client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.answer(false).header("transfer-encoding"), "chunked");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.stream_line(), "line");
  EXPECT_EQ(client.until("\r\n\r\n"), "0");
  streaming.stop();
  EXPECT_EQ(ended, 1);
}

TEST_F(HttpServerTest, StopsAndStartsNoMore) {
  server.stop();
  RawClient late(port());
  EXPECT_FALSE(late.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n") && late.fill());
}

}  // namespace
}  // namespace ebbtide::api
