#include "docker/ledger/reaper.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/fake_engine.h"

namespace ebbtide {
namespace {

using test::FakeEngine;

class ReaperTest : public testing::Test {
 protected:
  Labels labels(Kind kind, const std::string& name, Role role = Role::kBelonging) const {
    return ownership_labels("s1", "a1", role, kind, name, name);
  }
  void add_container(const std::string& name, Role role = Role::kBelonging) {
    engine_->add_container(name, labels(Kind::kContainer, name, role));
  }
  std::vector<std::string> removals() const {
    std::vector<std::string> list;
    for (const auto& call : engine_->calls())
      if (call.starts_with("remove_")) list.push_back(call);
    return list;
  }

  std::shared_ptr<FakeEngine> engine_ = std::make_shared<FakeEngine>();
  std::shared_ptr<Store> store_ = std::make_shared<Store>(Database::in_memory());
  EngineWatch watch_{engine_, store_, "s1"};
};

TEST_F(ReaperTest, RemovesBelongingsBeforeTheirAgentAndNetworksAndVolumesAfterContainers) {
  add_container("agent", Role::kAgent);
  add_container("child");
  engine_->add_network("net", labels(Kind::kNetwork, "net"));
  ASSERT_TRUE(engine_->create_volume("vol", labels(Kind::kVolume, "vol")));
  const auto agent = engine_->inspect_container("agent")->id;
  const auto child = engine_->inspect_container("child")->id;
  const auto report = reap(watch_, "a1", {});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->complete());
  const auto order = removals();
  ASSERT_EQ(order.size(), 4U);
  EXPECT_EQ(order[0], "remove_container " + child);
  EXPECT_EQ(order[1], "remove_container " + agent);
  EXPECT_TRUE(order[2].starts_with("remove_network"));
  EXPECT_EQ(order[3], "remove_volume vol");
  EXPECT_EQ(engine_->count(), 0U);
}

TEST_F(ReaperTest, TouchesNothingBeforeTheEngineWasListed) {
  add_container("agent", Role::kAgent);
  for (const auto* part : {"list_containers", "list_networks", "list_volumes", "list_images"}) {
    engine_->fail_next(part, Error::unavailable("no answer"));
    const auto report = reap(watch_, "a1", {});
    ASSERT_FALSE(report) << part;
    EXPECT_TRUE(removals().empty()) << part;
  }
}

TEST_F(ReaperTest, FindsWhatCameWhileItWorked) {
  add_container("first");
  engine_->hold("remove_container");
  std::thread late([&] {
    engine_->await_held("remove_container");
    add_container("second");
    engine_->release("remove_container");
  });
  const auto report = reap(watch_, "a1", {});
  late.join();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->containers, 2U);
  EXPECT_EQ(engine_->count(), 0U);
}

TEST_F(ReaperTest, ARemovalInProgressIsWaitedFor) {
  add_container("slow");
  engine_->fail_next("remove_container", Error::conflict("removal of container slow is already in progress"), 2);
  const auto report = reap(watch_, "a1", {});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->complete()) << testing::PrintToString(report->left);
}

TEST_F(ReaperTest, WhatRefusesIsReportedAndTheRestGoes) {
  add_container("stuck");
  add_container("fine");
  const auto stuck = engine_->inspect_container("stuck")->id;
  ASSERT_TRUE(engine_->create_volume("vol", labels(Kind::kVolume, "vol")));
  engine_->fail_next("remove_volume", Error::conflict("volume is in use"), 100);
  const auto report = reap(watch_, "a1", {});
  ASSERT_TRUE(report);
  ASSERT_EQ(report->left.size(), 1U);
  EXPECT_EQ(report->left.front(), "volume vol: volume is in use");
  EXPECT_EQ(engine_->count(), 1U);
}

TEST_F(ReaperTest, DisconnectsForeignersFromItsNetworks) {
  const auto network = engine_->add_network("net", labels(Kind::kNetwork, "net"));
  const auto guest = engine_->add_container("guest", {});
  ASSERT_TRUE(engine_->connect_network(network, guest));
  const auto report = reap(watch_, "a1", {});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->complete());
  EXPECT_TRUE(engine_->has_container("guest"));
}

TEST_F(ReaperTest, RemovesImagesTheOwnerBroughtAndLeavesThoseThatWereThereBefore) {
  engine_->add_image("mine:1");
  engine_->add_image("theirs:1");
  engine_->add_image("wanted:1");
  const auto engine = engine_->address().text();
  ASSERT_TRUE(store_->record_image({.engine = engine, .owner = "a1", .reference = "mine:1"}));
  ASSERT_TRUE(store_->record_image({.engine = engine, .owner = "a1", .reference = "theirs:1", .existed_before = true}));
  ASSERT_TRUE(store_->record_image({.engine = engine, .owner = "a1", .reference = "wanted:1"}));
  ASSERT_TRUE(store_->record_image({.engine = engine, .owner = "a2", .reference = "wanted:1"}));
  const auto report = reap(watch_, "a1", {});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->complete()) << testing::PrintToString(report->left);
  EXPECT_EQ(report->images, 1U);
  EXPECT_FALSE(engine_->inspect_image("mine:1"));
  EXPECT_TRUE(engine_->inspect_image("theirs:1"));
  EXPECT_TRUE(engine_->inspect_image("wanted:1"));
  EXPECT_TRUE(store_->images_of(engine, "a1")->empty());
}

TEST_F(ReaperTest, AnImageThatOthersUseStaysRecordedAndGoesLater) {
  engine_->add_image("app:1");
  const auto engine = engine_->address().text();
  ASSERT_TRUE(store_->record_image({.engine = engine, .owner = "a1", .reference = "app:1"}));
  const auto user = engine_->create_container("operators", {{"Image", "app:1"}});
  ASSERT_TRUE(user);
  EXPECT_TRUE(reap(watch_, "a1", {})->complete());
  EXPECT_TRUE(engine_->inspect_image("app:1"));
  EXPECT_EQ(store_->images_of(engine, "a1")->size(), 1U);
  ASSERT_TRUE(engine_->remove_container(*user));
  EXPECT_TRUE(reap(watch_, "a1", {})->complete());
  EXPECT_FALSE(engine_->inspect_image("app:1"));
}

TEST_F(ReaperTest, AReferenceThatTheJobMovedMeansAgainWhatItDid) {
  const auto engine = engine_->address().text();
  engine_->add_image("golang:1");
  const auto before = engine_->inspect_image("golang:1")->id;
  engine_->add_image("built", {}, {{label::kImageAgent, image_owner_value("s1", "a1")}});
  const auto built = engine_->inspect_image("built")->id;
  ASSERT_TRUE(engine_->tag_image(built, "golang:1"));
  ASSERT_TRUE(engine_->remove_image("built"));
  ASSERT_TRUE(store_->record_image(
      {.engine = engine, .owner = "a1", .reference = "golang:1", .existed_before = true, .previous_image_id = before}));
  const auto report = reap(watch_, "a1", {});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->complete()) << testing::PrintToString(report->left);
  EXPECT_EQ(engine_->inspect_image("golang:1")->id, before);
  EXPECT_FALSE(engine_->inspect_image(built));
}

TEST_F(ReaperTest, TheLastOfSeveralJobsTakesAReferenceWithIt) {
  const auto engine = engine_->address().text();
  engine_->add_image("app:1");
  ASSERT_TRUE(store_->record_image({.engine = engine, .owner = "a1", .reference = "app:1"}));
  ASSERT_TRUE(store_->record_image({.engine = engine,
                                    .owner = "a2",
                                    .reference = "app:1",
                                    .existed_before = true,
                                    .previous_image_id = engine_->inspect_image("app:1")->id}));
  EXPECT_TRUE(reap(watch_, "a1", {})->complete());
  EXPECT_TRUE(engine_->inspect_image("app:1"));
  EXPECT_TRUE(reap(watch_, "a2", {})->complete());
  EXPECT_FALSE(engine_->inspect_image("app:1"));
}

TEST_F(ReaperTest, SharedImagesStay) {
  engine_->add_image("app:1");
  ASSERT_TRUE(store_->record_image({.engine = engine_->address().text(), .owner = "a1", .reference = "app:1"}));
  EXPECT_TRUE(reap(watch_, "a1", {.images = ImageMode::kShared})->complete());
  EXPECT_TRUE(engine_->inspect_image("app:1"));
}

TEST_F(ReaperTest, StopsWhenItIsTold) {
  for (int i = 0; i < 5; ++i) add_container("c" + std::to_string(i));
  const auto report = reap(watch_, "a1", {}, [] { return true; });
  ASSERT_TRUE(report);
  EXPECT_EQ(engine_->count(), 5U);
}

}  // namespace
}  // namespace ebbtide
