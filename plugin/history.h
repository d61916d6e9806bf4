// History: how agents ended, in the database, for so many hours and kMost entries at the most. Calls block for the
// disk; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "docker/base/clock.h"
#include "docker/ledger/database.h"
#include "plugin/agent.h"
#include "plugin/messages.h"

namespace ebbtide::plugin {

struct HistoryEntry {
  std::string agent_id;
  std::string gocd;
  std::string cluster;
  JobIdentifier job;
  std::string image;
  TimePoint created{};
  TimePoint ended{};
  std::string cause;
  int exit_code = 0;
  bool oom_killed = false;
  std::string last_log;
  std::string reaped;  // ReapReport::summary()
  std::vector<std::string> left;
  std::optional<TimePoint> registered;
  std::vector<Step> steps;
  std::int64_t number = 0;  // counts on with each entry; the history's own
};

struct HistoryWishes {
  std::string text;         // anywhere in it, whatever the case
  std::int64_t before = 0;  // entries older than the one numbered so; 0: from the newest on
  std::size_t limit = 100;
};

class History {
 public:
  static constexpr int kMost = 20'000;

  explicit History(std::shared_ptr<Database> database,
                   std::chrono::hours kept = std::chrono::hours(14 * 24));  // makes its table

  void add(const HistoryEntry& entry);
  // The newest first. With a text only the newest few thousand before the given one are looked through.
  std::vector<HistoryEntry> find(const HistoryWishes& wishes) const;
  std::optional<HistoryEntry> of(const std::string& agent_id) const;

 private:
  const std::chrono::hours kept_;
  std::shared_ptr<Database> database_;
};

}  // namespace ebbtide::plugin
