#include "api/surface.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "tests/unit/api/surface_harness.h"

namespace ebbtide::api::test {
namespace {

using plugin::AgentState;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// --- GoCD's messages ---

TEST_F(SurfaceTest, AnswersWithGocdsBody) {
  const auto answer = message("get-capabilities", "");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_EQ(answer.header("cache-control"), "no-store");
  EXPECT_TRUE(json::parse(answer.body).at("supports_plugin_status_report").get<bool>());
}

TEST_F(SurfaceTest, WhatCanNotBeReadIs400AndWhatIsUnknown404) {
  for (const auto* body : {"", "{", "[]", "null", "\xff"}) {
    const auto answer = message("create-agent", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_FALSE(json::parse(answer.body).at("message").get<std::string>().empty());
  }
  EXPECT_EQ(message("sing", "{}").status, 404);
  EXPECT_EQ(message("../../healthz", "{}").status, 404);
  EXPECT_EQ(post("/plugin/v1/requests/", "{}").status, 404);
}

TEST_F(SurfaceTest, OtherVersionsOfTheExtensionAreRefused) {
  const auto answer = post("/plugin/v1/requests/get-icon", "", "X-Extension-Version: 4.0\r\n");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("version 5.0"));
}

TEST_F(SurfaceTest, AServerIdIsAName) {
  for (const auto& id : {std::string("a b"), std::string("<script>"), std::string(101, 'x'), std::string("a|b")})
    EXPECT_EQ(post("/plugin/v1/requests/get-icon", "", "X-GoCD-Server-Id: " + id + "\r\n").status, 400) << id;
  EXPECT_EQ(post("/plugin/v1/requests/get-icon", "").status, 200);
}

TEST_F(SurfaceTest, AJobsWholeWayOverTheSocket) {
  EXPECT_EQ(message("create-agent", message_of(1).dump()).status, 200);
  ASSERT_TRUE(becomes(1, AgentState::kRegistering));
  const auto id = agent_of(1)->id;
  auto question = message_of(1);
  question["agent"] = {{"agent_id", id}};
  EXPECT_EQ(message("should-assign-work", question.dump()).body, "true");
  question["job_identifier"]["job_id"] = 2;
  EXPECT_EQ(message("should-assign-work", question.dump()).body, "false");
  auto done = message_of(1);
  done["elastic_agent_id"] = id;
  EXPECT_EQ(message("job-completion", done.dump()).status, 200);
  EXPECT_TRUE(ends(id));
  EXPECT_EQ(json::parse(get("/api/v1/history").body).at(0).at("id"), id);
}

// --- methods and paths ---

TEST_F(SurfaceTest, AWrongMethodIsToldTheRightOne) {
  const auto answer = post("/metrics");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.header("allow"), "GET");
  EXPECT_EQ(get("/plugin/v1/requests/get-icon").header("allow"), "POST");
  EXPECT_EQ(get("/plugin/v1/processor-responses/1").status, 405);
  EXPECT_EQ(ask(server.port(), "DELETE", "/api/v1/agents/x").status, 405);
}

TEST_F(SurfaceTest, AnUnknownPathIs404) {
  for (const auto* path :
       {"/nothing", "/api/v1/", "/api/v1/agents/ebbtide-0", "/static/", "/metrics/", "//", "/%2e%2e/"})
    EXPECT_EQ(get(path).status, 404) << path;
  EXPECT_EQ(post("/api/v1/agents/ebbtide-0").status, 404);
}

TEST_F(SurfaceTest, HeadIsAsGetButTakesNoChannel) {
  const auto page = ask(server.port(), "HEAD", "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_NE(page.header("content-length"), "0");
  EXPECT_EQ(ask(server.port(), "HEAD", "/plugin/v1/processor-requests", "X-GoCD-Server-Id: gocd-1\r\n").status, 405);
  EXPECT_TRUE(fleet->channel("gocd-1").state().connected);
}

// --- health ---

TEST_F(SurfaceTest, IsReadyWhenItsEnginesAre) {
  EXPECT_EQ(get("/healthz").body, "ok\n");
  EXPECT_EQ(get("/readyz").status, 200);
  ping();
  EXPECT_TRUE(eventually([&] { return get("/readyz").status == 200; }));
  engine->down();
  EXPECT_TRUE(eventually([&] { return get("/readyz").status == 503; }));
  EXPECT_THAT(get("/readyz").body, HasSubstr("unix:///fake/docker.sock"));
  EXPECT_EQ(get("/healthz").status, 200);
}

// --- actions ---

TEST_F(SurfaceTest, EndsAnAgentOnlyWithTheActionsHeader) {
  const auto id = running(1);
  const auto target = "/api/v1/agents/" + id + "/end";
  EXPECT_EQ(post(target).status, 400);
  EXPECT_THAT(post(target, "", "X-Ebbtide-Action: stop\r\n").body, HasSubstr("X-Ebbtide-Action: end"));
  EXPECT_TRUE(fleet->agent(id));
  EXPECT_EQ(post("/api/v1/agents/ebbtide-0/end", "", "X-Ebbtide-Action: end\r\n").status, 404);
  EXPECT_EQ(post(target, "", "X-Ebbtide-Action: end\r\n").status, 200);
  EXPECT_TRUE(ends(id));
  EXPECT_EQ(fleet->history(1).at(0).cause, to_string(plugin::EndCause::kAdmin));
}

TEST_F(SurfaceTest, TellsWhatAgentsDidByThePage) {
  {
    Audit audit(database);
    for (const auto* path : {"/1", "/2", "/3"})
      audit.add({.time = clock->now(), .owner = "eb-1", .method = "POST", .path = path});
    audit.add(
        {.time = clock->now(), .owner = "eb-2", .method = "POST", .path = "/4", .rule = "privileged", .status = 403});
  }
  EXPECT_EQ(json::parse(get("/api/v1/audit").body).size(), 4U);
  EXPECT_EQ(json::parse(get("/api/v1/audit?refused=1").body).size(), 1U);
  EXPECT_THAT(get("/audit").body, AllOf(HasSubstr("POST /1"), HasSubstr("privileged"), Not(HasSubstr("Older"))));
  EXPECT_THAT(get("/audit?refused=1").body,
              AllOf(Not(HasSubstr("POST /1")), HasSubstr("POST /4"), HasSubstr(" checked")));
  EXPECT_THAT(get("/audit?agent=eb-1").body, AllOf(HasSubstr("POST /1"), Not(HasSubstr("POST /4"))));
  EXPECT_THAT(get("/agents/eb-2/audit").body, AllOf(HasSubstr("Refusals"), HasSubstr("POST /4")));
  EXPECT_THAT(get("/agents/eb-1/audit").body, AllOf(Not(HasSubstr("Refusals")), HasSubstr("POST /3")));
  EXPECT_EQ(json::parse(get("/api/v1/agents/eb-2/audit").body).at(0).at("rule"), "privileged");
  const auto page = json::parse(get("/api/v1/agents/eb-1/audit?limit=2").body);
  ASSERT_EQ(page.size(), 2U);
  EXPECT_EQ(page.at(0).at("path"), "/3");
  const auto before = page.at(1).at("number").dump();
  const auto next = json::parse(get("/api/v1/agents/eb-1/audit?limit=2&before=" + before).body);
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next.at(0).at("path"), "/1");
  EXPECT_EQ(get("/api/v1/agents/nobody/audit").body, "[]\n");
  EXPECT_EQ(get("/api/v1/audit?limit=many").status, 400);
}

TEST_F(SurfaceTest, RequestsFromOtherSitesAreRefused) {
  const auto id = running(1);
  const auto target = "/api/v1/agents/" + id + "/end";
  const std::string action = "X-Ebbtide-Action: end\r\nOrigin: https://evil.example\r\n";
  EXPECT_EQ(post(target, "", action).status, 403);
  EXPECT_EQ(post(target, "", action + "Sec-Fetch-Site: cross-site\r\n").status, 403);
  EXPECT_TRUE(fleet->agent(id));
  EXPECT_EQ(post(target, "", action + "Sec-Fetch-Site: same-origin\r\n").status, 200);
}

// --- token ---

class TokenTest : public SurfaceTest {
 protected:
  TokenTest() : SurfaceTest(kToken) {}
};

TEST_F(TokenTest, NothingIsToldWithoutIt) {
  running(1);
  for (const auto* path : {"/", "/live", "/history", "/agents/x", "/metrics", "/api/v1/clusters", "/api/v1/agents",
                           "/api/v1/history", "/api/v1/changes", "/nothing", "/plugin/v1/processor-requests"}) {
    const auto answer = get(path);
    EXPECT_EQ(answer.status, 401) << path;
    EXPECT_EQ(answer.body, "{\"message\":\"a token is needed: Authorization: Bearer <token>\"}\n");
    EXPECT_FALSE(answer.header("www-authenticate").empty());
  }
  EXPECT_THAT(get("/").header("www-authenticate"), HasSubstr("Basic realm"));
  EXPECT_EQ(message("get-icon", "").status, 401);
  EXPECT_EQ(post("/api/v1/agents/x/end", "", "X-Ebbtide-Action: end\r\n").status, 401);
}

TEST_F(TokenTest, HealthIsOpen) {
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").status, 200);
}

TEST_F(TokenTest, ItIsTakenAsBearerAndAsPassword) {
  const auto with = [&](const std::string& value) {
    return get("/api/v1/agents", "Authorization: " + value + "\r\n").status;
  };
  EXPECT_EQ(with("Bearer correct-horse"), 200);
  EXPECT_EQ(with("Basic " + base64_encode("anyone:correct-horse")), 200);
  for (const auto* wrong : {"", "correct-horse", "Bearer", "Bearer ", "Bearer correct", "Bearer correct-horse2",
                            "Bearer CORRECT-HORSE", "Basic", "Basic ####", "Digest correct-horse"})
    EXPECT_EQ(with(wrong), 401) << wrong;
  EXPECT_EQ(with("Basic " + base64_encode("correct-horse")), 401);
  EXPECT_EQ(with("Basic " + base64_encode("correct-horse:")), 401);
}

// --- secrets ---

TEST_F(TokenTest, SecretsAreInNoAnswerAndNoLog) {
  configure_log(LogFormat::kJson, LogLevel::kDebug);
  testing::internal::CaptureStderr();
  const std::string admitted = std::string("Authorization: Bearer ") + kToken + "\r\nX-GoCD-Server-Id: gocd-1\r\n";
  cluster["environment_variables"] = "TOKEN=cluster-secret\nlost-secret-line";
  auto body = message_of(1);
  body["auto_register_key"] = "register-secret";
  auto answers = post("/plugin/v1/requests/create-agent", body.dump(), admitted).body;
  body["cluster_profile_properties"]["environment_variables"] = "TOKEN=cluster-secret";
  body["cluster_profile_properties"]["private_registry_password"] = "registry-secret";
  body["elastic_agent_profile_properties"]["Environment"] = "PASSWORD=profile-secret";
  answers += post("/plugin/v1/requests/create-agent", body.dump(), admitted).body;
  answers += post("/plugin/v1/requests/create-agent", body.dump() + "}", admitted).body;
  EXPECT_TRUE(becomes(1, AgentState::kRegistering));
  const auto id = agent_of(1)->id;
  for (const auto& path : {std::string("/"), std::string("/metrics"), std::string("/api/v1/clusters"),
                           std::string("/api/v1/agents"), "/api/v1/agents/" + id})
    answers += get(path, admitted).body;
  engine->set_log("cluster-secret profile-secret register-secret\n");
  engine->die(id, 1);
  EXPECT_TRUE(ends(id));
  answers += get("/api/v1/history", admitted).body + get("/", admitted).body;
  answers += get("/", "Authorization: Bearer wrong-secret\r\n").body;
  const auto log = testing::internal::GetCapturedStderr();
  configure_log(LogFormat::kText, LogLevel::kInfo);
  EXPECT_THAT(answers, AllOf(HasSubstr(id), Not(HasSubstr("-secret")), Not(HasSubstr(kToken))));
  EXPECT_THAT(log, AllOf(HasSubstr(id), Not(HasSubstr("-secret")), Not(HasSubstr(kToken))));
  for (const auto& line : lines_of(log)) EXPECT_TRUE(json::accept(line)) << line;
}

}  // namespace
}  // namespace ebbtide::api::test
