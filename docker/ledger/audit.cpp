#include "docker/ledger/audit.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "docker/base/unique_fd.h"
#include "docker/base/worker_pool.h"

namespace ebbtide {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::chrono::milliseconds kGather{100};  // records that come within it are one batch
constexpr std::chrono::minutes kTrimEvery{1};

// Nobody asks for single columns but these, so that a record is one text.
constexpr const char* kTable = R"(
CREATE TABLE IF NOT EXISTS audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, time INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_of_owner ON audit (owner, number);
CREATE INDEX IF NOT EXISTS audit_by_time ON audit (time);
CREATE INDEX IF NOT EXISTS audit_refused ON audit (number) WHERE json_extract(record, '$.rule') <> '';
CREATE INDEX IF NOT EXISTS audit_refused_of_owner ON audit (owner, number)
  WHERE json_extract(record, '$.rule') <> '';
)";

constexpr const char* kRefused = "json_extract(record, '$.rule') <> '' AND ";  // as the indexes have it

std::int64_t seconds_of(TimePoint time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

ordered_json as_json(const AuditRecord& record) {
  auto objects = ordered_json::array();
  for (const auto& object : record.objects)
    objects.push_back({{"kind", object.kind}, {"id", object.id}, {"name", object.name}});
  ordered_json text;
  if (record.number > 0) text["number"] = record.number;
  text.update(ordered_json{{"time", to_rfc3339(record.time)},
                           {"engine", record.engine},
                           {"agent", record.owner},
                           {"caller", record.caller},
                           {"method", record.method},
                           {"path", record.path},
                           {"objects", std::move(objects)},
                           {"rule", record.rule},
                           {"status", record.status},
                           {"bytes_in", record.bytes_in},
                           {"bytes_out", record.bytes_out},
                           {"milliseconds", record.duration.count()}});
  return text;
}

AuditRecord read(std::uint64_t number, const std::string& text) {
  AuditRecord record{.number = number};
  const auto row = json::parse(text, nullptr, false);
  if (!row.is_object()) return record;
  record.time = parse_rfc3339(row.value("time", "")).value_or(TimePoint{});
  record.engine = row.value("engine", "");
  record.owner = row.value("agent", "");
  record.caller = row.value("caller", "");
  record.method = row.value("method", "");
  record.path = row.value("path", "");
  for (const auto& object : row.value("objects", json::array()))
    record.objects.push_back({object.value("kind", ""), object.value("id", ""), object.value("name", "")});
  record.rule = row.value("rule", "");
  record.status = row.value("status", 0);
  record.bytes_in = row.value("bytes_in", std::uint64_t{0});
  record.bytes_out = row.value("bytes_out", std::uint64_t{0});
  record.duration = std::chrono::milliseconds(row.value("milliseconds", 0));
  return record;
}

Error os_error(const std::string& what) { return Error::unavailable(what + ": " + std::strerror(errno)); }

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const auto written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(os_error("write " + path));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> append_lines(const AuditSettings& settings, const std::string& text) {
  if (settings.lines == "-") return write_all(STDOUT_FILENO, text, "standard output");
  struct stat file {};
  const bool full = ::stat(settings.lines.c_str(), &file) == 0 && S_ISREG(file.st_mode) && file.st_size > 0 &&
                    static_cast<std::uint64_t>(file.st_size) + text.size() > settings.most_bytes;
  if (full && ::rename(settings.lines.c_str(), (settings.lines + ".1").c_str()) != 0)
    return fail(os_error("rename " + settings.lines));
  const UniqueFd fd(::open(settings.lines.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!fd) return fail(os_error("open " + settings.lines));
  return write_all(fd.get(), text, settings.lines);
}

}  // namespace

std::string to_json(const AuditRecord& record) {
  return as_json(record).dump(-1, ' ', false, json::error_handler_t::replace);
}

class Audit::Impl {
 public:
  explicit Impl(std::shared_ptr<Database> database) : database_(std::move(database)), writer_("audit", 1) {
    const auto made = database_->run([](SQLite::Database& db) { db.exec(kTable); });
    if (!made) log_error("the audit has no table", {{"error", made.error().message}});
  }

  ~Impl() {
    writer_.stop();
    flush();
  }

  void configure(AuditSettings settings) {
    const std::scoped_lock lock(mutex_);
    settings_ = std::move(settings);
  }

  void add(AuditRecord record) {
    {
      const std::scoped_lock lock(mutex_);
      if (queue_.size() >= settings_.queue) {
        ++dropped_;
        return;
      }
      queue_.push_back(std::move(record));
      if (std::exchange(awaited_, true)) return;
    }
    writer_.submit_after(kGather, [this] { flush(); });
  }

  void flush() {
    const std::scoped_lock in_order(writing_);
    AuditSettings settings;
    std::vector<AuditRecord> batch;
    std::uint64_t lost = 0;
    {
      const std::scoped_lock lock(mutex_);
      settings = settings_;
      batch.swap(queue_);
      awaited_ = false;
      lost = dropped_ - told_;
      told_ = dropped_;
    }
    if (lost > 0) batch.push_back(record_of_loss(lost));
    if (batch.empty()) return;
    if (const auto kept = keep(batch, settings); !kept) not_written("the database", batch.size(), kept.error());
    if (settings.lines.empty()) return;
    std::string text;
    for (const auto& record : batch) text += to_json(record) + "\n";
    if (const auto written = append_lines(settings, text); !written)
      not_written("audit_log", batch.size(), written.error());
  }

  Result<std::vector<AuditRecord>> of(const std::string& owner, std::size_t limit, std::optional<std::uint64_t> before,
                                      bool refused) {
    flush();
    const auto newest = std::numeric_limits<std::int64_t>::max();
    const auto below =
        before && *before < static_cast<std::uint64_t>(newest) ? static_cast<std::int64_t>(*before) : newest;
    return database_->use([&](SQLite::Database& db) {
      const std::string which = std::string(owner.empty() ? "" : "owner = ?3 AND ") + (refused ? kRefused : "");
      SQLite::Statement rows(
          db, "SELECT number, record FROM audit WHERE " + which + "number < ?1 ORDER BY number DESC LIMIT ?2");
      rows.bind(1, below);
      rows.bind(2, static_cast<std::int64_t>(limit));
      if (!owner.empty()) rows.bind(3, owner);
      std::vector<AuditRecord> list;
      while (rows.executeStep())
        list.push_back(read(static_cast<std::uint64_t>(rows.getColumn(0).getInt64()), rows.getColumn(1).getString()));
      return list;
    });
  }

  std::uint64_t dropped() const {
    const std::scoped_lock lock(mutex_);
    return dropped_;
  }

 private:
  static AuditRecord record_of_loss(std::uint64_t lost) {
    log_warning("audit records were lost: they came faster than the disk takes them",
                {{"records", std::to_string(lost)}});
    AuditRecord record{.time = std::chrono::system_clock::now(), .rule = "audit-lost"};
    record.objects.push_back({.kind = "record", .id = {}, .name = std::to_string(lost)});
    return record;
  }

  void not_written(const std::string& where, std::size_t records, const Error& error) {
    log_error("audit records could not be written",
              {{"to", where}, {"records", std::to_string(records)}, {"error", error.message}});
    const std::scoped_lock lock(mutex_);
    dropped_ += records;
    told_ += records;  // by the log: the next record would find the same disk
  }

  Result<void> keep(const std::vector<AuditRecord>& batch, const AuditSettings& settings) {
    const auto now = std::chrono::system_clock::now();
    const bool trims = now - trimmed_ >= kTrimEvery;
    if (trims) trimmed_ = now;
    return database_->run([&](SQLite::Database& db) {
      SQLite::Statement insert(db, "INSERT INTO audit (owner, time, record) VALUES (?, ?, ?)");
      for (const auto& record : batch) {
        SQLite::bind(insert, record.owner, seconds_of(record.time), to_json(record));
        insert.exec();
        insert.reset();
      }
      if (trims) trim(db, settings, now);
    });
  }

  static void trim(SQLite::Database& db, const AuditSettings& settings, TimePoint now) {
    SQLite::Statement old(db, "DELETE FROM audit WHERE time < ?");
    SQLite::bind(old, seconds_of(now - settings.keep));
    old.exec();
    SQLite::Statement many(db, "DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?");
    SQLite::bind(many, static_cast<std::int64_t>(settings.most_rows));
    many.exec();
  }

  const std::shared_ptr<Database> database_;
  std::mutex writing_;  // keeps batches in order; guards trimmed_; held while the disk works, which is the point of it
  TimePoint trimmed_{};

  mutable std::mutex mutex_;  // guards what follows
  AuditSettings settings_;
  std::vector<AuditRecord> queue_;
  bool awaited_ = false;  // the writer will look
  std::uint64_t dropped_ = 0;
  std::uint64_t told_ = 0;  // of dropped_

  WorkerPool writer_;  // last: it ends before what it uses
};

Audit::Audit(std::shared_ptr<Database> database) : impl_(std::make_unique<Impl>(std::move(database))) {}
Audit::~Audit() = default;
void Audit::configure(AuditSettings settings) { impl_->configure(std::move(settings)); }
void Audit::add(AuditRecord record) { impl_->add(std::move(record)); }
void Audit::flush() { impl_->flush(); }
std::uint64_t Audit::dropped() const { return impl_->dropped(); }
Result<std::vector<AuditRecord>> Audit::of(std::string_view owner, std::size_t limit,
                                           std::optional<std::uint64_t> before, bool refused) {
  return impl_->of(std::string(owner), limit, before, refused);
}

}  // namespace ebbtide
