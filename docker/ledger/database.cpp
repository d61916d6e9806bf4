#include "docker/ledger/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sys/stat.h>

#include <filesystem>
#include <mutex>

namespace ebbtide {

struct Database::State {
  std::mutex mutex;  // guards the connection; held while SQLite works, which is the point of it
  std::unique_ptr<SQLite::Database> connection;
};

Database::Database(std::unique_ptr<SQLite::Database> connection) : state_(std::make_unique<State>()) {
  state_->connection = std::move(connection);
}

Database::~Database() = default;

Result<std::shared_ptr<Database>> Database::open(const std::string& path) {
  try {
    const auto folder = std::filesystem::path(path).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder);
    const auto mask = ::umask(0077);
    auto connection = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, 5000);
    ::umask(mask);
    connection->exec("PRAGMA journal_mode=WAL");
    connection->exec("PRAGMA synchronous=NORMAL");
    connection->exec("PRAGMA foreign_keys=ON");
    return std::make_shared<Database>(std::move(connection));
  } catch (const std::exception& error) {
    return fail(Error::unavailable("open the database " + path + ": " + error.what()));
  }
}

std::shared_ptr<Database> Database::in_memory() {
  return std::make_shared<Database>(
      std::make_unique<SQLite::Database>(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE));
}

Result<void> Database::run(const std::function<void(SQLite::Database&)>& work) {
  const std::scoped_lock lock(state_->mutex);
  try {
    SQLite::Transaction transaction(*state_->connection);
    work(*state_->connection);
    transaction.commit();
    return {};
  } catch (const SQLite::Exception& error) {
    return fail(Error::internal(std::string("the database: ") + error.what()));
  }
}

}  // namespace ebbtide
