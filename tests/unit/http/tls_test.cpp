#include <sys/socket.h>

#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "docker/http/tls_stream.h"
#include "tests/unit/http/pair.h"
#include "tests/unit/http/tls_peer.h"

namespace ebbtide::http {
namespace {

using test::Certificate;
using test::Loop;
using test::make_certificate;
using test::TlsPeer;

struct Outcome {
  Result<std::unique_ptr<Connection>> connection = fail(Error::internal("untouched"));
  std::string heard;
  bool clean_end = false;
};

Task<void> connect_to(EngineAddress address, Outcome* outcome) {
  auto stream = co_await connect(address);
  if (stream) {
    outcome->connection = std::make_unique<Connection>(std::move(*stream));
  } else {
    outcome->connection = fail(stream.error());
  }
}

// Says something, ends its half, and hears the other out.
Task<void> say_and_listen(EngineAddress address, std::string said, Outcome* outcome) {
  co_await connect_to(address, outcome);
  if (!outcome->connection) co_return;
  auto& connection = **outcome->connection;
  const auto written = co_await connection.write(said);
  EXPECT_TRUE(written);
  co_await connection.stream().shutdown_send();
  while (true) {
    const auto more = co_await connection.fill();
    outcome->heard.append(connection.buffered());
    connection.consume(connection.buffered().size());
    outcome->clean_end = more && !*more;
    if (!more || !*more) co_return;
  }
}

// Hears all that is said before a close_notify, then answers.
void listen_then_answer(SSL* ssl) {
  std::string heard;
  std::string piece(64 * 1024, '\0');
  int got = 0;
  while ((got = SSL_read(ssl, piece.data(), static_cast<int>(piece.size()))) > 0)
    heard.append(piece, 0, static_cast<std::size_t>(got));
  const bool notified = SSL_get_error(ssl, got) == SSL_ERROR_ZERO_RETURN;
  const auto answer = (notified ? "heard " : "cut off after ") + std::to_string(heard.size());
  SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
  SSL_shutdown(ssl);
}

class Tls : public testing::Test {
 protected:
  EngineAddress address(const TlsPeer& peer) const {
    EngineAddress made{
        .kind = EngineAddress::Kind::kTls, .path = {}, .host = "localhost", .port = peer.port(), .tls = {}};
    made.tls = {ca_.certificate_pem(), client_.certificate_pem(), client_.key_pem()};
    return made;
  }

  const Certificate ca_ = make_certificate("test CA");
  const Certificate server_ = make_certificate("localhost", &ca_);
  const Certificate client_ = make_certificate("client", &ca_);
  Loop loop_;
  Outcome outcome_;
};

TEST_F(Tls, EndsOneHalfAndStillHearsTheOther) {
  TlsPeer peer(ca_, server_, listen_then_answer);
  loop_.spawn(say_and_listen(address(peer), std::string(3'000'000, 'x'), &outcome_));
  loop_.run();
  ASSERT_TRUE(outcome_.connection) << outcome_.connection.error().message;
  EXPECT_EQ(outcome_.heard, "heard 3000000");
  EXPECT_TRUE(outcome_.clean_end);
}

TEST_F(Tls, OffersHttp11Only) {
  std::string chosen;
  TlsPeer peer(ca_, server_, [&chosen](SSL* ssl) {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &name, &size);
    chosen.assign(reinterpret_cast<const char*>(name), size);
    SSL_shutdown(ssl);
  });
  loop_.spawn(connect_to(address(peer), &outcome_));
  loop_.run();
  peer.join();
  EXPECT_EQ(chosen, "http/1.1");
}

TEST_F(Tls, AnEndWithoutNoticeIsNoEnd) {
  TlsPeer peer(ca_, server_, [](SSL* ssl) {
    SSL_write(ssl, "hal", 3);
    ::shutdown(SSL_get_fd(ssl), SHUT_WR);
  });
  loop_.spawn(say_and_listen(address(peer), "x", &outcome_));
  loop_.run();
  EXPECT_EQ(outcome_.heard, "hal");
  EXPECT_FALSE(outcome_.clean_end);
}

TEST_F(Tls, RefusesAnEngineOfAnotherName) {
  const auto other = make_certificate("elsewhere", &ca_);
  TlsPeer peer(ca_, other, listen_then_answer);
  loop_.spawn(connect_to(address(peer), &outcome_));
  loop_.run();
  ASSERT_FALSE(outcome_.connection);
  EXPECT_EQ(outcome_.connection.error().kind, ErrorKind::kUnavailable);
  EXPECT_NE(outcome_.connection.error().message.find("hostname mismatch"), std::string::npos)
      << outcome_.connection.error().message;
}

TEST_F(Tls, RefusesAnEngineOfAnotherCa) {
  const auto other_ca = make_certificate("other CA");
  const auto other = make_certificate("localhost", &other_ca);
  TlsPeer peer(ca_, other, listen_then_answer);
  loop_.spawn(connect_to(address(peer), &outcome_));
  loop_.run();
  ASSERT_FALSE(outcome_.connection);
  EXPECT_NE(outcome_.connection.error().message.find("certificate"), std::string::npos)
      << outcome_.connection.error().message;
}

TEST_F(Tls, SaysWhichTextCannotBeRead) {
  TlsPeer peer(ca_, server_, nullptr);
  auto spoilt = address(peer);
  spoilt.tls.key_pem = "nonsense";
  loop_.spawn(connect_to(spoilt, &outcome_));
  loop_.run();
  ASSERT_FALSE(outcome_.connection);
  EXPECT_EQ(outcome_.connection.error().kind, ErrorKind::kInvalid);
  EXPECT_NE(outcome_.connection.error().message.find("client key"), std::string::npos);
}

Task<void> shake_hands(std::uint16_t port, Result<std::unique_ptr<Stream>>* stream) {
  asio::ip::tcp::socket socket(co_await asio::this_coro::executor);
  const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  co_await socket.async_connect(endpoint, asio::use_awaitable);
  const EngineTls none;
  *stream = co_await make_tls_stream(std::move(socket), "localhost", none, std::chrono::milliseconds(50));
}

TEST_F(Tls, DoesNotWaitForeverForAHandshake) {
  TlsPeer silent(ca_, server_, nullptr);
  Result<std::unique_ptr<Stream>> stream;
  loop_.spawn(shake_hands(silent.port(), &stream));
  loop_.run();
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().kind, ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace ebbtide::http
