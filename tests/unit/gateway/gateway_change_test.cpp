// Where one job's request would meet another's on the engine, or leave something behind that the engine would not.
#include <gmock/gmock.h>

#include <atomic>

#include "tests/unit/gateway/gateway_harness.h"

namespace ebbtide::gateway::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class GatewayChange : public GatewayTest {
 protected:
  // An engine that keeps one volume and answers creates of containers like this.
  void open_with_volumes(int status) {
    open([this, status](Wire& wire, const auto& asked) {
      std::string body;
      if (const auto at = asked.head.find("ontent-Length: "); at != std::string::npos)
        body = wire.read_exactly(std::stoul(asked.head.substr(at + 15)));
      if (asked.target.find("/volumes/create") != std::string::npos) {
        volume_ = body;
        return wire.write(answer_text(201, body));
      }
      if (asked.method == "DELETE") return wire.write(answer_text(204, ""));
      if (asked.target.find("/volumes/") != std::string::npos)
        return wire.write(volume_.empty() ? answer_text(404, "{}") : answer_text(200, volume_));
      if (asked.target.find("/containers/create") != std::string::npos)
        return wire.write(answer_text(status, R"({"Id":"new","message":"No such image: none"})"));
      return wire.write(answer_text(404, "{}"));
    });
  }
  std::string create() const {
    return post("/v1.41/containers/create", R"({"Image":"none","HostConfig":{"Binds":["data:/d"]}})");
  }

  std::string volume_;  // on the server's threads, one request at a time
};

TEST_F(GatewayChange, AContainerThatIsNotMadeLeavesNoVolume) {
  open_with_volumes(404);
  EXPECT_THAT(create(), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(server_->requests(), Contains(AllOf(StartsWith("DELETE /v1.41/volumes/eb-"), HasSubstr("-data"))));
}

TEST_F(GatewayChange, AContainerThatIsMadeKeepsItsVolume) {
  open_with_volumes(201);
  EXPECT_THAT(create(), StartsWith("HTTP/1.1 201"));
  EXPECT_THAT(server_->requests(), Not(Contains(StartsWith("DELETE"))));
}

class GatewayCaches : public GatewayTest {
 protected:
  // An engine whose volumes are all like this one, whoever asks for which.
  std::string create_before(const std::string& volume) {
    open(
        [volume](Wire& wire, const auto& asked) {
          if (const auto at = asked.head.find("ontent-Length: "); at != std::string::npos)
            wire.read_exactly(std::stoul(asked.head.substr(at + 15)));
          if (asked.target.find("/volumes/") != std::string::npos)
            return wire.write(answer_text(asked.method == "POST" ? 201 : 200, volume));
          return wire.write(asked.method == "POST" ? answer_text(201, R"({"Id":"new"})") : answer_text(404, "{}"));
        },
        {.shared_volumes = {.patterns = {"cache-*"}, .scope = "eb-shared-"}});
    return post("/v1.41/containers/create", R"({"Image":"app","HostConfig":{"Binds":["cache-m2:/d"]}})");
  }
};

TEST_F(GatewayCaches, OneThatTheEngineMadeByItselfIsUsedOn) {
  EXPECT_THAT(create_before(R"({"Name":"eb-shared-cache-m2","Labels":null,"Options":null})"),
              StartsWith("HTTP/1.1 201"));
}

TEST_F(GatewayCaches, OneOfAnotherServerOrThatStandsForMoreThanAFolderIsNot) {
  EXPECT_THAT(create_before(R"({"Name":"eb-shared-cache-m2","Labels":{"ebbtide.shared-volume":"s2"}})"),
              StartsWith("HTTP/1.1 4"));
  TearDown();
  EXPECT_THAT(create_before(R"({"Name":"eb-shared-cache-m2","Labels":null,"Options":{"device":"/"}})"),
              StartsWith("HTTP/1.1 4"));
}

TEST_F(GatewayChange, APruneWaitsForAnothers) {
  std::atomic<int> asked = 0;
  open([&](Wire& wire, const auto&) {
    return wire.write(++asked < 3 ? answer_text(409, R"({"message":"a prune operation is already running"})")
                                  : answer_text(200, R"({"VolumesDeleted":null,"SpaceReclaimed":0})"));
  });
  EXPECT_THAT(post("/v1.41/volumes/prune", ""), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(asked, 3);
}

TEST_F(GatewayChange, ALookAtTheDisksUsageWaitsForAnothers) {
  std::atomic<int> asked = 0;
  open([&](Wire& wire, const auto&) {
    return wire.write(++asked < 3 ? answer_text(500, R"({"message":"a disk usage operation is already running"})")
                                  : answer_text(200, R"({"LayersSize":7,"Images":[],"Containers":[],"Volumes":[]})"));
  });
  EXPECT_THAT(get("/v1.41/system/df"), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr(R"("LayersSize":7)")));
  EXPECT_EQ(asked, 3);
}

TEST_F(GatewayChange, WhatElseTheEngineCannotIsToldAtOnce) {
  std::atomic<int> asked = 0;
  open([&](Wire& wire, const auto&) {
    ++asked;
    return wire.write(answer_text(500, R"({"message":"no space left on device"})"));
  });
  EXPECT_THAT(get("/v1.41/system/df"), StartsWith("HTTP/1.1 500"));
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace ebbtide::gateway::test
