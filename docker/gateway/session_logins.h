// SessionLogins: the logins for registries of a BuildKit client, which it tells over its session. Held by the
// session and by whoever asks; end() must be awaited before the connection to the client goes. One loop; not
// thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "docker/gateway/build_reading.h"
#include "docker/gateway/context.h"
#include "docker/gateway/model.h"
#include "docker/grpc/http2.h"

namespace ebbtide::gateway {

// Asks for a login for a registry (as registry_of names it): as X-Registry-Auth holds it, or null if there is none.
using LoginFor = std::function<Task<Json>(std::string registry)>;
LoginFor no_logins();

class SessionLogins {
 public:
  SessionLogins(grpc::Http2& client, const http::asio::any_io_executor& executor)
      : client_(client), executor_(executor), answered_(executor) {}

  // Null also where the client gives no answer within ten seconds, or none that can be read. Cut short by the end of
  // the connection.
  Task<Json> login(std::string registry);
  // Returns when nobody asks any more; to be called when the connection has ended.
  Task<void> end();

 private:
  Task<Json> ask(const std::string& host);

  grpc::Http2& client_;
  http::asio::any_io_executor executor_;
  std::size_t asking_ = 0;
  grpc::Event answered_;
};

// Those of the clients of these sessions: of the first that has one.
LoginFor logins_of(std::vector<std::shared_ptr<BuildReading>> sessions);

}  // namespace ebbtide::gateway
