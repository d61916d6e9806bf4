// The watch and the reaper on a real engine: what bears our labels goes, whatever state it is in, and nothing else
// does.
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>

#include "docker/base/secret.h"
#include "docker/engine/http_engine.h"
#include "docker/ledger/reaper.h"
#include "tests/support/test_engine.h"

namespace ebbtide {
namespace {

using nlohmann::json;

constexpr const char* kImage = "ebbtide-test/busybox:1";

class ReaperOnEngine : public testing::Test {
 protected:
  ReaperOnEngine()
      : engine_(make_http_engine(testing_support::engine_address())),
        store_(std::make_shared<Store>(Database::in_memory())),
        mark_(random_hex(4)),
        watch_(engine_, store_, "server-" + mark_),
        owner_("owner-" + mark_) {}

  void SetUp() override {
    watch_.start({.agent_died = [this](const AgentDeath& death) {
      const std::scoped_lock lock(mutex_);
      deaths_.push_back(death);
      told_.notify_all();
    }});
    ASSERT_TRUE(watch_.resync());
  }

  void TearDown() override {
    watch_.stop();
    for (const auto& id : foreign_containers_) EXPECT_TRUE(engine_->remove_container(id));
    for (const auto& id : foreign_networks_) EXPECT_TRUE(engine_->remove_network(id));
    for (const auto& name : foreign_volumes_) EXPECT_TRUE(engine_->remove_volume(name));
  }

  Labels labels(Role role, Kind kind, const std::string& name) const {
    return ownership_labels(watch_.server_id(), owner_, role, kind, name, name);
  }

  std::string name(const std::string& suffix) const { return "ebbtide-reaper-" + mark_ + "-" + suffix; }

  std::string container(const std::string& suffix, const Labels& labels, bool running = true, json host = {}) {
    if (host.is_null()) host = json::object();
    if (!host.contains("NetworkMode")) host["NetworkMode"] = "none";
    const json body{{"Image", kImage}, {"Cmd", {"sleep", "3600"}}, {"Labels", labels}, {"HostConfig", host}};
    const auto id = engine_->create_container(name(suffix), body);
    EXPECT_TRUE(id) << id.error().message;
    if (running) {
      const auto started = engine_->start_container(*id);
      EXPECT_TRUE(started) << started.error().message;
    }
    return *id;
  }

  std::string own_container(const std::string& suffix, Role role = Role::kBelonging, bool running = true,
                            const json& host = {}) {
    return container(suffix, labels(role, Kind::kContainer, name(suffix)), running, host);
  }

  bool exists(const std::string& id) { return engine_->inspect_container(id).has_value(); }

  AgentDeath await_death() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(told_.wait_for(lock, std::chrono::seconds(20), [this] { return !deaths_.empty(); }));
    return deaths_.empty() ? AgentDeath{} : deaths_.front();
  }

  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Store> store_;
  std::string mark_;
  EngineWatch watch_;
  std::string owner_;
  std::mutex mutex_;
  std::condition_variable told_;
  std::vector<AgentDeath> deaths_;
  std::vector<std::string> foreign_containers_;
  std::vector<std::string> foreign_networks_;
  std::vector<std::string> foreign_volumes_;
};

TEST_F(ReaperOnEngine, RemovesContainersInEveryStateAndVolumes) {
  const auto agent = own_container("agent", Role::kAgent);
  const auto running = own_container("running");
  const auto created = own_container("created", Role::kBelonging, false);
  const auto restarting =
      own_container("restarting", Role::kBelonging, true,
                    {{"RestartPolicy", {{"Name", "always"}}}, {"NetworkMode", "container:" + agent}});
  const auto volume = name("volume");
  ASSERT_TRUE(engine_->create_volume(volume, labels(Role::kBelonging, Kind::kVolume, volume)));
  own_container("with-volume", Role::kBelonging, true, {{"Binds", {volume + ":/data"}}});

  const auto report = reap(watch_, owner_, {});

  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->complete()) << testing::PrintToString(report->left);
  EXPECT_EQ(report->containers, 5U);
  EXPECT_EQ(report->volumes, 1U);
  for (const auto& id : {agent, running, created, restarting}) EXPECT_FALSE(exists(id));
  EXPECT_TRUE(watch_.ledger().of(owner_).empty());
}

TEST_F(ReaperOnEngine, ReapingTwiceIsNoError) {
  own_container("agent", Role::kAgent);
  ASSERT_TRUE(reap(watch_, owner_, {})->complete());
  const auto again = reap(watch_, owner_, {});
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->complete());
  EXPECT_EQ(again->containers, 0U);
}

TEST_F(ReaperOnEngine, TwoAtOnceDoNotDisturbEachOther) {
  for (int i = 0; i < 4; ++i) own_container("c" + std::to_string(i));
  auto other = std::async(std::launch::async, [this] { return reap(watch_, owner_, {}); });
  const auto report = reap(watch_, owner_, {});
  EXPECT_TRUE(report->complete()) << testing::PrintToString(report->left);
  EXPECT_TRUE(other.get()->complete());
}

TEST_F(ReaperOnEngine, LeavesAnOperatorsContainerThatInheritedOurLabels) {
  // As from an image that an agent committed: the labels are right, the name is not.
  foreign_containers_.push_back(container("operators", labels(Role::kBelonging, Kind::kContainer, name("agents"))));
  const auto ours = own_container("ours");
  EXPECT_TRUE(reap(watch_, owner_, {})->complete());
  EXPECT_FALSE(exists(ours));
  EXPECT_TRUE(exists(foreign_containers_.front()));
}

TEST_F(ReaperOnEngine, LeavesWhatBelongsToAnotherServer) {
  const auto theirs =
      ownership_labels("another-server", owner_, Role::kBelonging, Kind::kContainer, name("theirs"), "");
  foreign_containers_.push_back(container("theirs", theirs));
  EXPECT_TRUE(reap(watch_, owner_, {})->complete());
  EXPECT_TRUE(exists(foreign_containers_.front()));
}

TEST_F(ReaperOnEngine, RemovesARenamedContainerThatTheStoreRemembers) {
  const auto wrong_name = labels(Role::kBelonging, Kind::kContainer, name("before"));
  const auto id = container("after", wrong_name);
  ASSERT_TRUE(store_->record_rename(engine_->address().text(), id, owner_));
  EXPECT_TRUE(reap(watch_, owner_, {})->complete());
  EXPECT_FALSE(exists(id));
}

TEST_F(ReaperOnEngine, AVolumeThatAForeignContainerUsesIsReportedAndGoesLater) {
  const auto volume = name("volume");
  ASSERT_TRUE(engine_->create_volume(volume, labels(Role::kBelonging, Kind::kVolume, volume)));
  const auto guest = container("guest", {}, false, {{"Binds", {volume + ":/data"}}});
  const auto report = reap(watch_, owner_, {});
  ASSERT_TRUE(report);
  ASSERT_EQ(report->left.size(), 1U);
  EXPECT_NE(report->left.front().find("volume " + volume), std::string::npos) << report->left.front();
  ASSERT_TRUE(engine_->remove_container(guest));
  EXPECT_TRUE(reap(watch_, owner_, {})->complete());
}

TEST_F(ReaperOnEngine, TellsOfAnAgentsDeathWithItsExitCode) {
  const auto agent = own_container("agent", Role::kAgent);
  ASSERT_TRUE(engine_->kill_container(agent));
  const auto death = await_death();
  EXPECT_EQ(death.owner, owner_);
  EXPECT_EQ(death.container_id, agent);
  EXPECT_EQ(death.exit_code, 137);
  EXPECT_FALSE(death.removed);
  EXPECT_TRUE(reap(watch_, owner_, {})->complete());
}

TEST_F(ReaperOnEngine, KnowsAfterARestartWhatIsOurs) {
  const auto id = own_container("left-behind");
  EngineWatch second(engine_, store_, watch_.server_id());
  std::promise<void> listed;
  std::once_flag once;
  second.start({.listed = [&] { std::call_once(once, [&] { listed.set_value(); }); }});
  ASSERT_EQ(listed.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_TRUE(second.ledger().owns(owner_, Kind::kContainer, id));
  EXPECT_TRUE(reap(second, owner_, {})->complete());
  second.stop();
}

TEST_F(ReaperOnEngine, WhatNoImageCanBeNamedHoldsNothingUp) {
  const auto engine = engine_->address().text();
  for (const auto* reference : {"bad:", "UPPER/CASE:1", "a b:1", "absent:1"})
    ASSERT_TRUE(store_->record_image({.engine = engine, .owner = owner_, .reference = reference}));
  ASSERT_TRUE(watch_.resync());
  const auto report = reap(watch_, owner_, {});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->complete()) << testing::PrintToString(report->left);
}

}  // namespace
}  // namespace ebbtide
