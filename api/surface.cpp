#include "api/surface.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/metrics.h"
#include "api/status_page.h"
#include "api/views.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

constexpr std::string_view kRequests = "/plugin/v1/requests/";
constexpr std::string_view kListen = "/plugin/v1/processor-requests";
constexpr std::string_view kResponses = "/plugin/v1/processor-responses/";
constexpr std::string_view kAgents = "/api/v1/agents/";
constexpr std::string_view kAuditOfAgent = "/audit";  // below kAgents and an id
constexpr std::size_t kHistoryRows = 500;
constexpr std::uint64_t kAuditRows = 100;
constexpr std::uint64_t kMostAuditRows = 1000;

std::string bearer_of(const HttpRequest& request) {
  const auto header = request.header("authorization");
  if (header.starts_with("Bearer ")) return header.substr(7);
  // Browsers know Basic only: the token is the password, any name goes with it.
  if (!header.starts_with("Basic ")) return {};
  const auto pair = base64_decode(trim(header.substr(6))).value_or("");
  const auto colon = pair.find(':');
  return colon == std::string::npos ? std::string() : pair.substr(colon + 1);
}

HttpResponse text_response(int status, std::string body) {
  return {.status = status,
          .content_type = "text/plain; charset=utf-8",
          .body = std::move(body),
          .headers = {},
          .stream = {},
          .stream_ended = {}};
}

HttpResponse page_response(std::string html) {
  auto response = text_response(200, std::move(html));
  response.content_type = "text/html; charset=utf-8";
  response.headers = {{"Content-Security-Policy",
                       "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; "
                       "frame-ancestors 'none'"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-store"}};
  return response;
}

}  // namespace

HttpResponse error_response(int status, std::string_view message) {
  const auto body = nlohmann::json{{"message", message}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return {.status = status, .body = body + "\n", .headers = {}, .stream = {}, .stream_ended = {}};
}

HttpResponse json_response(std::string body) {
  return {.status = 200,
          .body = std::move(body),
          .headers = {{"Cache-Control", "no-store"}},
          .stream = {},
          .stream_ended = {}};
}

Result<std::string> gocd_of(const HttpRequest& request) {
  const auto id = request.header("x-gocd-server-id");
  if (id.empty()) return std::string("default");
  const bool sound = id.size() <= 100 && std::ranges::all_of(id, [](unsigned char c) {
                       return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
                     });
  if (!sound)
    return fail(Error::invalid("X-GoCD-Server-Id may hold letters, digits, '.', '_' and '-', 100 at the most"));
  return id;
}

Surface::Surface(plugin::Fleet& fleet, plugin::Contract& contract, SurfaceSettings settings)
    : fleet_(fleet), contract_(contract), settings_(std::move(settings)) {}

bool Surface::is_admitted(const HttpRequest& request) const {
  return settings_.token.empty() || equal_secret(bearer_of(request), settings_.token);
}

HttpResponse Surface::handle(const HttpRequest& request) {
  if (request.path == "/healthz") return text_response(200, "ok\n");
  if (request.path == "/readyz") return ready();
  if (!is_admitted(request)) {
    auto refused = error_response(401, "a token is needed: Authorization: Bearer <token>");
    refused.headers["WWW-Authenticate"] = "Basic realm=\"Ebbtide\", charset=\"UTF-8\"";
    return refused;
  }
  // Pages of other sites can send requests to us through an admin's browser; browsers say so.
  if (request.method != "GET" && !request.header("origin").empty() && request.header("sec-fetch-site") != "same-origin")
    return error_response(403, "requests from other sites are refused");
  return route(request);
}

HttpResponse Surface::route(const HttpRequest& request) {
  struct Route {
    std::string_view method;
    std::string_view path;  // with "/" at its end: all that begins so
    HttpResponse (Surface::*serve)(const HttpRequest&);
  };
  static constexpr Route kRoutes[] = {{"POST", kRequests, &Surface::plugin_request},
                                      {"GET", kListen, &Surface::processor_requests},
                                      {"POST", kResponses, &Surface::processor_response},
                                      {"GET", "/", &Surface::page},
                                      {"GET", "/static/style.css", &Surface::style},
                                      {"GET", "/metrics", &Surface::metrics},
                                      {"GET", "/api/v1/clusters", &Surface::clusters},
                                      {"GET", "/api/v1/agents", &Surface::agents},
                                      {"GET", "/api/v1/history", &Surface::history},
                                      {"GET", "/api/v1/audit", &Surface::audit},
                                      {"GET", kAgents, &Surface::agent},
                                      {"POST", kAgents, &Surface::end_agent}};
  // Whoever only looks may not take the channel from the bridge.
  std::string_view method = request.method;
  if (method == "HEAD" && request.path != kListen) method = "GET";
  std::string allowed;
  for (const auto& route : kRoutes) {
    const bool begins = route.path.size() > 1 && route.path.ends_with('/') && request.path.starts_with(route.path);
    if (!begins && request.path != route.path) continue;
    if (method == route.method) return (this->*route.serve)(request);
    allowed.append(allowed.empty() ? "" : ", ").append(route.method);
  }
  if (allowed.empty()) return error_response(404, "there is nothing at " + request.path.substr(0, 200));
  auto refused = error_response(405, request.path.substr(0, 200) + " is for " + allowed);
  refused.headers["Allow"] = allowed;
  return refused;
}

HttpResponse Surface::plugin_request(const HttpRequest& request) {
  const auto gocd = gocd_of(request);
  if (!gocd) return error_response(400, gocd.error().message);
  const auto version = request.header("x-extension-version");
  if (!version.empty() && version != "5.0")
    return error_response(400,
                          "version 5.0 of the elastic agent extension is spoken here, not " + version.substr(0, 20));
  const auto answer = contract_.handle(*gocd, std::string_view(request.path).substr(kRequests.size()), request.body);
  auto response = json_response(answer.body);
  response.status = answer.status;
  return response;
}

// Open as long as the bridge lives: requests as they come, and heartbeats, so that both sides notice a dead connection.
HttpResponse Surface::processor_requests(const HttpRequest& request) {
  const auto gocd = gocd_of(request);
  if (!gocd) return error_response(400, gocd.error().message);
  auto& channel = fleet_.channel(*gocd);
  // A bridge that outlived our restart still shows what our former process told.
  channel.health(fleet_.health(*gocd));
  const auto attachment = channel.attach();
  HttpResponse response{.status = 200,
                        .content_type = "application/x-ndjson",
                        .body = {},
                        .headers = {},
                        .stream = {},
                        .stream_ended = {}};
  response.stream = [this, &channel, attachment, first = std::make_shared<bool>(true)](std::string& piece) {
    if (std::exchange(*first, false)) {
      piece = "{}\n";  // at once, so that the bridge knows that it is connected
      return true;
    }
    const auto next = channel.next(attachment, settings_.heartbeat);
    if (stopping_ || (!next && !channel.attached(attachment))) return false;
    piece = "{}\n";
    if (next)
      piece =
          nlohmann::ordered_json{
              {"id", next->id}, {"api", next->api}, {"api_version", next->api_version}, {"body", next->body}}
              .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
          "\n";
    return true;
  };
  response.stream_ended = [&channel, attachment] { channel.detach(attachment); };
  return response;
}

HttpResponse Surface::processor_response(const HttpRequest& request) {
  const auto gocd = gocd_of(request);
  if (!gocd) return error_response(400, gocd.error().message);
  const auto body = nlohmann::json::parse(request.body, nullptr, false);
  if (!body.is_object() || !body.contains("code") || !body["code"].is_number_integer())
    return error_response(400, "the response must be {\"code\": …, \"body\": \"…\"}");
  plugin::ProcessorResponse response{.code = body["code"].get<int>(), .body = {}};
  if (body.contains("body") && body["body"].is_string()) response.body = body["body"].get<std::string>();
  const auto id = request.path.substr(kResponses.size());
  if (!fleet_.channel(*gocd).answer(id, std::move(response)))
    return error_response(404, "nobody waits for an answer to request " + id.substr(0, 100));
  return json_response("");
}

HttpResponse Surface::page(const HttpRequest&) { return page_response(status_page(fleet_)); }

HttpResponse Surface::style(const HttpRequest&) {
  auto response = text_response(200, std::string(status_style()));
  response.content_type = "text/css; charset=utf-8";
  return response;
}

HttpResponse Surface::metrics(const HttpRequest&) {
  auto response = text_response(200, metrics_text(fleet_));
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return response;
}

HttpResponse Surface::clusters(const HttpRequest&) { return json_response(clusters_json(fleet_.clusters())); }
HttpResponse Surface::agents(const HttpRequest&) { return json_response(agents_json(fleet_.agents())); }
HttpResponse Surface::history(const HttpRequest&) { return json_response(history_json(fleet_.history(kHistoryRows))); }

HttpResponse Surface::agent(const HttpRequest& request) {
  const auto id = request.path.substr(kAgents.size());
  if (id.ends_with(kAuditOfAgent))
    return audit_of(request, std::string_view(id).substr(0, id.size() - kAuditOfAgent.size()));
  const auto found = fleet_.agent(id);
  return found ? json_response(agents_json({*found}, true)) : error_response(404, "no agent " + id.substr(0, 100));
}

HttpResponse Surface::audit(const HttpRequest& request) { return audit_of(request, ""); }

// ?limit= records, the newest first; ?before= the number of the last one of the former page.
HttpResponse Surface::audit_of(const HttpRequest& request, std::string_view agent_id) {
  const auto given = [&](const char* key) -> Result<std::optional<std::uint64_t>> {
    const auto found = request.query.find(key);
    if (found == request.query.end()) return std::optional<std::uint64_t>();
    const auto number = parse_number(found->second);
    if (!number) return fail(Error::invalid(std::string(key) + " must be a whole number"));
    return number;
  };
  const auto limit = given("limit");
  const auto before = given("before");
  if (!limit || !before) return error_response(400, (limit ? before : limit).error().message);
  const auto rows = std::min(limit->value_or(kAuditRows), kMostAuditRows);
  const auto records = fleet_.audit(agent_id, rows, *before);
  return records ? json_response(audit_json(*records)) : error_response(500, records.error().message);
}

// The header can't be sent by a form of another site.
HttpResponse Surface::end_agent(const HttpRequest& request) {
  constexpr std::string_view kEnd = "/end";
  auto id = request.path.substr(kAgents.size());
  if (!id.ends_with(kEnd)) return error_response(404, "there is nothing to post to at " + request.path.substr(0, 200));
  id.resize(id.size() - kEnd.size());
  if (request.header("x-ebbtide-action") != "end")
    return error_response(400, "to end an agent, send the header X-Ebbtide-Action: end");
  const auto ended = fleet_.end_agent(id);
  if (!ended) return error_response(ended.error().kind == ErrorKind::kNotFound ? 404 : 409, ended.error().message);
  return json_response("{}\n");
}

HttpResponse Surface::ready() {
  const auto state = fleet_.ready();
  return state ? text_response(200, "ready\n") : text_response(503, state.error().message + "\n");
}

}  // namespace ebbtide::api
