#include "plugin/history.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>

#include <nlohmann/json.hpp>

#include "docker/base/log.h"
#include "docker/base/text.h"

namespace ebbtide::plugin {
namespace {

using nlohmann::json;

constexpr int kKept = 1000;

// Nobody asks for single columns, so that an entry is one text.
constexpr const char* kTable =
    "CREATE TABLE IF NOT EXISTS history (number INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL)";

std::string write(const HistoryEntry& entry) {
  const json text{{"agent", entry.agent_id},
                  {"gocd", entry.gocd},
                  {"cluster", entry.cluster},
                  {"job", entry.job.to_json()},
                  {"image", entry.image},
                  {"created", to_rfc3339(entry.created)},
                  {"ended", to_rfc3339(entry.ended)},
                  {"cause", entry.cause},
                  {"exit_code", entry.exit_code},
                  {"oom_killed", entry.oom_killed},
                  {"last_log", entry.last_log},
                  {"reaped", entry.reaped},
                  {"left", entry.left}};
  return text.dump(-1, ' ', false, json::error_handler_t::replace);
}

HistoryEntry read(const std::string& text) {
  const auto row = json::parse(text, nullptr, false);
  if (!row.is_object()) return {};
  HistoryEntry entry{.agent_id = row.value("agent", ""),
                     .gocd = row.value("gocd", ""),
                     .cluster = row.value("cluster", ""),
                     .image = row.value("image", ""),
                     .created = parse_rfc3339(row.value("created", "")).value_or(TimePoint{}),
                     .ended = parse_rfc3339(row.value("ended", "")).value_or(TimePoint{}),
                     .cause = row.value("cause", ""),
                     .exit_code = row.value("exit_code", 0),
                     .oom_killed = row.value("oom_killed", false),
                     .last_log = row.value("last_log", ""),
                     .reaped = row.value("reaped", ""),
                     .left = row.value("left", std::vector<std::string>{})};
  if (auto job = JobIdentifier::from_json(row.value("job", ""))) entry.job = std::move(*job);
  return entry;
}

}  // namespace

History::History(std::shared_ptr<Database> database) : database_(std::move(database)) {
  const auto made = database_->run([](SQLite::Database& db) { db.exec(kTable); });
  if (!made) log_error("the history has no table", {{"error", made.error().message}});
}

void History::add(const HistoryEntry& entry) {
  const auto done = database_->run([&](SQLite::Database& db) {
    SQLite::Statement insert(db, "INSERT INTO history (entry) VALUES (?)");
    SQLite::bind(insert, write(entry));
    insert.exec();
    SQLite::Statement trim(db, "DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?");
    SQLite::bind(trim, kKept);
    trim.exec();
  });
  if (!done) log_error("an end could not be kept in the history", {{"error", done.error().message}});
}

std::vector<HistoryEntry> History::latest(std::size_t limit) const {
  const auto entries = database_->use([&](SQLite::Database& db) {
    SQLite::Statement rows(db, "SELECT entry FROM history ORDER BY number DESC LIMIT ?");
    SQLite::bind(rows, static_cast<std::int64_t>(limit));
    std::vector<HistoryEntry> list;
    while (rows.executeStep()) list.push_back(read(rows.getColumn(0).getString()));
    return list;
  });
  if (entries) return *entries;
  log_error("the history can't be read", {{"error", entries.error().message}});
  return {};
}

}  // namespace ebbtide::plugin
