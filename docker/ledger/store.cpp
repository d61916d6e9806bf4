#include "docker/ledger/store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <SQLiteCpp/VariadicBind.h>

#include "docker/base/log.h"
#include "docker/base/secret.h"

namespace ebbtide {
namespace {

constexpr const char* kTables = R"(
CREATE TABLE IF NOT EXISTS identity (server_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (
  engine TEXT NOT NULL, owner TEXT NOT NULL, reference TEXT NOT NULL,
  existed_before INTEGER NOT NULL, previous_image_id TEXT NOT NULL,
  PRIMARY KEY (engine, owner, reference)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen_images (
  engine TEXT NOT NULL, owner TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (engine, owner, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS doubted_manifests (
  engine TEXT NOT NULL, owner TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (engine, owner, digest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS renamed_containers (
  engine TEXT NOT NULL, container_id TEXT NOT NULL, owner TEXT NOT NULL,
  PRIMARY KEY (engine, container_id)) WITHOUT ROWID;
)";

template <class... Values>
void execute(SQLite::Database& database, const char* sql, const Values&... values) {
  SQLite::Statement statement(database, sql);
  SQLite::bind(statement, values...);
  statement.exec();
}

// Views must be texts of their own for SQLite to bind.
std::string own(std::string_view text) { return std::string(text); }

template <class... Values>
std::vector<std::string> texts(SQLite::Database& database, const char* sql, const Values&... values) {
  SQLite::Statement statement(database, sql);
  SQLite::bind(statement, values...);
  std::vector<std::string> list;
  while (statement.executeStep()) list.push_back(statement.getColumn(0).getString());
  return list;
}

}  // namespace

Store::Store(std::shared_ptr<Database> database) : database_(std::move(database)), audit_(database_) {
  const auto made = database_->run([](SQLite::Database& db) { db.exec(kTables); });
  if (!made) log_error("the database has no tables and can't make them", {{"error", made.error().message}});
}

Result<std::string> Store::server_id() {
  return database_->use([](SQLite::Database& db) {
    SQLite::Statement known(db, "SELECT server_id FROM identity");
    if (known.executeStep()) return known.getColumn(0).getString();
    auto made = random_hex(8);
    execute(db, "INSERT INTO identity VALUES (?)", made);
    return made;
  });
}

Result<bool> Store::record_image(const ImageRecord& record) {
  return database_->use([&](SQLite::Database& db) {
    SQLite::Statement insert(db, "INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?)");
    SQLite::bind(insert, record.engine, record.owner, record.reference, record.existed_before ? 1 : 0,
                 record.previous_image_id);
    return insert.exec() > 0;
  });
}

Result<std::vector<ImageRecord>> Store::images_of(std::string_view engine, std::string_view owner) {
  return database_->use([&](SQLite::Database& db) {
    SQLite::Statement rows(
        db, "SELECT reference, existed_before, previous_image_id FROM images WHERE engine = ? AND owner = ?");
    SQLite::bind(rows, own(engine), own(owner));
    std::vector<ImageRecord> list;
    while (rows.executeStep())
      list.push_back({.engine = own(engine),
                      .owner = own(owner),
                      .reference = rows.getColumn(0).getString(),
                      .existed_before = rows.getColumn(1).getInt() != 0,
                      .previous_image_id = rows.getColumn(2).getString()});
    return list;
  });
}

Result<void> Store::forget_image(std::string_view engine, std::string_view owner, std::string_view reference) {
  return database_->run([&](SQLite::Database& db) {
    execute(db, "DELETE FROM images WHERE engine = ? AND owner = ? AND reference = ?", own(engine), own(owner),
            own(reference));
  });
}

Result<void> Store::hand_over_image(const ImageRecord& record, const std::vector<std::string>& made) {
  return database_->run([&](SQLite::Database& db) {
    if (!record.existed_before) {
      execute(db,
              "UPDATE images SET existed_before = 0, previous_image_id = '' "
              "WHERE engine = ? AND reference = ? AND owner <> ?",
              record.engine, record.reference, record.owner);
      return;
    }
    for (const auto& id : made)
      execute(db,
              "UPDATE images SET previous_image_id = ? "
              "WHERE engine = ? AND reference = ? AND owner <> ? AND previous_image_id = ?",
              record.previous_image_id, record.engine, record.reference, record.owner, id);
  });
}

Result<bool> Store::image_is_a_jobs(std::string_view engine, std::string_view reference) {
  return database_->use([&](SQLite::Database& db) {
    return !texts(db, "SELECT owner FROM images WHERE engine = ? AND reference = ? AND existed_before = 0 LIMIT 1",
                  own(engine), own(reference))
                .empty();
  });
}

Result<bool> Store::image_wanted_by_others(std::string_view engine, std::string_view owner,
                                           std::string_view reference) {
  return database_->use([&](SQLite::Database& db) {
    return !texts(db, "SELECT owner FROM images WHERE engine = ? AND owner <> ? AND reference = ? LIMIT 1", own(engine),
                  own(owner), own(reference))
                .empty();
  });
}

Result<void> Store::record_seen_image(std::string_view engine, std::string_view owner, std::string_view id) {
  return database_->run([&](SQLite::Database& db) {
    execute(db, "INSERT OR IGNORE INTO seen_images VALUES (?, ?, ?)", own(engine), own(owner), own(id));
  });
}

Result<std::vector<std::string>> Store::seen_images(std::string_view engine, std::string_view owner) {
  return database_->use([&](SQLite::Database& db) {
    return texts(db, "SELECT id FROM seen_images WHERE engine = ? AND owner = ?", own(engine), own(owner));
  });
}

Result<void> Store::doubt_manifest(std::string_view engine, std::string_view owner, std::string_view digest) {
  return database_->run([&](SQLite::Database& db) {
    execute(db, "INSERT OR IGNORE INTO doubted_manifests VALUES (?, ?, ?)", own(engine), own(owner), own(digest));
  });
}

Result<std::vector<std::string>> Store::doubted_manifests(std::string_view engine) {
  return database_->use([&](SQLite::Database& db) {
    return texts(db, "SELECT DISTINCT digest FROM doubted_manifests WHERE engine = ?", own(engine));
  });
}

Result<void> Store::record_rename(std::string_view engine, std::string_view container_id, std::string_view owner) {
  return database_->run([&](SQLite::Database& db) {
    execute(db, "INSERT OR REPLACE INTO renamed_containers VALUES (?, ?, ?)", own(engine), own(container_id),
            own(owner));
  });
}

Result<std::vector<std::string>> Store::renamed_containers(std::string_view engine) {
  return database_->use([&](SQLite::Database& db) {
    return texts(db, "SELECT container_id FROM renamed_containers WHERE engine = ?", own(engine));
  });
}

Result<void> Store::forget_container(std::string_view engine, std::string_view container_id) {
  return database_->run([&](SQLite::Database& db) {
    execute(db, "DELETE FROM renamed_containers WHERE engine = ? AND container_id = ?", own(engine), own(container_id));
  });
}

Result<std::vector<std::string>> Store::image_owners(std::string_view engine) {
  return database_->use([&](SQLite::Database& db) {
    return texts(db, "SELECT DISTINCT owner FROM images WHERE engine = ?", own(engine));
  });
}

Result<void> Store::forget_owner(std::string_view engine, std::string_view owner) {
  return database_->run([&](SQLite::Database& db) {
    execute(db, "DELETE FROM images WHERE engine = ? AND owner = ?", own(engine), own(owner));
    execute(db, "DELETE FROM seen_images WHERE engine = ? AND owner = ?", own(engine), own(owner));
    execute(db, "DELETE FROM doubted_manifests WHERE engine = ? AND owner = ?", own(engine), own(owner));
    execute(db, "DELETE FROM renamed_containers WHERE engine = ? AND owner = ?", own(engine), own(owner));
  });
}

}  // namespace ebbtide
