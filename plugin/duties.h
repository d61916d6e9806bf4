// Duties: what GoCD must be told, kept in the database until it answered: agents to disable and to delete. Calls block
// for the disk; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "docker/ledger/database.h"

namespace ebbtide::plugin {

struct Duty {
  std::string api;
  std::string agent_id;
};

class Duties {
 public:
  Duties(std::string gocd, std::shared_ptr<Database> database);  // makes its table

  std::vector<Duty> all();  // in the order of their coming
  void add(const std::string& api, const std::vector<std::string>& agent_ids);
  void done(const std::string& api, const std::vector<std::string>& agent_ids);

 private:
  std::string gocd_;
  std::shared_ptr<Database> database_;
};

}  // namespace ebbtide::plugin
