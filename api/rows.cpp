#include "api/rows.h"

#include <algorithm>
#include <map>
#include <set>

#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

using plugin::AgentState;
using plugin::Html;

constexpr Kind kKinds[] = {Kind::kExec, Kind::kContainer, Kind::kNetwork, Kind::kVolume, Kind::kImage};

std::string_view class_of(AgentState state) {
  switch (state) {
    case AgentState::kBuilding:
      return "state good";
    case AgentState::kIdle:
      return "state tide";
    case AgentState::kTerminating:
    case AgentState::kReaping:
      return "state ending";
    default:
      return "state busy";
  }
}

std::string percent_text(double percent) {
  const auto tenths = static_cast<long>(percent * 10 + 0.5);
  if (tenths >= 100) return std::to_string(tenths / 10) + " %";
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

void write_usage(Html& html, const Usage& usage) {
  html.element("span", percent_text(usage.cpu_percent) + " CPU, " + bytes_text(usage.memory_bytes),
               {{"class", "usage"}});
}

void write_belonging(Html& html, const Belonging& belonging, const UsageByContainer& usage) {
  html.element("span", to_string(belonging.kind), {{"class", "kind"}});
  html.element("bdi", shown(belonging.name.empty() ? belonging.id.substr(0, 19) : belonging.name),
               {{"class", "called"}});
  if (!belonging.state.empty())
    html.element("span", belonging.state, {{"class", belonging.state == "running" ? "good" : "quiet"}});
  if (!belonging.image.empty()) html.element("bdi", shown(belonging.image), {{"class", "quiet"}});
  for (const auto& port : belonging.ports) html.element("code", shown(port));
  if (const auto used = usage.find(belonging.id); used != usage.end()) write_usage(html, used->second);
}

// The id of the container that a belonging stands below: an exec's own, else the one that asked for it; empty: the
// agent, also where that container has gone.
const std::string& above(const Belonging& belonging, const std::set<std::string_view>& containers) {
  static const std::string none;
  const auto& id = belonging.kind == Kind::kExec ? belonging.container : belonging.parent;
  return containers.contains(id) ? id : none;
}

// The belongings below each container of the job, and below the agent (""); in the order in which they are shown.
std::map<std::string_view, std::vector<const Belonging*>> families_of(const std::vector<Belonging>& all) {
  std::set<std::string_view> containers;
  for (const auto& each : all)
    if (each.kind == Kind::kContainer && each.role != Role::kAgent) containers.insert(each.id);
  std::map<std::string_view, std::vector<const Belonging*>> families;
  for (const auto kind : kKinds)
    for (const auto& each : all)
      if (each.kind == kind && each.role != Role::kAgent) families[above(each, containers)].push_back(&each);
  return families;
}

void write_family(Html& html, const std::map<std::string_view, std::vector<const Belonging*>>& families,
                  std::string_view head, const UsageByContainer& usage) {
  const auto family = families.find(head);
  if (family == families.end()) return;
  html.open("ul", {{"class", "belongings"}});
  for (const auto* belonging : family->second) {
    html.open("li");
    write_belonging(html, *belonging, usage);
    if (belonging->kind == Kind::kContainer) write_family(html, families, belonging->id, usage);
    html.close("li");
  }
  html.close("ul");
}

void write_load(Html& html, const plugin::ClusterView& cluster) {
  const auto agents = std::to_string(cluster.agents);
  const auto most = std::to_string(cluster.max_agents);
  html.open("p", {{"class", "load"}});
  if (cluster.max_agents > 0)
    html.element("meter", agents + " of " + most,
                 {{"min", "0"}, {"max", most}, {"value", agents}, {"aria-label", "Agents of the most that may be"}});
  html.text(cluster.max_agents > 0 ? agents + " of " + most + " agents" : agents + " agents, no limit");
  if (cluster.queued > 0) html.element("span", std::to_string(cluster.queued) + " waiting", {{"class", "busy"}});
  html.close("p");
}

void write_facts(Html& html, const plugin::ClusterView& cluster, const Disk& disk) {
  if (cluster.info)
    html.element("p",
                 "Docker " + cluster.info->version + " on " + cluster.info->os + ", " +
                     std::to_string(cluster.info->cpus) + " CPUs, " +
                     bytes_text(static_cast<std::uint64_t>(cluster.info->memory_bytes)),
                 {{"class", "quiet"}});
  if (disk.total_bytes > 0)
    html.element("p", bytes_text(disk.free_bytes) + " free on its disk of " + bytes_text(disk.total_bytes),
                 {{"class", "quiet"}});
  if (cluster.refusals.empty()) return;
  std::string text;
  for (const auto& [rule, number] : cluster.refusals)
    text += (text.empty() ? "" : ", ") + rule + " " + std::to_string(number);
  html.element("p", "Refused to jobs: " + text, {{"class", "quiet"}});
}

void write_cluster(Html& html, const plugin::ClusterView& cluster, const Disk& disk, const Visitor& visitor) {
  html.open("li", {{"class", "card"}, {"id", "cluster-" + percent_encode(cluster.key)}});
  html.open("h3").element("bdi", shown(cluster.engine)).close("h3");
  html.open("p");
  html.element("span", cluster.state.connected ? "connected" : "not reached",
               {{"class", cluster.state.connected ? "state good" : "state bad"}});
  if (cluster.gocd != "default") html.element("span", " for GoCD " + shown(cluster.gocd), {{"class", "quiet"}});
  html.close("p");
  if (!cluster.state.error.empty()) html.element("p", shown(cluster.state.error), {{"class", "bad"}});
  write_load(html, cluster);
  write_facts(html, cluster, disk);
  if (cluster.draining) html.element("p", "It ends: GoCD has no profile of it any more.", {{"class", "busy"}});
  if (cluster.drained) html.element("p", "Drained: no new agents are made here.", {{"class", "busy"}});
  if (visitor.may_act())
    html.open("p", {{"class", "actions"}})
        .element("a", cluster.drained ? "Make agents again" : "Drain",
                 {{"href", std::string(cluster.drained ? "/clusters/resume" : "/clusters/drain") +
                               "?key=" + percent_encode(cluster.key)},
                  {"class", "button"}})
        .element("a", "Prune caches",
                 {{"href", "/clusters/prune-caches?key=" + percent_encode(cluster.key)}, {"class", "button"}})
        .close("p");
  html.close("li");
}

}  // namespace

std::size_t belongings_of_job(const plugin::AgentView& view) {
  return static_cast<std::size_t>(
      std::ranges::count_if(view.belongings, [](const auto& each) { return each.role != Role::kAgent; }));
}

void write_state(Html& html, const plugin::Agent& agent) {
  html.element("span", plugin::to_string(agent.state), {{"class", class_of(agent.state)}});
  if (!agent.phase.empty() && agent.phase != plugin::to_string(agent.state))
    html.element("span", shown(agent.phase), {{"class", "phase"}});
}

void write_job(Html& html, const plugin::JobIdentifier& job, std::string_view url) {
  const auto text = shown(job.text());
  if (url.empty()) {
    html.element("bdi", text, {{"class", "job"}});
    return;
  }
  html.open("a", {{"href", url}, {"class", "job"}, {"rel", "noreferrer"}}).element("bdi", text).close("a");
}

void write_belongings(Html& html, const plugin::AgentView& view, const UsageByContainer& usage) {
  write_family(html, families_of(view.belongings), "", usage);
}

void write_tree(Html& html, const plugin::AgentView& view, const UsageByContainer& usage) {
  const auto root = std::ranges::find_if(
      view.belongings, [](const auto& each) { return each.role == Role::kAgent && each.kind == Kind::kContainer; });
  html.open("ul", {{"class", "belongings"}}).open("li");
  if (root == view.belongings.end())
    html.element("span", "no container yet", {{"class", "quiet"}});
  else
    write_belonging(html, *root, usage);
  if (belongings_of_job(view) == 0)
    html.element("p", "The job has brought up nothing.", {{"class", "quiet"}});
  else
    write_belongings(html, view, usage);
  html.close("li").close("ul");
}

void write_agent(Html& html, const Row& row, TimePoint now, bool with_tree) {
  const auto& agent = row.view.agent;
  const auto page = "/agents/" + percent_encode(agent.id);
  html.open("li", {{"class", "agent"},
                   {"id", "agent-" + agent.id},
                   {"data-n", std::to_string(row.view.sequence)},
                   {"data-state", plugin::to_string(agent.state)}});
  html.open("p", {{"class", "who"}});
  html.element("a", agent.id, {{"href", page}, {"class", "id"}});
  write_job(html, agent.job, row.view.job_url);
  html.close("p").open("p", {{"class", "what"}});
  write_state(html, agent);
  if (agent.access == plugin::DockerAccess::kHost) html.element("span", "raw socket, unsafe", {{"class", "state bad"}});
  html.close("p").open("p", {{"class", "since"}});
  write_age(html, agent.created, now);
  html.close("p").open("p", {{"class", "uses"}});
  if (const auto sum = total(row.usage)) write_usage(html, *sum);
  html.close("p");
  const auto number = belongings_of_job(row.view);
  if (number > 0) {
    if (with_tree)
      html.open("details", {{"open", ""}});
    else
      html.open("details", {{"data-src", page + "/belongings"}});
    html.element("summary", std::to_string(number) + (number == 1 ? " belonging" : " belongings"));
    if (with_tree)
      write_belongings(html, row.view, row.usage);
    else
      html.open("p").element("a", "Show on the agent's page", {{"href", page}}).close("p");
    html.close("details");
  }
  html.close("li");
}

void write_clusters(Html& html, const Snapshot& snapshot, const Visitor& visitor) {
  if (snapshot.clusters.empty()) html.element("p", "None yet: GoCD's first message brings them.", {{"class", "quiet"}});
  html.open("ul", {{"class", "cards"}});
  for (const auto& cluster : snapshot.clusters) {
    const auto disk = snapshot.disks.find(cluster.key);
    write_cluster(html, cluster, disk == snapshot.disks.end() ? Disk{} : disk->second, visitor);
  }
  html.close("ul");
}

void write_troubles(Html& html, const std::vector<Trouble>& troubles) {
  if (troubles.empty()) return;
  html.element("h2", "Trouble").open("ul", {{"class", "troubles"}});
  for (const auto& trouble : troubles) {
    html.open("li", {{"class", trouble.error ? "error" : "warning"}});
    html.element("strong", trouble.error ? "Error" : "Warning");
    html.element("span", shown(trouble.text, 2000)).close("li");
  }
  html.close("ul");
}

void write_steps(Html& html, const std::vector<plugin::Step>& steps) {
  html.open("ol", {{"class", "steps"}});
  for (const auto& step : steps) {
    html.open("li").element("time", clock_text(step.at), {{"datetime", to_rfc3339(step.at)}});
    html.element("span", shown(step.text, 500)).close("li");
  }
  html.close("ol");
}

}  // namespace ebbtide::api
