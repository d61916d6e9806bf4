#include "plugin/report.h"

#include <map>

#include "docker/base/text.h"
#include "plugin/html.h"

namespace ebbtide::plugin {
namespace {

// GoCD's own styles are around it: all of these stay inside.
constexpr const char* kStyle =
    "<style>"
    "[data-ebbtide]{overflow-wrap:anywhere}"
    "[data-ebbtide] table{width:100%;margin:0 0 1em;border-collapse:collapse}"
    "[data-ebbtide] td,[data-ebbtide] th{text-align:left;padding:.3em .6em;vertical-align:top;font-weight:normal;"
    "border-bottom:1px solid #d6e0e2}"
    "[data-ebbtide] thead th{font-weight:600;white-space:nowrap}"
    "[data-ebbtide] tbody td:first-child{min-width:6em}"
    "[data-ebbtide] .ebbtide-agents td:first-child{min-width:11em}"
    "[data-ebbtide] .ebbtide-agents td:nth-child(4){white-space:nowrap}"
    "[data-ebbtide] th[scope=row]{width:12em;color:#4a5a5e}"
    "[data-ebbtide] h3{margin:1em 0 .3em;font-size:1.1em}"
    "[data-ebbtide] pre{white-space:pre-wrap;max-height:30em;overflow:auto;margin:0;"
    "padding:.6em;border:1px solid #d6e0e2}"
    "[data-ebbtide] .ebbtide-trouble{border-left:.3em solid #9b1c1c;margin:0 0 1em;padding:.3em .8em;color:#9b1c1c}"
    "[data-ebbtide] .ebbtide-trouble p{margin:.2em 0}"
    "</style>";

class Report {
 public:
  Report() {
    html_.open("div", {{"data-ebbtide", ""}, {"ng-non-bindable", ""}});
    html_.raw(kStyle);
  }

  Html& html() { return html_; }

  std::string finish(std::string_view page_url) {
    if (!page_url.empty()) {
      html_.open("p");
      html_.element("a", "Live page of Ebbtide", {{"href", page_url}, {"target", "_blank"}, {"rel", "noopener"}});
      html_.close("p");
    }
    html_.close("div");
    return html_.str();
  }

 private:
  Html html_;
};

void row(Html& html, std::string_view name, std::string_view value) {
  html.open("tr");
  html.element("th", name, {{"scope", "row"}});
  html.element("td", value);
  html.close("tr");
}

void heads(Html& html, std::initializer_list<std::string_view> names) {
  html.open("thead").open("tr");
  for (const auto& name : names) html.element("th", name, {{"scope", "col"}});
  html.close("tr").close("thead");
}

void cell_link(Html& html, std::string_view text, std::string_view address) {
  html.open("td");
  html.element("a", text, {{"href", address}});
  html.close("td");
}

std::string job_link(const JobIdentifier& job) {
  return "/go/tab/build/detail/" + percent_encode(job.pipeline_name) + "/" + std::to_string(job.pipeline_counter) +
         "/" + percent_encode(job.stage_name) + "/" + percent_encode(job.stage_counter) + "/" +
         percent_encode(job.job_name);
}

// Where the live page shows this agent.
std::string live_link(std::string_view page_url, const std::string& agent_id) {
  if (page_url.empty()) return {};
  if (page_url.ends_with('/')) page_url.remove_suffix(1);
  return std::string(page_url) + "/agents/" + percent_encode(agent_id);
}

std::string state_text(const Agent& agent) {
  const std::string state(to_string(agent.state));
  return agent.phase.empty() || agent.phase == state ? state : state + ": " + agent.phase;
}

// What the job brought up: without the agent's own container and volumes.
std::vector<Belonging> belongings_of(const AgentView& view) {
  auto list = view.belongings;
  std::erase_if(list, [](const Belonging& each) { return each.role == Role::kAgent; });
  return list;
}

// First what a person must see.
void write_trouble(Html& html, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  html.open("div", {{"class", "ebbtide-trouble"}});
  for (const auto& line : lines) html.element("p", line);
  html.close("div");
}

std::vector<std::string> trouble_of(const Agent& agent) {
  std::vector<std::string> lines;
  for (const auto& left : agent.reap_left) lines.push_back(agent.id + ": refuses to go: " + left);
  if (agent.access == DockerAccess::kHost)
    lines.push_back(agent.id + ": holds the raw Docker socket of its host; what its job makes there stays");
  return lines;
}

std::vector<std::string> trouble_of(const ClusterView& cluster, const std::vector<AgentView>& agents) {
  std::vector<std::string> lines;
  if (!cluster.state.connected) lines.push_back("The engine is not reached: " + cluster.state.error);
  if (cluster.draining) lines.push_back("The cluster is being drained: its agents finish, and no new ones are made.");
  for (const auto& view : agents)
    for (auto& line : trouble_of(view.agent)) lines.push_back(std::move(line));
  return lines;
}

std::string counts_of(const std::vector<AgentView>& agents) {
  std::map<AgentState, std::size_t> counts;
  for (const auto& view : agents) ++counts[view.agent.state];
  std::string text;
  for (const auto& [state, count] : counts)
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(to_string(state));
  return text;
}

void write_cluster(Html& html, const ClusterView& cluster, const std::vector<AgentView>& agents) {
  html.open("table");
  row(html, "Engine", cluster.engine + (cluster.state.connected ? ", connected" : ", not reached"));
  if (const auto& info = cluster.info) {
    row(html, "Docker", info->version + ", API " + info->api_version);
    row(html, "Machine",
        info->os + ", " + info->architecture + ", " + std::to_string(info->cpus) + " CPUs, " +
            std::to_string(info->memory_bytes >> 20) + " MiB");
  }
  row(html, "Agents", std::to_string(cluster.agents) + " of " + std::to_string(cluster.max_agents));
  if (const auto counts = counts_of(agents); !counts.empty()) row(html, "States", counts);
  if (cluster.queued > 0) row(html, "Waiting", std::to_string(cluster.queued) + " for a place or for the engine");
  html.close("table");
}

void write_agents(Html& html, const std::vector<AgentView>& agents, TimePoint now, std::string_view page_url) {
  if (agents.empty()) {
    html.element("p", "No agents.");
    return;
  }
  html.open("table", {{"class", "ebbtide-agents"}});
  heads(html, {"Agent", "Job", "State", "Age", "Image", "Belongings"});
  html.open("tbody");
  for (const auto& view : agents) {
    const auto& agent = view.agent;
    html.open("tr");
    if (page_url.empty())
      html.element("td", agent.id);
    else
      cell_link(html, agent.id, live_link(page_url, agent.id));
    cell_link(html, agent.job.text(), job_link(agent.job));
    html.element("td", state_text(agent));
    html.element("td", age_text(agent.created, now));
    html.element("td", agent.image);
    html.element("td", std::to_string(belongings_of(view).size()));
    html.close("tr");
  }
  html.close("tbody").close("table");
}

void write_belongings(Html& html, const std::vector<Belonging>& belongings, TimePoint now) {
  if (belongings.empty()) return;
  html.element("h3", "Belongings");
  html.open("table");
  heads(html, {"Kind", "Name", "State", "Image", "Ports", "Age"});
  html.open("tbody");
  for (const auto& belonging : belongings) {
    html.open("tr");
    html.element("td", to_string(belonging.kind));
    html.element("td", belonging.name.empty() ? belonging.real_name : belonging.name);
    html.element("td", belonging.state);
    html.element("td", belonging.image);
    html.element("td", join(belonging.ports));
    html.element("td", belonging.created == TimePoint{} ? "" : age_text(belonging.created, now));
    html.close("tr");
  }
  html.close("tbody").close("table");
}

void write_facts(Html& html, const Agent& agent, TimePoint now) {
  html.open("table");
  row(html, "Agent", agent.id);
  html.open("tr");
  html.element("th", "Job", {{"scope", "row"}});
  cell_link(html, agent.job.text(), job_link(agent.job));
  html.close("tr");
  row(html, "State", state_text(agent) + ", for " + age_text(agent.state_since, now));
  row(html, "Image", agent.image);
  row(html, "Docker access", to_string(agent.access));
  row(html, "Asked for", to_rfc3339(agent.created) + ", " + age_text(agent.created, now) + " ago");
  if (agent.registered) row(html, "Registered", to_rfc3339(*agent.registered));
  if (agent.end_cause) row(html, "Ends because", to_string(*agent.end_cause));
  if (agent.end_cause == EndCause::kContainerDied)
    row(html, "Exit code", std::to_string(agent.exit_code) + (agent.oom_killed ? " (out of memory)" : ""));
  html.close("table");
}

}  // namespace

std::string age_text(TimePoint since, TimePoint now) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(now - since).count();
  if (minutes < 1) return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now - since).count()) + " s";
  if (minutes < 60) return std::to_string(minutes) + " min";
  return std::to_string(minutes / 60) + " h " + std::to_string(minutes % 60) + " min";
}

std::string cluster_report(const std::vector<ClusterView>& clusters, const std::vector<AgentView>& agents,
                           std::string_view page_url) {
  Report report;
  auto& html = report.html();
  const auto now = std::chrono::system_clock::now();
  if (clusters.empty()) html.element("p", "No engine is known yet: the first job or the next ping brings it.");
  for (const auto& cluster : clusters) {
    std::vector<AgentView> own;
    for (const auto& agent : agents)
      if (agent.agent.cluster == cluster.key) own.push_back(agent);
    write_trouble(html, trouble_of(cluster, own));
    write_cluster(html, cluster, own);
    write_agents(html, own, now, page_url);
  }
  return report.finish(page_url);
}

std::string agent_report(const std::optional<AgentView>& view, std::string_view page_url) {
  Report report;
  auto& html = report.html();
  if (!view) {
    html.element("p", "No agent is known for this job: it was not asked for yet, or it has gone.");
    return report.finish(page_url);
  }
  const auto now = std::chrono::system_clock::now();
  write_trouble(html, trouble_of(view->agent));
  write_facts(html, view->agent, now);
  write_belongings(html, belongings_of(*view), now);
  if (!view->agent.last_log.empty()) {
    html.element("h3", "Last lines of its log");
    html.element("pre", view->agent.last_log);
  }
  return report.finish(live_link(page_url, view->agent.id));
}

std::string error_report(std::string_view message) {
  Report report;
  report.html().element("p", message);
  return report.finish({});
}

}  // namespace ebbtide::plugin
