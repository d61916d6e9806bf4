#include "api/status_page.h"

#include <algorithm>

#include "docker/base/text.h"
#include "plugin/html.h"
#include "plugin/report.h"

namespace ebbtide::api {
namespace {

using plugin::AgentState;
using plugin::AgentView;
using plugin::ClusterView;
using plugin::HistoryEntry;
using plugin::Html;

constexpr std::size_t kHistoryRows = 50;

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #12343b; --paper: #fbfaf6; --card: #fff; --line: #d8e0e0; --quiet: #5b7378;
  --good: #1d7a5f; --bad: #b3261e; --busy: #8a5a00; --tide: #0b6e7f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eeee; --paper: #0d1f24; --card: #142b31; --line: #29454c;
  --quiet: #9db4b8; --good: #6fd0ad; --bad: #ff8f85; --busy: #f0c36d; --tide: #6cc9d8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header { padding: 1.2rem 1.5rem 0.6rem; display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
h1 { margin: 0; font-size: 1.35rem; letter-spacing: 0.01em; }
h2 { font-size: 1.02rem; margin: 1.6rem 0 0.5rem; }
header p { margin: 0; color: var(--quiet); }
main { padding: 0 1.5rem 3rem; max-width: 78rem; }
.cards { display: grid; gap: 0.8rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 0.8rem 1rem; }
.card h3 { margin: 0 0 0.3rem; font-size: 0.95rem; overflow-wrap: anywhere; }
.card p { margin: 0.1rem 0; color: var(--quiet); overflow-wrap: anywhere; }
.agent { margin-bottom: 0.7rem; }
.agent summary { cursor: pointer; display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; align-items: baseline; }
.agent summary strong { min-width: 13rem; }
.state { border: 1px solid currentColor; border-radius: 99px; padding: 0 0.6em; font-size: 0.85em; }
.good { color: var(--good); } .bad { color: var(--bad); } .busy { color: var(--busy); } .tide { color: var(--tide); }
.quiet { color: var(--quiet); }
ul { margin: 0.5rem 0 0; padding-left: 1.2rem; }
li { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.92em; }
th, td { text-align: left; padding: 0.35rem 0.8rem 0.35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--quiet); font-weight: 500; white-space: nowrap; }
@media (max-width: 40rem) { header, main { padding-left: 0.9rem; padding-right: 0.9rem; } }
)";

std::string_view class_of(AgentState state) {
  switch (state) {
    case AgentState::kBuilding:
      return "state good";
    case AgentState::kIdle:
      return "state tide";
    case AgentState::kTerminating:
    case AgentState::kReaping:
      return "state quiet";
    default:
      return "state busy";
  }
}

void write_cluster(Html& html, const ClusterView& cluster) {
  html.open("section", {{"class", "card"}});
  html.element("h3", cluster.engine);
  html.open("p");
  html.element("span", cluster.state.connected ? "connected" : "not reached",
               {{"class", cluster.state.connected ? "good" : "bad"}});
  if (!cluster.state.error.empty()) html.text(" " + cluster.state.error);
  html.close("p");
  html.element("p", std::to_string(cluster.agents) + " of " + std::to_string(cluster.max_agents) + " agents" +
                        (cluster.queued > 0 ? ", " + std::to_string(cluster.queued) + " waiting" : ""));
  if (cluster.info) html.element("p", "Docker " + cluster.info->version + " on " + cluster.info->os);
  if (cluster.draining) html.element("p", "draining: its profile was removed in GoCD", {{"class", "busy"}});
  html.close("section");
}

void write_belongings(Html& html, const std::vector<Belonging>& belongings) {
  if (std::ranges::all_of(belongings, [](const Belonging& each) { return each.role == Role::kAgent; })) return;
  html.open("ul");
  for (const auto& belonging : belongings) {
    if (belonging.role == Role::kAgent) continue;
    html.open("li");
    html.element("span", std::string(to_string(belonging.kind)) + " ", {{"class", "quiet"}});
    html.text(belonging.name);
    std::string more;
    if (!belonging.image.empty()) more += " from " + belonging.image;
    if (!belonging.state.empty()) more += ", " + belonging.state;
    for (const auto& port : belonging.ports) more += ", " + port;
    html.element("span", more, {{"class", "quiet"}});
    html.close("li");
  }
  html.close("ul");
}

void write_agent(Html& html, const AgentView& view, TimePoint now) {
  const auto& agent = view.agent;
  html.raw("<details open class=\"card agent\">").open("summary");
  html.element("strong", agent.id.empty() ? "(waiting)" : agent.id);
  html.element("span", agent.job.text());
  html.element("span", agent.phase.empty() ? std::string(plugin::to_string(agent.state)) : agent.phase,
               {{"class", class_of(agent.state)}});
  html.element("span", plugin::age_text(agent.created, now), {{"class", "quiet"}});
  if (agent.access != plugin::DockerAccess::kTracked)
    html.element("span",
                 "Docker: " + std::string(plugin::to_string(agent.access)) +
                     (agent.access == plugin::DockerAccess::kHost ? ", unsafe" : ""),
                 {{"class", agent.access == plugin::DockerAccess::kHost ? "bad" : "quiet"}});
  html.close("summary");
  html.element("p", agent.image, {{"class", "quiet"}});
  write_belongings(html, view.belongings);
  html.close("details");
}

void write_trouble(Html& html, const std::vector<AgentView>& agents) {
  const bool any = std::ranges::any_of(agents, [](const AgentView& view) { return !view.agent.reap_left.empty(); });
  if (!any) return;
  html.element("h2", "What refuses to go", {{"class", "bad"}});
  html.open("ul");
  for (const auto& view : agents)
    for (const auto& left : view.agent.reap_left) html.element("li", view.agent.id + ": " + left);
  html.close("ul");
}

void write_history(Html& html, const std::vector<HistoryEntry>& history) {
  html.element("h2", "Ended");
  if (history.empty()) {
    html.element("p", "None yet.", {{"class", "quiet"}});
    return;
  }
  html.open("div", {{"class", "scroll"}}).open("table").open("thead").open("tr");
  for (const auto* name : {"Ended", "Agent", "Job", "Why", "Exit", "Removed"})
    html.element("th", name, {{"scope", "col"}});
  html.close("tr").close("thead").open("tbody");
  for (const auto& entry : history) {
    html.open("tr");
    html.element("td", to_rfc3339(entry.ended).substr(0, 19));
    html.element("td", entry.agent_id);
    html.element("td", entry.job.text());
    html.element("td", entry.cause);
    html.element("td", std::to_string(entry.exit_code) + (entry.oom_killed ? ", out of memory" : ""));
    html.element("td", entry.reaped);
    html.close("tr");
  }
  html.close("tbody").close("table").close("div");
}

}  // namespace

std::string_view status_style() { return kStyle; }

std::string status_page(const std::vector<ClusterView>& clusters, const std::vector<AgentView>& agents,
                        const std::vector<HistoryEntry>& history, TimePoint now) {
  Html html;
  html.raw(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Ebbtide</title>"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<meta http-equiv=\"refresh\" content=\"5\"><link rel=\"stylesheet\" href=\"/static/style.css\"></head><body>"
      "<header><h1>Ebbtide</h1>");
  html.element("p", to_rfc3339(now).substr(0, 19) + " UTC, version " EBBTIDE_VERSION);
  html.raw("</header><main>");
  write_trouble(html, agents);
  html.element("h2", "Clusters");
  if (clusters.empty()) html.element("p", "None yet: GoCD's first message brings them.", {{"class", "quiet"}});
  html.open("div", {{"class", "cards"}});
  for (const auto& cluster : clusters) write_cluster(html, cluster);
  html.close("div");
  html.element("h2", "Agents");
  if (agents.empty()) html.element("p", "None.", {{"class", "quiet"}});
  for (const auto& agent : agents) write_agent(html, agent, now);
  write_history(html, history);
  html.raw("</main></body></html>\n");
  return html.str();
}

std::string status_page(const plugin::Fleet& fleet) {
  return status_page(fleet.clusters(), fleet.agents(), fleet.history(kHistoryRows), std::chrono::system_clock::now());
}

}  // namespace ebbtide::api
