// Who may do what over the socket: sign-in, roles, tokens, front proxies, forms, actions; and hearing of changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "docker/base/text.h"
#include "plugin/desk.h"
#include "tests/unit/api/surface_harness.h"

namespace ebbtide::api::test {
namespace {

using plugin::AgentState;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kPassword = "a long password";
constexpr const char* kPage = "Accept: text/html\r\n";

class SiteTest : public SurfaceTest {
 protected:
  explicit SiteTest(SurfaceSettings settings = {}) : SurfaceTest(std::move(settings)) {}

  void make_accounts() {
    ASSERT_TRUE(accounts->add("anna", Rights::kAct, kPassword));
    ASSERT_TRUE(accounts->add("ben", Rights::kView, kPassword));
  }
  RawAnswer try_sign_in(const std::string& name, const std::string& password, const std::string& next = "/") {
    return post_form("/sign-in",
                     "name=" + name + "&password=" + percent_encode(password) + "&next=" + percent_encode(next));
  }
  // The Cookie header of a new session.
  std::string sign_in(const std::string& name) {
    const auto cookie = try_sign_in(name, kPassword).header("set-cookie");
    return "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n";
  }
};

// --- accounts and sessions ---

TEST_F(SiteTest, WithoutAccountsTheMachineItselfMayAct) {
  EXPECT_EQ(json::parse(get("/api/v1/visitor").body).at("role"), "admin");
  EXPECT_EQ(get("/sign-in").status, 303);
}

TEST_F(SiteTest, WithAccountsOneMustSignIn) {
  make_accounts();
  const auto page = get("/history?q=a", kPage);
  EXPECT_EQ(page.status, 303);
  EXPECT_EQ(page.header("location"), "/sign-in?next=%2Fhistory%3Fq%3Da");
  EXPECT_EQ(get("/api/v1/agents").status, 401);
  EXPECT_EQ(get("/metrics").status, 401);
  EXPECT_EQ(get("/live?since=0").status, 401);
  EXPECT_EQ(get("/static/style.css").status, 200);
  EXPECT_THAT(get("/sign-in", kPage).body, HasSubstr("type=\"password\""));
}

TEST_F(SiteTest, ASessionIsACookieThatScriptsCanNotRead) {
  make_accounts();
  const auto answer = try_sign_in("anna", kPassword, "/history");
  EXPECT_EQ(answer.status, 303);
  EXPECT_EQ(answer.header("location"), "/history");
  EXPECT_THAT(answer.header("set-cookie"), AllOf(HasSubstr("HttpOnly"), HasSubstr("SameSite=Strict"),
                                                 HasSubstr("Path=/"), Not(HasSubstr("Secure"))));
  const auto session = sign_in("anna");
  EXPECT_THAT(get("/", session + kPage).body, HasSubstr("anna"));
  EXPECT_EQ(json::parse(get("/api/v1/visitor", session).body).at("name"), "anna");
}

TEST_F(SiteTest, SigningInLeadsToThisServerOnly) {
  make_accounts();
  for (const auto* next : {"https://evil.example/", "//evil.example", "/\\evil.example", "evil"})
    EXPECT_EQ(try_sign_in("anna", kPassword, next).header("location"), "/") << next;
}

TEST_F(SiteTest, AWrongPasswordIsToldAndTriesAreLimited) {
  make_accounts();
  for (int i = 0; i < 5; ++i) {
    const auto answer = try_sign_in("anna", "a wrong password");
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.header("set-cookie"), "");
  }
  EXPECT_EQ(try_sign_in("anna", kPassword).status, 429);
  EXPECT_EQ(try_sign_in("ben", kPassword).status, 303);
}

TEST_F(SiteTest, SigningOutEndsTheSession) {
  make_accounts();
  const auto session = sign_in("anna");
  const auto token = form_token("/", session + kPage);
  EXPECT_EQ(post_form("/sign-out", "form_token=wrong", session).status, 403);
  EXPECT_EQ(get("/", session).status, 200);
  EXPECT_EQ(post_form("/sign-out", "form_token=" + token, session).status, 303);
  EXPECT_EQ(get("/api/v1/agents", session).status, 401);
}

TEST_F(SiteTest, AViewerEndsOnlyOwnSessionsAndAnAdminAll) {
  make_accounts();
  const auto anna = sign_in("anna");
  const auto ben = sign_in("ben");
  EXPECT_THAT(get("/sessions", ben + kPage).body, Not(HasSubstr("anna")));
  EXPECT_THAT(get("/sessions", anna + kPage).body, HasSubstr("ben"));
  const auto number_of = [&](const std::string& user) {
    for (const auto& session : accounts->sessions())
      if (session.user == user) return std::to_string(session.number);
    return std::string();
  };
  const auto end = [&](const std::string& user, const std::string& by) {
    return post_form("/sessions/end",
                     "form_token=" + form_token("/sessions", by + kPage) + "&number=" + number_of(user), by)
        .status;
  };
  EXPECT_EQ(end("anna", ben), 403);
  EXPECT_EQ(get("/", anna).status, 200);
  EXPECT_EQ(end("ben", anna), 303);
  EXPECT_EQ(get("/api/v1/agents", ben).status, 401);
}

// --- roles ---

TEST_F(SiteTest, AViewerLooksAndDoesNothing) {
  make_accounts();
  const auto id = running(1);
  const auto ben = sign_in("ben");
  EXPECT_EQ(get("/agents/" + id, ben + kPage).status, 200);
  EXPECT_EQ(get("/agents/" + id + "/end", ben + kPage).status, 403);
  EXPECT_EQ(get("/clusters/drain?key=x", ben + kPage).status, 403);
  const auto token = form_token("/", ben + kPage);
  EXPECT_EQ(post_form("/agents/" + id + "/end", "form_token=" + token, ben).status, 403);
  EXPECT_EQ(post("/api/v1/agents/" + id + "/end", "", ben + "X-Ebbtide-Action: end\r\n").status, 403);
  EXPECT_EQ(post("/api/v1/clusters/drain?key=x", "", ben + "X-Ebbtide-Action: drain\r\n").status, 403);
  EXPECT_TRUE(fleet->agent(id));
}

TEST_F(SiteTest, AnAdminEndsAnAgentAfterConfirming) {
  make_accounts();
  const auto id = running(1);
  const auto anna = sign_in("anna");
  const auto question = get("/agents/" + id + "/end", anna + kPage);
  EXPECT_THAT(question.body, AllOf(HasSubstr("End agent?"), HasSubstr(id), HasSubstr("build/17/test/1/unit1")));
  const auto token = form_token("/agents/" + id + "/end", anna + kPage);
  const auto other = form_token("/sessions", sign_in("anna") + kPage);
  EXPECT_EQ(post_form("/agents/" + id + "/end", "", anna).status, 403);
  EXPECT_EQ(post_form("/agents/" + id + "/end", "form_token=" + other, anna).status, 403) << "of another session";
  EXPECT_TRUE(fleet->agent(id));
  const auto done = post_form("/agents/" + id + "/end", "form_token=" + token, anna);
  EXPECT_EQ(done.status, 303);
  EXPECT_EQ(done.header("location"), "/agents/" + id);
  ASSERT_TRUE(ends(id));
  EXPECT_THAT(get("/agents/" + id, anna + kPage).body,
              AllOf(HasSubstr("anna ends it"), HasSubstr("an administrator ended it"), HasSubstr("is gone: removed")));
}

TEST_F(SiteTest, AnAgentIsKeptForALookAndThenReaped) {
  const auto id = running(1);
  EXPECT_EQ(post("/api/v1/agents/" + id + "/keep?minutes=x", "", "X-Ebbtide-Action: keep\r\n").status, 400);
  EXPECT_EQ(post("/api/v1/agents/" + id + "/reap", "", "X-Ebbtide-Action: reap\r\n").status, 409);
  EXPECT_EQ(post("/api/v1/agents/" + id + "/keep?minutes=30", "", "X-Ebbtide-Action: keep\r\n").status, 200);
  complete(id, 1);
  ASSERT_TRUE(eventually([&] { return json::parse(get("/api/v1/agents/" + id).body).value("kept", false); }));
  EXPECT_TRUE(engine->has_container(id));
  EXPECT_EQ(post("/api/v1/agents/" + id + "/keep?minutes=30", "", "X-Ebbtide-Action: keep\r\n").status, 409);
  EXPECT_EQ(post("/api/v1/agents/" + id + "/reap", "", "X-Ebbtide-Action: reap\r\n").status, 200);
  ASSERT_TRUE(ends(id));
  EXPECT_FALSE(engine->has_container(id));
}

TEST_F(SiteTest, ADrainedClusterMakesNoAgentsUntilItIsResumed) {
  const auto id = running(1);
  const auto key = json::parse(get("/api/v1/clusters").body).at(0).at("key").get<std::string>();
  const auto target = [&](const char* action) {
    return "/api/v1/clusters/" + std::string(action) + "?key=" + percent_encode(key);
  };
  EXPECT_EQ(post(target("drain"), "", "X-Ebbtide-Action: drain\r\n").status, 200);
  create(2);
  ping();
  EXPECT_TRUE(becomes(2, AgentState::kQueued));
  EXPECT_TRUE(eventually([&] { return gocd->console_has("an administrator wants no new agents"); }));
  EXPECT_EQ(agent_of(2)->phase, "1 of 1 in the queue");
  EXPECT_TRUE(fleet->agent(id));
  EXPECT_EQ(post("/api/v1/clusters/drain?key=none", "", "X-Ebbtide-Action: drain\r\n").status, 404);
  EXPECT_EQ(post(target("resume"), "", "X-Ebbtide-Action: resume\r\n").status, 200);
  EXPECT_TRUE(becomes(2, AgentState::kRegistering));
}

// --- tokens and other sites ---

TEST_F(SiteTest, ATokenDoesWhatItsScopeAllows) {
  make_accounts();
  const auto id = running(1);
  const auto read = "Authorization: Bearer " + *accounts->add_token("r", Rights::kView, std::chrono::days(1)) + "\r\n";
  const auto admin = "Authorization: Bearer " + *accounts->add_token("a", Rights::kAct, std::chrono::days(1)) + "\r\n";
  EXPECT_EQ(get("/metrics", read).status, 200);
  EXPECT_EQ(get("/api/v1/agents", "Authorization: Bearer ebt_wrong\r\n").status, 401);
  const auto target = "/api/v1/agents/" + id + "/end";
  EXPECT_EQ(post(target, "", read + "X-Ebbtide-Action: end\r\n").status, 403);
  EXPECT_EQ(post(target, "", admin + "X-Ebbtide-Action: end\r\n").status, 200);
}

TEST_F(SiteTest, NamesThatOthersLeadToThisMachineAreRefused) {
  EXPECT_EQ(get("/api/v1/agents", "Host: evil.example:8160\r\n").status, 401);
  RawClient client(server.port());
  client.send("GET /api/v1/agents HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  const auto answer = client.answer();
  EXPECT_EQ(answer.status, 401);
  EXPECT_THAT(answer.body, HasSubstr("page_url"));
  for (const auto* host : {"127.0.0.1:8160", "localhost:8160", "[::1]:8160"}) {
    RawClient own(server.port());
    own.send("GET /api/v1/agents HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
    EXPECT_EQ(own.answer().status, 200) << host;
  }
}

TEST_F(SiteTest, AFormOfThisSiteIsKnownByItsOriginWhereBrowsersSayNoMore) {
  make_accounts();
  const auto from = [&](const std::string& origin) {
    RawClient client(server.port());
    client.send("POST /sign-in HTTP/1.1\r\nHost: ebbtide.lan:8160\r\nOrigin: " + origin +
                "\r\nContent-Length: 0\r\n\r\n");
    return client.answer().status;
  };
  EXPECT_EQ(from("http://ebbtide.lan:8160"), 401);
  EXPECT_EQ(from("http://evil.example"), 403);
  EXPECT_EQ(from("null"), 403);
}

class ProxyTest : public SiteTest {
 protected:
  ProxyTest()
      : SiteTest({.gate = {.proxy_addresses = {"127.0.0.1"},
                           .proxy_header = "x-forwarded-user",
                           .proxy_admins = {"anna@example.com"}}}) {}
};

TEST_F(ProxyTest, AFrontProxysUserIsBelieved) {
  EXPECT_EQ(get("/api/v1/visitor").status, 401);
  const auto role = [&](const std::string& user) {
    return json::parse(get("/api/v1/visitor", "X-Forwarded-User: " + user + "\r\n").body).value("role", "none");
  };
  EXPECT_EQ(role("anna@example.com"), "admin");
  EXPECT_EQ(role("ben@example.com"), "viewer");
  const auto id = running(1);
  const std::string anna = "X-Forwarded-User: anna@example.com\r\n";
  const auto token = form_token("/agents/" + id + "/end", anna + kPage);
  EXPECT_EQ(post_form("/agents/" + id + "/end", "form_token=" + token, anna).status, 303);
}

class OtherProxyTest : public SiteTest {
 protected:
  OtherProxyTest()
      : SiteTest(
            {.gate = {.proxy_addresses = {"192.0.2.1"}, .proxy_header = "x-forwarded-user", .proxy_admins = {"a"}}}) {}
};

TEST_F(OtherProxyTest, AnybodyElsesHeaderIsNot) {
  EXPECT_EQ(get("/api/v1/visitor", "X-Forwarded-User: a\r\n").status, 401);
}

// --- logs ---

TEST_F(SiteTest, ALogIsReadWithoutSecrets) {
  profile["Environment"] = "API_TOKEN=hush-hush-hush";
  engine->set_log("one\nthe token is hush-hush-hush\n");
  const auto id = running(1);
  EXPECT_EQ(get("/api/v1/agents/" + id + "/log").body, "one\nthe token is ********\n");
  EXPECT_EQ(get("/api/v1/agents/" + id + "/log?container=0").status, 404);
  EXPECT_EQ(get("/api/v1/agents/ebbtide-0/log").status, 404);
  EXPECT_THAT(get("/agents/" + id, kPage).body, AllOf(HasSubstr("API_TOKEN"), Not(HasSubstr("hush"))));
}

TEST_F(SiteTest, AFollowedLogComesAsItIsWritten) {
  engine->set_log("one\n");
  const auto id = running(1);
  RawClient client(server.port());
  client.send("GET /api/v1/agents/" + id + "/log?follow=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  EXPECT_THAT(client.until("one\n"), HasSubstr("chunked"));
  engine->set_log("one\ntwo\n");
  client.until("two\n");
  EXPECT_EQ(get("/api/v1/agents/" + id + "/log").body, "one\ntwo\n");
}

TEST(SecretFilter, CutsThemOutOfPiecesCutAnywhere) {
  plugin::SecretFilter filter({"hush-hush", "first line\nsecond line"});
  std::string out;
  for (const char c : std::string("a hush-hush b\nfirst line\nsecond line\nhush-hu")) out += filter.feed({&c, 1});
  out += filter.finish();
  EXPECT_EQ(out, "a ******** b\n********\n********\nhush-hu");
}

TEST(SecretFilter, CutsThemOutOfALineTooLongToWaitFor) {
  plugin::SecretFilter filter({"hush-hush"});
  std::string out;
  for (int i = 0; i < 100'000; ++i) out += filter.feed("xyhush-hushz");
  EXPECT_GT(out.size(), 100'000U);
  out += filter.finish();
  EXPECT_THAT(out, Not(HasSubstr("hush")));
  EXPECT_EQ(out.size(), 100'000U * std::string("xy********z").size());
}

// --- hearing of changes ---

TEST_F(SiteTest, AChangeIsHeardAtOnce) {
  const auto first = json::parse(get("/api/v1/changes?since=0").body);
  EXPECT_TRUE(first.at("whole"));
  const auto since = first.at("version").get<std::uint64_t>();
  auto next = std::async(std::launch::async,
                         [&] { return json::parse(get("/api/v1/changes?since=" + std::to_string(since)).body); });
  const auto id = running(1);
  const auto changes = next.get();
  EXPECT_FALSE(changes.at("whole"));
  EXPECT_GT(changes.at("version").get<std::uint64_t>(), since);
  const auto all = json::parse(get("/api/v1/changes?since=" + std::to_string(since)).body);
  EXPECT_EQ(all.at("agents").at(0).at("id"), id);
  complete(id, 1);
  ASSERT_TRUE(ends(id));
  const auto after = json::parse(get("/api/v1/changes?since=" + all.at("version").dump()).body);
  EXPECT_EQ(after.at("gone"), json::array({id}));
  EXPECT_EQ(json::parse(get("/live?since=" + all.at("version").dump()).body).at("gone"), json::array({id}));
}

TEST_F(SiteTest, AgentsThatDidNotChangeAreNotSentAgain) {
  running(1);
  const auto answer = get("/api/v1/agents?q=unit");
  const auto tag = answer.header("etag");
  ASSERT_NE(tag, "");
  EXPECT_EQ(get("/api/v1/agents?q=other", "If-None-Match: " + tag + "\r\n").status, 200);
}

class FewSeatsTest : public SiteTest {
 protected:
  FewSeatsTest() : SiteTest({.seats = 0}) {}
};

TEST_F(FewSeatsTest, WhoFindsNoSeatIsAnsweredAtOnceAndAsksAgainLater) {
  const auto since = json::parse(get("/api/v1/changes?since=0").body).at("version").dump();
  const auto answer = get("/live?since=" + since);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("retry-after"), "3");
  const auto id = running(1);
  EXPECT_EQ(get("/api/v1/agents/" + id + "/log?follow=1").status, 503);
}

}  // namespace
}  // namespace ebbtide::api::test
