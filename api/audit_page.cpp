#include "api/audit_page.h"

#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

using plugin::Html;

constexpr std::size_t kShownObjects = 5;  // of a record; a prune may name a hundred
constexpr std::size_t kIdLength = 12;

std::string short_id(std::string_view id) {
  if (id.starts_with("sha256:")) id.remove_prefix(7);
  return std::string(id.substr(0, kIdLength));
}

// A path with its ids as short as docker shows them.
std::string path_text(std::string_view path) {
  std::string text;
  for (const auto& part : split(path.substr(path.starts_with('/') ? 1 : 0), '/')) {
    const bool is_id = part.size() == 64 && part.find_first_not_of("0123456789abcdef") == std::string::npos;
    text += "/" + (is_id ? short_id(part) : part);
  }
  return text;
}

std::string size_text(std::uint64_t bytes) { return bytes < 1024 ? std::to_string(bytes) + " B" : bytes_text(bytes); }

// "container 3f2a…" becomes short; a process keeps its number.
std::string caller_text(const AuditRecord& record) {
  constexpr std::string_view kContainer = "container ";
  if (!record.caller.starts_with(kContainer)) return record.caller;
  return std::string(kContainer) + short_id(std::string_view(record.caller).substr(kContainer.size()));
}

std::string address_of(const AuditFilter& filter) {
  std::string query;
  const auto add = [&](const std::string& pair) { query += (query.empty() ? "?" : "&") + pair; };
  if (!filter.agent.empty()) add("agent=" + percent_encode(filter.agent));
  if (filter.refused) add("refused=1");
  if (filter.before) add("before=" + std::to_string(*filter.before));
  return "/audit" + query;
}

void write_objects(Html& html, const std::vector<AuditObject>& objects) {
  html.open("td");
  for (std::size_t i = 0; i < std::min(objects.size(), kShownObjects); ++i) {
    const auto& object = objects[i];
    const auto name = object.name.empty() ? short_id(object.id) : object.name;
    html.open("div").element("span", shown(object.kind, 20), {{"class", "quiet"}}).text(" ");
    html.element("bdi", shown(name, 100)).close("div");
  }
  if (objects.size() > kShownObjects)
    html.element("div", "and " + std::to_string(objects.size() - kShownObjects) + " more", {{"class", "quiet"}});
  html.close("td");
}

void write_record(Html& html, const AuditRecord& record, bool with_agent) {
  html.open("tr").open("td");
  html.element("time", clock_text(record.time), {{"datetime", to_rfc3339(record.time)}}).close("td");
  if (with_agent)
    html.open("td")
        .element("a", shown(record.owner, 60), {{"href", "/agents/" + percent_encode(record.owner)}})
        .close("td");
  html.open("td").open("code").element("bdi", shown(record.method + " " + path_text(record.path), 200));
  html.close("code").close("td");
  write_objects(html, record.objects);
  html.open("td").element("bdi", shown(caller_text(record), 60)).close("td");
  const bool bad = !record.rule.empty() || record.status >= 400;
  const auto status = record.status == 0 ? std::string("gone before") : std::to_string(record.status);
  html.open("td", {{"class", bad ? "bad" : "quiet"}}).text(status);
  if (!record.rule.empty()) html.text(", ").element("bdi", shown(record.rule, 60));
  html.close("td");
  html.element("td", size_text(record.bytes_in) + " in, " + size_text(record.bytes_out) + " out", {{"class", "quiet"}});
  html.element("td", std::to_string(record.duration.count()) + " ms", {{"class", "quiet"}}).close("tr");
}

void write_table(Html& html, std::string_view label, const std::vector<AuditRecord>& records, bool with_agent) {
  html.open("div", {{"class", "scroll"}, {"tabindex", "0"}, {"role", "region"}, {"aria-label", label}});
  html.raw("<table class=\"audit\"><thead><tr>");
  for (const std::string_view head : {"Time, UTC", "Agent", "Request", "About", "Asked by", "Answer", "Bytes", "Took"})
    if (with_agent || head != "Agent") html.element("th", head, {{"scope", "col"}});
  html.raw("</tr></thead><tbody>");
  for (const auto& record : records) write_record(html, record, with_agent);
  html.raw("</tbody></table></div>");
}

void write_filter(Html& html, const AuditFilter& filter) {
  html.raw("<form class=\"filter\" method=\"get\" action=\"/audit\" role=\"search\"><label>Agent ");
  html.open("input", {{"type", "search"}, {"name", "agent"}, {"value", filter.agent}, {"placeholder", "ebbtide-…"}});
  html.raw("</label><label class=\"tick\">Only what was refused ");
  if (filter.refused)
    html.raw("<input type=\"checkbox\" name=\"refused\" value=\"1\" checked>");
  else
    html.raw("<input type=\"checkbox\" name=\"refused\" value=\"1\">");
  html.raw("</label><button>Show</button></form>");
}

}  // namespace

std::string audit_page(const std::vector<AuditRecord>& records, const AuditFilter& filter, const Frame& frame) {
  Html body;
  body.element("h1", "What jobs asked of Docker");
  body.element("p",
               "Requests that changed something, and those that were refused or were about what is not the job's; the "
               "newest first.",
               {{"class", "quiet"}});
  write_filter(body, filter);
  if (records.empty()) {
    const bool all = filter.agent.empty() && !filter.refused && !filter.before;
    body.element("p", all ? "Nothing yet." : "Nothing that fits.", {{"class", "quiet"}});
    return framed(frame, body);
  }
  write_table(body, "Requests", records, true);
  if (records.size() == kAuditRowsOfAPage) {
    auto older = filter;
    older.before = records.back().number;
    body.open("p").element("a", "Older", {{"href", address_of(older)}, {"class", "button"}}).close("p");
  }
  return framed(frame, body);
}

void write_agent_audit(Html& html, const std::string& agent, const std::vector<AuditRecord>& refused,
                       const std::vector<AuditRecord>& newest) {
  if (!refused.empty()) {
    html.element("h2", "Refusals");
    write_table(html, "Refusals", refused, false);
  }
  html.element("h2", "Audit");
  if (newest.empty()) {
    html.element("p", "The job has asked Docker for nothing that changes anything.", {{"class", "quiet"}});
    return;
  }
  write_table(html, "Audit", newest, false);
  html.open("p").element("a", "All of this agent", {{"href", address_of({.agent = agent, .before = {}})}}).text(" · ");
  html.element("a", "only refusals", {{"href", address_of({.agent = agent, .refused = true, .before = {}})}})
      .close("p");
}

}  // namespace ebbtide::api
