#include "plugin/history.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>

#include <nlohmann/json.hpp>

#include "docker/base/log.h"
#include "docker/base/text.h"

namespace ebbtide::plugin {
namespace {

using nlohmann::json;

constexpr std::int64_t kLookedThrough = 5000;  // for a text

// An entry is one text; what it is looked up by is indexed.
constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS history (number INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS history_agent ON history (json_extract(entry, '$.agent'))",
    "CREATE INDEX IF NOT EXISTS history_ended ON history (json_extract(entry, '$.ended'))"};

json write_steps(const std::vector<Step>& steps) {
  auto list = json::array();
  for (const auto& step : steps) list.push_back({{"at", to_rfc3339(step.at)}, {"text", step.text}});
  return list;
}

std::vector<Step> read_steps(const json& row) {
  std::vector<Step> steps;
  for (const auto& step : row.value("steps", json::array()))
    steps.push_back({.at = parse_rfc3339(step.value("at", "")).value_or(TimePoint{}), .text = step.value("text", "")});
  return steps;
}

std::string write(const HistoryEntry& entry) {
  json text{{"agent", entry.agent_id},
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
            {"left", entry.left},
            {"steps", write_steps(entry.steps)}};
  if (entry.registered) text["registered"] = to_rfc3339(*entry.registered);
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
                     .left = row.value("left", std::vector<std::string>{}),
                     .registered = parse_rfc3339(row.value("registered", "")),
                     .steps = read_steps(row)};
  if (auto job = JobIdentifier::from_json(row.value("job", ""))) entry.job = std::move(*job);
  return entry;
}

}  // namespace

History::History(std::shared_ptr<Database> database, std::chrono::hours kept)
    : kept_(kept), database_(std::move(database)) {
  const auto made = database_->run([](SQLite::Database& db) {
    for (const auto* table : kTables) db.exec(table);
  });
  if (!made) log_error("the history has no table", {{"error", made.error().message}});
}

void History::add(const HistoryEntry& entry) {
  const auto done = database_->run([&](SQLite::Database& db) {
    SQLite::Statement insert(db, "INSERT INTO history (entry) VALUES (?)");
    SQLite::bind(insert, write(entry));
    insert.exec();
    SQLite::Statement trim(db, "DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?");
    SQLite::bind(trim, kMost);
    trim.exec();
    // Times of one form are in the order of their texts.
    SQLite::Statement forget(db, "DELETE FROM history WHERE json_extract(entry, '$.ended') < ?");
    SQLite::bind(forget, to_rfc3339(entry.ended - kept_));
    forget.exec();
  });
  if (!done) log_error("an end could not be kept in the history", {{"error", done.error().message}});
}

std::vector<HistoryEntry> History::find(const HistoryWishes& wishes) const {
  const auto rows = database_->use([&](SQLite::Database& db) {
    SQLite::Statement query(db,
                            "SELECT number, entry FROM history WHERE (?1 = 0 OR number < ?1) AND (?2 = '' OR (number > "
                            "(CASE ?1 WHEN 0 THEN (SELECT max(number) FROM history) ELSE ?1 END) - ?3 AND "
                            "instr(lower(entry), lower(?2)) > 0)) ORDER BY number DESC LIMIT ?4");
    SQLite::bind(query, wishes.before, wishes.text, kLookedThrough, static_cast<std::int64_t>(wishes.limit));
    std::vector<std::pair<std::int64_t, std::string>> list;
    while (query.executeStep()) list.emplace_back(query.getColumn(0).getInt64(), query.getColumn(1).getString());
    return list;
  });
  std::vector<HistoryEntry> entries;
  if (!rows) log_error("the history can't be read", {{"error", rows.error().message}});
  if (rows)
    for (const auto& [number, text] : *rows) {
      entries.push_back(read(text));
      entries.back().number = number;
    }
  return entries;
}

std::optional<HistoryEntry> History::of(const std::string& agent_id) const {
  const auto text = database_->use([&](SQLite::Database& db) {
    SQLite::Statement query(db, "SELECT entry FROM history WHERE json_extract(entry, '$.agent') = ? LIMIT 1");
    SQLite::bind(query, agent_id);
    return query.executeStep() ? query.getColumn(0).getString() : std::string();
  });
  return text && !text->empty() ? std::optional(read(*text)) : std::nullopt;
}

}  // namespace ebbtide::plugin
