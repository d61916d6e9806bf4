#include "plugin/report.h"

#include "docker/base/text.h"
#include "plugin/html.h"

namespace ebbtide::plugin {
namespace {

constexpr const char* kStyle =
    "<style>[data-ebbtide] table{width:100%;margin-bottom:1em}[data-ebbtide] td,[data-ebbtide] th{text-align:left;"
    "padding:.3em .6em;vertical-align:top}[data-ebbtide] "
    "pre{white-space:pre-wrap;max-height:30em;overflow:auto}</style>";

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
      html_.element("a", "Live page", {{"href", page_url}, {"target", "_blank"}, {"rel", "noopener"}});
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

std::string job_link(const JobIdentifier& job) {
  return "/go/tab/build/detail/" + percent_encode(job.pipeline_name) + "/" + std::to_string(job.pipeline_counter) +
         "/" + percent_encode(job.stage_name) + "/" + percent_encode(job.stage_counter) + "/" +
         percent_encode(job.job_name);
}

void write_cluster(Html& html, const ClusterView& cluster) {
  html.open("table");
  row(html, "Engine", cluster.engine);
  row(html, "State", cluster.state.connected ? "connected" : "not reached: " + cluster.state.error);
  if (cluster.info) {
    row(html, "Docker", cluster.info->version + ", API " + cluster.info->api_version);
    row(html, "System", cluster.info->os + ", " + cluster.info->architecture);
    row(html, "CPUs", std::to_string(cluster.info->cpus));
    row(html, "Memory", std::to_string(cluster.info->memory_bytes >> 20) + " MiB");
  }
  row(html, "Agents", std::to_string(cluster.agents) + " of " + std::to_string(cluster.max_agents));
  if (cluster.queued > 0) row(html, "Waiting", std::to_string(cluster.queued));
  html.close("table");
}

// What the job brought up: without the agent's own container and volumes.
std::vector<Belonging> belongings_of(const AgentView& view) {
  auto list = view.belongings;
  std::erase_if(list, [](const Belonging& each) { return each.role == Role::kAgent; });
  return list;
}

void write_agents(Html& html, const std::vector<AgentView>& agents, TimePoint now) {
  html.open("table");
  heads(html, {"Agent", "Job", "State", "Age", "Belongings"});
  html.open("tbody");
  for (const auto& view : agents) {
    const auto& agent = view.agent;
    html.open("tr");
    html.element("td", agent.id);
    html.open("td");
    html.element("a", agent.job.text(), {{"href", job_link(agent.job)}});
    html.close("td");
    html.element("td", agent.phase.empty() ? std::string(to_string(agent.state)) : agent.phase);
    html.element("td", age_text(agent.created, now));
    html.element("td", std::to_string(belongings_of(view).size()));
    html.close("tr");
  }
  html.close("tbody").close("table");
}

void write_belongings(Html& html, const std::vector<Belonging>& belongings) {
  if (belongings.empty()) return;
  html.element("h3", "Belongings");
  html.open("table");
  heads(html, {"Kind", "Name", "State", "Image"});
  html.open("tbody");
  for (const auto& belonging : belongings) {
    html.open("tr");
    html.element("td", to_string(belonging.kind));
    html.element("td", belonging.name);
    html.element("td", belonging.state);
    html.element("td", belonging.image);
    html.close("tr");
  }
  html.close("tbody").close("table");
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
  const auto now = std::chrono::system_clock::now();
  if (clusters.empty()) report.html().element("p", "No engine is known yet: the first job or the next ping brings it.");
  for (const auto& cluster : clusters) {
    write_cluster(report.html(), cluster);
    std::vector<AgentView> own;
    for (const auto& agent : agents)
      if (agent.agent.cluster == cluster.key) own.push_back(agent);
    write_agents(report.html(), own, now);
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
  const auto& agent = view->agent;
  html.open("table");
  row(html, "Agent", agent.id);
  row(html, "Job", agent.job.text());
  row(html, "State", agent.phase.empty() ? std::string(to_string(agent.state)) : agent.phase);
  row(html, "Image", agent.image);
  row(html, "Docker", to_string(agent.access));
  row(html, "Created", to_rfc3339(agent.created));
  if (agent.registered) row(html, "Registered", to_rfc3339(*agent.registered));
  if (agent.end_cause) row(html, "Ended", to_string(*agent.end_cause));
  html.close("table");
  write_belongings(html, belongings_of(*view));
  if (!agent.last_log.empty()) {
    html.element("h3", "Last lines of its log");
    html.element("pre", agent.last_log);
  }
  return report.finish(page_url);
}

std::string error_report(std::string_view message) {
  Report report;
  report.html().element("p", message);
  return report.finish({});
}

}  // namespace ebbtide::plugin
