// Upstream: connections to one engine for one loop. Idle ones are kept and used again. Coroutines on that
// loop only.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "docker/http/connection.h"

namespace ebbtide::http {

struct SmallAnswer {
  ResponseHead head;
  std::string body;
};

class Upstream {
 public:
  explicit Upstream(EngineAddress address);

  // A connection that is idle, or a new one. reused tells which: a reused one may have died, and a request
  // that fails on it before any byte of an answer may be sent once more on a new one.
  struct Lease {
    std::unique_ptr<Connection> connection;
    bool reused = false;
  };
  Task<Result<Lease>> acquire(bool fresh = false);
  // Gives back a connection on which a whole answer was read and that may be kept alive.
  void release(std::unique_ptr<Connection> connection);

  // One small exchange of our own (an inspect, a list): body is sent as JSON if not empty; the answer's body
  // may have limit bytes; fails with kTimeout after 30 s.
  Task<Result<SmallAnswer>> call(std::string method, std::string target, std::string body = {},
                                 std::size_t limit = 16 * 1024 * 1024);

  const EngineAddress& address() const { return address_; }

 private:
  Task<Result<SmallAnswer>> exchange(Connection& connection, std::string_view head, std::string_view body,
                                     std::string_view method, std::size_t limit);

  EngineAddress address_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace ebbtide::http
