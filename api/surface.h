// Surface: all that is served over HTTP, from path to handler: GoCD's messages and the processor channel for the
// bridge, health for whoever asks, and the site for visitors. Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "api/gate.h"
#include "api/http_server.h"
#include "api/site.h"
#include "plugin/contract.h"
#include "plugin/fleet.h"

namespace ebbtide::api {

struct SurfaceSettings {
  GateSettings gate;
  unsigned seats = 64;  // requests that wait at once: open pages, followed logs
  std::chrono::milliseconds heartbeat{10'000};
};

class Surface {
 public:
  Surface(plugin::Fleet& fleet, plugin::Contract& contract, std::shared_ptr<Accounts> accounts,
          SurfaceSettings settings);

  HttpResponse handle(const HttpRequest& request);
  // Streams end with their next piece.
  void stop();

 private:
  HttpResponse message(const HttpRequest& request);
  HttpResponse plugin_request(const HttpRequest& request);
  HttpResponse processor_requests(const HttpRequest& request);
  HttpResponse processor_response(const HttpRequest& request);
  HttpResponse ready();

  plugin::Fleet& fleet_;
  plugin::Contract& contract_;
  const std::chrono::milliseconds heartbeat_;
  Gate gate_;
  Site site_;
  std::atomic<bool> stopping_ = false;
};

// The id of the GoCD server that a request comes from: the header X-GoCD-Server-Id, or "default". kInvalid if the
// header is no id.
Result<std::string> gocd_of(const HttpRequest& request);

}  // namespace ebbtide::api
