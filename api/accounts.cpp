#include "api/accounts.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>

#include <algorithm>
#include <cctype>

#include "docker/base/log.h"
#include "docker/base/password.h"
#include "docker/base/secret.h"

namespace ebbtide::api {
namespace {

constexpr const char* kTables[] = {
    "CREATE TABLE IF NOT EXISTS accounts (name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL, created "
    "INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS sessions (number INTEGER PRIMARY KEY AUTOINCREMENT, secret TEXT NOT NULL UNIQUE, user "
    "TEXT NOT NULL, peer TEXT NOT NULL, created INTEGER NOT NULL, seen INTEGER NOT NULL, expires INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS tokens (name TEXT PRIMARY KEY, secret TEXT NOT NULL UNIQUE, role TEXT NOT NULL, "
    "created "
    "INTEGER NOT NULL, expires INTEGER NOT NULL, used INTEGER) WITHOUT ROWID"};
constexpr std::int64_t kSeenStep = 60;  // seconds between two notes that a session or token is in use

TimePoint time_of(const SQLite::Column& column) { return TimePoint(std::chrono::seconds(column.getInt64())); }

Rights rights_in(const SQLite::Column& column) { return rights_of(column.getString()).value_or(Rights::kView); }

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-' || c == '@';
  });
}

Result<void> check_name(const std::string& name) {
  if (is_name(name)) return {};
  return fail(Error::invalid("a name has letters, digits, '.', '_', '-' and '@', 64 at the most"));
}

Result<void> check_password(std::string_view password) {
  if (password.size() >= Accounts::kShortestPassword && password.size() <= 1000) return {};
  return fail(Error::invalid("a password has at least " + std::to_string(Accounts::kShortestPassword) +
                             " characters: give a longer one"));
}

constexpr const char* kSessions =
    "SELECT number, user, role, peer, sessions.created, seen FROM sessions JOIN accounts ON name = user ";

Session read_session(SQLite::Statement& row) {
  return {.number = row.getColumn(0).getInt64(),
          .user = row.getColumn(1).getString(),
          .rights = rights_in(row.getColumn(2)),
          .peer = row.getColumn(3).getString(),
          .created = time_of(row.getColumn(4)),
          .seen = time_of(row.getColumn(5))};
}

constexpr const char* kTokens = "SELECT name, role, created, expires, used FROM tokens ";

AccessToken read_token(SQLite::Statement& row) {
  AccessToken token{.name = row.getColumn(0).getString(),
                    .rights = rights_in(row.getColumn(1)),
                    .created = time_of(row.getColumn(2)),
                    .expires = time_of(row.getColumn(3))};
  if (!row.getColumn(4).isNull()) token.used = time_of(row.getColumn(4));
  return token;
}

void note(const Result<void>& done) {
  if (!done) log_error("accounts could not be read or changed", {{"error", done.error().message}});
}

template <class Item>
std::vector<Item> or_none(Result<std::vector<Item>> list) {
  if (list) return std::move(*list);
  note(fail(list.error()));
  return {};
}

}  // namespace

std::string_view to_string(Rights rights) { return rights == Rights::kAct ? "admin" : "viewer"; }

std::optional<Rights> rights_of(std::string_view role) {
  if (role == "admin") return Rights::kAct;
  if (role == "viewer") return Rights::kView;
  return std::nullopt;
}

Accounts::Accounts(std::shared_ptr<Database> database, std::shared_ptr<Clock> clock)
    : database_(std::move(database)), clock_(std::move(clock)) {
  note(database_->run([](SQLite::Database& db) {
    for (const auto* table : kTables) db.exec(table);
  }));
}

std::int64_t Accounts::now() const {
  return std::chrono::duration_cast<std::chrono::seconds>(clock_->now().time_since_epoch()).count();
}

// Runs statement with a name; kNotFound if it changed nothing.
Result<void> Accounts::change(const char* statement, const std::string& name, const std::string& what) {
  const auto changed = database_->use([&](SQLite::Database& db) {
    SQLite::Statement run(db, statement);
    SQLite::bind(run, name);
    return run.exec();
  });
  if (!changed) return fail(changed.error());
  if (*changed == 0) return fail(Error::not_found("there is no " + what + " " + name));
  return {};
}

// --- accounts ---

Result<void> Accounts::add(const std::string& name, Rights rights, std::string_view password) {
  if (const auto sound = check_name(name); !sound) return sound;
  if (const auto sound = check_password(password); !sound) return sound;
  const auto hash = hash_password(password);
  const auto added = database_->use([&](SQLite::Database& db) {
    SQLite::Statement insert(db, "INSERT OR IGNORE INTO accounts VALUES (?, ?, ?, ?)");
    SQLite::bind(insert, name, std::string(to_string(rights)), hash, now());
    return insert.exec();
  });
  if (!added) return fail(added.error());
  if (*added == 0) return fail(Error::conflict("there is an account " + name + " already: remove it, or use passwd"));
  const std::scoped_lock lock(mutex_);
  any_ = true;
  return {};
}

Result<void> Accounts::set_password(const std::string& name, std::string_view password) {
  if (const auto sound = check_password(password); !sound) return sound;
  const auto hash = hash_password(password);
  const auto changed = database_->use([&](SQLite::Database& db) {
    SQLite::Statement update(db, "UPDATE accounts SET password = ? WHERE name = ?");
    SQLite::bind(update, hash, name);
    return update.exec();
  });
  if (!changed) return fail(changed.error());
  if (*changed == 0) return fail(Error::not_found("there is no account " + name));
  end_sessions(name);
  return {};
}

Result<void> Accounts::remove(const std::string& name) {
  end_sessions(name);
  return change("DELETE FROM accounts WHERE name = ?", name, "account");
}

std::vector<Account> Accounts::list() const {
  return or_none(database_->use([](SQLite::Database& db) {
    SQLite::Statement query(db, "SELECT name, role, created FROM accounts");
    std::vector<Account> accounts;
    while (query.executeStep())
      accounts.push_back({.name = query.getColumn(0).getString(),
                          .rights = rights_in(query.getColumn(1)),
                          .created = time_of(query.getColumn(2))});
    return accounts;
  }));
}

// Once there was one, sign-in is never waived for want of any: the last one's removal must not open the door.
bool Accounts::any() const {
  const std::scoped_lock lock(mutex_);
  const auto at = std::chrono::steady_clock::now();
  if (any_ || (looked_.time_since_epoch().count() != 0 && at - looked_ < kRemembered)) return any_;
  looked_ = at;
  any_ = !list().empty();
  return any_;
}

bool Accounts::check(const std::string& name, std::string_view password) const {
  static const std::string nobodys = hash_password(random_hex(16));
  const auto hash = database_->use([&](SQLite::Database& db) {
    SQLite::Statement query(db, "SELECT password FROM accounts WHERE name = ?");
    SQLite::bind(query, name);
    return query.executeStep() ? query.getColumn(0).getString() : std::string();
  });
  const bool known = hash && !hash->empty();
  return is_password(password, known ? *hash : nobodys) && known;
}

// --- sessions ---

Result<std::string> Accounts::open_session(const std::string& user, const std::string& peer, std::chrono::hours life) {
  const auto secret = random_hex(32);
  const auto done = database_->run([&](SQLite::Database& db) {
    SQLite::Statement forget(db, "DELETE FROM sessions WHERE expires <= ?");
    SQLite::bind(forget, now());
    forget.exec();
    SQLite::Statement insert(
        db, "INSERT INTO sessions (secret, user, peer, created, seen, expires) VALUES (?1, ?2, ?3, ?4, ?4, ?5)");
    SQLite::bind(insert, sha256_hex(secret), user, peer, now(), now() + std::chrono::seconds(life).count());
    insert.exec();
  });
  if (!done) return fail(done.error());
  return secret;
}

std::optional<Session> Accounts::session(const std::string& secret) {
  const auto found = database_->use([&](SQLite::Database& db) {
    SQLite::Statement query(db, std::string(kSessions) + "WHERE secret = ? AND expires > ?");
    SQLite::bind(query, sha256_hex(secret), now());
    if (!query.executeStep()) return std::optional<Session>();
    const auto session = read_session(query);
    SQLite::Statement seen(db, "UPDATE sessions SET seen = ?1 WHERE number = ?2 AND seen < ?1 - ?3");
    SQLite::bind(seen, now(), session.number, kSeenStep);
    seen.exec();
    return std::optional(session);
  });
  return found ? *found : std::nullopt;
}

std::vector<Session> Accounts::sessions() const {
  return or_none(database_->use([this](SQLite::Database& db) {
    SQLite::Statement query(db, std::string(kSessions) + "WHERE expires > ? ORDER BY number DESC");
    SQLite::bind(query, now());
    std::vector<Session> sessions;
    while (query.executeStep()) sessions.push_back(read_session(query));
    return sessions;
  }));
}

void Accounts::end_session(std::int64_t number) {
  note(database_->run([&](SQLite::Database& db) {
    SQLite::Statement remove(db, "DELETE FROM sessions WHERE number = ?");
    SQLite::bind(remove, number);
    remove.exec();
  }));
}

void Accounts::end_sessions(const std::string& user) {
  note(database_->run([&](SQLite::Database& db) {
    SQLite::Statement remove(db, "DELETE FROM sessions WHERE user = ?");
    SQLite::bind(remove, user);
    remove.exec();
  }));
}

// --- tokens ---

Result<std::string> Accounts::add_token(const std::string& name, Rights rights, std::chrono::days life) {
  if (const auto sound = check_name(name); !sound) return fail(sound.error());
  const auto secret = std::string(kTokenPrefix) + random_hex(32);
  const auto added = database_->use([&](SQLite::Database& db) {
    SQLite::Statement insert(db, "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, ?, NULL)");
    SQLite::bind(insert, name, sha256_hex(secret), std::string(to_string(rights)), now(),
                 now() + std::chrono::seconds(life).count());
    return insert.exec();
  });
  if (!added) return fail(added.error());
  if (*added == 0) return fail(Error::conflict("there is a token " + name + " already: remove it first"));
  return secret;
}

Result<void> Accounts::remove_token(const std::string& name) {
  return change("DELETE FROM tokens WHERE name = ?", name, "token");
}

std::vector<AccessToken> Accounts::tokens() const {
  return or_none(database_->use([](SQLite::Database& db) {
    SQLite::Statement query(db, kTokens);
    std::vector<AccessToken> tokens;
    while (query.executeStep()) tokens.push_back(read_token(query));
    return tokens;
  }));
}

std::optional<AccessToken> Accounts::token(const std::string& secret) {
  const auto found = database_->use([&](SQLite::Database& db) {
    SQLite::Statement query(db, std::string(kTokens) + "WHERE secret = ? AND expires > ?");
    SQLite::bind(query, sha256_hex(secret), now());
    if (!query.executeStep()) return std::optional<AccessToken>();
    const auto token = read_token(query);
    SQLite::Statement used(db, "UPDATE tokens SET used = ?1 WHERE name = ?2 AND coalesce(used, 0) < ?1 - ?3");
    SQLite::bind(used, now(), token.name, kSeenStep);
    used.exec();
    return std::optional(token);
  });
  return found ? *found : std::nullopt;
}

}  // namespace ebbtide::api
