#include "plugin/cluster_store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>

#include <nlohmann/json.hpp>

#include "docker/base/log.h"

namespace ebbtide::plugin {
namespace {

constexpr const char* kTable =
    "CREATE TABLE IF NOT EXISTS clusters (key TEXT PRIMARY KEY, gocd TEXT NOT NULL, properties TEXT NOT NULL) "
    "WITHOUT ROWID";

constexpr const char* kDrainedTable = "CREATE TABLE IF NOT EXISTS drained (key TEXT PRIMARY KEY) WITHOUT ROWID";

// What only a create-agent message needs, and brings anew.
constexpr const char* kNotKept[] = {"environment_variables",     "enable_private_registry_authentication",
                                    "private_registry_server",   "private_registry_username",
                                    "private_registry_password", "private_registry_custom_credentials"};

void note(const Result<void>& result) {
  if (!result) log_error("the list of clusters could not be kept", {{"error", result.error().message}});
}

Properties read(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  return json.is_object() ? json.get<Properties>() : Properties{};
}

}  // namespace

ClusterStore::ClusterStore(std::shared_ptr<Database> database) : database_(std::move(database)) {
  note(database_->run([](SQLite::Database& db) {
    db.exec(kTable);
    db.exec(kDrainedTable);
  }));
}

void ClusterStore::save(const Row& row) {
  auto kept = row.properties;
  for (const char* key : kNotKept) kept.erase(key);
  const auto text = nlohmann::json(kept).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  note(database_->run([&](SQLite::Database& db) {
    SQLite::Statement insert(db, "INSERT OR REPLACE INTO clusters VALUES (?, ?, ?)");
    SQLite::bind(insert, row.key, row.gocd, text);
    insert.exec();
  }));
}

void ClusterStore::forget(const std::string& key) {
  note(database_->run([&](SQLite::Database& db) {
    SQLite::Statement remove(db, "DELETE FROM clusters WHERE key = ?");
    SQLite::bind(remove, key);
    remove.exec();
  }));
}

void ClusterStore::set_drained(const std::string& key, bool drained) {
  note(database_->run([&](SQLite::Database& db) {
    SQLite::Statement change(
        db, drained ? "INSERT OR IGNORE INTO drained VALUES (?)" : "DELETE FROM drained WHERE key = ?");
    SQLite::bind(change, key);
    change.exec();
  }));
}

bool ClusterStore::is_drained(const std::string& key) const {
  const auto found = database_->use([&](SQLite::Database& db) {
    SQLite::Statement query(db, "SELECT 1 FROM drained WHERE key = ?");
    SQLite::bind(query, key);
    return query.executeStep();
  });
  return found && *found;
}

std::vector<ClusterStore::Row> ClusterStore::all() const {
  const auto rows = database_->use([](SQLite::Database& db) {
    SQLite::Statement query(db, "SELECT key, gocd, properties FROM clusters");
    std::vector<Row> list;
    while (query.executeStep())
      list.push_back({.key = query.getColumn(0).getString(),
                      .gocd = query.getColumn(1).getString(),
                      .properties = read(query.getColumn(2).getString())});
    return list;
  });
  if (rows) return *rows;
  note(fail(rows.error()));
  return {};
}

}  // namespace ebbtide::plugin
