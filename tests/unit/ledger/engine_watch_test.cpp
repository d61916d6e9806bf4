#include "docker/ledger/engine_watch.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "tests/support/fake_engine.h"

namespace ebbtide {
namespace {

using test::FakeEngine;

class EngineWatchTest : public testing::Test {
 protected:
  void start() {
    watch_.start({.agent_died =
                      [this](const AgentDeath& death) {
                        const std::scoped_lock lock(mutex_);
                        deaths_.push_back(death);
                        changed_.notify_all();
                      },
                  .listed =
                      [this] {
                        const std::scoped_lock lock(mutex_);
                        ++listings_;
                        changed_.notify_all();
                      }});
  }
  void TearDown() override { watch_.stop(); }

  template <class Condition>
  void await(Condition condition) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), condition));
  }

  std::string add(const std::string& name, Role role, const std::string& state = "running") {
    return engine_->add_container(name, ownership_labels("s1", "a1", role, Kind::kContainer, name, name), state);
  }

  std::shared_ptr<FakeEngine> engine_ = std::make_shared<FakeEngine>();
  EngineWatch watch_{engine_, std::make_shared<Store>(Database::in_memory()), "s1"};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<AgentDeath> deaths_;
  int listings_ = 0;
};

TEST_F(EngineWatchTest, ListsAfterTheStreamCameUpAndIsReadyThen) {
  const auto id = add("there-before", Role::kBelonging);
  EXPECT_FALSE(watch_.ready());
  start();
  await([this] { return listings_ > 0; });
  EXPECT_TRUE(watch_.ready());
  EXPECT_TRUE(watch_.ledger().owns("a1", Kind::kContainer, id));
}

TEST_F(EngineWatchTest, LearnsFromEventsWhatComesAndGoes) {
  start();
  await([this] { return listings_ > 0; });
  const auto id = add("child", Role::kBelonging);
  EXPECT_TRUE(watch_.ledger().owns("a1", Kind::kContainer, id));
  engine_->die("child", 0);
  EXPECT_EQ(watch_.ledger().find(Kind::kContainer, id)->state, "exited");
  ASSERT_TRUE(engine_->remove_container(id));
  EXPECT_FALSE(watch_.ledger().owns("a1", Kind::kContainer, id));
}

TEST_F(EngineWatchTest, TellsAtOnceThatAnAgentDied) {
  add("agent", Role::kAgent);
  start();
  await([this] { return listings_ > 0; });
  engine_->die("agent", 137);
  await([this] { return !deaths_.empty(); });
  EXPECT_EQ(deaths_.front().owner, "a1");
  EXPECT_EQ(deaths_.front().exit_code, 137);
  EXPECT_FALSE(deaths_.front().removed);
}

TEST_F(EngineWatchTest, ABelongingsDeathIsNoAgents) {
  add("child", Role::kBelonging);
  start();
  await([this] { return listings_ > 0; });
  engine_->die("child", 1);
  EXPECT_TRUE(deaths_.empty());
}

TEST_F(EngineWatchTest, FindsByListingADeathThatNoEventTold) {
  const auto id = add("agent", Role::kAgent);
  start();
  await([this] { return listings_ > 0; });
  // As after a loss of the stream: what a listing shows no more has gone.
  watch_.ledger().claim(
      {.kind = Kind::kContainer, .id = "vanished", .owner = "a2", .role = Role::kAgent, .state = "running"});
  ASSERT_TRUE(watch_.resync());
  await([this] { return !deaths_.empty(); });
  EXPECT_EQ(deaths_.front().container_id, "vanished");
  EXPECT_TRUE(deaths_.front().removed);
  EXPECT_TRUE(watch_.ledger().owns("a1", Kind::kContainer, id));
}

TEST_F(EngineWatchTest, IsNotReadyWhileTheEngineIsAway) {
  start();
  await([this] { return listings_ > 0; });
  engine_->down();
  EXPECT_FALSE(watch_.ready());
  EXPECT_EQ(watch_.state().error, "the engine is down");
  EXPECT_FALSE(watch_.resync());
  const int before = listings_;
  engine_->up();
  await([&] { return listings_ > before; });
  EXPECT_TRUE(watch_.ready());
}

TEST_F(EngineWatchTest, AFailedListingEndsNothing) {
  const auto id = add("agent", Role::kAgent);
  start();
  await([this] { return listings_ > 0; });
  engine_->fail_next("list_volumes", Error::timeout("slow"));
  EXPECT_FALSE(watch_.resync());
  EXPECT_TRUE(watch_.ledger().owns("a1", Kind::kContainer, id));
  EXPECT_TRUE(deaths_.empty());
}

}  // namespace
}  // namespace ebbtide
