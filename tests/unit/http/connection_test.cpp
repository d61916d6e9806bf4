#include "docker/http/connection.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tests/unit/http/pair.h"

namespace ebbtide::http {
namespace {

using test::Loop;

Task<void> write_in_two(Connection& to, std::string bytes, std::size_t cut) {
  const auto first = bytes.substr(0, cut);
  const auto second = bytes.substr(cut);
  EXPECT_TRUE(co_await to.write(first));
  // Lets the reader see the first piece alone.
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::microseconds(1));
  co_await timer.async_wait(asio::use_awaitable);
  if (!second.empty()) EXPECT_TRUE(co_await to.write(second));
  co_await to.stream().shutdown_send();
}

Task<void> read_two_requests(Connection& from, std::string* first_body, std::string* second_target) {
  auto head = co_await from.read_request_head();
  if (!head || !*head) co_return;
  const BodyFrame frame{(*head)->framing, (*head)->length};
  const auto body = co_await from.read_body(frame, 1 << 20);
  if (body) *first_body = *body;
  auto next = co_await from.read_request_head();
  if (next && *next) *second_target = (*next)->target;
}

class CutRequests : public testing::TestWithParam<std::string> {};

TEST_P(CutRequests, AreReadTheSameWhereverTheyAreCut) {
  const auto bytes = GetParam() + "GET /next HTTP/1.1\r\n\r\n";
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    Loop loop;
    auto [near, far] = loop.pair();
    std::string body;
    std::string target;
    loop.spawn(write_in_two(*far, bytes, cut));
    loop.spawn(read_two_requests(*near, &body, &target));
    loop.run();
    EXPECT_EQ(body, "hello world") << cut;
    EXPECT_EQ(target, "/next") << cut;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Framings, CutRequests,
    testing::Values("POST /a HTTP/1.1\r\nContent-Length: 11\r\n\r\nhello world",
                    "POST /a HTTP/1.1\r\nContent-Length: 11\r\n\r\nhello world\r\n\r\n",
                    "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5;x=y\r\n"
                    "world\r\n0\r\nT: 1\r\n\r\n"));

Task<void> relay_all(Connection& from, Connection& to, BodyFrame frame, Result<std::uint64_t>* moved) {
  *moved = co_await relay_body(from, to, frame);
  co_await to.stream().shutdown_send();
}

Task<void> read_all(Connection& from, std::string* bytes) {
  while (true) {
    const auto more = co_await from.fill();
    bytes->append(from.buffered());
    from.consume(from.buffered().size());
    if (!more || !*more) co_return;
  }
}

struct Relayed {
  std::string bytes;
  Result<std::uint64_t> moved;
};

Relayed relay(const std::string& sent, BodyFrame frame, std::size_t cut) {
  Loop loop;
  auto [client, gateway_in] = loop.pair();
  auto [gateway_out, engine] = loop.pair();
  Relayed relayed{{}, 0};
  loop.spawn(write_in_two(*client, sent, cut));
  loop.spawn(relay_all(*gateway_in, *gateway_out, frame, &relayed.moved));
  loop.spawn(read_all(*engine, &relayed.bytes));
  loop.run();
  return relayed;
}

TEST(Relay, MovesAChunkedBodyByteForByteWhereverItIsCut) {
  const std::string body = "5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n";
  for (std::size_t cut = 0; cut < body.size(); ++cut) {
    const auto relayed = relay(body + "GET /next", {Framing::kChunked, 0}, cut);
    EXPECT_EQ(relayed.bytes, body) << cut;
    EXPECT_EQ(relayed.moved, body.size()) << cut;
  }
}

TEST(Relay, MovesExactlyTheLengthGiven) {
  for (std::size_t cut = 0; cut <= 11; ++cut)
    EXPECT_EQ(relay("hello world and more", {Framing::kLength, 11}, cut).bytes, "hello world");
}

TEST(Relay, MovesLargeBodiesOfEachFramingWhole) {
  const std::string data(3'000'000, 'd');
  EXPECT_EQ(relay(data, {Framing::kLength, data.size()}, 1000).bytes, data);
  EXPECT_EQ(relay(data, {Framing::kUntilClose, 0}, 1000).bytes, data);
  const std::string one_chunk = "2dc6c0\r\n" + data + "\r\n0\r\n\r\n";
  EXPECT_EQ(relay(one_chunk, {Framing::kChunked, 0}, 1000).bytes, one_chunk);
  std::string chunks;
  for (int i = 0; i < 100; ++i) chunks += "8000\r\n" + std::string(0x8000, static_cast<char>('a' + i % 26)) + "\r\n";
  chunks += "0\r\n\r\n";
  EXPECT_EQ(relay(chunks, {Framing::kChunked, 0}, 777).bytes, chunks);
}

TEST(Relay, ABodyThatEndsEarlyIsAnError) {
  EXPECT_FALSE(relay("hel", {Framing::kLength, 5}, 1).moved);
  EXPECT_FALSE(relay("5\r\nhel", {Framing::kChunked, 0}, 1).moved);
  EXPECT_FALSE(relay("zz\r\n", {Framing::kChunked, 0}, 1).moved);
}

Task<void> read_limited(Connection& from, BodyFrame frame, std::size_t limit, Result<std::string>* body) {
  *body = co_await from.read_body(frame, limit);
}

TEST(Connection, RefusesABodyOverItsLimitHoweverItIsFramed) {
  for (const auto& [bytes, frame] :
       {std::pair(std::string(20, 'x'), BodyFrame{Framing::kLength, 20}),
        std::pair(std::string("14\r\n") + std::string(20, 'x'), BodyFrame{Framing::kChunked, 0})}) {
    Loop loop;
    auto [near, far] = loop.pair();
    Result<std::string> body;
    loop.spawn(write_in_two(*far, bytes, bytes.size()));
    loop.spawn(read_limited(*near, frame, 10, &body));
    loop.run();
    ASSERT_FALSE(body);
    EXPECT_EQ(body.error().kind, ErrorKind::kTooLarge);
  }
}

Task<void> read_head(Connection& from, Result<std::optional<RequestHead>>* head) {
  *head = co_await from.read_request_head();
}

TEST(Connection, RefusesTheHttp2Preface) {
  Loop loop;
  auto [near, far] = loop.pair();
  Result<std::optional<RequestHead>> head;
  loop.spawn(write_in_two(*far, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 5));
  loop.spawn(read_head(*near, &head));
  loop.run();
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().kind, ErrorKind::kInvalid);
}

TEST(Connection, ACleanEndIsNoError) {
  Loop loop;
  auto [near, far] = loop.pair();
  Result<std::optional<RequestHead>> head = fail(Error::internal("untouched"));
  far->close();
  loop.spawn(read_head(*near, &head));
  loop.run();
  ASSERT_TRUE(head);
  EXPECT_FALSE(*head);
}

Task<void> run_tunnel(Connection& a, Connection& b) {
  co_await tunnel(a, b, [] {});
}

Task<void> echo_then_say(Connection& peer) {
  std::string heard;
  while (true) {
    const auto more = co_await peer.fill();
    heard.append(peer.buffered());
    peer.consume(peer.buffered().size());
    if (!more || !*more) break;
  }
  const auto answer = "heard " + heard;
  EXPECT_TRUE(co_await peer.write(answer));
  co_await peer.stream().shutdown_send();
}

TEST(Tunnel, PassesAHalfCloseOnAndTheOtherDirectionGoesOn) {
  Loop loop;
  auto [client, gateway_in] = loop.pair();
  auto [gateway_out, engine] = loop.pair();
  std::string heard;
  loop.spawn(run_tunnel(*gateway_in, *gateway_out));
  loop.spawn(echo_then_say(*engine));
  loop.spawn(write_in_two(*client, "stdin", 2));
  loop.spawn(read_all(*client, &heard));
  loop.run();
  EXPECT_EQ(heard, "heard stdin");
}

Task<void> await_gone(Connection& connection, bool* gone) {
  co_await connection.stream().wait_gone();
  *gone = true;
}

TEST(Stream, TellsAPeerThatHasGoneFromOneThatOnlyEndedItsHalf) {
  Loop loop;
  auto [near, far] = loop.pair();
  bool gone = false;
  loop.spawn(await_gone(*near, &gone));
  loop.spawn(far->stream().shutdown_send());
  loop.context().run_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(gone);
  far->close();
  loop.context().restart();
  loop.run();
  EXPECT_TRUE(gone);
}

Task<void> read_twice(Stream& stream, int* ends) {
  char byte = 0;
  for (int i = 0; i < 2; ++i) {
    const auto got = co_await stream.read_some(asio::buffer(&byte, 1));
    if (got && *got == 0) ++*ends;
  }
}

TEST(Stream, TellsAnEndAsOftenAsItIsAsked) {
  Loop loop;
  auto [near, far] = loop.pair();
  int ends = 0;
  loop.spawn(read_twice(near->stream(), &ends));
  loop.context().poll();  // the read waits before the end comes
  loop.spawn(far->stream().shutdown_send());
  loop.run();
  EXPECT_EQ(ends, 2);
}

Task<void> flood(Connection& to, std::uint64_t* written) {
  const std::string piece(64 * 1024, 'x');
  while (co_await to.write(piece)) *written += piece.size();
}

TEST(Relay, ReadsNoMoreThanASlowReaderTakes) {
  Loop loop;
  auto [client, gateway_in] = loop.pair();
  auto [gateway_out, engine] = loop.pair();
  std::uint64_t written = 0;
  Result<std::uint64_t> moved = 0;
  loop.spawn(flood(*client, &written));
  loop.spawn(relay_all(*gateway_in, *gateway_out, {Framing::kUntilClose, 0}, &moved));
  loop.context().run_for(std::chrono::milliseconds(300));  // nobody reads at the engine's end
  EXPECT_LT(written, 32U << 20);
  for (auto* each : {client.get(), gateway_in.get(), gateway_out.get(), engine.get()}) each->close();
  loop.context().restart();
  loop.run();
}

}  // namespace
}  // namespace ebbtide::http
