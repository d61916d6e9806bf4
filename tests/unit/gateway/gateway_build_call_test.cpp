// BuildKit's API through a gateway: what a client calls, and what the engine hears of it.
#include <gmock/gmock.h>

#include <atomic>

#include "buildkit.pb.h"
#include "docker/gateway/buildkit.h"
#include "tests/support/grpc_peer.h"
#include "tests/unit/gateway/gateway_harness.h"

namespace ebbtide::gateway::test {
namespace {

using ebbtide::test::GrpcCall;
using ebbtide::test::GrpcClient;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::string kControl = "/moby.buildkit.v1.Control/";
const std::string kBridge = "/moby.buildkit.v1.frontend.LLBBridge/";
const std::string kUpgrade = "POST /grpc HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
const std::string kBuildId = "buildkit-controlapi-buildid";

class GatewayBuildCall : public GatewayTest {
 protected:
  void SetUp() override {
    open([this](Wire& wire, const auto& asked) {
      if (asked.target.find("/images/json") != std::string::npos)
        return wire.write(answer_text(200, R"([{"Id":"sha256:before"}])"));
      if (asked.target.find("/images/") != std::string::npos)
        return wire.write(answer_text(calls().empty() ? 404 : 200, "{}"));  // the image that a build makes
      wire.write(kUpgradedToH2c);
      if (asked.target.ends_with("/session"))
        wire.read_to_end();
      else
        ebbtide::test::serve_grpc(
            wire, [this](const GrpcCall& call) { return serve(call); }, [this] { ++resets_; });
      return false;
    });
  }

  std::optional<std::string> serve(const GrpcCall& call) {
    const std::scoped_lock lock(mutex_);
    calls_.push_back(call);
    if (call.path() == kControl + "Info") return std::nullopt;  // left open
    if (call.path() != kControl + "Solve") return grpc::frame("answer");
    buildkit::SolveResponse response;
    (*response.mutable_exporter_response())["containerimage.digest"] = "sha256:made";
    return grpc::frame(response.SerializeAsString());
  }
  std::vector<GrpcCall> calls() const {
    const std::scoped_lock lock(mutex_);
    return calls_;
  }

  Wire upgraded() const {
    auto wire = client();
    EXPECT_TRUE(wire.write(kUpgrade));
    EXPECT_THAT(wire.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
    return wire;
  }
  static std::string solve(const std::string& session = "") {
    buildkit::SolveRequest request;
    request.set_ref("r");
    request.set_session(session);
    request.set_exporter("moby");
    (*request.mutable_exporter_attrs())["name"] = "app:1";
    return request.SerializeAsString();
  }

  mutable std::mutex mutex_;  // guards calls_
  std::vector<GrpcCall> calls_;
  std::atomic<int> resets_ = 0;
};

TEST_F(GatewayBuildCall, ABuildReachesTheEngineAsItWasCheckedAndItsImageIsTheOwners) {
  auto wire = upgraded();
  GrpcClient grpc(wire);
  const auto answer = grpc.call(kControl + "Solve", solve());
  EXPECT_EQ(answer.status(), "0");
  EXPECT_THAT(answer.body, HasSubstr("sha256:made"));
  ASSERT_EQ(calls().size(), 1U);
  buildkit::SolveRequest heard;
  ASSERT_TRUE(heard.ParseFromString(*grpc::unframe(calls()[0].body)));
  EXPECT_EQ(heard.ref(), own_build_id("s1", "a1", "r"));
  EXPECT_EQ(heard.frontend_attrs().at("label:ebbtide.image-agent"), "s1/a1");
  std::vector<std::string> recorded;
  const auto images = watch_->store().images_of("unix://" + server_->path(), "a1");
  for (const auto& image : *images) recorded.push_back(image.reference);
  EXPECT_THAT(recorded, testing::UnorderedElementsAre("app:1", "sha256:made"));
}

TEST_F(GatewayBuildCall, ARefusedBuildNeverReachesTheEngineAndIsCounted) {
  auto wire = upgraded();
  GrpcClient grpc(wire);
  buildkit::SolveRequest request;
  request.add_entitlements("network.host");
  const auto answer = grpc.call(kControl + "Solve", request.SerializeAsString());
  EXPECT_EQ(answer.status(), "7");
  EXPECT_THAT(std::string(grpc::value_of(answer.head, "grpc-message")), HasSubstr("(rule: host-network)"));
  EXPECT_THAT(calls(), IsEmpty());
  EXPECT_EQ(host_->counters().refusals["host-network"], 1U);
}

TEST_F(GatewayBuildCall, TheCacheIsNeitherShownNorPruned) {
  auto wire = upgraded();
  GrpcClient grpc(wire);
  EXPECT_EQ(grpc.call(kControl + "Prune", "\x10\x01").body, "");
  EXPECT_EQ(grpc.call(kControl + "DiskUsage", "").body, grpc::frame(""));
  EXPECT_EQ(grpc.call(kControl + "ListenBuildHistory", "").body, "");
  EXPECT_EQ(grpc.call(kControl + "Prune", "").status(), "0");
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(GatewayBuildCall, WhatIsNotForJobsIsRefused) {
  auto wire = upgraded();
  GrpcClient grpc(wire);
  for (const auto& path : {std::string("/containerd.services.content.v1.Content/Read"), kBridge + "NewContainer",
                           kBridge + "ExecProcess", std::string("/a/b")})
    EXPECT_EQ(grpc.call(path, "", {{kBuildId, "r"}}).status(), "7") << path;
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(GatewayBuildCall, BuildsAreOnesOwnWhereverTheyAreNamed) {
  auto wire = upgraded();
  GrpcClient grpc(wire);
  const auto own = own_build_id("s1", "a1", "theirs");
  buildkit::StatusRequest status;
  status.set_ref("theirs");
  EXPECT_EQ(grpc.call(kControl + "Status", status.SerializeAsString()).status(), "0");
  EXPECT_EQ(grpc.call(kBridge + "ReadFile", "x", {{kBuildId, "theirs"}}).status(), "0");
  ASSERT_EQ(calls().size(), 2U);
  EXPECT_THAT(calls()[0].body, HasSubstr(own));
  EXPECT_EQ(grpc::value_of(calls()[1].head, kBuildId), own);
  EXPECT_EQ(grpc.call(kBridge + "ReadFile", "x").status(), "3") << "of no build";
  EXPECT_EQ(grpc.call(kBridge + "ReadFile", "x", {{kBuildId, "a"}, {kBuildId, "b"}}).status(), "3");
  EXPECT_EQ(calls().size(), 2U);
}

TEST_F(GatewayBuildCall, ASessionMustBeTheOwners) {
  ASSERT_TRUE(host_->open({.owner = "a2", .directory = folder_ / "a2"}));
  auto theirs = Wire::connect(folder_ / "a2/docker.sock");
  ASSERT_TRUE(
      theirs.write("POST /session HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
                   "X-Docker-Expose-Session-Uuid: theirs\r\n\r\n"));
  ASSERT_THAT(theirs.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101"));
  auto wire = upgraded();
  GrpcClient grpc(wire);
  EXPECT_EQ(grpc.call(kControl + "Solve", solve("theirs")).status(), "5");
  EXPECT_EQ(grpc.call(kControl + "Session", "", {{"x-docker-expose-session-uuid", "theirs"}}).status(), "6");
  EXPECT_EQ(grpc.call(kControl + "Session", "").status(), "3");
  EXPECT_THAT(calls(), IsEmpty());
  EXPECT_EQ(grpc.call(kControl + "Session", "",
                      {{"x-docker-expose-session-uuid", "mine"}, {"x-docker-expose-session-sharedkey", "key"}})
                .status(),
            "0");
  ASSERT_EQ(calls().size(), 1U);
  EXPECT_EQ(grpc::value_of(calls()[0].head, "x-docker-expose-session-sharedkey"), own_build_id("s1", "a1", "key"));
  host_->close("a2", std::chrono::milliseconds(0));
}

TEST_F(GatewayBuildCall, OnlyKnownHeadersGoOn) {
  auto wire = upgraded();
  GrpcClient grpc(wire);
  EXPECT_EQ(grpc.call(kControl + "ListWorkers", "", {{"x-other", "y"}, {"grpc-timeout", "5S"}}).status(), "0");
  ASSERT_EQ(calls().size(), 1U);
  EXPECT_EQ(grpc::value_of(calls()[0].head, "x-other"), "");
  EXPECT_EQ(grpc::value_of(calls()[0].head, "grpc-timeout"), "5S");
  EXPECT_EQ(grpc::value_of(calls()[0].head, "te"), "trailers");
}

TEST_F(GatewayBuildCall, OneMessageIsOneMessage) {
  auto wire = upgraded();
  GrpcClient grpc(wire);
  EXPECT_EQ(grpc.call_raw(kControl + "Solve", grpc::frame(solve()) + grpc::frame(solve())).status(), "12");
  EXPECT_EQ(grpc.call_raw(kControl + "Solve", std::string("\1\0\0\0\1x", 6)).status(), "12") << "compressed";
  EXPECT_EQ(grpc.call(kControl + "Solve", "\xff\xff").status(), "3");
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(GatewayBuildCall, ACallThatTheClientGivesUpEndsAtTheEngine) {
  auto wire = upgraded();
  GrpcClient grpc(wire);
  grpc.begin_and_reset(kControl + "Info", "", [this] { return calls().size() == 1; });
  EXPECT_EQ(grpc.call(kControl + "ListWorkers", "").status(), "0");
  EXPECT_EQ(resets_, 1);
}

TEST_F(GatewayBuildCall, AnEndingGatewayBuildsNothingNewAndEndsItsConnections) {
  auto wire = upgraded();
  GrpcClient grpc(wire);
  host_->refuse("a1");
  EXPECT_EQ(grpc.call(kControl + "Solve", solve()).status(), "14");
  host_->close("a1", std::chrono::milliseconds(0));
  EXPECT_THAT(grpc.call(kControl + "Solve", solve()).head, IsEmpty());
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(GatewayBuildCall, WhatIsNotHttp2EndsTheConnection) {
  auto wire = upgraded();
  ASSERT_TRUE(wire.write("POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n"));
  wire.read_to_end();
  EXPECT_THAT(server_->requests(), ElementsAre("POST /grpc"));
}

}  // namespace
}  // namespace ebbtide::gateway::test
