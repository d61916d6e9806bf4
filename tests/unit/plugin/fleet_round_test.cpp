// What becomes of agents on the word of GoCD, of engines, and after restarts.
#include <gtest/gtest.h>

#include "docker/ledger/labels.h"
#include "tests/unit/plugin/fleet_harness.h"

namespace ebbtide::plugin::test {
namespace {

TEST_F(FleetTest, AJobCancelledBeforeItsAssignmentFreesItsAgent) {
  const auto id = idle(1);
  clock->forward(5min);
  ping();
  ASSERT_TRUE(ends(id));
  EXPECT_EQ(fleet->history(1).at(0).cause, to_string(EndCause::kNotNeeded));
  EXPECT_EQ(engine->count(), 0U);
}

TEST_F(FleetTest, WorkAssignedInTheLastMomentSavesTheAgent) {
  const auto id = idle(1);
  gocd->when_disabled([&](const std::string& agent) { gocd->set(agent, "Building", "Building"); });
  clock->forward(5min);
  ping();
  EXPECT_TRUE(becomes(1, AgentState::kBuilding));
  EXPECT_TRUE(gocd->was_disabled(id));
  EXPECT_TRUE(engine->has_container(id));
}

// The terminator was told that the agent builds; a listing from before says that it is idle.
TEST_F(FleetTest, AnOlderWordOfGocdDoesNotOverruleANewer) {
  const auto id = idle(1);
  round();
  gocd->hold(processor::kDisableAgents);
  clock->forward(5min);
  ping();
  ASSERT_TRUE(eventually([&] { return gocd->holds(processor::kDisableAgents); }));
  gocd->hold(processor::kListAgents);
  ping();
  ASSERT_TRUE(eventually([&] { return gocd->holds(processor::kListAgents); }));
  gocd->set(id, "Building", "Building");
  gocd->release(processor::kDisableAgents);
  ASSERT_TRUE(becomes(1, AgentState::kBuilding));
  const auto stayed = agent_of(1)->steps.size();
  gocd->release(processor::kListAgents);
  round();
  EXPECT_TRUE(becomes(1, AgentState::kBuilding));
  EXPECT_EQ(agent_of(1)->steps.size(), stayed) << agent_of(1)->steps.back().text;
}

TEST_F(FleetTest, ABuildingAgentIsNeverEndedByAPing) {
  const auto id = running(1);
  gocd->set(id, "Building", "Building");
  clock->forward(48h);
  round();
  round();
  EXPECT_TRUE(becomes(1, AgentState::kBuilding));
  EXPECT_FALSE(gocd->was_disabled(id));
}

TEST_F(FleetTest, AnAgentThatNeverRegistersIsReplacedAfterItsTime) {
  engine->set_log("422: the key was used\n");
  const auto id = running(1);
  clock->forward(3min);
  round();
  EXPECT_TRUE(eventually([&] { return gocd->console_has("has not registered after"); }));
  clock->forward(8min);
  ping();
  ASSERT_TRUE(ends(id));
  EXPECT_EQ(fleet->history(1).at(0).cause, to_string(EndCause::kNeverRegistered));
  EXPECT_TRUE(eventually([&] { return gocd->health_has("422: the key was used"); }));
}

TEST_F(FleetTest, AgentsOfGocdWithoutAContainerAreDeletedThere) {
  const auto id = idle(1);
  gocd->set("ebbtide-ghost", "LostContact");
  ping();
  EXPECT_TRUE(eventually([&] { return !gocd->knows("ebbtide-ghost"); }));
  EXPECT_TRUE(gocd->knows(id));
}

TEST_F(FleetTest, WhileTheEngineIsAwayNothingIsDestroyedAndCreationWaits) {
  const auto id = idle(1);
  engine->down();
  gocd->set("ebbtide-ghost", "Idle");
  clock->forward(1h);
  round();
  create(2);
  EXPECT_TRUE(eventually([&] { return gocd->health_has("can't be reached"); }));
  EXPECT_TRUE(eventually([&] { return gocd->console_has("the engine does not answer"); }));
  EXPECT_TRUE(gocd->knows("ebbtide-ghost"));
  EXPECT_EQ(agent_of(1)->state, AgentState::kIdle);
  EXPECT_FALSE(fleet->ready());
  engine->up();
  EXPECT_TRUE(becomes(2, AgentState::kRegistering)) << gocd->console();
  EXPECT_TRUE(fleet->agent(id));
  EXPECT_TRUE(eventually([&] { return fleet->ready().has_value(); }));
}

TEST_F(FleetTest, TwoGocdServersShareAnEngineWithoutHarm) {
  const auto id = idle(1);
  ScriptedGocd other(fleet->channel("gocd-2"));
  create(1, "key-of-the-other", "gocd-2");
  ASSERT_TRUE(eventually([&] { return fleet->agents().size() == 2; }));
  fleet->server_ping("gocd-2", {.clusters = {cluster}});
  EXPECT_TRUE(eventually([&] { return other.lists() > 0; }));
  EXPECT_FALSE(fleet->should_assign_work(
      "gocd-2", {.profile = profile, .cluster = cluster, .agent = {.agent_id = id}, .job = job(1)}));
  round();
  EXPECT_EQ(fleet->agents().size(), 2U);
  EXPECT_EQ(fleet->clusters().size(), 2U);
}

TEST_F(FleetTest, ARemovedClusterLetsItsJobsFinish) {
  const auto building = running(1);
  const auto waiting = running(2);
  gocd->set(building, "Building", "Building");
  gocd->set(waiting, "Idle");
  fleet->cluster_profile_changed(kGocd, {.status = "deleted", .cluster = cluster});
  ASSERT_TRUE(ends(waiting));
  EXPECT_TRUE(becomes(1, AgentState::kBuilding));
  EXPECT_TRUE(fleet->clusters().at(0).draining);
  gocd->set(building, "Idle");
  complete(building, 1);
  ASSERT_TRUE(ends(building));
  fleet->server_ping(kGocd, {});
  EXPECT_TRUE(eventually([&] { return fleet->clusters().empty(); }));
}

TEST_F(FleetTest, AnEditedClusterKeepsItsAgents) {
  const auto id = idle(1);
  auto old = cluster;
  cluster["max_docker_containers"] = "1";
  fleet->cluster_profile_changed(kGocd, {.status = "updated", .cluster = cluster, .old_cluster = old});
  round();
  EXPECT_EQ(fleet->clusters().size(), 1U);
  EXPECT_EQ(fleet->clusters().at(0).max_agents, 1U);
  EXPECT_EQ(agent_of(1)->state, AgentState::kIdle);
}

TEST_F(FleetTest, ARestartedServerTakesItsAgentsUp) {
  const auto id = idle(1);
  restart();
  ASSERT_TRUE(becomes(1, AgentState::kRegistering));
  EXPECT_EQ(agent_of(1)->job, job(1));
  EXPECT_EQ(agent_of(1)->access, DockerAccess::kTracked);
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(run_dir + "/agents/" + id + "/docker.sock"); }));
  gocd->set(id, "Idle");
  round();
  EXPECT_TRUE(becomes(1, AgentState::kIdle));
  EXPECT_TRUE(assign(id, 1));
  complete(id, 1);
  EXPECT_TRUE(ends(id));
  EXPECT_EQ(engine->count(), 0U);
}

TEST_F(FleetTest, WhatDiedWhileTheServerWasAwayIsReaped) {
  const auto dead = running(1);
  const auto lost = running(2);
  const auto lost_container = agent_of(2)->container_id;
  stop();
  engine->die(dead, 3);
  ASSERT_TRUE(engine->remove_container(lost_container));
  ASSERT_GT(engine->count(), 0U);
  restart();
  EXPECT_TRUE(eventually([&] { return engine->count() == 0; }));
  EXPECT_TRUE(eventually([&] { return fleet->counters().leftovers > 0; }));
  EXPECT_TRUE(eventually([&] { return gocd->health_has("Removed what agent " + lost); }));
  EXPECT_TRUE(eventually([&] { return !fleet->history(1).empty(); }));
  EXPECT_EQ(fleet->history(1).at(0).agent_id, dead);
  EXPECT_EQ(fleet->history(1).at(0).exit_code, 3);
}

TEST_F(FleetTest, AnAgentThatACrashLeftHalfMadeIsRemoved) {
  const auto id = running(1);
  const auto labels = engine->body_of(id)["Labels"].get<Labels>();
  stop();
  ASSERT_TRUE(engine->remove_container(id));
  engine->add_container(id, labels, "created");
  restart();
  EXPECT_TRUE(eventually([&] { return !fleet->history(1).empty(); }));
  EXPECT_EQ(fleet->history(1).at(0).cause, to_string(EndCause::kCreateFailed));
  EXPECT_EQ(engine->count(), 0U);
}

TEST_F(FleetTest, ForeignContainersAreLeftAlone) {
  engine->add_container("someone-else", {});
  engine->add_container(
      "other-server", ownership_labels("server-2", "x", Role::kAgent, Kind::kContainer, "other-server", ""), "exited");
  const auto id = running(1);
  restart();
  ASSERT_TRUE(becomes(1, AgentState::kRegistering));
  complete(id, 1);
  ASSERT_TRUE(ends(id));
  EXPECT_TRUE(engine->has_container("someone-else"));
  EXPECT_TRUE(engine->has_container("other-server"));
}

TEST_F(FleetTest, UnknownAgentsGetNoWork) {
  create(1);
  EXPECT_FALSE(assign("ebbtide-unknown", 1));
  EXPECT_FALSE(fleet->end_agent("ebbtide-unknown", "anna"));
}

TEST_F(FleetTest, AnAgentThatEndsGetsNoWork) {
  const auto id = idle(1);
  engine->hold("remove_container");
  complete(id, 1);
  EXPECT_FALSE(assign(id, 1));
  engine->release("remove_container");
  EXPECT_TRUE(ends(id));
}

}  // namespace
}  // namespace ebbtide::plugin::test
