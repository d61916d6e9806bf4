#include "api/surface.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/answers.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

constexpr std::string_view kRequests = "/plugin/v1/requests/";
constexpr std::string_view kListen = "/plugin/v1/processor-requests";
constexpr std::string_view kResponses = "/plugin/v1/processor-responses/";
constexpr std::string_view kMessages = "/plugin/";

}  // namespace

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

Surface::Surface(plugin::Fleet& fleet, plugin::Contract& contract, std::shared_ptr<Accounts> accounts,
                 SurfaceSettings settings)
    : fleet_(fleet),
      contract_(contract),
      heartbeat_(settings.heartbeat),
      gate_(std::move(settings.gate), std::move(accounts)),
      site_(fleet, gate_, settings.seats) {}

void Surface::stop() {
  stopping_ = true;
  site_.stop();
}

HttpResponse Surface::handle(const HttpRequest& request) {
  if (request.path == "/healthz") return text_response(200, "ok\n");
  if (request.path == "/readyz") return ready();
  if (request.method != "GET" && gate_.is_from_elsewhere(request))
    return error_response(403, "requests from other sites are refused");
  if (request.path.starts_with(kMessages)) {
    if (gate_.is_bridge(request)) return message(request);
    auto refused = error_response(401, "a token is needed: Authorization: Bearer <token>");
    refused.headers["WWW-Authenticate"] = "Bearer realm=\"Ebbtide\"";
    return refused;
  }
  if (auto response = site_.open_to_all(request)) return *response;
  const auto visitor = gate_.visitor(request);
  return visitor ? site_.handle(request, *visitor) : site_.refuse(request, visitor.error());
}

HttpResponse Surface::message(const HttpRequest& request) {
  struct Route {
    std::string_view method;
    std::string_view path;  // with "/" at its end: all that begins so
    HttpResponse (Surface::*serve)(const HttpRequest&);
  };
  static constexpr Route kRoutes[] = {{"POST", kRequests, &Surface::plugin_request},
                                      {"GET", kListen, &Surface::processor_requests},  // HEAD would take the channel
                                      {"POST", kResponses, &Surface::processor_response}};
  for (const auto& route : kRoutes) {
    if (route.path.ends_with('/') ? !request.path.starts_with(route.path) : request.path != route.path) continue;
    if (request.method == route.method) return (this->*route.serve)(request);
    auto refused = error_response(405, request.path.substr(0, 200) + " is for " + std::string(route.method));
    refused.headers["Allow"] = route.method;
    return refused;
  }
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
  HttpResponse response{.content_type = "application/x-ndjson"};
  response.stream = [this, &channel, attachment, first = std::make_shared<bool>(true)](std::string& piece) {
    if (std::exchange(*first, false)) {
      piece = "{}\n";  // at once, so that the bridge knows that it is connected
      return true;
    }
    const auto next = channel.next(attachment, heartbeat_);
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

HttpResponse Surface::ready() {
  const auto state = fleet_.ready();
  return state ? text_response(200, "ready\n") : text_response(503, state.error().message + "\n");
}

}  // namespace ebbtide::api
