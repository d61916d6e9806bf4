// Audit: what jobs changed through their gateways, and what was refused: one record a request, in the database (bounded
// by age and number) and, if wished, as JSON lines in a file. A record holds neither headers nor bodies nor queries, so
// no secrets.
//
// add() never blocks: records wait in a bounded queue for the writer, a thread of its own that writes them by the
// batch. What finds the queue full, or can't be written, is counted, and a record says how many were lost. A killed
// process loses what its queue held: the last tenth of a second. All functions: any thread; all but add and dropped
// block for the disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/clock.h"
#include "docker/base/result.h"
#include "docker/ledger/database.h"
#include "docker/ledger/labels.h"

namespace ebbtide {

struct AuditObject {
  std::string kind;  // "container" …; empty where the endpoint has none
  std::string id;    // on the engine; empty where it was not found
  std::string name;  // as the job calls it

  bool operator==(const AuditObject&) const = default;
};

struct AuditRecord {
  std::uint64_t number = 0;  // grows with time; set by the database
  TimePoint time{};          // when the request came
  std::string engine;        // EngineAddress::text()
  std::string owner;         // the agent
  std::string caller;        // "container <id>", else "pid 123, uid 0"
  std::string method;
  std::string path;  // canonical, without version and query
  std::vector<AuditObject> objects;
  std::string rule;            // why it was refused: a policy's rule, "not-found", "malformed", …; empty: it was not
  int status = 0;              // answered; 0: the client went before
  std::uint64_t bytes_in = 0;  // over the client's connection, heads included
  std::uint64_t bytes_out = 0;
  std::chrono::milliseconds duration{};
};

// One JSON object, one line, without its end.
std::string to_json(const AuditRecord& record);

struct AuditSettings {
  std::chrono::hours keep{24 * 14};
  std::uint64_t most_rows = 200'000;
  // A file that gets the records as JSON lines too; "-": standard output; empty: none. At most_bytes it becomes
  // <path>.1, in place of the former one. It is opened for each batch, so it may be moved away at any time.
  std::string lines;
  std::uint64_t most_bytes = 64 << 20;
  std::size_t queue = 10'000;  // records that may wait
};

class Audit {
 public:
  explicit Audit(std::shared_ptr<Database> database);  // makes its table
  ~Audit();                                            // writes what waits

  void configure(AuditSettings settings);
  void add(AuditRecord record);
  // Writes what waits.
  void flush();
  // The newest first; of all owners where owner is empty; only older ones than number before, if it is given; only
  // those with a rule where refused is set.
  Result<std::vector<AuditRecord>> of(std::string_view owner, std::size_t limit,
                                      std::optional<std::uint64_t> before = std::nullopt, bool refused = false);
  std::uint64_t dropped() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide
