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
constexpr std::string_view kResponses = "/plugin/v1/processor-responses/";
constexpr std::string_view kAgents = "/api/v1/agents/";
constexpr std::size_t kHistoryRows = 500;

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
                      {"X-Content-Type-Options", "nosniff"},
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
  const bool get = request.method == "GET";
  const bool post = request.method == "POST";
  if (post && request.path.starts_with(kRequests)) return plugin_request(request);
  if (get && request.path == "/plugin/v1/processor-requests") return processor_requests(request);
  if (post && request.path.starts_with(kResponses)) return processor_response(request);
  if (get && request.path == "/") return page_response(status_page(fleet_));
  if (get && request.path == "/static/style.css") {
    auto style = text_response(200, std::string(status_style()));
    style.content_type = "text/css; charset=utf-8";
    return style;
  }
  if (get && request.path == "/metrics") {
    auto metrics = text_response(200, metrics_text(fleet_));
    metrics.content_type = "text/plain; version=0.0.4; charset=utf-8";
    return metrics;
  }
  if (request.path.starts_with("/api/v1/")) return json(request);
  return error_response(404, "there is nothing at " + request.path.substr(0, 200));
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

HttpResponse Surface::json(const HttpRequest& request) {
  const bool get = request.method == "GET";
  if (get && request.path == "/api/v1/clusters") return json_response(clusters_json(fleet_.clusters()));
  if (get && request.path == "/api/v1/agents") return json_response(agents_json(fleet_.agents()));
  if (get && request.path == "/api/v1/history") return json_response(history_json(fleet_.history(kHistoryRows)));
  if (request.path.starts_with(kAgents)) {
    auto id = request.path.substr(kAgents.size());
    if (get) return agent_json(id);
    if (request.method == "POST" && id.ends_with("/end")) return end_agent(request, id.substr(0, id.size() - 4));
  }
  return error_response(404, "there is nothing at " + request.path.substr(0, 200));
}

HttpResponse Surface::agent_json(const std::string& agent_id) {
  const auto agent = fleet_.agent(agent_id);
  return agent ? json_response(agents_json({*agent}, true))
               : error_response(404, "no agent " + agent_id.substr(0, 100));
}

// The header can't be sent by a form of another site.
HttpResponse Surface::end_agent(const HttpRequest& request, const std::string& agent_id) {
  if (request.header("x-ebbtide-action") != "end")
    return error_response(400, "to end an agent, send the header X-Ebbtide-Action: end");
  const auto ended = fleet_.end_agent(agent_id);
  if (!ended) return error_response(ended.error().kind == ErrorKind::kNotFound ? 404 : 409, ended.error().message);
  return json_response("{}\n");
}

HttpResponse Surface::ready() {
  const auto state = fleet_.ready();
  return state ? text_response(200, "ready\n") : text_response(503, state.error().message + "\n");
}

}  // namespace ebbtide::api
