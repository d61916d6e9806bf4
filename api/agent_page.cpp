#include "api/agent_page.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/rows.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

using plugin::Html;

constexpr std::size_t kLogLine = 2000;  // bytes of one line on a page

// One row of a description list; what is inside comes from the caller.
void fact(Html& html, std::string_view name, const Html& value) {
  html.open("div").element("dt", name).open("dd").add(value).close("dd").close("div");
}

void fact(Html& html, std::string_view name, std::string_view value) {
  Html text;
  text.element("bdi", shown(value, 1000));
  fact(html, name, text);
}

void write_actions(Html& html, const plugin::AgentView& view) {
  const auto page = "/agents/" + percent_encode(view.agent.id);
  const bool lives = view.agent.state < plugin::AgentState::kTerminating;
  html.open("p", {{"class", "actions"}});
  if (lives) {
    html.element("a", "End agent", {{"href", page + "/end"}, {"class", "button danger"}});
    html.element("a", "Keep for a look", {{"href", page + "/keep"}, {"class", "button"}});
  }
  if (view.kept || view.agent.reap_tries > 0)
    html.element("a", "Reap now", {{"href", page + "/reap"}, {"class", "button danger"}});
  html.close("p");
}

void write_left(Html& html, const std::vector<std::string>& left, int tries) {
  if (left.empty()) return;
  html.element("h2", "What refuses to go");
  if (tries > 0) html.element("p", std::to_string(tries) + " tries so far", {{"class", "quiet"}});
  html.open("ul", {{"class", "troubles"}});
  for (const auto& each : left) html.open("li", {{"class", "error"}}).element("span", shown(each, 1000)).close("li");
  html.close("ul");
}

void write_facts(Html& html, const Row& row, TimePoint now) {
  const auto& agent = row.view.agent;
  Html state;
  Html job;
  Html age;
  write_state(state, agent);
  write_job(job, agent.job, row.view.job_url);
  age.text(clock_text(agent.created) + " UTC, ");
  write_age(age, agent.created, now);
  html.open("dl", {{"class", "facts"}});
  fact(html, "State", state);
  fact(html, "Job", job);
  fact(html, "Created", age);
  if (agent.registered) fact(html, "Registered", clock_text(*agent.registered) + " UTC");
  fact(html, "Image", agent.image);
  fact(html, "Docker",
       agent.access == plugin::DockerAccess::kHost
           ? "host: the raw socket, unsafe; what the job makes is neither seen nor removed"
           : plugin::to_string(agent.access));
  fact(html, "Cluster", agent.cluster);
  if (!agent.container_id.empty()) fact(html, "Container", agent.container_id.substr(0, 12));
  if (const auto sum = total(row.usage))
    fact(html, "Uses",
         std::to_string(static_cast<long>(sum->cpu_percent + 0.5)) + " % of a CPU and " +
             bytes_text(sum->memory_bytes) + ", with its belongings");
  if (row.view.keep.count() > 0)
    fact(html, "When it ends", "it stays for a look for " + std::to_string(row.view.keep.count()) + " min");
  if (agent.end_cause) fact(html, "Ends because", plugin::to_string(*agent.end_cause));
  html.close("dl");
}

void write_agent_part(Html& html, const Row& row, const Visitor& visitor, TimePoint now) {
  write_facts(html, row, now);
  if (visitor.may_act()) write_actions(html, row.view);
  write_left(html, row.view.agent.reap_left, row.view.agent.reap_tries);
}

void write_environment(Html& html, const plugin::AgentView& view) {
  if (view.environment_names.empty()) return;
  html.element("h2", "Environment");
  html.element("p", "Names only: values may be secrets.", {{"class", "quiet"}});
  html.open("ul", {{"class", "names"}});
  for (const auto& name : view.environment_names) html.open("li").element("code", shown(name, 200)).close("li");
  html.close("ul");
}

// Which containers have logs: the agent's first.
std::vector<const Belonging*> containers_of(const plugin::AgentView& view) {
  std::vector<const Belonging*> containers;
  for (const auto& belonging : view.belongings)
    if (belonging.kind == Kind::kContainer) containers.push_back(&belonging);
  std::ranges::stable_sort(containers, {}, [](const auto* each) { return each->role == Role::kAgent ? 0 : 1; });
  return containers;
}

void write_containers(Html& html, const plugin::AgentView& view, const std::string& chosen) {
  html.open("ul", {{"class", "choices"}, {"id", "part-containers"}});
  for (const auto* container : containers_of(view)) {
    const auto name = container->role == Role::kAgent ? std::string("the agent") : shown(container->name, 80);
    const auto href =
        "/agents/" + percent_encode(view.agent.id) + "?container=" + percent_encode(container->id) + "#log";
    html.open("li");
    if (container->id == chosen)
      html.open("a", {{"href", href}, {"aria-current", "true"}});
    else
      html.open("a", {{"href", href}});
    html.element("bdi", name).close("a").close("li");
  }
  html.close("ul");
}

void write_log(Html& html, const plugin::AgentView& view, const ShownLog& log) {
  html.open("section", {{"aria-labelledby", "log-title"}, {"id", "log"}});
  html.raw("<h2 id=\"log-title\">Log</h2>");
  write_containers(html, view, log.container);
  html.open("pre", {{"id", "log-lines"},
                    {"tabindex", "0"},
                    {"role", "log"},
                    {"aria-live", "off"},
                    {"aria-labelledby", "log-title"},
                    {"data-src", "/api/v1/agents/" + percent_encode(view.agent.id) +
                                     "/log?follow=1&tail=500&container=" + percent_encode(log.container)}});
  html.text(log.lines).close("pre").close("section");
}

}  // namespace

std::string log_text(std::string_view log) {
  std::string text;
  for (const auto& line : split(log, '\n')) {
    for (const char c : shown(line, kLogLine))
      if (static_cast<unsigned char>(c) >= 0x20 || c == '\t') text += c;
    text += '\n';
  }
  return text;
}

std::string agent_page(const Snapshot& snapshot, const Row& row, const ShownLog& log, const Html& audit,
                       const Frame& frame, TimePoint now) {
  Html body;
  body.element("h1", row.view.agent.id);
  body.open(
      "div",
      {{"id", "agent-page"}, {"data-agent", row.view.agent.id}, {"data-version", std::to_string(snapshot.version)}});
  body.raw("<div id=\"part-agent\">");
  write_agent_part(body, row, *frame.visitor, now);
  body.raw("</div><h2>Belongings</h2><div id=\"part-tree\">");
  write_tree(body, row.view, row.usage);
  body.raw("</div><h2>Time line</h2><div id=\"part-steps\">");
  write_steps(body, row.view.agent.steps);
  body.raw("</div>");
  write_log(body, row.view, log);
  body.open("div", {{"id", "part-audit"}, {"data-src", "/agents/" + percent_encode(row.view.agent.id) + "/audit"}});
  body.add(audit).close("div");
  write_environment(body, row.view);
  body.close("div");
  return framed(frame, body);
}

std::string agent_changes(const Snapshot& snapshot, const std::string& id, const Visitor& visitor, TimePoint now) {
  nlohmann::ordered_json json{{"version", snapshot.version}};
  const auto row = std::ranges::find_if(snapshot.rows, [&](const auto& each) { return each->view.agent.id == id; });
  if (row == snapshot.rows.end()) {
    json["gone"] = true;
  } else {
    Html agent;
    Html tree;
    Html steps;
    write_agent_part(agent, **row, visitor, now);
    write_tree(tree, (*row)->view, (*row)->usage);
    write_steps(steps, (*row)->view.agent.steps);
    json["parts"] = {
        {"agent", written_out(agent.str())}, {"tree", written_out(tree.str())}, {"steps", written_out(steps.str())}};
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string ended_page(const plugin::HistoryEntry& entry, const Html& audit, const Frame& frame) {
  Html body;
  Html state;
  state.element("span", "gone", {{"class", "state ending"}});
  body.element("h1", shown(entry.agent_id)).open("dl", {{"class", "facts"}});
  fact(body, "State", state);
  fact(body, "Job", entry.job.text());
  fact(body, "Created", clock_text(entry.created) + " UTC");
  if (entry.registered) fact(body, "Registered", clock_text(*entry.registered) + " UTC");
  fact(body, "Ended", clock_text(entry.ended) + " UTC");
  fact(body, "Because", entry.cause);
  fact(body, "Exit code", std::to_string(entry.exit_code) + (entry.oom_killed ? ", out of memory" : ""));
  fact(body, "Removed", entry.reaped);
  fact(body, "Image", entry.image);
  fact(body, "Cluster", entry.cluster);
  body.close("dl");
  write_left(body, entry.left, 0);
  body.element("h2", "Time line");
  write_steps(body, entry.steps);
  if (!entry.last_log.empty()) {
    body.element("h2", "Last lines of its log", {{"id", "log-title"}});
    body.element("pre", log_text(entry.last_log),
                 {{"tabindex", "0"}, {"role", "log"}, {"aria-labelledby", "log-title"}});
  }
  body.add(audit);
  return framed(frame, body);
}

}  // namespace ebbtide::api
