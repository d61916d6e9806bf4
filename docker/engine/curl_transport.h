// CurlTransport: HTTP to one engine over libcurl, for Ebbtide's own calls. Connections are kept warm. Blocks; any
// thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/histogram.h"
#include "docker/base/result.h"
#include "docker/engine/address.h"

// What libcurl calls its handle; its header stays in the .cpp files.
using CURL = void;

namespace ebbtide {

struct EngineRequest {
  std::string method = "GET";
  std::string target;  // "/v1.41/containers/json?all=1"
  std::string body;    // JSON unless content_type says otherwise
  std::string content_type;
  std::vector<std::string> headers;         // "X-Registry-Auth: …"
  std::chrono::milliseconds limit{30'000};  // for the whole exchange; 0: none, but a silence of 10 minutes ends it
  std::size_t max_body = 64 * 1024 * 1024;
  // If set, pieces of the body of a 2xx answer go here; false ends the transfer.
  std::function<bool(std::string_view piece)> on_body;
  // If set, asked about every second; false ends the transfer.
  std::function<bool()> wanted;
};

struct EngineAnswer {
  long status = 0;
  std::map<std::string, std::string, std::less<>> headers;  // names in lower case
  std::string body;
};

class CurlTransport {
 public:
  explicit CurlTransport(EngineAddress address);
  ~CurlTransport();

  // Any status is an answer. kUnavailable: no connection, or it broke; kTimeout; kTooLarge.
  Result<EngineAnswer> send(const EngineRequest& request);

  const EngineAddress& address() const { return address_; }
  // Seconds to whole answers, by method; of transfers with a limit.
  std::map<std::string, Histogram> latencies() const;

 private:
  struct Pool;
  EngineAddress address_;
  std::unique_ptr<Pool> pool_;
};

// Sets address, TLS and what every handle of ours needs; target is the URL's path and query.
void prepare_handle(CURL* handle, const EngineAddress& address, const std::string& target);

}  // namespace ebbtide
