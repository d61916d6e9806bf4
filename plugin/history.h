// History: how agents ended, the newest thousand, in the database. Calls block for the disk; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "docker/base/clock.h"
#include "docker/ledger/database.h"
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
};

class History {
 public:
  explicit History(std::shared_ptr<Database> database);  // makes its table

  void add(const HistoryEntry& entry);
  std::vector<HistoryEntry> latest(std::size_t limit) const;

 private:
  std::shared_ptr<Database> database_;
};

}  // namespace ebbtide::plugin
