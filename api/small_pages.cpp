#include "api/small_pages.h"

#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

using plugin::Html;

void write_heads(Html& html, std::initializer_list<std::string_view> names) {
  html.open("thead").open("tr");
  for (const auto& name : names) html.element("th", name, {{"scope", "col"}});
  html.close("tr").close("thead");
}

void write_ended(Html& html, const plugin::HistoryEntry& entry) {
  const bool bad = entry.exit_code != 0 || entry.oom_killed || !entry.left.empty();
  html.open("tr");
  html.open("td").element("time", clock_text(entry.ended), {{"datetime", to_rfc3339(entry.ended)}}).close("td");
  html.open("td").element("a", shown(entry.agent_id), {{"href", "/agents/" + percent_encode(entry.agent_id)}});
  html.close("td").open("td").element("bdi", shown(entry.job.text())).close("td");
  html.open("td").element("bdi", shown(entry.cause)).close("td");
  html.element("td", std::to_string(entry.exit_code) + (entry.oom_killed ? ", out of memory" : ""),
               {{"class", bad ? "bad" : "quiet"}});
  html.element("td", shown(entry.reaped)).close("tr");
}

void write_token(Html& html, const Frame& frame) {
  html.open("input", {{"type", "hidden"}, {"name", "form_token"}, {"value", frame.visitor->form_token}});
}

}  // namespace

std::string history_page(const std::vector<plugin::HistoryEntry>& entries, const plugin::HistoryWishes& wishes,
                         const Frame& frame) {
  Html body;
  body.element("h1", "Agents that ended");
  body.raw("<form class=\"filter\" method=\"get\" action=\"/history\" role=\"search\"><label>Search ");
  body.open("input",
            {{"type", "search"}, {"name", "q"}, {"value", wishes.text}, {"placeholder", "job, agent, cause, log"}});
  body.raw("</label><button>Show</button></form>");
  if (entries.empty()) {
    body.element("p", wishes.text.empty() ? "None yet." : "None that this search finds.", {{"class", "quiet"}});
    return framed(frame, body);
  }
  body.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Agents that ended\"><table>");
  write_heads(body, {"Ended, UTC", "Agent", "Job", "Because", "Exit code", "Removed"});
  body.open("tbody");
  for (const auto& entry : entries) write_ended(body, entry);
  body.raw("</tbody></table></div>");
  if (entries.size() == wishes.limit) {
    const auto older = "/history?before=" + std::to_string(entries.back().number) +
                       (wishes.text.empty() ? "" : "&q=" + percent_encode(wishes.text));
    body.open("p").element("a", "Older", {{"href", older}, {"class", "button"}}).close("p");
  }
  return framed(frame, body);
}

std::string sign_in_page(std::string_view next, std::string_view name, std::string_view problem) {
  Html body;
  body.raw("<div class=\"narrow card\"><h1>Sign in</h1>");
  if (!problem.empty()) body.element("p", problem, {{"class", "bad"}, {"role", "alert"}});
  body.raw("<form class=\"lines\" method=\"post\" action=\"/sign-in\">");
  body.open("input", {{"type", "hidden"}, {"name", "next"}, {"value", next}});
  body.raw("<label>Name ");
  body.open("input", {{"name", "name"}, {"value", name}, {"autocomplete", "username"}, {"required", ""}});
  body.raw("</label><label>Password ");
  body.open("input",
            {{"name", "password"}, {"type", "password"}, {"autocomplete", "current-password"}, {"required", ""}});
  body.raw(
      "</label><button>Sign in</button></form><p class=\"quiet\">Accounts are made on the server: "
      "<code>ebbtide user add NAME</code></p></div>");
  return framed({.title = "Sign in", .here = ""}, body);
}

std::string sessions_page(const std::vector<Session>& sessions, const Frame& frame) {
  Html body;
  body.element("h1", "Sessions");
  body.raw("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Sessions\"><table>");
  write_heads(body, {"User", "Role", "Signed in, UTC", "Last seen, UTC", "From", "End"});
  body.open("tbody");
  for (const auto& session : sessions) {
    const bool own = frame.visitor->session == session.number;
    body.open("tr").element("td", session.user + (own ? " (this one)" : ""));
    body.element("td", to_string(session.rights));
    body.element("td", clock_text(session.created)).element("td", clock_text(session.seen));
    body.element("td", session.peer).open("td");
    body.open("form", {{"method", "post"}, {"action", "/sessions/end"}});
    write_token(body, frame);
    body.open("input", {{"type", "hidden"}, {"name", "number"}, {"value", std::to_string(session.number)}});
    body.raw("<button>End</button></form></td></tr>");
  }
  body.raw("</tbody></table></div>");
  return framed(frame, body);
}

std::string question_page(const Question& question, const Frame& frame) {
  Html body;
  body.raw("<div class=\"narrow card\">").element("h1", question.title).element("p", question.text);
  body.open("form", {{"class", "lines"}, {"method", "post"}, {"action", question.target}});
  write_token(body, frame);
  if (!question.hidden_name.empty())
    body.open("input", {{"type", "hidden"}, {"name", question.hidden_name}, {"value", question.hidden_value}});
  if (question.asks_minutes)
    body.raw(
        "<label>Minutes <input type=\"number\" name=\"minutes\" min=\"0\" max=\"1440\" value=\"30\" "
        "required></label>");
  body.open("p", {{"class", "actions"}})
      .element("button", question.verb, {{"class", question.destroys ? "danger" : "gentle"}});
  body.element("a", "Back", {{"href", question.back}, {"class", "button"}});
  body.raw("</p></form></div>");
  return framed(frame, body);
}

std::string message_page(std::string_view title, std::string_view text, const Frame& frame) {
  Html body;
  body.raw("<div class=\"narrow card\">").element("h1", title).element("p", shown(text, 1000));
  body.raw("<p><a class=\"button\" href=\"/\">What runs now</a></p></div>");
  return framed(frame, body);
}

}  // namespace ebbtide::api
