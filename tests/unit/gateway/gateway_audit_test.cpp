// What of a gateway's requests is in the audit.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/gateway/gateway_harness.h"

namespace ebbtide::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kId(64, 'e');

class GatewayAudit : public test::GatewayTest {
 protected:
  // Before an engine that makes and does what it is asked for.
  void SetUp() override {
    open([](test::Wire& wire, const auto& asked) {
      if (const auto at = asked.head.find("ontent-Length: "); at != std::string::npos)
        wire.read_exactly(std::stoul(asked.head.substr(at + 15)));
      if (asked.target.starts_with("/v1.41/containers/create"))
        return wire.write(test::answer_text(201, R"({"Id":")" + kId + R"(","Warnings":[]})"));
      return wire.write(test::answer_text(asked.method == "GET" ? 404 : 200, "{}"));
    });
  }
};

TEST_F(GatewayAudit, RecordsWhatWasMadeAndWhoAsked) {
  const std::string body = R"({"Image":"app:1","Env":["PASSWORD=hunter2"]})";
  ASSERT_THAT(post("/v1.41/containers/create?name=web", body), HasSubstr("201"));
  const auto records = audited();
  ASSERT_EQ(records.size(), 1U);
  const auto& record = records.front();
  EXPECT_EQ(record.method, "POST");
  EXPECT_EQ(record.path, "/containers/create");
  EXPECT_EQ(record.status, 201);
  EXPECT_EQ(record.rule, "");
  EXPECT_EQ(record.objects, (std::vector<AuditObject>{{.kind = "container", .id = kId, .name = "web"}}));
  EXPECT_THAT(record.caller, HasSubstr(std::to_string(::getpid())));
  EXPECT_GT(record.bytes_in, body.size());
  EXPECT_GT(record.bytes_out, kId.size());
}

class GatewayAuditOfRemovals : public test::GatewayTest {};

TEST_F(GatewayAuditOfRemovals, NamesWhatWentByAPruneOrWithAnImage) {
  open([](test::Wire& wire, const auto& asked) {
    if (asked.target.starts_with("/v1.41/containers/prune"))
      return wire.write(test::answer_text(200, R"({"ContainersDeleted":[")" + kId + R"("],"SpaceReclaimed":0})"));
    if (asked.target.starts_with("/v1.41/images/prune"))
      return wire.write(test::answer_text(200, R"({"ImagesDeleted":[{"Untagged":"app:1"},{"Deleted":"sha256:1"}]})"));
    return wire.write(asked.method == "DELETE" ? test::answer_text(200, R"([{"Deleted":"sha256:2"}])")
                                               : test::answer_text(404, "{}"));
  });
  post("/v1.41/containers/prune", "");
  post("/v1.41/images/prune", "");
  ask("DELETE /v1.41/images/app:2 HTTP/1.1\r\nHost: d\r\n\r\n");
  const auto records = audited();
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[2].objects, (std::vector<AuditObject>{{.kind = "container", .id = kId, .name = kId}}));
  EXPECT_EQ(records[1].objects, (std::vector<AuditObject>{{.kind = "image", .id = "", .name = "app:1"},
                                                          {.kind = "image", .id = "sha256:1", .name = ""}}));
  EXPECT_EQ(records[0].objects, (std::vector<AuditObject>{{.kind = "image", .id = "", .name = "app:2"},
                                                          {.kind = "image", .id = "sha256:2", .name = ""}}));
}

TEST_F(GatewayAudit, HoldsNoSecrets) {
  const std::string body = R"({"Image":"app:1","Env":["PASSWORD=hunter2"]})";
  post("/v1.41/containers/create?name=web", body);
  post("/v1.41/build?t=app:2&remote=http://hunter2&buildargs=%7B%22PASSWORD%22:%22hunter2%22%7D", "");
  ask("POST /v1.41/images/create?fromImage=app&tag=3 HTTP/1.1\r\nHost: d\r\nX-Registry-Auth: hunter2\r\n\r\n");
  ask("POST /v1.41/auth?a=hunter2 HTTP/1.1\r\nHost: d\r\nContent-Length: 7\r\n\r\nhunter2");
  const auto records = audited();
  ASSERT_EQ(records.size(), 4U);
  for (const auto& record : records) EXPECT_THAT(to_json(record), Not(HasSubstr("hunter2")));
  EXPECT_EQ(records[1].objects.at(0).name, "app:3");
  EXPECT_EQ(records[2].objects.at(0).name, "app:2");
  EXPECT_EQ(records[2].rule, "remote-context");
}

TEST_F(GatewayAudit, RecordsRefusalsAndWhatIsNotTheOwners) {
  post("/v1.41/containers/create?name=web", R"({"HostConfig":{"Privileged":true}})");
  get("/v1.41/containers/theirs/json");
  get("/v1.41/swarm");
  ask("GET http://other/containers/json HTTP/1.1\r\nHost: d\r\n\r\n");
  ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const auto records = audited();
  ASSERT_EQ(records.size(), 5U);
  EXPECT_EQ(records[4].rule, "privileged");
  EXPECT_EQ(records[4].objects.at(0).name, "web");
  EXPECT_EQ(records[3].rule, "not-found");
  EXPECT_EQ(records[3].objects.at(0).name, "theirs");
  EXPECT_EQ(records[2].rule, "endpoint");
  EXPECT_EQ(records[1].rule, "malformed");
  EXPECT_EQ(records[0].rule, "malformed");
}

TEST_F(GatewayAudit, LeavesOutWhatOnlyLooks) {
  get("/v1.41/containers/json");
  get("/_ping");
  EXPECT_TRUE(audited().empty());
}

TEST_F(GatewayAudit, NamesTheObjectOfEachRequestOnOneConnection) {
  auto wire = client();
  for (const auto* action : {"stop", "start"}) {
    ASSERT_TRUE(wire.write(std::string("POST /v1.41/containers/db/") + action + " HTTP/1.1\r\nHost: d\r\n\r\n"));
    ASSERT_THAT(wire.read_message(), HasSubstr("200"));
  }
  const auto records = audited();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].path, "/containers/db/start");
  for (const auto& record : records) {
    EXPECT_EQ(record.objects, (std::vector<AuditObject>{{.kind = "container", .id = own_, .name = "db"}}));
    EXPECT_LT(record.bytes_in, 100U);
  }
}

}  // namespace
}  // namespace ebbtide::gateway
