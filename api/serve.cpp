// ebbtide serve: the server.
#include <filesystem>

#include "api/certificate.h"
#include "api/commands.h"
#include "api/http_server.h"
#include "api/process.h"
#include "api/surface.h"
#include "docker/base/log.h"
#include "docker/base/text.h"
#include "docker/engine/http_engine.h"
#include "docker/gateway/front.h"

namespace ebbtide::api {
namespace {

plugin::FleetSettings fleet_settings(const Settings& settings, const std::string& server_id,
                                     const std::optional<plugin::RemoteGateways>& remote) {
  plugin::FleetSettings fleet;
  fleet.server_id = server_id;
  fleet.plugin_id = settings.text("plugin_id");
  fleet.state_dir = std::filesystem::absolute(settings.text("state_dir"));
  fleet.run_dir = std::filesystem::absolute(settings.text("run_dir"));
  fleet.timings.idle_limit = std::chrono::seconds(settings.number("idle_limit"));
  fleet.timings.lost_limit = std::chrono::minutes(settings.number("lost_limit"));
  fleet.timings.completion_grace = std::chrono::seconds(settings.number("completion_grace"));
  fleet.create_workers = static_cast<unsigned>(settings.number("create_workers"));
  fleet.reap_workers = static_cast<unsigned>(settings.number("reap_workers"));
  fleet.gateway_loops = static_cast<unsigned>(settings.number("gateway_loops"));
  fleet.remote_gateways = remote;
  fleet.sweep = std::chrono::seconds(settings.number("sweep"));
  fleet.audit = audit_settings(settings);
  fleet.history = std::chrono::hours(24 * settings.number("history_days"));
  return fleet;
}

// "a, b" → a and b
std::vector<std::string> listed(const std::string& text) {
  std::vector<std::string> items;
  for (const auto& item : split(text, ','))
    if (!trim(item).empty()) items.emplace_back(trim(item));
  return items;
}

Result<std::shared_ptr<const Certificate>> certificate_of(const Settings& settings) {
  const auto chain = settings.text("tls_cert");
  const auto key = settings.text("tls_key");
  if (chain.empty() && key.empty()) return nullptr;
  if (chain.empty() || key.empty()) return fail(Error::invalid("tls_cert and tls_key go together: set both"));
  return Certificate::load(chain, key);
}

Result<GateSettings> gate_settings(const Settings& settings, const std::string& token, bool tls) {
  GateSettings gate{.token = token, .page_url = settings.text("page_url")};
  gate.tls = tls || gate.page_url.starts_with("https://");
  gate.session_life = std::chrono::hours(settings.number("session_hours"));
  gate.proxy_addresses = listed(settings.text("proxy_addresses"));
  gate.proxy_header = to_lower(settings.text("proxy_user_header"));
  gate.proxy_admins = listed(settings.text("proxy_admins"));
  if (gate.proxy_addresses.empty() != gate.proxy_header.empty())
    return fail(Error::invalid("proxy_addresses and proxy_user_header go together: set both"));
  return gate;
}

std::string url_of(const HostAndPort& listen, std::uint16_t port, bool tls) {
  return (tls ? "https://" : "http://") + HostAndPort{listen.host, port}.text() + "/";
}

// For agents on other machines' engines; empty where they have no way to their gateways.
struct RemoteAccess {
  std::optional<plugin::RemoteGateways> gateways;
  gateway::FrontSettings front;
};

Result<RemoteAccess> remote_access(const Settings& settings, const std::optional<GatewayAddresses>& addresses) {
  if (!addresses) return RemoteAccess{};
  const auto authority = gateway::Authority::open(settings.text("state_dir") + "/gateway-ca.pem");
  if (!authority) return fail(authority.error());
  auto tls = (*authority)->for_server(addresses->reached.host);
  if (!tls) return fail(tls.error());
  const auto agents = std::filesystem::absolute(settings.text("run_dir")).string() + "/agents/";
  return RemoteAccess{.gateways = {{.address = addresses->reached.text(), .authority = *authority}},
                      .front = {.address = addresses->listen.host,
                                .port = addresses->listen.port,
                                .tls = std::move(*tls),
                                .socket_of = [agents](const auto& id) { return agents + id + "/docker.sock"; }}};
}

Result<std::unique_ptr<gateway::Front>> start_front(const RemoteAccess& remote) {
  if (!remote.gateways) return nullptr;
  auto front = gateway::Front::start(remote.front);
  if (front) log_info("gateways listen for agents on other machines", {{"address", remote.gateways->address}});
  return front;
}

// How it is reached, and by whom.
struct Access {
  HostAndPort listen;
  std::optional<GatewayAddresses> gateways;
  std::shared_ptr<const Certificate> certificate;
  GateSettings gate;
};

Result<Access> read_access(const Settings& settings) {
  const auto listen = parse_listen(settings);
  if (!listen) return fail(listen.error());
  const auto token = access_token(settings, *listen);
  if (!token) return fail(token.error());
  const auto certificate = certificate_of(settings);
  if (!certificate) return fail(certificate.error());
  auto gate = gate_settings(settings, *token, *certificate != nullptr);
  if (!gate) return fail(gate.error());
  const auto gateways = parse_gateway_addresses(settings);
  if (!gateways) return fail(gateways.error());
  return Access{.listen = *listen, .gateways = *gateways, .certificate = *certificate, .gate = std::move(*gate)};
}

void tell_listening(const Access& access, const std::string& url, const std::string& server_id) {
  log_info("listening", {{"address", url},
                         {"version", EBBTIDE_VERSION},
                         {"server", server_id},
                         {"token", access.gate.token.empty() ? "none" : "required"}});
  if (!access.listen.is_loopback() && !access.gate.tls)
    log_warning(
        "passwords and tokens cross the network in the clear: set tls_cert and tls_key, or put a TLS proxy in "
        "front and set page_url to its https address");
}

}  // namespace

int serve(const Settings& settings) {
  StopSignals signals;
  const auto access = read_access(settings);
  if (!access) return complain(access.error(), kWrongSettings);
  const auto& listen = access->listen;
  const bool tls = access->certificate != nullptr;
  if (const auto made = make_folder(settings.text("run_dir"), "--run-dir"); !made)
    return complain(made.error(), kFailed);
  const auto state = open_state(settings);
  if (!state) return complain(state.error(), kFailed);
  const auto lock = lock_file(settings.text("state_dir") + "/lock");
  if (!lock) return complain(lock.error(), kFailed);

  const auto remote = remote_access(settings, access->gateways);
  if (!remote) return complain(remote.error(), kFailed);

  plugin::Fleet fleet(fleet_settings(settings, state->server_id, remote->gateways), state->database,
                      std::make_shared<SystemClock>(),
                      [](const EngineAddress& address) { return make_http_engine(address); });
  auto page_url = settings.text("page_url");
  plugin::Contract contract(fleet, page_url.empty() ? url_of(listen, listen.port, tls) : page_url);
  const auto threads = static_cast<unsigned>(settings.number("http_threads"));
  auto accounts = std::make_shared<Accounts>(state->database, std::make_shared<SystemClock>());
  Surface surface(fleet, contract, accounts, {.gate = access->gate, .seats = threads / 2});
  HttpServer server({.threads = threads, .certificate = access->certificate},
                    [&surface](const HttpRequest& request) { return surface.handle(request); });
  fleet.start();
  const auto front = start_front(*remote);
  const auto started = front ? server.start(listen.host, listen.port) : fail(front.error());
  if (!started) {
    fleet.stop();
    return complain(started.error(), kFailed);
  }
  tell_listening(*access, url_of(listen, server.port(), tls), state->server_id);
  signals.wait();
  log_info("stopping: agents live on");
  surface.stop();
  fleet.stop();
  server.stop();
  return kDone;
}

}  // namespace ebbtide::api
