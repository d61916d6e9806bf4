// Site: JSON for programs, as api/web/openapi.json describes it, and metrics.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/answers.h"
#include "api/metrics.h"
#include "api/site.h"
#include "api/site_parts.h"
#include "api/views.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

constexpr std::string_view kAgents = "/api/v1/agents/";
constexpr std::string_view kHistory = "/api/v1/history/";
constexpr std::string_view kClusters = "/api/v1/clusters/";
constexpr std::uint64_t kHistoryRows = 500;
constexpr std::uint64_t kAuditRows = 100;
constexpr std::uint64_t kMostAuditRows = 1000;
constexpr std::uint64_t kMostWait = 25;
constexpr std::uint64_t kMostLines = 10'000;
constexpr std::size_t kMostLog = std::size_t{8} << 20;  // of one that is not followed

std::uint64_t number(const HttpRequest& request, const std::string& name, std::uint64_t otherwise, std::uint64_t most) {
  return std::min(parse_number(value(request.query, name)).value_or(otherwise), most);
}

HttpResponse no_agent(const std::string& id) { return error_response(404, "no agent " + id.substr(0, 100)); }

}  // namespace

HttpResponse Site::api_clusters(const HttpRequest&, const Visitor&) {
  const auto snapshot = board_.look();
  return json_response(clusters_json(snapshot->clusters, snapshot->disks));
}

HttpResponse Site::api_caches(const HttpRequest& request, const Visitor&) {
  const auto caches = fleet_.caches(value(request.query, "key"));
  return caches ? json_response(nlohmann::json(*caches).dump() + "\n") : error_response(caches.error());
}

// Who asks again and again asks with If-None-Match, and gets nothing as long as nothing changed.
HttpResponse Site::api_agents(const HttpRequest& request, const Visitor&) {
  const auto snapshot = board_.look();
  const auto filter = filter_of(request);
  const auto tag = "\"" + std::to_string(snapshot->version) + "-" +
                   sha256_hex(filter.text + "\n" + filter.state + "\n" + filter.cluster).substr(0, 8) + "\"";
  auto response =
      request.header("if-none-match") == tag ? text_response(304, "") : json_response(agents_json(*snapshot, filter));
  response.headers = {{"Cache-Control", "no-cache"}, {"ETag", tag}};
  return response;
}

HttpResponse Site::api_agent(const HttpRequest& request, const Visitor&) {
  constexpr std::string_view kLog = "/log";
  auto id = request.path.substr(kAgents.size());
  constexpr std::string_view kAudit = "/audit";
  if (id.ends_with(kLog)) return log(request, id.substr(0, id.size() - kLog.size()));
  if (id.ends_with(kAudit)) return audit(request, std::string_view(id).substr(0, id.size() - kAudit.size()));
  const auto row = row_of(*board_.look(), id);
  return row ? json_response(whole_agent_json(row->view, row->usage)) : no_agent(id);
}

HttpResponse Site::log(const HttpRequest& request, const std::string& id) {
  const auto row = row_of(*board_.look(), id);
  if (!row) return no_agent(id);
  auto container = value(request.query, "container");
  if (container.empty()) container = row->view.agent.container_id;
  const bool own = std::ranges::any_of(row->view.belongings, [&](const Belonging& each) {
    return each.kind == Kind::kContainer && each.id == container;
  });
  if (!own) return error_response(404, "agent " + id + " has no container " + container.substr(0, 100));
  const LogWishes wishes{.last_lines = static_cast<int>(number(request, "tail", 200, kMostLines)),
                         .follow = value(request.query, "follow") == "1",
                         .times = value(request.query, "times") == "1"};
  if (!wishes.follow) {
    std::string lines;
    const auto read = fleet_.read_log(
        id, container, wishes, [&](std::string_view piece) { return lines.append(piece).size() < kMostLog; },
        [] { return true; });
    return read ? text_response(200, std::move(lines)) : error_response(read.error());
  }
  auto seat = std::make_shared<Seats::Taken>(seats_);
  if (!*seat) return error_response(503, "too many logs are followed, and pages open: try again later");
  // As bytes: what says that it is text, cpp-httplib compresses, and holds back.
  HttpResponse response{.content_type = "application/octet-stream", .headers = {{"Cache-Control", "no-store"}}};
  response.pour = [this, id, container, wishes, seat](const auto& write, const auto& wanted) {
    const auto read = fleet_.read_log(id, container, wishes, write, [&] { return !stopping_ && wanted(); });
    if (!read) write("[" + read.error().message + "]\n");
  };
  return response;
}

HttpResponse Site::api_history(const HttpRequest& request, const Visitor&) {
  if (request.path.starts_with(kHistory)) {
    const auto id = request.path.substr(kHistory.size());
    const auto entry = fleet_.ended(id);
    return entry ? json_response(ended_json(*entry))
                 : error_response(404, "no agent in the history: " + id.substr(0, 100));
  }
  plugin::HistoryWishes wishes{.text = search_of(request)};
  wishes.before = static_cast<std::int64_t>(number(request, "before", 0, std::numeric_limits<std::int64_t>::max()));
  wishes.limit = number(request, "limit", kHistoryRows, kHistoryRows);
  return json_response(history_json(fleet_.history(wishes)));
}

HttpResponse Site::api_audit(const HttpRequest& request, const Visitor&) { return audit(request, ""); }

// ?limit= records, the newest first; ?before= the number of the last one of the former page; ?refused=1 those alone.
HttpResponse Site::audit(const HttpRequest& request, std::string_view agent_id) {
  const auto given = [&](const char* key) -> Result<std::optional<std::uint64_t>> {
    const auto text = value(request.query, key);
    if (text.empty()) return std::optional<std::uint64_t>();
    const auto whole = parse_number(text);
    if (!whole) return fail(Error::invalid(std::string(key) + " must be a whole number"));
    return whole;
  };
  const auto limit = given("limit");
  const auto before = given("before");
  if (!limit || !before) return error_response((limit ? before : limit).error());
  const auto rows = std::min(limit->value_or(kAuditRows), kMostAuditRows);
  const auto records = fleet_.audit(agent_id, rows, *before, value(request.query, "refused") == "1");
  return records ? json_response(audit_json(*records)) : error_response(records.error());
}

HttpResponse Site::api_troubles(const HttpRequest&, const Visitor&) {
  return json_response(troubles_json(board_.look()->troubles));
}

// Waits until something changed since a version.
HttpResponse Site::api_changes(const HttpRequest& request, const Visitor&) {
  const auto since = number(request, "since", 0, std::numeric_limits<std::uint64_t>::max());
  const Seats::Taken seat(seats_);
  const auto wait = std::chrono::seconds(number(request, "wait", kMostWait, kMostWait));
  const auto snapshot = seat ? board_.wait(since, wait) : board_.look();
  auto response = json_response(changes_json(*snapshot, since));
  if (!seat) response.headers["Retry-After"] = "3";
  return response;
}

HttpResponse Site::api_visitor(const HttpRequest&, const Visitor& visitor) {
  return json_response(nlohmann::ordered_json{{"name", visitor.name}, {"role", to_string(visitor.rights)}}.dump(
                           -1, ' ', false, nlohmann::json::error_handler_t::replace) +
                       "\n");
}

HttpResponse Site::api_description(const HttpRequest&, const Visitor&) {
  return asset_response("openapi.json", "application/json");
}

HttpResponse Site::api_act_on_agent(const HttpRequest& request, const Visitor& visitor) {
  const auto path = request.path.substr(kAgents.size());
  const auto slash = path.rfind('/');
  const auto name = slash == std::string::npos ? std::string() : path.substr(slash + 1);
  return api_act(agent_action(name), {.object = path.substr(0, slash), .fields = request.query, .who = visitor.name},
                 request, name);
}

HttpResponse Site::api_act_on_cluster(const HttpRequest& request, const Visitor& visitor) {
  const auto name = request.path.substr(kClusters.size());
  return api_act(cluster_action(name),
                 {.object = value(request.query, "key"), .fields = request.query, .who = visitor.name}, request, name);
}

// The header can't be sent by a form of another site.
HttpResponse Site::api_act(const Action* action, const ActionRequest& asked, const HttpRequest& request,
                           const std::string& name) {
  if (!action) return error_response(404, "there is nothing to post to at " + request.path.substr(0, 200));
  if (request.header("x-ebbtide-action") != name)
    return error_response(400, "this changes something: send the header X-Ebbtide-Action: " + name);
  const auto done = action->run(fleet_, asked);
  if (!done) return error_response(done.error());
  return json_response(done->empty() ? "{}\n" : nlohmann::json{{"message", *done}}.dump() + "\n");
}

HttpResponse Site::metrics(const HttpRequest&, const Visitor&) {
  auto response = text_response(200, metrics_text(fleet_));
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return response;
}

}  // namespace ebbtide::api
