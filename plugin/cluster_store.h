// ClusterStore: the clusters that GoCD named, in the database, so that a restarted server finds its engines before GoCD
// speaks. It keeps what the connection and the gateways need (TLS texts among it: the file is its owner's only); no
// registry password and no environment. Calls block for the disk; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "docker/ledger/database.h"
#include "plugin/messages.h"

namespace ebbtide::plugin {

class ClusterStore {
 public:
  struct Row {
    std::string key;
    std::string gocd;
    Properties properties;
  };

  explicit ClusterStore(std::shared_ptr<Database> database);  // makes its table

  void save(const Row& row);
  void forget(const std::string& key);
  // Whether an admin wants no new agents there.
  void set_drained(const std::string& key, bool drained);
  bool is_drained(const std::string& key) const;
  std::vector<Row> all() const;

 private:
  std::shared_ptr<Database> database_;
};

}  // namespace ebbtide::plugin
