// Database: one SQLite file (WAL) that several stores share, each with tables of its own. One caller at a time has the
// connection; calls block for the disk (tens of microseconds: WAL without fsync, so that a killed process loses nothing
// and a power cut at most the last moments). Any thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "docker/base/result.h"

namespace SQLite {
class Database;
}

namespace ebbtide {

class Database {
 public:
  // Makes the file (readable by its owner only) and its folder if need be.
  static Result<std::shared_ptr<Database>> open(const std::string& path);
  static std::shared_ptr<Database> in_memory();
  explicit Database(std::unique_ptr<SQLite::Database> connection);
  ~Database();

  // Runs work with the connection, in a transaction that an exception rolls back; one of SQLite becomes kInternal.
  Result<void> run(const std::function<void(SQLite::Database&)>& work);

  // The same for work that returns something.
  template <class Work>
  auto use(Work work) -> Result<std::invoke_result_t<Work&, SQLite::Database&>> {
    using Value = std::invoke_result_t<Work&, SQLite::Database&>;
    if constexpr (std::is_void_v<Value>) {
      return run(work);
    } else {
      std::optional<Value> value;
      const auto done = run([&](SQLite::Database& connection) { value.emplace(work(connection)); });
      if (!done) return fail(done.error());
      return std::move(*value);
    }
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ebbtide
