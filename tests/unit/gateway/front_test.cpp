// The front over TLS at loopback, before gateways that are plain sockets of the test's own.
#include "docker/gateway/front.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <thread>

#include "docker/base/secret.h"
#include "docker/gateway/authority.h"
#include "tests/unit/http/pair.h"

namespace ebbtide::gateway {
namespace {

using http::Connection;
using http::Task;
using http::test::Loop;

// Takes one connection at a unix socket and gives it to talk.
class Gateway {
 public:
  Gateway(const std::string& path, std::function<void(int)> talk) : listener_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_, 4), 0);
    thread_ = std::thread([this, talk = std::move(talk)] {
      const int socket = ::accept(listener_, nullptr, nullptr);
      if (socket < 0) return;
      came_ = true;
      talk(socket);
      ::close(socket);
    });
  }
  ~Gateway() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  bool came() const { return came_; }

 private:
  int listener_;
  std::atomic<bool> came_ = false;
  std::thread thread_;
};

// Everything back, and the end after the end.
void echo(int socket) {
  std::string piece(64 * 1024, '\0');
  ssize_t got = 0;
  while ((got = ::read(socket, piece.data(), piece.size())) > 0)
    for (ssize_t sent = 0; sent < got;) {
      const auto wrote = ::write(socket, piece.data() + sent, static_cast<std::size_t>(got - sent));
      if (wrote <= 0) return;
      sent += wrote;
    }
}

struct Heard {
  bool connected = false;
  bool clean_end = false;
  std::string text;
};

Task<void> listen(Connection& connection, Heard* heard) {
  while (true) {
    const auto more = co_await connection.fill();
    heard->text.append(connection.buffered());
    connection.consume(connection.buffered().size());
    heard->clean_end = more && !*more;
    if (!more || !*more) co_return;
  }
}

Task<void> connect_to(EngineAddress address, std::shared_ptr<Connection>* connection) {
  auto stream = co_await http::connect(address);
  if (stream) *connection = std::make_shared<Connection>(std::move(*stream));
}

Task<void> say(std::shared_ptr<Connection> connection, std::string text) {
  co_await connection->write(text);  // who is refused may be cut off in it
  co_await connection->stream().shutdown_send();
}

Task<void> listen_to(std::shared_ptr<Connection> connection, Heard* heard) { co_await listen(*connection, heard); }

class FrontTest : public testing::Test {
 protected:
  FrontTest() {
    std::filesystem::create_directory(folder);
    authority = Authority::open(folder / "ca.pem").value();
    restart({});
  }
  ~FrontTest() override {
    front.reset();
    std::filesystem::remove_all(folder);
  }

  void restart(FrontSettings settings) {
    settings.address = "127.0.0.1";
    settings.tls = authority->for_server(host).value();
    settings.socket_of = [this](const auto& owner) { return folder / owner; };
    auto started = Front::start(std::move(settings));
    ASSERT_TRUE(started) << started.error().message;
    front = std::move(*started);
  }
  EngineAddress address(EngineTls tls) const {
    return {.kind = EngineAddress::Kind::kTls, .path = {}, .host = host, .port = front->port(), .tls = std::move(tls)};
  }
  std::shared_ptr<Connection> connect(EngineTls tls) {
    std::shared_ptr<Connection> connection;
    loop.spawn(connect_to(address(std::move(tls)), &connection));
    loop.run();
    return connection;
  }
  // What a client with these credentials hears when it has said text and ended its half.
  Heard talk(EngineTls tls, const std::string& text) {
    Heard heard;
    const auto connection = connect(std::move(tls));
    heard.connected = connection != nullptr;
    if (!connection) return heard;
    loop.spawn(say(connection, text));
    loop.spawn(listen_to(connection, &heard));
    loop.run();
    return heard;
  }

  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("ebbtide-front-" + random_hex(4));
  std::shared_ptr<const Authority> authority;
  std::string host = "127.0.0.1";  // by which clients reach it
  std::unique_ptr<Front> front;
  Loop loop;
};

TEST_F(FrontTest, LargeBodiesGoBothWaysAndAHalfClosedConnectionGoesOn) {
  const Gateway gateway(folder / "eb-1", echo);
  std::string text;
  while (text.size() < 24'000'000) text += random_hex(16 * 1024);
  const auto heard = talk(authority->for_agent("eb-1").value(), text);
  EXPECT_TRUE(heard.clean_end);
  EXPECT_TRUE(heard.text == text) << heard.text.size() << " of " << text.size();
}

TEST_F(FrontTest, TheAnswerComesAfterTheEndOfTheQuestion) {
  const Gateway gateway(folder / "eb-1", [](int socket) {
    char byte = 0;
    int count = 0;
    while (::read(socket, &byte, 1) > 0) ++count;
    const auto answer = "heard " + std::to_string(count);
    EXPECT_EQ(::write(socket, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
  });
  const auto heard = talk(authority->for_agent("eb-1").value(), "12345");
  EXPECT_EQ(heard.text, "heard 5");
  EXPECT_TRUE(heard.clean_end);
}

TEST_F(FrontTest, AnAnswerBeforeTheEndOfALongQuestionIsNotLost) {
  const Gateway gateway(folder / "eb-1", [](int socket) { EXPECT_EQ(::write(socket, "no", 2), 2); });
  const auto heard = talk(authority->for_agent("eb-1").value(), std::string(8'000'000, 'x'));
  EXPECT_EQ(heard.text, "no");
  EXPECT_TRUE(heard.clean_end);
}

TEST_F(FrontTest, AClientThatGoesForGoodIsGoneForItsGatewayToo) {
  std::promise<bool> hung_up;
  const Gateway gateway(folder / "eb-1", [&](int socket) {
    pollfd waits{.fd = socket, .events = 0, .revents = 0};  // POLLHUP comes unasked
    hung_up.set_value(::poll(&waits, 1, 20'000) == 1 && (waits.revents & POLLHUP));
  });
  auto connection = connect(authority->for_agent("eb-1").value());
  ASSERT_TRUE(connection);
  connection->close();
  EXPECT_TRUE(hung_up.get_future().get());
}

TEST_F(FrontTest, EachCertificateLeadsToItsOwnGatewayOnly) {
  const Gateway mine(folder / "eb-1", echo);
  const Gateway other(folder / "eb-2", echo);
  EXPECT_EQ(talk(authority->for_agent("eb-2").value(), "two").text, "two");
  EXPECT_FALSE(mine.came());
}

TEST_F(FrontTest, AnAgentWithoutAGatewayIsTurnedAway) {
  const auto heard = talk(authority->for_agent("eb-9").value(), "hello");
  EXPECT_TRUE(heard.connected);
  EXPECT_EQ(heard.text, "");
}

TEST_F(FrontTest, OnlyCertificatesOfItsOwnAuthorityThatAreValidLetIn) {
  const Gateway gateway(folder / "eb-1", echo);
  const auto good = authority->for_agent("eb-1").value();
  const auto other = Authority::open(folder / "other.pem").value();
  auto foreign = other->for_agent("eb-1").value();
  foreign.ca_pem = good.ca_pem;
  EXPECT_EQ(talk(foreign, "foreign").text, "");
  EXPECT_EQ(talk({.ca_pem = good.ca_pem, .cert_pem = {}, .key_pem = {}}, "none").text, "");
  EXPECT_EQ(talk(authority->for_agent("eb-1", std::chrono::seconds(-10)).value(), "expired").text, "");
  EXPECT_EQ(talk(authority->for_server("eb-1").value(), "a server's").text, "");
  EXPECT_FALSE(gateway.came());
  EXPECT_EQ(talk(good, "good").text, "good");
}

TEST_F(FrontTest, AnAddressOrANameIsWhatItsCertificateIsFor) {
  const Gateway gateway(folder / "eb-1", echo);
  const auto tls = authority->for_agent("eb-1").value();
  host = "localhost";
  EXPECT_FALSE(talk(tls, "hello").connected) << "its certificate is for 127.0.0.1";
  restart({});
  EXPECT_EQ(talk(tls, "hello").text, "hello");
}

TEST_F(FrontTest, AClientWithAnotherAuthorityDoesNotTrustIt) {
  const auto other = Authority::open(folder / "other.pem").value();
  auto tls = authority->for_agent("eb-1").value();
  tls.ca_pem = other->for_agent("eb-1")->ca_pem;
  EXPECT_FALSE(talk(tls, "hello").connected);
}

// With room for one handshake only, the next client waits for the silent one's end, and gets in then.
TEST_F(FrontTest, WhoSaysNothingIsCutOffAndHoldsNobodyUpForLong) {
  restart({.handshake_limit = std::chrono::milliseconds(200), .most_handshakes = 1});
  http::asio::ip::tcp::socket silent(loop.context());
  silent.connect({http::asio::ip::make_address("127.0.0.1"), front->port()});
  const Gateway gateway(folder / "eb-1", echo);
  EXPECT_EQ(talk(authority->for_agent("eb-1").value(), "hello").text, "hello");
  char byte = 0;
  boost::system::error_code end;
  silent.read_some(http::asio::buffer(&byte, 1), end);
  EXPECT_EQ(end, http::asio::error::eof);
}

TEST_F(FrontTest, ItsEndEndsHandshakesAndConnections) {
  const Gateway gateway(folder / "eb-1", echo);
  http::asio::ip::tcp::socket silent(loop.context());
  silent.connect({http::asio::ip::make_address("127.0.0.1"), front->port()});
  const auto connection = connect(authority->for_agent("eb-1").value());
  ASSERT_TRUE(connection);
  front.reset();
  Heard heard;
  loop.spawn(listen_to(connection, &heard));
  loop.run();
  EXPECT_EQ(heard.text, "");
  char byte = 0;
  boost::system::error_code end;
  EXPECT_EQ(silent.read_some(http::asio::buffer(&byte, 1), end), 0U);
  EXPECT_TRUE(end);
}

TEST_F(FrontTest, AnAddressThatIsTakenIsTold) {
  const auto second = Front::start({.address = "127.0.0.1",
                                    .port = front->port(),
                                    .tls = authority->for_server("127.0.0.1").value(),
                                    .socket_of = {}});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("gateway_listen"), std::string::npos);
}

}  // namespace
}  // namespace ebbtide::gateway
