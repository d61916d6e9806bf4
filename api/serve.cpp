// ebbtide serve: the server.
#include <filesystem>

#include "api/commands.h"
#include "api/http_server.h"
#include "api/process.h"
#include "api/surface.h"
#include "docker/base/log.h"
#include "docker/engine/http_engine.h"

namespace ebbtide::api {
namespace {

plugin::FleetSettings fleet_settings(const Settings& settings, const std::string& server_id) {
  plugin::FleetSettings fleet;
  fleet.server_id = server_id;
  fleet.plugin_id = settings.text("plugin_id");
  fleet.run_dir = std::filesystem::absolute(settings.text("run_dir"));
  fleet.timings.idle_limit = std::chrono::seconds(settings.number("idle_limit"));
  fleet.timings.lost_limit = std::chrono::minutes(settings.number("lost_limit"));
  fleet.timings.completion_grace = std::chrono::seconds(settings.number("completion_grace"));
  fleet.create_workers = static_cast<unsigned>(settings.number("create_workers"));
  fleet.reap_workers = static_cast<unsigned>(settings.number("reap_workers"));
  fleet.gateway_loops = static_cast<unsigned>(settings.number("gateway_loops"));
  fleet.sweep = std::chrono::seconds(settings.number("sweep"));
  fleet.audit = audit_settings(settings);
  return fleet;
}

std::string url_of(const HostAndPort& listen, std::uint16_t port) {
  const bool ipv6 = listen.host.find(':') != std::string::npos;
  return "http://" + (ipv6 ? "[" + listen.host + "]" : listen.host) + ":" + std::to_string(port) + "/";
}

}  // namespace

int serve(const Settings& settings) {
  StopSignals signals;
  const auto listen = parse_listen(settings);
  if (!listen) return complain(listen.error(), kWrongSettings);
  const auto token = access_token(settings, *listen);
  if (!token) return complain(token.error(), kWrongSettings);
  if (const auto made = make_folder(settings.text("run_dir"), "--run-dir"); !made)
    return complain(made.error(), kFailed);
  const auto state = open_state(settings);
  if (!state) return complain(state.error(), kFailed);
  const auto lock = lock_file(settings.text("state_dir") + "/lock");
  if (!lock) return complain(lock.error(), kFailed);

  plugin::Fleet fleet(fleet_settings(settings, state->server_id), state->database, std::make_shared<SystemClock>(),
                      [](const EngineAddress& address) { return make_http_engine(address); });
  auto page_url = settings.text("page_url");
  plugin::Contract contract(fleet, page_url.empty() ? url_of(*listen, listen->port) : page_url);
  Surface surface(fleet, contract, {.token = *token});
  HttpServer server(static_cast<unsigned>(settings.number("http_threads")),
                    [&surface](const HttpRequest& request) { return surface.handle(request); });
  fleet.start();
  if (const auto started = server.start(listen->host, listen->port); !started) {
    fleet.stop();
    return complain(started.error(), kFailed);
  }
  log_info("listening", {{"address", url_of(*listen, server.port())},
                         {"version", EBBTIDE_VERSION},
                         {"server", state->server_id},
                         {"token", token->empty() ? "none" : "required"}});
  signals.wait();
  log_info("stopping: agents live on");
  surface.stop();
  fleet.stop();
  server.stop();
  return kDone;
}

}  // namespace ebbtide::api
