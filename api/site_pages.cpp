// Site: the pages of what runs and what ended.
#include "api/agent_page.h"
#include "api/answers.h"
#include "api/audit_page.h"
#include "api/rows.h"
#include "api/site.h"
#include "api/site_parts.h"
#include "api/status_page.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

constexpr std::chrono::seconds kWait{25};
constexpr int kShownLines = 100;
constexpr int kRefreshSeconds = 10;  // of browsers without script

TimePoint now() { return std::chrono::system_clock::now(); }

std::string object_of(const HttpRequest& request, std::string_view before) {
  return request.path.substr(before.size());
}

// "x/end" → "x" and "end"
std::pair<std::string, std::string> parted(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return {path, {}};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

HttpResponse Site::status(const HttpRequest& request, const Visitor& visitor) {
  const auto filter = filter_of(request);
  auto page_frame = frame("What runs now", "/", visitor);
  page_frame.refresh_seconds = kRefreshSeconds;
  return page_response(status_page(*board_.look(), filter, page_frame, now()));
}

// What changed since the version that the page shows, as soon as something did. Where all seats are taken, the script
// asks again a little later.
HttpResponse Site::live(const HttpRequest& request, const Visitor& visitor) {
  const auto since = parse_number(value(request.query, "since")).value_or(0);
  const Seats::Taken seat(seats_);
  const auto snapshot = seat ? board_.wait(since, kWait) : board_.look();
  const auto agent = value(request.query, "agent");
  auto response = json_response(agent.empty() ? status_changes(*snapshot, filter_of(request), visitor, since, now())
                                              : agent_changes(*snapshot, agent, visitor, now()));
  if (!seat) response.headers["Retry-After"] = "3";
  return response;
}

HttpResponse Site::history(const HttpRequest& request, const Visitor& visitor) {
  plugin::HistoryWishes wishes{.text = search_of(request)};
  wishes.before = static_cast<std::int64_t>(parse_number(value(request.query, "before")).value_or(0));
  return page_response(history_page(fleet_.history(wishes), wishes, frame("History", "/history", visitor)));
}

HttpResponse Site::audit_of_all(const HttpRequest& request, const Visitor& visitor) {
  const AuditFilter filter{.agent = replace_all(value(request.query, "agent").substr(0, 200), "\xE2\x80\x8C", ""),
                           .refused = value(request.query, "refused") == "1",
                           .before = parse_number(value(request.query, "before"))};
  const auto records = fleet_.audit(filter.agent, kAuditRowsOfAPage, filter.before, filter.refused);
  if (!records)
    return page_response(message_page("It did not work", records.error().message, frame("Audit", "/audit", visitor)),
                         error_response(records.error()).status);
  return page_response(audit_page(*records, filter, frame("Audit", "/audit", visitor)));
}

// Of an agent that lives or that is no more.
plugin::Html Site::audit_of(const std::string& agent_id) const {
  plugin::Html html;
  const auto refused = fleet_.audit(agent_id, kAuditRowsOfAnAgent, std::nullopt, true);
  const auto newest = fleet_.audit(agent_id, kAuditRowsOfAnAgent, std::nullopt);
  if (refused && newest)
    write_agent_audit(html, agent_id, *refused, *newest);
  else
    html.element("p", (refused ? newest : refused).error().message, {{"class", "bad"}});
  return html;
}

HttpResponse Site::agent(const HttpRequest& request, const Visitor& visitor) {
  const auto path = object_of(request, "/agents/");
  if (path.find('/') == std::string::npos) return agent_page_of(request, visitor, path);
  const auto [id, below] = parted(path);
  if (below == "audit") return page_response(written_out(audit_of(id).str()));
  const auto snapshot = board_.look();
  const auto row = row_of(*snapshot, id);
  if (below == "belongings") {
    if (!row) return error_response(404, "no agent " + id.substr(0, 100));
    plugin::Html html;
    write_belongings(html, row->view, row->usage);
    return page_response(written_out(html.str()));
  }
  const auto* action = agent_action(below);
  if (!action || !row)
    return page_response(
        message_page("Not found", "There is no agent " + shown(id, 100) + " any more, or no such page.",
                     frame("Not found", "", visitor)),
        404);
  if (!visitor.may_act()) return denied(request, visitor, "this is for admins: " + visitor.name + " is a viewer");
  const auto page = "/agents/" + percent_encode(id);
  const Question question{.title = std::string(action->title) + "?",
                          .text = "Agent " + id + ", " + std::string(to_string(row->view.agent.state)) + " for job " +
                                  shown(row->view.agent.job.text()) + ", has " +
                                  std::to_string(belongings_of_job(row->view)) + " belongings. " +
                                  std::string(action->text),
                          .verb = std::string(action->title),
                          .target = page + "/" + below,
                          .back = page,
                          .destroys = action->destroys,
                          .asks_minutes = action->asks_minutes};
  return page_response(question_page(question, frame(action->title, "", visitor)));
}

HttpResponse Site::agent_page_of(const HttpRequest& request, const Visitor& visitor, const std::string& id) {
  const auto snapshot = board_.look();
  if (const auto row = row_of(*snapshot, id)) {
    auto container = value(request.query, "container");
    if (container.empty()) container = row->view.agent.container_id;
    ShownLog shown_log{.container = container, .lines = {}};
    if (!container.empty()) {
      std::string lines;
      const auto read = fleet_.read_log(
          id, container, {.last_lines = kShownLines},
          [&](std::string_view piece) {
            lines.append(piece);
            return lines.size() < (std::size_t{4} << 20);
          },
          [] { return true; });
      shown_log.lines = read ? log_text(lines) : read.error().message;
    }
    return page_response(agent_page(*snapshot, *row, shown_log, audit_of(id), frame(id, "", visitor), now()));
  }
  if (const auto entry = fleet_.ended(id))
    return page_response(ended_page(*entry, audit_of(id), frame(id, "/history", visitor)));
  return page_response(
      message_page("Not found", "There is no agent " + shown(id, 100) + ", and the history has none of that name.",
                   frame("Not found", "", visitor)),
      404);
}

HttpResponse Site::ask_about_cluster(const HttpRequest& request, const Visitor& visitor) {
  const auto name = object_of(request, "/clusters/");
  const auto* action = cluster_action(name);
  const auto key = value(request.query, "key");
  if (!action) return error_response(404, "there is nothing at " + request.path.substr(0, 200));
  auto text = "Cluster " + shown(key) + ". ";
  if (name == "prune-caches") {
    const auto caches = fleet_.caches(key);
    if (!caches)
      return page_response(message_page("It did not work", caches.error().message, frame("No caches", "", visitor)),
                           error_response(caches.error()).status);
    text += caches->empty() ? "Its jobs have no caches in common. "
                            : "Caches that its jobs have in common: " + shown(join(*caches), 2000) + ". ";
  }
  const Question question{.title = std::string(action->title) + "?",
                          .text = text + std::string(action->text),
                          .verb = std::string(action->title),
                          .target = "/clusters/" + name,
                          .back = "/",
                          .hidden_name = "key",
                          .hidden_value = key,
                          .destroys = action->destroys};
  return page_response(question_page(question, frame(action->title, "", visitor)));
}

HttpResponse Site::act_on_agent(const HttpRequest& request, const Visitor& visitor) {
  const auto [id, name] = parted(object_of(request, "/agents/"));
  return act(agent_action(name), {.object = id, .fields = {}, .who = visitor.name}, request, visitor,
             "/agents/" + percent_encode(id));
}

HttpResponse Site::act_on_cluster(const HttpRequest& request, const Visitor& visitor) {
  return act(cluster_action(object_of(request, "/clusters/")),
             {.object = value(form_fields(request.body), "key"), .fields = {}, .who = visitor.name}, request, visitor,
             "/");
}

HttpResponse Site::act(const Action* action, ActionRequest asked, const HttpRequest& request, const Visitor& visitor,
                       const std::string& back) {
  if (!action) return error_response(404, "there is nothing to post to at " + request.path.substr(0, 200));
  if (!holds_form_token(request, visitor)) return denied(request, visitor, kNoFormToken);
  asked.fields = form_fields(request.body);
  const auto done = action->run(fleet_, asked);
  if (done && done->empty()) return see_other(back);
  if (done) return page_response(message_page(action->title, shown(*done, 2000), frame(action->title, "", visitor)));
  const auto status = error_response(done.error()).status;
  return page_response(message_page("It did not work", done.error().message, frame("It did not work", "", visitor)),
                       status);
}

}  // namespace ebbtide::api
