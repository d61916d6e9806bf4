// How bytes go through a gateway: framing, cuts, cancellation, half-close.
#include <gmock/gmock.h>

#include <atomic>
#include <future>

#include "tests/unit/gateway/gateway_harness.h"

namespace ebbtide::gateway::test {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string kLogs = "GET /v1.41/containers/db/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\n\r\n";
const std::string kChunked =
    "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

class GatewayStream : public GatewayTest {};

TEST_F(GatewayStream, PingIsAnsweredFromMemory) {
  open([](Wire& wire, const auto&) { return wire.write(answer_text(500, "asked")); });
  const auto answer = get("/_ping");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nOK"));
  EXPECT_THAT(server_->requests(), ElementsAre());
}

TEST_F(GatewayStream, AnObjectIsAskedForByIdAndAnErrorNamesItAsTheClientDid) {
  open([this](Wire& wire, const auto&) {
    return wire.write(answer_text(409, R"({"message":"Container )" + own_ + R"( is not running"})"));
  });
  EXPECT_THAT(ask("POST /v1.41/containers/db/pause HTTP/1.1\r\nHost: d\r\n\r\n"),
              HasSubstr(R"({"message":"Container db is not running"})"));
  EXPECT_THAT(server_->requests(), ElementsAre("POST /v1.41/containers/" + own_ + "/pause"));
}

TEST_F(GatewayStream, ChunksGoThroughAsTheyAreWhereverTheEngineCutsThem) {
  const std::string chunks("5\r\nhello\r\n1\r\n\0\r\n0\r\n\r\n", 21);  // with a NUL
  const std::string answer = kChunked + chunks;
  for (std::size_t cut = 1; cut < answer.size(); ++cut) {
    SCOPED_TRACE(cut);
    open([answer, cut](Wire& wire, const auto&) {
      return wire.write(answer.substr(0, cut)) && wire.write(answer.substr(cut)) && false;
    });
    EXPECT_THAT(ask(kLogs), EndsWith("\r\n\r\n" + chunks));
    TearDown();
  }
}

TEST_F(GatewayStream, AnAnswerThatTheEngineCutsOffNeverLooksWhole) {
  const std::string answer = kChunked + "5\r\nhello\r\n0\r\n\r\n";
  for (std::size_t cut = 0; cut < answer.size(); ++cut) {
    SCOPED_TRACE(cut);
    open([answer, cut](Wire& wire, const auto&) { return wire.write(answer.substr(0, cut)) && false; });
    auto wire = client();
    ASSERT_TRUE(wire.write(kLogs));
    if (cut < kChunked.size())
      EXPECT_THAT(wire.read_message(), StartsWith("HTTP/1.1 503"));
    else
      EXPECT_THAT(wire.read_to_end(), Not(EndsWith("0\r\n\r\n")));
    TearDown();
  }
}

TEST_F(GatewayStream, ARequestThatComesByteByByteIsServed) {
  open([](Wire& wire, const auto&) { return wire.write(answer_text(200, "[]")); });
  auto wire = client();
  for (const char byte : kLogs) ASSERT_TRUE(wire.write(std::string_view(&byte, 1)));
  EXPECT_THAT(wire.read_message(), EndsWith("[]"));
}

TEST_F(GatewayStream, RequestsInOnePieceAreServedInTurn) {
  open([](Wire& wire, const auto& request) {
    return wire.write(answer_text(200, request.target.find("tail=1") == std::string::npos ? "second" : "first"));
  });
  auto wire = client();
  ASSERT_TRUE(
      wire.write("GET /containers/db/logs?tail=1 HTTP/1.1\r\nHost: d\r\n\r\n"
                 "GET /containers/db/logs?tail=2 HTTP/1.1\r\nHost: d\r\n\r\n"));
  EXPECT_THAT(wire.read_message(), EndsWith("first"));
  EXPECT_THAT(wire.read_message(), EndsWith("second"));
}

TEST_F(GatewayStream, AClientThatGoesEndsTheRequestAtTheEngine) {
  const auto rest = std::make_shared<std::promise<std::string>>();
  open([rest](Wire& wire, const auto&) {
    wire.write(kChunked + "2\r\nhi\r\n");
    rest->set_value(wire.read_to_end());
    return false;
  });
  {
    auto wire = client();
    ASSERT_TRUE(wire.write(kLogs));
    ASSERT_THAT(wire.read_until("hi"), EndsWith("hi"));
  }
  auto ended = rest->get_future();
  ASSERT_EQ(ended.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_EQ(ended.get(), "");
}

TEST_F(GatewayStream, AnArchiveGoesUpAsItIsFramed) {
  const auto received = std::make_shared<std::string>();
  open([received](Wire& wire, const auto&) {
    *received = wire.read_until("0\r\n\r\n");
    return wire.write(answer_text(200, ""));
  });
  EXPECT_THAT(ask("PUT /v1.41/containers/db/archive?path=/ HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n3\r\ntar\r\n4\r\nball\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(*received, "3\r\ntar\r\n4\r\nball\r\n0\r\n\r\n");
}

TEST_F(GatewayStream, AClientThatWaitsToBeAskedForItsBodyIsAsked) {
  open([](Wire& wire, const auto&) {
    const auto body = wire.read_exactly(3);
    return wire.write(answer_text(200, body));
  });
  auto wire = client();
  ASSERT_TRUE(
      wire.write("PUT /v1.41/containers/db/archive?path=/ HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\n"
                 "Content-Length: 3\r\n\r\n"));
  EXPECT_EQ(wire.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(wire.write("tar"));
  EXPECT_THAT(wire.read_message(), EndsWith("\r\n\r\ntar"));
}

TEST_F(GatewayStream, AClientThatIsRefusedIsNotAskedForItsBody) {
  open([](Wire&, const auto&) { return false; });
  auto wire = client();
  ASSERT_TRUE(
      wire.write("PUT /v1.41/containers/theirs/archive?path=/ HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\n"
                 "Content-Length: 3\r\n\r\n"));
  EXPECT_THAT(wire.read_to_end(), StartsWith("HTTP/1.1 404"));
}

const std::string kAttach =
    "POST /v1.41/containers/db/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\n"
    "Upgrade: tcp\r\nContent-Length: 0\r\n\r\n";
const std::string kUpgraded =
    "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n"
    "Upgrade: tcp\r\n\r\n";

TEST_F(GatewayStream, HalfAConnectionClosesWithoutTheOther) {
  open([](Wire& wire, const auto&) {
    wire.write(kUpgraded);
    const auto all = wire.read_to_end();  // the client has sent its last, and still reads
    wire.write("heard " + all);
    return false;
  });
  auto wire = client();
  ASSERT_TRUE(wire.write(kAttach));
  ASSERT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
  ASSERT_TRUE(wire.write("all of it"));
  wire.shutdown_send();
  EXPECT_EQ(wire.read_to_end(), "heard all of it");
}

TEST_F(GatewayStream, TheEnginesEndLeavesTheClientsHalfOpen) {
  const auto heard = std::make_shared<std::promise<std::string>>();
  open([heard](Wire& wire, const auto&) {
    wire.write(kUpgraded + "last words");
    wire.shutdown_send();
    heard->set_value(wire.read_to_end());
    return false;
  });
  auto wire = client();
  ASSERT_TRUE(wire.write(kAttach));
  EXPECT_THAT(wire.read_to_end(), EndsWith("last words"));
  ASSERT_TRUE(wire.write("still there"));
  wire.shutdown_send();
  EXPECT_EQ(heard->get_future().get(), "still there");
}

TEST_F(GatewayStream, ATunnelIsEndedWhenItsClientIsGoneForGood) {
  const auto ended = std::make_shared<std::promise<void>>();
  open([ended](Wire& wire, const auto&) {
    wire.write(kUpgraded);
    wire.read_to_end();
    ended->set_value();
    return false;
  });
  {
    auto wire = client();
    ASSERT_TRUE(wire.write(kAttach));
    ASSERT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
  }
  EXPECT_EQ(ended->get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
}

TEST_F(GatewayStream, AnIdleConnectionThatTheEngineClosedIsNoError) {
  const auto served = std::make_shared<std::atomic<int>>(0);
  open([served](Wire& wire, const auto&) {
    wire.write(answer_text(200, "{}"));
    return ++*served != 1;  // and closes the first without a word
  });
  auto wire = client();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(wire.write("GET /v1.41/containers/db/top HTTP/1.1\r\nHost: d\r\n\r\n"));
    EXPECT_THAT(wire.read_message(), StartsWith("HTTP/1.1 200"));
  }
}

TEST_F(GatewayStream, AnEngineThatIsAwayIs503) {
  open([](Wire&, const auto&) { return false; });
  EXPECT_THAT(get("/v1.41/containers/db/top"), StartsWith("HTTP/1.1 503"));
}

TEST_F(GatewayStream, EventsOfOthersAreLeftOut) {
  open([this](Wire& wire, const auto&) {
    const auto line = [](const std::string& id) {
      return R"({"Type":"container","Action":"die","Actor":{"ID":")" + id + R"(","Attributes":{}}})" + "\n";
    };
    const auto body = line(foreign_) + line(own_);
    wire.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (const char byte : body) wire.write("1\r\n" + std::string(1, byte) + "\r\n");
    return wire.write("0\r\n\r\n");
  });
  const auto answer = get("/v1.41/events?until=1");
  EXPECT_THAT(answer, HasSubstr(own_));
  EXPECT_EQ(answer.find(foreign_), std::string::npos) << answer;
}

TEST_F(GatewayStream, AnEndingGatewayTakesNothingNewAndThenEndsWhatRuns) {
  const auto ended = std::make_shared<std::promise<void>>();
  open([ended](Wire& wire, const auto&) {
    wire.write(kChunked + "2\r\nhi\r\n");
    wire.read_to_end();
    ended->set_value();
    return false;
  });
  auto running = client();
  ASSERT_TRUE(running.write(kLogs));
  ASSERT_THAT(running.read_until("hi"), EndsWith("hi"));
  host_->refuse("a1");
  EXPECT_THAT(get("/v1.41/containers/db/top"), StartsWith("HTTP/1.1 503"));
  host_->close("a1");
  EXPECT_EQ(ended->get_future().wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a1"));
}

}  // namespace
}  // namespace ebbtide::gateway::test
