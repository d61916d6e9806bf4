// What is written where, in folders that look like the kernel's; tests/e2e/limits.py sees to it that the kernel acts.
#include "docker/engine/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "docker/base/secret.h"

namespace ebbtide {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using Driver = Cgroups::Driver;

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto* controller : {"memory", "cpu", "pids", "freezer"}) fs::create_directories(root_ / controller);
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string read(const fs::path& path) const {
    std::ifstream file(root_ / path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const fs::path& path, const std::string& text) const { std::ofstream(root_ / path) << text; }
  Cgroups cgroups(int version, Driver driver = Driver::kCgroupfs) const {
    return {driver, version, "s-1", root_, root_ / "systemctl"};
  }

  fs::path root_ = fs::temp_directory_path() / ("ebbtide-cgroup-" + random_hex(6));
  const OwnerLimits limits_{.memory_bytes = 64 << 20, .cpus = 0.5, .pids = 100};
};

TEST_F(CgroupTest, Version1HasAFolderInEachController) {
  ASSERT_TRUE(cgroups(1).make("eb-1", limits_));
  EXPECT_EQ(cgroups(1).parent_of("eb-1"), "/ebbtide-s-1/eb-1");
  EXPECT_EQ(read("memory/ebbtide-s-1/eb-1/memory.limit_in_bytes"), "67108864");
  EXPECT_EQ(read("cpu/ebbtide-s-1/eb-1/cpu.cfs_quota_us"), "50000");
  EXPECT_EQ(read("pids/ebbtide-s-1/eb-1/pids.max"), "100");
  EXPECT_THAT(cgroups(1).owners(), ElementsAre("eb-1"));
}

TEST_F(CgroupTest, Version2HasOneFolderAndHandsControllersDown) {
  ASSERT_TRUE(cgroups(2).make("eb-1", limits_));
  EXPECT_EQ(read("ebbtide-s-1/eb-1/memory.max"), "67108864");
  EXPECT_EQ(read("ebbtide-s-1/eb-1/cpu.max"), "50000 100000");
  EXPECT_EQ(read("ebbtide-s-1/eb-1/pids.max"), "100");
  EXPECT_EQ(read("cgroup.subtree_control").substr(0, 5), "+pids");
  EXPECT_EQ(read("ebbtide-s-1/cgroup.subtree_control").substr(0, 5), "+pids");
}

TEST_F(CgroupTest, WithoutLimitsThereAreNone) {
  ASSERT_TRUE(cgroups(1).make("eb-1", {}));
  EXPECT_EQ(read("memory/ebbtide-s-1/eb-1/memory.limit_in_bytes"), "-1");
  EXPECT_EQ(read("cpu/ebbtide-s-1/eb-1/cpu.cfs_quota_us"), "-1");
  EXPECT_EQ(read("pids/ebbtide-s-1/eb-1/pids.max"), "max");
}

TEST_F(CgroupTest, ContainersAreFoundByTheNamesOfTheirGroups) {
  ASSERT_TRUE(cgroups(1).make("eb-1", {}));
  fs::create_directories(root_ / "memory/ebbtide-s-1/eb-1" / std::string(64, 'a'));
  fs::create_directories(root_ / "pids/ebbtide-s-1/eb-1" / std::string(64, 'a'));
  fs::create_directories(root_ / "pids/ebbtide-s-1/eb-1/other");
  EXPECT_THAT(cgroups(1).containers_of("eb-1"), ElementsAre(std::string(64, 'a')));
  EXPECT_THAT(cgroups(1).containers_of("eb-2"), IsEmpty());
}

TEST_F(CgroupTest, EmptyGroupsGoWithWhatContainersLeftInThem) {
  const auto group = root_ / "freezer/ebbtide-s-1/eb-1";
  fs::create_directories(group / std::string(64, 'a') / "inner");
  EXPECT_TRUE(cgroups(1).remove("eb-1"));
  EXPECT_FALSE(fs::exists(root_ / "freezer/ebbtide-s-1"));
  EXPECT_TRUE(cgroups(1).remove("eb-1")) << "again";
}

TEST_F(CgroupTest, AnOwnersNameLeadsNowhereElse) {
  for (const auto* owner : {"", ".", "..", "../memory", "a/b"}) EXPECT_FALSE(cgroups(1).make(owner, limits_)) << owner;
  EXPECT_TRUE(cgroups(1).remove(".."));
  EXPECT_TRUE(fs::exists(root_ / "memory"));
}

TEST_F(CgroupTest, SystemdIsToldByItsOwnProgram) {
  write("systemctl", "#!/bin/sh\nprintf '%s\\n' \"$*\" >> \"$(dirname \"$0\")/calls\"\n");
  fs::permissions(root_ / "systemctl", fs::perms(0755));
  const auto slices = cgroups(2, Driver::kSystemd);
  EXPECT_EQ(slices.parent_of("eb-1"), "ebbtide-s\\x2d1-eb\\x2d1.slice");
  ASSERT_TRUE(slices.make("eb-1", limits_));
  fs::create_directories(root_ / "ebbtide.slice/ebbtide-s\\x2d1.slice/ebbtide-s\\x2d1-eb\\x2d1.slice");
  EXPECT_THAT(slices.owners(), ElementsAre("eb-1"));
  ASSERT_TRUE(slices.remove("eb-1"));
  EXPECT_EQ(read("calls"),
            "set-property --runtime ebbtide-s\\x2d1-eb\\x2d1.slice MemoryMax=67108864 CPUQuota=50% TasksMax=100\n"
            "start ebbtide-s\\x2d1-eb\\x2d1.slice\n"
            "stop ebbtide-s\\x2d1-eb\\x2d1.slice\n"
            "revert ebbtide-s\\x2d1-eb\\x2d1.slice\n");
}

TEST_F(CgroupTest, ASliceInWhichContainersRunStays) {
  const auto slices = cgroups(2, Driver::kSystemd);
  fs::create_directories(root_ / "ebbtide.slice/ebbtide-s\\x2d1.slice/ebbtide-s\\x2d1-eb\\x2d1.slice" /
                         ("docker-" + std::string(64, 'a') + ".scope"));
  const auto removed = slices.remove("eb-1");
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().kind, ErrorKind::kConflict);
}

TEST_F(CgroupTest, ThereAreNoneOfAnEngineElsewhere) {
  for (const auto* uri : {"tcp://10.0.0.1:2375", "unix:///no/such/docker.sock"})
    EXPECT_FALSE(Cgroups::find(*EngineAddress::parse(uri, {}), {.cgroup_driver = "cgroupfs"}, "s1")) << uri;
}

}  // namespace
}  // namespace ebbtide
