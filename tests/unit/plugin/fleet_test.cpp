// The life of agents, whole: from create-agent to nothing left.
#include "plugin/fleet.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "docker/ledger/labels.h"
#include "tests/unit/plugin/fleet_harness.h"

namespace ebbtide::plugin::test {
namespace {

TEST_F(FleetTest, AnAgentLivesForItsJobAndLeavesNothing) {
  const auto id = running(1);
  EXPECT_FALSE(assign(id, 2));
  EXPECT_TRUE(assign(id, 1));
  gocd->set(id, "Building", "Building");
  ping();
  ASSERT_TRUE(becomes(1, AgentState::kBuilding));
  engine->add_container("job-db", ownership_labels("server-1", id, Role::kBelonging, Kind::kContainer, "job-db", "db"));
  gocd->set(id, "Idle");
  complete(id, 1);
  ASSERT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
  EXPECT_TRUE(eventually([&] { return !gocd->knows(id); }));
  EXPECT_TRUE(gocd->was_disabled(id));
  EXPECT_FALSE(assign(id, 1));
  const auto history = fleet->history(10);
  ASSERT_EQ(history.size(), 1U);
  EXPECT_EQ(history[0].agent_id, id);
  EXPECT_EQ(history[0].cause, to_string(EndCause::kJobCompleted));
  EXPECT_EQ(history[0].job.job_id, 1);
}

TEST_F(FleetTest, TheContainerIsMadeAsTheProfileAndGocdSay) {
  profile["Environment"] = "A=b";
  const auto id = running(1);
  EXPECT_EQ(env_of(id, "GO_EA_SERVER_URL"), "http://gocd.example:8153/go");
  EXPECT_EQ(env_of(id, "GO_EA_AUTO_REGISTER_KEY"), "key-of-registration");
  EXPECT_EQ(env_of(id, "GO_EA_AUTO_REGISTER_ELASTIC_AGENT_ID"), id);
  EXPECT_EQ(env_of(id, "A"), "b");
  EXPECT_EQ(env_of(id, "DOCKER_HOST"), "unix:///run/ebbtide/docker.sock");
  const auto body = engine->body_of(id);
  const auto binds = body["HostConfig"]["Binds"].dump();
  EXPECT_NE(binds.find(run_dir + "/agents/" + id + ":/run/ebbtide:ro"), std::string::npos) << binds;
  EXPECT_NE(binds.find(id + "-go-working-dir:/go-working-dir"), std::string::npos) << binds;
  EXPECT_EQ(body["Labels"].dump().find("key-of-registration"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(run_dir + "/agents/" + id + "/docker.sock"));
}

TEST_F(FleetTest, OnAnotherMachinesEngineATrackedAgentIsRefusedWithARemedy) {
  engine = std::make_shared<ebbtide::test::FakeEngine>(EngineAddress::parse("tcp://engine.example:2375").value());
  engine->add_image(kImage);
  cluster["docker_uri"] = "tcp://engine.example:2375";
  create(1);
  ASSERT_TRUE(eventually([&] { return gocd->console_has("set DockerAccess to none, dind or host"); }));
  EXPECT_TRUE(eventually(
      [&] { return gocd->health_has("from ci/agent:1 on tcp://engine.example:2375: DockerAccess tracked"); }));
  EXPECT_TRUE(eventually([&] { return fleet->agents().empty(); }));
  EXPECT_EQ(engine->count(), 0U);
  profile["DockerAccess"] = "none";
  running(2);
}

TEST_F(FleetTest, OnAnotherMachinesEngineATrackedAgentReachesItsGatewayOverTls) {
  std::filesystem::create_directories(run_dir);
  remote_gateways = {.address = "ci.example:8161", .authority = gateway::Authority::open(run_dir + "/ca.pem").value()};
  engine = std::make_shared<ebbtide::test::FakeEngine>(EngineAddress::parse("https://engine.example").value());
  engine->add_image(kImage);
  cluster["docker_uri"] = "https://engine.example";
  restart();
  const auto id = running(1);
  EXPECT_EQ(env_of(id, "DOCKER_HOST"), "tcp://ci.example:8161");
  EXPECT_EQ(env_of(id, "DOCKER_TLS_VERIFY"), "1");
  EXPECT_EQ(env_of(id, "DOCKER_CERT_PATH"), "/run/ebbtide");
  const auto body = engine->body_of(id);
  EXPECT_EQ(body["HostConfig"]["Binds"].dump(), "[\"" + id + "-run-ebbtide:/run/ebbtide\"]");
  EXPECT_EQ(body.dump().find("PRIVATE KEY"), std::string::npos);
  const auto tar = engine->archive_of(id);
  for (const auto* text : {"ca.pem", "cert.pem", "key.pem", "PRIVATE KEY"})
    EXPECT_NE(tar.find(text), std::string::npos) << text;
  const auto socket = run_dir + "/agents/" + id + "/docker.sock";
  EXPECT_TRUE(std::filesystem::exists(socket));
  stop();
  std::filesystem::remove(socket);
  restart();
  ping();
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(socket); })) << "it is opened again after a restart";
  complete(id, 1);
  ASSERT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
}

// A second profile of GoCD for the same engine is the same cluster, but its agents are not these.
TEST_F(FleetTest, PruningCachesTellsOnesInUseFromFaultsAndTakesNobodyElses) {
  running(1);
  const auto scope = name_scope("server-1", "shared volumes of gocd-1");
  for (const auto* name : {"m2", "npm"}) engine->create_volume(scope + name, {{label::kSharedVolume, "server-1"}});
  engine->create_volume(scope + "theirs", {{label::kSharedVolume, "server-2"}});
  engine->create_volume("operators", {{label::kSharedVolume, "server-1"}});
  const auto key = fleet->clusters().at(0).key;
  const std::vector<std::string> both = {"m2", "npm"};
  EXPECT_EQ(fleet->caches(key).value(), both);
  engine->fail_next("remove_volume", Error::unavailable("it is away"));
  const auto first = fleet->prune_caches(key, "anna").value();
  EXPECT_EQ(first.removed, std::vector<std::string>{"npm"});
  EXPECT_TRUE(first.in_use.empty());
  ASSERT_EQ(first.failed.size(), 1U);
  EXPECT_EQ(first.failed.front(), "m2 (it is away)");
  engine->fail_next("remove_volume", Error::conflict("volume is in use"));
  EXPECT_EQ(fleet->prune_caches(key, "anna").value().in_use, std::vector<std::string>{"m2"});
  EXPECT_EQ(fleet->prune_caches(key, "anna").value().removed, std::vector<std::string>{"m2"});
  EXPECT_EQ(engine->list_volumes({std::string(label::kSharedVolume)})->size(), 2U);
  EXPECT_FALSE(fleet->prune_caches("no such cluster", "anna"));
}

TEST_F(FleetTest, AnAgentIsMadeAsItsOwnClusterProfileSays) {
  cluster["environment_variables"] = "OF=first";
  engine->hold("inspect_image");
  create(1);
  engine->await_held("inspect_image");
  auto second = cluster;
  second["environment_variables"] = "OF=second";
  second["docker_policy"] = "trusted";
  fleet->server_ping(kGocd, {.clusters = {cluster, second}});
  engine->release("inspect_image");
  ASSERT_TRUE(becomes(1, AgentState::kRegistering));
  const auto id = agent_of(1)->id;
  EXPECT_EQ(env_of(id, "OF"), "first");
  const auto label = engine->body_of(id)["Labels"]["ebbtide.cluster"].get<std::string>();
  EXPECT_EQ(nlohmann::json::parse(label).at("policy").at("level"), "ci");
}

TEST_F(FleetTest, ARepeatedRequestMakesNoSecondAgent) {
  const auto id = running(1);
  create(1, "another-key");
  EXPECT_TRUE(eventually([&] { return gocd->console_has("asked again"); }));
  EXPECT_EQ(fleet->agents().size(), 1U);
  EXPECT_EQ(engine->container_names(), std::vector{id});
}

TEST_F(FleetTest, AtTheLimitJobsWaitInOrderAndAreTold) {
  cluster["max_docker_containers"] = "1";
  const auto first = running(1);
  create(2);
  create(3);
  EXPECT_EQ(agent_of(2)->state, AgentState::kQueued);
  EXPECT_TRUE(eventually([&] { return gocd->console_has("position 2 of 2"); })) << gocd->console();
  EXPECT_TRUE(eventually([&] { return gocd->health_has("at its limit: 1 of 1"); }));
  complete(first, 1);
  EXPECT_TRUE(becomes(2, AgentState::kRegistering));
  EXPECT_EQ(agent_of(3)->state, AgentState::kQueued);
  complete(agent_of(2)->id, 2);
  EXPECT_TRUE(becomes(3, AgentState::kRegistering));
  EXPECT_TRUE(eventually([&] { return !gocd->health_has("at its limit"); }));
}

TEST_F(FleetTest, AnEndedAgentInTheQueueIsGoneAtOnce) {
  cluster["max_docker_containers"] = "1";
  running(1);
  create(2);
  const auto waiting = agent_of(2)->id;
  EXPECT_TRUE(fleet->end_agent(waiting, "anna"));
  EXPECT_TRUE(ends(waiting));
  EXPECT_FALSE(engine->has_container(waiting));
}

TEST_F(FleetTest, AnAgentEndedWhileItIsMadeLeavesNothing) {
  engine->hold("create_container");
  create(1);
  engine->await_held("create_container");
  const auto id = agent_of(1)->id;
  ASSERT_TRUE(fleet->end_agent(id, "anna"));
  EXPECT_EQ(agent_of(1)->state, AgentState::kTerminating);
  engine->release("create_container");
  ASSERT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
  const auto calls = engine->calls();
  EXPECT_TRUE(std::ranges::none_of(calls, [](const auto& call) { return call.starts_with("start_container"); }));
}

TEST_F(FleetTest, ManyAtOnceKeepTheLimitAndLeaveNothing) {
  cluster["max_docker_containers"] = "4";
  constexpr int kJobs = 24;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([this] {
      for (int id = 1; id <= kJobs; ++id) create(id);  // each job is asked for four times
    });
  threads.clear();
  std::size_t most = 0;
  const auto done = [&] {
    most = std::max(most, fleet->clusters().at(0).agents);
    for (const auto& view : fleet->agents())
      if (view.agent.state == AgentState::kRegistering) complete(view.agent.id, view.agent.job.job_id);
    return fleet->agents().empty();
  };
  EXPECT_TRUE(eventually(done));
  EXPECT_LE(most, 4U);
  EXPECT_EQ(fleet->history(100).size(), static_cast<std::size_t>(kJobs));
  EXPECT_EQ(engine->count(), 0U);
}

TEST_F(FleetTest, AMissingImageIsPulledOnceForAllWhoWait) {
  profile["Image"] = "ci/other:2";
  engine->hold("pull_image");
  create(1);
  create(2);
  engine->await_held("pull_image");
  EXPECT_EQ(agent_of(1)->state, AgentState::kPulling);
  engine->release("pull_image");
  EXPECT_TRUE(becomes(1, AgentState::kRegistering));
  EXPECT_TRUE(becomes(2, AgentState::kRegistering));
  EXPECT_TRUE(eventually([&] { return gocd->console_has("image pulled in"); }));
}

TEST_F(FleetTest, AProfileSaysWhetherItsImageIsPulled) {
  const auto pulls = [this] { return std::ranges::count(engine->calls(), "pull_image " + profile["Image"]); };
  profile["PullPolicy"] = "always";
  create(1);
  EXPECT_TRUE(becomes(1, AgentState::kRegistering));
  EXPECT_EQ(pulls(), 1);
  cluster["pull_on_container_create"] = "true";
  profile["PullPolicy"] = "if-not-present";
  create(2);
  EXPECT_TRUE(becomes(2, AgentState::kRegistering));
  EXPECT_EQ(pulls(), 1);
  profile["PullPolicy"] = "";
  create(3);
  EXPECT_TRUE(becomes(3, AgentState::kRegistering));
  EXPECT_EQ(pulls(), 2);
}

TEST_F(FleetTest, AnImageThatIsNeverPulledMustBeThere) {
  profile["Image"] = "ci/other:2";
  profile["PullPolicy"] = "never";
  create(1);
  EXPECT_TRUE(eventually([&] { return gocd->console_has("set PullPolicy to if-not-present"); }));
  EXPECT_TRUE(eventually([&] { return fleet->agents().empty(); }));
  EXPECT_EQ(std::ranges::count(engine->calls(), "pull_image ci/other:2"), 0);
}

TEST_F(FleetTest, AnImageOfAnotherPlatformIsPulledForTheWantedOne) {
  profile["Image"] = "ci/other:2";
  profile["Platform"] = "linux/arm64";
  create(1);
  EXPECT_TRUE(becomes(1, AgentState::kRegistering));
  EXPECT_EQ(engine->platform_of(agent_of(1)->id), "linux/arm64");
  profile["Platform"] = "linux/amd64";
  create(2);
  EXPECT_TRUE(becomes(2, AgentState::kRegistering));
  EXPECT_EQ(std::ranges::count(engine->calls(), "pull_image ci/other:2"), 2);
}

TEST_F(FleetTest, AnAgentHasItsStopTimeBeforeItIsRemoved) {
  profile["StopTimeout"] = "7";
  create(1);
  ASSERT_TRUE(becomes(1, AgentState::kRegistering));
  const auto id = agent_of(1)->id;
  const auto container = agent_of(1)->container_id;
  complete(id, 1);
  EXPECT_TRUE(eventually([&] { return fleet->agents().empty(); }));
  const auto calls = engine->calls();
  const auto stop = std::ranges::find(calls, "stop_container " + container);
  ASSERT_NE(stop, calls.end());
  EXPECT_NE(std::find(stop, calls.end(), "remove_container " + container), calls.end());
}

TEST_F(FleetTest, PlacesOfPathsThatACrashLeftGo) {
  std::filesystem::create_directories(run_dir + "/mounts/ebbtide-gone/3f2a9c01/src");
  create(1);
  EXPECT_TRUE(becomes(1, AgentState::kRegistering));
  EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(run_dir + "/mounts/ebbtide-gone"); }));
}

TEST_F(FleetTest, AFailedCreationIsUnwoundAndTold) {
  engine->fail_next("start_container", Error::invalid("no such command"));
  create(1);
  EXPECT_TRUE(eventually([&] { return fleet->history(1).size() == 1 && fleet->agents().empty(); }));
  EXPECT_EQ(engine->count(), 0U);
  EXPECT_TRUE(eventually([&] { return gocd->console_has("no such command"); }));
  EXPECT_TRUE(eventually([&] { return gocd->health_has("no such command"); }));
  create(1);
  EXPECT_TRUE(becomes(1, AgentState::kRegistering));
  EXPECT_TRUE(eventually([&] { return !gocd->health_has("no such command"); }));
}

TEST_F(FleetTest, AFailedPullIsTold) {
  profile["Image"] = "ci/unknown:1";
  engine->fail_next("pull_image", Error::not_found("manifest unknown"));
  create(1);
  EXPECT_TRUE(eventually([&] { return gocd->console_has("manifest unknown"); }));
  EXPECT_TRUE(eventually([&] { return fleet->agents().empty(); }));
}

TEST_F(FleetTest, AnInvalidProfileIsToldAndMakesNothing) {
  profile["Image"] = "";
  create(1);
  EXPECT_TRUE(eventually([&] { return gocd->console_has("elastic agent profile is not valid"); }));
  EXPECT_TRUE(fleet->agents().empty());
}

TEST_F(FleetTest, ADeadContainersReasonIsKeptWithoutSecrets) {
  engine->set_log("registering with key-of-registration\ncannot reach the server\n");
  const auto id = running(1);
  engine->die(id, 137, true);
  ASSERT_TRUE(ends(id));
  EXPECT_TRUE(eventually([&] { return gocd->console_has("ended with code 137"); })) << gocd->console();
  EXPECT_TRUE(gocd->console_has("cannot reach the server"));
  EXPECT_FALSE(gocd->console_has("key-of-registration"));
  const auto history = fleet->history(1);
  ASSERT_EQ(history.size(), 1U);
  EXPECT_EQ(history[0].exit_code, 137);
  EXPECT_EQ(history[0].cause, to_string(EndCause::kContainerDied));
  EXPECT_NE(history[0].last_log.find("cannot reach the server"), std::string::npos);
  EXPECT_EQ(engine->count(), 0U);
  EXPECT_FALSE(agent_of(1));  // no unused key: GoCD's next request brings the next agent
}

TEST_F(FleetTest, AnUnusedKeyBringsAnotherAgentAtOnce) {
  const auto id = running(1);
  create(1, "unused-key");
  engine->die(id, 1);
  ASSERT_TRUE(ends(id));
  ASSERT_TRUE(becomes(1, AgentState::kRegistering));
  const auto second = agent_of(1)->id;
  EXPECT_NE(second, id);
  EXPECT_EQ(env_of(second, "GO_EA_AUTO_REGISTER_KEY"), "unused-key");
}

TEST_F(FleetTest, AContainerRemovedBySomeoneElseIsAnEnd) {
  const auto id = running(1);
  ASSERT_TRUE(engine->remove_container(agent_of(1)->container_id));
  EXPECT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
}

TEST_F(FleetTest, AKeptFailureStaysUntilAnAdminEndsIt) {
  profile["KeepOnFailure"] = "30";
  const auto id = running(1);
  engine->die(id, 1);
  ASSERT_TRUE(eventually([&] { return agent_of(1)->phase.starts_with("kept"); }));
  EXPECT_TRUE(engine->has_container(id));
  EXPECT_EQ(fleet->clusters().at(0).agents, 0U);  // it holds no place
  ASSERT_TRUE(fleet->end_agent(id, "anna"));
  EXPECT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
}

TEST_F(FleetTest, WhatRefusesToGoIsTriedAgainAndShown) {
  const auto id = running(1);
  engine->fail_next("remove_container", Error::unavailable("device is busy"), 5);
  complete(id, 1);
  ASSERT_TRUE(eventually([&] {
    const auto agent = agent_of(1);
    return agent && agent->reap_tries > 0;
  }));
  EXPECT_NE(agent_of(1)->reap_left.at(0).find("device is busy"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return gocd->health_has("could not be removed wholly"); }));
  EXPECT_TRUE(eventually([&] { return gocd->was_disabled(id); }));
  EXPECT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
}

TEST_F(FleetTest, GocdsAbsenceDelaysNoRemoval) {
  const auto id = idle(1);
  gocd.reset();
  complete(id, 1);
  ASSERT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
  const auto waiting = fleet->channel(kGocd).state();
  EXPECT_FALSE(waiting.connected);
  EXPECT_GE(waiting.waiting, 2U);
  gocd = std::make_unique<ScriptedGocd>(fleet->channel(kGocd));
  EXPECT_TRUE(eventually([&] { return gocd->was_disabled(id); }));
}

TEST_F(FleetTest, NoDockerAccessMeansNoGateway) {
  profile["DockerAccess"] = "none";
  const auto id = running(1);
  EXPECT_EQ(env_of(id, "DOCKER_HOST"), "");
  EXPECT_FALSE(std::filesystem::exists(run_dir + "/agents/" + id));
  complete(id, 1);
  EXPECT_TRUE(ends(id));
}

TEST_F(FleetTest, TheRawSocketIsMarkedAsUnsafe) {
  profile["DockerAccess"] = "host";
  const auto id = running(1);
  EXPECT_NE(engine->body_of(id)["HostConfig"]["Binds"].dump().find("/fake/docker.sock:/var/run/docker.sock"),
            std::string::npos);
  EXPECT_TRUE(eventually([&] { return gocd->health_has("raw Docker socket"); }));
  EXPECT_TRUE(eventually([&] { return gocd->console_has("raw Docker socket"); }));
}

TEST_F(FleetTest, AnEngineOfItsOwnIsPrivilegedAndTracked) {
  profile["DockerAccess"] = "dind";
  const auto id = running(1);
  EXPECT_TRUE(engine->body_of(id)["HostConfig"]["Privileged"]);
  EXPECT_NE(engine->body_of(id)["HostConfig"]["Binds"].dump().find(id + "-var-lib-docker:/var/lib/docker"),
            std::string::npos);
  complete(id, 1);
  EXPECT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
}

}  // namespace
}  // namespace ebbtide::plugin::test
