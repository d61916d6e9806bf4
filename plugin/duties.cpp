#include "plugin/duties.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>

#include "docker/base/log.h"

namespace ebbtide::plugin {
namespace {

constexpr const char* kTable = R"(
CREATE TABLE IF NOT EXISTS duties (
  number INTEGER PRIMARY KEY, gocd TEXT NOT NULL, api TEXT NOT NULL, agent_id TEXT NOT NULL,
  UNIQUE (gocd, api, agent_id)))";

// The request goes out all the same; only a restart in the next moments would forget it.
void note(const Result<void>& result) {
  if (!result) log_error("what GoCD must be told could not be kept", {{"error", result.error().message}});
}

}  // namespace

Duties::Duties(std::string gocd, std::shared_ptr<Database> database)
    : gocd_(std::move(gocd)), database_(std::move(database)) {
  note(database_->run([](SQLite::Database& db) { db.exec(kTable); }));
}

std::vector<Duty> Duties::all() {
  const auto duties = database_->use([&](SQLite::Database& db) {
    SQLite::Statement rows(db, "SELECT api, agent_id FROM duties WHERE gocd = ? ORDER BY number");
    SQLite::bind(rows, gocd_);
    std::vector<Duty> list;
    while (rows.executeStep())
      list.push_back({.api = rows.getColumn(0).getString(), .agent_id = rows.getColumn(1).getString()});
    return list;
  });
  if (duties) return *duties;
  note(fail(duties.error()));
  return {};
}

void Duties::add(const std::string& api, const std::vector<std::string>& agent_ids) {
  note(database_->run([&](SQLite::Database& db) {
    SQLite::Statement insert(db, "INSERT OR IGNORE INTO duties (gocd, api, agent_id) VALUES (?, ?, ?)");
    for (const auto& id : agent_ids) {
      SQLite::bind(insert, gocd_, api, id);
      insert.exec();
      insert.reset();
    }
  }));
}

void Duties::done(const std::string& api, const std::vector<std::string>& agent_ids) {
  note(database_->run([&](SQLite::Database& db) {
    SQLite::Statement remove(db, "DELETE FROM duties WHERE gocd = ? AND api = ? AND agent_id = ?");
    for (const auto& id : agent_ids) {
      SQLite::bind(remove, gocd_, api, id);
      remove.exec();
      remove.reset();
    }
  }));
}

}  // namespace ebbtide::plugin
