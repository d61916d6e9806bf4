// What GoCD's messages bring about, from text to effect.
#include "plugin/contract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/plugin/fleet_harness.h"

namespace ebbtide::plugin::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ContractTest : public FleetTest {
 protected:
  json identifier(std::int64_t id) const { return json::parse(job(id).to_json()); }
  json message(std::int64_t id) const {
    return {{"elastic_agent_profile_properties", profile},
            {"cluster_profile_properties", cluster},
            {"job_identifier", identifier(id)}};
  }
  PluginAnswer send(const std::string& name, const json& body, const std::string& of = kGocd) {
    return contract.handle(of, name, body.is_string() ? body.get<std::string>() : body.dump());
  }
  PluginAnswer send_create(std::int64_t id) {
    auto body = message(id);
    body["auto_register_key"] = "key-" + std::to_string(id);
    return send("create-agent", body);
  }
  PluginAnswer send_assign(const std::string& agent, std::int64_t id) {
    auto body = message(id);
    body["agent"] = {{"agent_id", agent}, {"agent_state", "Idle"}};
    return send("should-assign-work", body);
  }
  std::string view(const std::string& name, const json& body, const std::string& of = kGocd) {
    return json::parse(send(name, body, of).body).at("view").get<std::string>();
  }
  json report_of(const std::string& id) const {
    return {{"cluster_profile_properties", cluster}, {"elastic_agent_id", id}};
  }

  Contract contract{*fleet, ""};
};

TEST_F(ContractTest, NamesGoWithAndWithoutTheirPrefix) {
  EXPECT_EQ(send("get-capabilities", "").body, send("cd.go.elastic-agent.get-capabilities", "").body);
  EXPECT_EQ(send("go.plugin-settings.get-view", "").status, 404);
  EXPECT_EQ(send("", "").status, 404);
  EXPECT_EQ(send("status-report", "").status, 404);
}

TEST_F(ContractTest, AJobsWholeWay) {
  EXPECT_EQ(send_create(1).status, 200);
  ASSERT_TRUE(becomes(1, AgentState::kRegistering));
  const auto id = agent_of(1)->id;
  EXPECT_EQ(env_of(id, "GO_EA_AUTO_REGISTER_KEY"), "key-1");
  EXPECT_EQ(send_assign(id, 2).body, "false");
  EXPECT_EQ(send_assign(id, 1).body, "true");
  auto done = message(1);
  done["elastic_agent_id"] = id;
  EXPECT_EQ(send("job-completion", done).status, 200);
  EXPECT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
}

// The names of a job that is run again are the same; its id is not.
TEST_F(ContractTest, AnotherRunOfAJobIsAnotherJob) {
  send_create(1);
  auto again = message(2);
  again["job_identifier"]["job_name"] = identifier(1)["job_name"];
  again["auto_register_key"] = "key-2";
  EXPECT_EQ(send("create-agent", again).status, 200);
  EXPECT_EQ(fleet->agents().size(), 2U);
}

TEST_F(ContractTest, AnInvalidProfileIsToldToTheJobAndAnsweredWith200) {
  profile = {{"Image", "a b"}};
  EXPECT_EQ(send_create(1).status, 200);
  EXPECT_TRUE(eventually([&] { return gocd->console_has("Image must be one image reference"); }));
  EXPECT_THAT(fleet->agents(), IsEmpty());
}

TEST_F(ContractTest, FivesOfCreatesAPingAndManyQuestionsGoTogether) {
  cluster["max_docker_containers"] = "10";
  std::vector<std::jthread> threads;
  std::atomic<int> refused = 0;
  const auto expect = [&](const PluginAnswer& answer) { refused += answer.status == 200 ? 0 : 1; };
  for (int id = 1; id <= 5; ++id) threads.emplace_back([&, id] { expect(send_create(id)); });
  threads.emplace_back([&] { expect(send("server-ping", {{"all_cluster_profile_properties", {cluster}}})); });
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 200; ++i) expect(send_assign("ebbtide-" + std::to_string(thread), 1 + i % 5));
    });
  threads.clear();
  EXPECT_EQ(refused, 0);
  for (int id = 1; id <= 5; ++id) EXPECT_TRUE(becomes(id, AgentState::kRegistering));
}

TEST_F(ContractTest, AnotherGocdSeesNothingOfAnAgent) {
  const auto id = running(1);
  EXPECT_THAT(view("agent-status-report", report_of(id)), HasSubstr(id));
  EXPECT_THAT(view("agent-status-report", report_of(id), "gocd-2"), Not(HasSubstr(id)));
  EXPECT_THAT(view("cluster-status-report", report_of(id), "gocd-2"), Not(HasSubstr(id)));
  EXPECT_THAT(view("plugin-status-report", json::object(), "gocd-2"), Not(HasSubstr(id)));
  auto ask = message(1);
  ask["agent"] = {{"agent_id", id}};
  EXPECT_EQ(send("should-assign-work", ask, "gocd-2").body, "false");
  auto done = message(1);
  done["elastic_agent_id"] = id;
  EXPECT_EQ(send("job-completion", done, "gocd-2").status, 200);
  EXPECT_EQ(agent_of(1)->state, AgentState::kRegistering);
}

TEST_F(ContractTest, ReportsAndConsolesHoldNoSecrets) {
  cluster["environment_variables"] = "TOKEN=cluster-secret";
  cluster["private_registry_password"] = "registry-secret";
  profile["Environment"] = "PASSWORD=profile-secret";
  engine->set_log("got cluster-secret, profile-secret and key-of-registration\n");
  const auto id = running(1);
  auto shown = view("plugin-status-report", json::object()) + view("agent-status-report", report_of(id));
  engine->die(id, 3);
  EXPECT_TRUE(eventually([&] { return gocd->console_has("********"); })) << gocd->console();
  ASSERT_TRUE(ends(id));
  shown += gocd->console() + fleet->history(1).at(0).last_log;
  EXPECT_THAT(shown, Not(HasSubstr("-secret")));
  EXPECT_THAT(shown, Not(HasSubstr("key-of-registration")));
}

TEST_F(ContractTest, ARefusedProfileShowsNoSecret) {
  cluster["environment_variables"] = "TOKEN=first\nsecond-secret";
  cluster["docker_client_key"] = "no PEM, but a secret";
  cluster["docker_uri"] = "tcp://engine:2376";
  EXPECT_EQ(send_create(1).status, 200);
  EXPECT_TRUE(eventually([&] { return gocd->console_has("environment_variables"); }));
  const auto answers =
      send("validate-cluster-profile", cluster).body + gocd->console() + fleet->health(kGocd).at(0).message;
  EXPECT_THAT(answers, Not(HasSubstr("secret")));
}

TEST_F(ContractTest, AnEngineThatDoesNotAnswerIsAFaultOfItsField) {
  cluster["docker_uri"] = "unix:///nowhere/docker.sock";
  const auto errors = json::parse(send("validate-cluster-profile", cluster).body);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0]["key"], "docker_uri");
  EXPECT_THAT(errors[0]["message"].get<std::string>(), HasSubstr("Check the address"));
}

TEST_F(ContractTest, AValidationIsAlwaysAList) {
  for (const auto& properties : {json(cluster), json::object(), json{{"docker_uri", nullptr}}, json{{"x", "y"}}}) {
    EXPECT_TRUE(json::parse(send("validate-cluster-profile", properties).body).is_array()) << properties;
    EXPECT_TRUE(json::parse(send("validate-elastic-agent-profile", properties).body).is_array()) << properties;
  }
}

TEST_F(ContractTest, WhatCanNotBeReadIsRefusedWithAMessage) {
  for (const auto* name : {"create-agent", "should-assign-work", "job-completion", "server-ping", "agent-status-report",
                           "cluster-status-report", "plugin-status-report", "cluster-profile-changed", "migrate-config",
                           "validate-cluster-profile", "validate-elastic-agent-profile"}) {
    const auto answer = contract.handle(kGocd, name, "{\"broken\":");
    EXPECT_EQ(answer.status, 400) << name;
    EXPECT_NE(json::parse(answer.body).at("message"), "") << name;
  }
}

}  // namespace
}  // namespace ebbtide::plugin::test
