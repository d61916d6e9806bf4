#include "plugin/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::plugin {
namespace {

using testing::ElementsAre;

constexpr TimePoint kBegin{std::chrono::hours(24 * 365 * 50)};

HistoryEntry entry(const std::string& id, TimePoint ended = kBegin) {
  HistoryEntry entry{.agent_id = id, .created = ended, .ended = ended, .cause = "its job is done"};
  entry.registered = ended;
  entry.steps = {{.at = ended, .text = "accepted"}};
  return entry;
}

std::vector<std::string> ids(const std::vector<HistoryEntry>& entries) {
  std::vector<std::string> list;
  for (const auto& each : entries) list.push_back(each.agent_id);
  return list;
}

TEST(History, TheNewestComesFirstAndOlderOnesByTheirNumber) {
  History history(Database::in_memory());
  for (const auto* id : {"a", "b", "c"}) history.add(entry(id));
  const auto newest = history.find({.text = {}, .limit = 2});
  EXPECT_THAT(ids(newest), ElementsAre("c", "b"));
  EXPECT_THAT(ids(history.find({.text = {}, .before = newest.back().number, .limit = 2})), ElementsAre("a"));
}

TEST(History, ATextIsFoundAnywhereWhateverTheCase) {
  History history(Database::in_memory());
  auto other = entry("b");
  other.last_log = "Out of Cheese";
  history.add(entry("a"));
  history.add(other);
  EXPECT_THAT(ids(history.find({.text = "cheese"})), ElementsAre("b"));
  EXPECT_THAT(ids(history.find({.text = "%"})), ElementsAre());
}

TEST(History, OneAgentIsReadWhole) {
  History history(Database::in_memory());
  history.add(entry("a"));
  const auto found = history.of("a");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->steps.at(0).text, "accepted");
  EXPECT_EQ(found->registered, kBegin);
  EXPECT_FALSE(history.of("b"));
}

TEST(History, WhatIsOlderThanItsTimeGoes) {
  History history(Database::in_memory(), std::chrono::hours(24));
  history.add(entry("old", kBegin));
  history.add(entry("young", kBegin + std::chrono::hours(20)));
  history.add(entry("new", kBegin + std::chrono::hours(25)));
  EXPECT_THAT(ids(history.find({.text = {}})), ElementsAre("new", "young"));
}

}  // namespace
}  // namespace ebbtide::plugin
