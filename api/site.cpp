#include "api/site.h"

#include "api/answers.h"
#include "api/site_parts.h"
#include "docker/base/log.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide::api {

struct Site::Route {
  std::string_view method;
  std::string_view path;  // with "/" at its end: all that begins so
  Handler serve;
  bool acts = false;  // for admins only
};

const Site::Route Site::kRoutes[] = {
    {"GET", "/", &Site::status},
    {"GET", "/live", &Site::live},
    {"GET", "/history", &Site::history},
    {"GET", "/audit", &Site::audit_of_all},
    {"GET", "/sessions", &Site::sessions},
    {"POST", "/sessions/end", &Site::end_session},
    {"POST", "/sign-out", &Site::sign_out},
    {"GET", "/agents/", &Site::agent},
    {"POST", "/agents/", &Site::act_on_agent, true},
    {"GET", "/clusters/", &Site::ask_about_cluster, true},
    {"POST", "/clusters/", &Site::act_on_cluster, true},
    {"GET", "/metrics", &Site::metrics},
    {"GET", "/api/v1/openapi.json", &Site::api_description},
    {"GET", "/api/v1/visitor", &Site::api_visitor},
    {"GET", "/api/v1/clusters", &Site::api_clusters},
    {"GET", "/api/v1/clusters/caches", &Site::api_caches},
    {"POST", "/api/v1/clusters/", &Site::api_act_on_cluster, true},
    {"GET", "/api/v1/agents", &Site::api_agents},
    {"GET", "/api/v1/agents/", &Site::api_agent},
    {"POST", "/api/v1/agents/", &Site::api_act_on_agent, true},
    {"GET", "/api/v1/history", &Site::api_history},
    {"GET", "/api/v1/history/", &Site::api_history},
    {"GET", "/api/v1/audit", &Site::api_audit},
    {"GET", "/api/v1/troubles", &Site::api_troubles},
    {"GET", "/api/v1/changes", &Site::api_changes},
};

Site::Site(plugin::Fleet& fleet, Gate& gate, unsigned seats)
    : fleet_(fleet), gate_(gate), board_(fleet), seats_(seats) {}

std::optional<HttpResponse> Site::open_to_all(const HttpRequest& request) {
  if (request.method != "POST") {
    if (request.path == "/static/style.css") return asset_response("style.css", "text/css; charset=utf-8");
    if (request.path == "/static/page.js") return asset_response("page.js", "text/javascript; charset=utf-8");
    if (request.path == "/static/favicon.svg") return asset_response("favicon.svg", "image/svg+xml");
  }
  if (request.path == "/sign-in") return sign_in(request);
  return std::nullopt;
}

HttpResponse Site::handle(const HttpRequest& request, const Visitor& visitor) {
  const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  std::string allowed;
  for (const auto& route : kRoutes) {
    const bool begins = route.path.size() > 1 && route.path.ends_with('/') && request.path.starts_with(route.path);
    if (!begins && request.path != route.path) continue;
    if (method == route.method) {
      if (!route.acts || visitor.may_act()) return (this->*route.serve)(request, visitor);
      return denied(request, visitor, "this is for admins: " + visitor.name + " is a viewer");
    }
    allowed.append(allowed.empty() ? "" : ", ").append(route.method);
  }
  if (allowed.empty()) {
    const auto text = "there is nothing at " + request.path.substr(0, 200);
    return wants_page(request) ? page_response(message_page("Not found", text, frame("Not found", "", visitor)), 404)
                               : error_response(404, text);
  }
  auto refused = error_response(405, request.path.substr(0, 200) + " is for " + allowed);
  refused.headers["Allow"] = allowed;
  return refused;
}

HttpResponse Site::denied(const HttpRequest& request, const Visitor& visitor, const std::string& why) const {
  log_warning("refused", {{"who", visitor.name}, {"path", request.path.substr(0, 200)}, {"why", why}});
  if (!wants_page(request)) return error_response(403, why);
  return page_response(message_page("Not for you", why, frame("Not for you", "", visitor)), 403);
}

HttpResponse Site::refuse(const HttpRequest& request, const Error& why) const {
  if (gate_.knows_accounts() && request.method != "POST" && wants_page(request))
    return see_other("/sign-in?next=" + percent_encode(request.target));
  auto refused = error_response(401, why.message);
  if (!gate_.knows_accounts()) refused.headers["WWW-Authenticate"] = "Basic realm=\"Ebbtide\", charset=\"UTF-8\"";
  return refused;
}

Frame Site::frame(std::string_view title, std::string_view here, const Visitor& visitor) const {
  return {.title = title, .here = here, .visitor = &visitor, .can_sign_out = visitor.session.has_value()};
}

HttpResponse Site::sign_in(const HttpRequest& request) {
  if (!gate_.knows_accounts()) return see_other("/");
  if (request.method != "POST") return page_response(sign_in_page(local_path(value(request.query, "next")), "", ""));
  const auto fields = form_fields(request.body);
  const auto next = local_path(value(fields, "next"));
  const auto name = value(fields, "name");
  const auto cookie = gate_.sign_in(name, value(fields, "password"), request.peer);
  if (!cookie)
    return page_response(sign_in_page(next, name, cookie.error().message),
                         cookie.error().kind == ErrorKind::kDenied ? 401 : 429);
  auto response = see_other(next);
  response.headers["Set-Cookie"] = *cookie;
  return response;
}

HttpResponse Site::sign_out(const HttpRequest& request, const Visitor& visitor) {
  if (!holds_form_token(request, visitor)) return denied(request, visitor, kNoFormToken);
  if (visitor.session) gate_.accounts().end_session(*visitor.session);
  log_info("signed out", {{"user", visitor.name}});
  auto response = see_other("/sign-in");
  response.headers["Set-Cookie"] = gate_.sign_out_cookie();
  return response;
}

// An admin sees and ends everybody's, others their own.
HttpResponse Site::sessions(const HttpRequest&, const Visitor& visitor) {
  auto sessions = gate_.accounts().sessions();
  if (!visitor.may_act()) std::erase_if(sessions, [&](const Session& session) { return session.user != visitor.name; });
  return page_response(sessions_page(sessions, frame("Sessions", "/sessions", visitor)));
}

HttpResponse Site::end_session(const HttpRequest& request, const Visitor& visitor) {
  if (!holds_form_token(request, visitor)) return denied(request, visitor, kNoFormToken);
  const auto number = parse_number(value(form_fields(request.body), "number")).value_or(0);
  for (const auto& session : gate_.accounts().sessions()) {
    if (session.number != static_cast<std::int64_t>(number)) continue;
    if (session.user != visitor.name && !visitor.may_act())
      return denied(request, visitor, "this session is not yours");
    gate_.accounts().end_session(session.number);
    log_info("a session was ended", {{"user", session.user}, {"who", visitor.name}});
  }
  return see_other("/sessions");
}

bool holds_form_token(const HttpRequest& request, const Visitor& visitor) {
  return !visitor.form_token.empty() &&
         equal_secret(value(form_fields(request.body), "form_token"), visitor.form_token);
}

bool wants_page(const HttpRequest& request) {
  return !request.path.starts_with("/api/") && request.header("accept").find("text/html") != std::string::npos;
}

std::string value(const std::map<std::string, std::string>& fields, const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string() : found->second;
}

std::string local_path(const std::string& path) {
  const bool local = path.starts_with('/') && !path.starts_with("//") && path.find('\\') == std::string::npos &&
                     path.find_first_of("\r\n") == std::string::npos;
  return local ? path : "/";
}

std::string search_of(const HttpRequest& request) {
  // Pages part braces by it, also those in a search field.
  return replace_all(value(request.query, "q").substr(0, 300), "\xE2\x80\x8C", "");
}

Filter filter_of(const HttpRequest& request) {
  return {
      .text = search_of(request), .state = value(request.query, "state"), .cluster = value(request.query, "cluster")};
}

std::shared_ptr<const Row> row_of(const Snapshot& snapshot, const std::string& id) {
  for (const auto& row : snapshot.rows)
    if (row->view.agent.id == id) return row;
  return nullptr;
}

bool Seats::take() {
  if (free_.fetch_sub(1) > 0) return true;
  free_.fetch_add(1);
  return false;
}

}  // namespace ebbtide::api
