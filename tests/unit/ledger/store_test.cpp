#include "docker/ledger/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "docker/base/secret.h"

namespace ebbtide {
namespace {

class StoreOnDisk : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("ebbtide-store-" + random_hex(6));
    path_ = folder_ / "state" / "ebbtide.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  std::filesystem::path path_;
};

TEST_F(StoreOnDisk, KeepsItsServerIdAndRecordsOverARestart) {
  std::string id;
  {
    Store store(*Database::open(path_));
    id = *store.server_id();
    EXPECT_EQ(id.size(), 16U);
    ASSERT_TRUE(store.record_image({.engine = "e", .owner = "a1", .reference = "app:1"}));
    ASSERT_TRUE(store.record_rename("e", "abc", "a1"));
  }
  Store store(*Database::open(path_));
  EXPECT_EQ(*store.server_id(), id);
  ASSERT_EQ(store.images_of("e", "a1")->size(), 1U);
  EXPECT_EQ(store.images_of("e", "a1")->front().reference, "app:1");
  EXPECT_EQ(*store.renamed_containers("e"), std::vector<std::string>{"abc"});
}

TEST_F(StoreOnDisk, IsReadableByItsOwnerOnly) {
  const auto database = Database::open(path_);
  ASSERT_TRUE(database);
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(StoreOnDisk, SaysWhichFileCannotBeOpened) {
  std::filesystem::create_directories(path_);
  const auto database = Database::open(path_);
  ASSERT_FALSE(database);
  EXPECT_NE(database.error().message.find(path_.string()), std::string::npos);
}

TEST(Store, TheFirstRecordOfAnImageStays) {
  Store store(Database::in_memory());
  ASSERT_TRUE(store.record_image({.engine = "e", .owner = "a1", .reference = "app:1", .existed_before = true}));
  ASSERT_TRUE(store.record_image({.engine = "e", .owner = "a1", .reference = "app:1", .existed_before = false}));
  EXPECT_TRUE(store.images_of("e", "a1")->front().existed_before);
}

TEST(Store, KnowsWhatOthersWantAndForgetsAnOwnerOnly) {
  Store store(Database::in_memory());
  ASSERT_TRUE(store.record_image({.engine = "e", .owner = "a1", .reference = "app:1"}));
  EXPECT_FALSE(*store.image_wanted_by_others("e", "a1", "app:1"));
  ASSERT_TRUE(store.record_image({.engine = "e", .owner = "a2", .reference = "app:1"}));
  EXPECT_TRUE(*store.image_wanted_by_others("e", "a1", "app:1"));
  EXPECT_FALSE(*store.image_wanted_by_others("other engine", "a1", "app:1"));
  ASSERT_TRUE(store.forget_owner("e", "a2"));
  EXPECT_FALSE(*store.image_wanted_by_others("e", "a1", "app:1"));
  EXPECT_EQ(*store.image_owners("e"), std::vector<std::string>{"a1"});
}

TEST(Store, WhatAnOwnerSeesIsItsOwnAndGoesWithIt) {
  Store store(Database::in_memory());
  for (int twice = 0; twice < 2; ++twice) ASSERT_TRUE(store.record_seen_image("e", "a1", "sha256:1"));
  EXPECT_EQ(*store.seen_images("e", "a1"), std::vector<std::string>{"sha256:1"});
  EXPECT_TRUE(store.seen_images("e", "a2")->empty());
  EXPECT_TRUE(store.images_of("e", "a1")->empty()) << "it is nothing to remove";
  ASSERT_TRUE(store.forget_owner("e", "a1"));
  EXPECT_TRUE(store.seen_images("e", "a1")->empty());
}

TEST(Store, ManifestsInDoubtAreSoForAllUntilTheirOwnerGoes) {
  Store store(Database::in_memory());
  for (const auto* owner : {"a1", "a2"}) ASSERT_TRUE(store.doubt_manifest("e", owner, "sha256:d"));
  EXPECT_EQ(*store.doubted_manifests("e"), std::vector<std::string>{"sha256:d"});
  EXPECT_TRUE(store.doubted_manifests("other")->empty());
  ASSERT_TRUE(store.forget_owner("e", "a1"));
  EXPECT_EQ(store.doubted_manifests("e")->size(), 1U);
  ASSERT_TRUE(store.forget_owner("e", "a2"));
  EXPECT_TRUE(store.doubted_manifests("e")->empty());
}

TEST(Store, AFailedPieceOfWorkLeavesNothingBehind) {
  const auto database = Database::in_memory();
  Store store(database);
  ASSERT_TRUE(store.record_image({.engine = "e", .owner = "a1", .reference = "app:1"}));
  struct Stop {};
  EXPECT_THROW((void)database->run([&](SQLite::Database&) { throw Stop{}; }), Stop);
  EXPECT_EQ(store.images_of("e", "a1")->size(), 1U);
}

}  // namespace
}  // namespace ebbtide
