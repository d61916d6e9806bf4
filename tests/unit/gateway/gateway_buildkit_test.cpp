// Builds with BuildKit through a gateway: whose session and whose build it is.
#include <gmock/gmock.h>

#include "docker/gateway/buildkit.h"
#include "tests/unit/gateway/gateway_harness.h"

namespace ebbtide::gateway::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

std::string upgrade(const std::string& path, const std::string& headers) {
  return "POST " + path + " HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + headers + "\r\n";
}

std::string session(const std::string& id, const std::string& headers = "") {
  return upgrade("/session", "X-Docker-Expose-Session-Uuid: " + id + "\r\n" + headers);
}

class GatewayBuildKit : public GatewayTest {
 protected:
  void SetUp() override {
    open([this](Wire& wire, const auto& asked) {
      if (!asked.target.ends_with("/session")) return wire.write(answer_text(200, ""));
      head_ = asked.head;
      wire.write(kUpgradedToH2c);
      wire.write("heard " + wire.read_to_end());
      return false;
    });
    ASSERT_TRUE(host_->open({.owner = "a2", .directory = folder_ / "a2"}));
  }
  void TearDown() override {
    host_->close("a2", std::chrono::milliseconds(0));
    GatewayTest::TearDown();
  }

  // A session of a1 that stays open.
  Wire opened(const std::string& id) {
    auto wire = client();
    EXPECT_TRUE(wire.write(session(id)));
    EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
    return wire;
  }
  std::string ask_of(const std::string& owner, const std::string& request) const {
    auto wire = Wire::connect(folder_ / owner / "docker.sock");
    EXPECT_TRUE(wire.write(request));
    return wire.read_message();
  }
  static std::string build(const std::string& query) {
    return "POST /v1.41/build?version=2&" + query + " HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n";
  }

  std::string head_;  // of the last session, as the engine saw it
};

TEST_F(GatewayBuildKit, ASessionIsATunnel) {
  auto wire = client();
  ASSERT_TRUE(wire.write(session("x")));
  ASSERT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
  ASSERT_TRUE(wire.write("PRI * HTTP/2.0"));
  wire.shutdown_send();
  EXPECT_EQ(wire.read_to_end(), "heard PRI * HTTP/2.0");
}

TEST_F(GatewayBuildKit, OnlyASessionsOwnHeadersGoOnAndItsFilesAreKeptUnderAKeyOfItsOwner) {
  auto wire = client();
  ASSERT_TRUE(
      wire.write(session("x",
                         "X-Docker-Expose-Session-Sharedkey: key\r\nX-Docker-Expose-Session-Grpc-Method: /a/b\r\n"
                         "X-Other: y\r\n")));
  ASSERT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
  EXPECT_THAT(head_, AllOf(HasSubstr("Session-Uuid: x\r\n"), HasSubstr("Session-Grpc-Method: /a/b\r\n"),
                           HasSubstr("Sharedkey: " + own_build_id("s1", "a1", "key") + "\r\n"),
                           HasSubstr("Upgrade: h2c\r\n"), Not(HasSubstr("X-Other"))));
}

TEST_F(GatewayBuildKit, ASessionOfAnotherIsNeitherTakenOverNorUsed) {
  const auto open = opened("x");
  const auto before = server_->requests().size();
  EXPECT_THAT(ask_of("a2", session("x")), StartsWith("HTTP/1.1 409"));
  EXPECT_EQ(server_->requests().size(), before);
  EXPECT_THAT(ask_of("a1", build("session=x&remote=client-session")), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(server_->requests().back(), AllOf(StartsWith("POST /v1.41/build?"), HasSubstr("session=x")));
}

TEST_F(GatewayBuildKit, ABuildWithAForeignSessionNeverReachesTheEngine) {
  const auto open = opened("x");
  const auto before = server_->requests().size();
  EXPECT_THAT(ask_of("a2", build("session=x")), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(ask_of("a2", build("session=stage:x")), StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(server_->requests().size(), before);
}

TEST_F(GatewayBuildKit, SessionsWithoutOneIdOrOneProtocolAreRefused) {
  for (const auto& request :
       {upgrade("/session", ""), session(""), session("a:b"), session("x", "X-Docker-Expose-Session-Uuid: y\r\n"),
        std::string("POST /session HTTP/1.1\r\nHost: d\r\nX-Docker-Expose-Session-Uuid: x\r\n\r\n"),
        std::string("POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                    "X-Docker-Expose-Session-Uuid: x\r\n\r\n")})
    EXPECT_THAT(ask(request), StartsWith("HTTP/1.1 400")) << request;
  EXPECT_THAT(server_->requests(), IsEmpty());
}

TEST_F(GatewayBuildKit, BuildIdsAreOnesOwn) {
  ask(build("buildid=upload-request:x&remote=upload-request"));
  ask("POST /v1.41/build/cancel?id=x HTTP/1.1\r\nHost: d\r\n\r\n");
  const auto own = own_build_id("s1", "a1", "x");
  ASSERT_EQ(server_->requests().size(), 2U);
  EXPECT_THAT(server_->requests()[0], HasSubstr("buildid=upload-request%3A" + own));
  EXPECT_EQ(server_->requests()[1], "POST /v1.41/build/cancel?id=" + own);
}

TEST_F(GatewayBuildKit, AnEndingGatewayEndsItsSessions) {
  auto wire = opened("x");
  host_->close("a1", std::chrono::milliseconds(0));
  EXPECT_EQ(wire.read_to_end(), "");
  EXPECT_THAT(ask_of("a2", session("")), StartsWith("HTTP/1.1 400"));
}

}  // namespace
}  // namespace ebbtide::gateway::test
