// Surface: all that is served over HTTP, from path to handler: plugin requests, the processor channel, pages, JSON,
// metrics, health. Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

#include "api/http_server.h"
#include "plugin/contract.h"
#include "plugin/fleet.h"

namespace ebbtide::api {

struct SurfaceSettings {
  std::string token;  // empty: none is asked for (loopback only)
  std::chrono::milliseconds heartbeat{10'000};
};

class Surface {
 public:
  Surface(plugin::Fleet& fleet, plugin::Contract& contract, SurfaceSettings settings);

  HttpResponse handle(const HttpRequest& request);
  // Streams end with their next piece.
  void stop() { stopping_ = true; }

 private:
  HttpResponse route(const HttpRequest& request);
  bool is_admitted(const HttpRequest& request) const;

  HttpResponse plugin_request(const HttpRequest& request);
  HttpResponse processor_requests(const HttpRequest& request);
  HttpResponse processor_response(const HttpRequest& request);

  HttpResponse page(const HttpRequest& request);
  HttpResponse style(const HttpRequest& request);
  HttpResponse metrics(const HttpRequest& request);
  HttpResponse clusters(const HttpRequest& request);
  HttpResponse agents(const HttpRequest& request);
  HttpResponse history(const HttpRequest& request);
  HttpResponse agent(const HttpRequest& request);
  HttpResponse audit(const HttpRequest& request);
  HttpResponse audit_of(const HttpRequest& request, std::string_view agent_id);
  HttpResponse end_agent(const HttpRequest& request);
  HttpResponse ready();

  plugin::Fleet& fleet_;
  plugin::Contract& contract_;
  const SurfaceSettings settings_;
  std::atomic<bool> stopping_ = false;
};

// {"message": …}
HttpResponse error_response(int status, std::string_view message);
HttpResponse json_response(std::string body);
// The id of the GoCD server that a request comes from: the header X-GoCD-Server-Id, or "default". kInvalid if the
// header is no id.
Result<std::string> gocd_of(const HttpRequest& request);

}  // namespace ebbtide::api
