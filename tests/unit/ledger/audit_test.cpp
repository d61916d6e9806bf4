#include "docker/ledger/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide {
namespace {

using std::chrono::hours;
using testing::ElementsAre;

TimePoint hours_ago(int number) {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) - hours(number);
}

AuditRecord record(const std::string& owner, const std::string& path, TimePoint time = hours_ago(0)) {
  return {.time = time,
          .engine = "unix:///e.sock",
          .owner = owner,
          .caller = "pid 7, uid 0",
          .method = "POST",
          .path = path,
          .objects = {{.kind = "container", .id = "c1", .name = "db"}},
          .rule = "privileged",
          .status = 403,
          .bytes_in = 120,
          .bytes_out = 64,
          .duration = std::chrono::milliseconds(3)};
}

std::vector<std::string> paths(const Result<std::vector<AuditRecord>>& records) {
  std::vector<std::string> list;
  for (const auto& each : records.value()) list.push_back(each.path);
  return list;
}

class AuditTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> lines(const std::string& name) const {
    std::ifstream file(folder_ / name);
    return lines_of(std::string(std::istreambuf_iterator<char>(file), {}));
  }

  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("ebbtide-audit-" + random_hex(6));
  std::shared_ptr<Database> database_ = Database::in_memory();
};

TEST_F(AuditTest, GivesBackWhatWasAddedTheNewestFirst) {
  Audit audit(database_);
  const auto first = record("eb-1", "/containers/create");
  audit.add(first);
  audit.add(record("eb-2", "/volumes/create"));
  audit.add(record("eb-1", "/build"));
  const auto of_one = audit.of("eb-1", 10);
  ASSERT_THAT(paths(of_one), ElementsAre("/build", "/containers/create"));
  EXPECT_EQ(to_json((*of_one)[1]).substr(to_json((*of_one)[1]).find("\"time\"")), to_json(first).substr(1));
  EXPECT_THAT(paths(audit.of("", 10)), ElementsAre("/build", "/volumes/create", "/containers/create"));
}

TEST_F(AuditTest, IsReadByThePage) {
  Audit audit(database_);
  for (int i = 0; i < 5; ++i) audit.add(record("eb-1", "/" + std::to_string(i)));
  const auto page = audit.of("eb-1", 2);
  ASSERT_THAT(paths(page), ElementsAre("/4", "/3"));
  const auto next = audit.of("eb-1", 2, page->back().number);
  ASSERT_THAT(paths(next), ElementsAre("/2", "/1"));
  EXPECT_THAT(paths(audit.of("eb-1", 2, next->back().number)), ElementsAre("/0"));
}

TEST_F(AuditTest, FindsWhatWasRefused) {
  Audit audit(database_);
  auto refused = record("eb-1", "/refused");
  refused.rule = "privileged";
  audit.add(refused);
  auto done = record("eb-1", "/done");
  done.rule = "";
  audit.add(done);
  refused.owner = "eb-2";
  audit.add(refused);
  EXPECT_THAT(paths(audit.of("eb-1", 10, std::nullopt, true)), ElementsAre("/refused"));
  EXPECT_THAT(paths(audit.of("", 10, std::nullopt, true)), ElementsAre("/refused", "/refused"));
}

TEST_F(AuditTest, ForgetsWhatIsTooOld) {
  Audit audit(database_);
  audit.configure({.keep = hours(24)});
  audit.add(record("eb-1", "/old", hours_ago(25)));
  audit.add(record("eb-1", "/young", hours_ago(23)));
  EXPECT_THAT(paths(audit.of("", 10)), ElementsAre("/young"));
}

TEST_F(AuditTest, KeepsTheNewestRowsOnly) {
  Audit audit(database_);
  audit.configure({.most_rows = 2});
  for (int i = 0; i < 4; ++i) audit.add(record("eb-1", "/" + std::to_string(i)));
  EXPECT_THAT(paths(audit.of("", 10)), ElementsAre("/3", "/2"));
}

TEST_F(AuditTest, SaysHowManyRecordsAFullQueueLost) {
  Audit audit(database_);
  audit.configure({.queue = 0});
  for (int i = 0; i < 3; ++i) audit.add(record("eb-1", "/lost"));
  EXPECT_EQ(audit.dropped(), 3U);
  const auto kept = audit.of("", 10);
  ASSERT_EQ(kept->size(), 1U);
  EXPECT_EQ(kept->front().rule, "audit-lost");
  EXPECT_EQ(kept->front().objects, (std::vector<AuditObject>{{.kind = "record", .id = {}, .name = "3"}}));
}

TEST_F(AuditTest, WritesJsonLines) {
  Audit audit(database_);
  audit.configure({.lines = folder_ / "audit.log"});
  audit.add(record("eb-1", "/containers/create"));
  audit.flush();
  const auto written = lines("audit.log");
  ASSERT_EQ(written.size(), 1U);
  const auto line = nlohmann::json::parse(written.front());
  EXPECT_EQ(line.at("agent"), "eb-1");
  EXPECT_EQ(line.at("rule"), "privileged");
  EXPECT_EQ(line.at("objects").at(0).at("name"), "db");
}

TEST_F(AuditTest, AFullFileOfLinesMakesRoomForANewOne) {
  Audit audit(database_);
  audit.configure({.lines = folder_ / "audit.log", .most_bytes = 1});
  for (const auto* path : {"/1", "/2", "/3"}) {
    audit.add(record("eb-1", path));
    audit.flush();
  }
  EXPECT_EQ(nlohmann::json::parse(lines("audit.log").at(0)).at("path"), "/3");
  EXPECT_EQ(nlohmann::json::parse(lines("audit.log.1").at(0)).at("path"), "/2");
}

TEST_F(AuditTest, AFileOfLinesThatWasMovedAwayIsMadeAnew) {
  Audit audit(database_);
  audit.configure({.lines = folder_ / "audit.log"});
  audit.add(record("eb-1", "/1"));
  audit.flush();
  std::filesystem::rename(folder_ / "audit.log", folder_ / "moved");
  audit.add(record("eb-1", "/2"));
  audit.flush();
  EXPECT_EQ(lines("moved").size(), 1U);
  EXPECT_EQ(nlohmann::json::parse(lines("audit.log").at(0)).at("path"), "/2");
}

TEST_F(AuditTest, CountsWhatCouldNotBeWrittenAndKeepsTheRest) {
  Audit audit(database_);
  audit.configure({.lines = folder_ / "no-such-folder" / "audit.log"});
  audit.add(record("eb-1", "/1"));
  EXPECT_THAT(paths(audit.of("", 10)), ElementsAre("/1"));
  EXPECT_EQ(audit.dropped(), 1U);
}

TEST_F(AuditTest, WritesWhatWaitsWhenItEnds) {
  {
    Audit audit(database_);
    audit.add(record("eb-1", "/last"));
  }
  EXPECT_THAT(paths(Audit(database_).of("eb-1", 10)), ElementsAre("/last"));
}

}  // namespace
}  // namespace ebbtide
