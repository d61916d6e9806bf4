#include "plugin/round.h"

#include <algorithm>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "plugin/console.h"

namespace ebbtide::plugin {
namespace {

constexpr std::chrono::seconds kListLimit{20};
constexpr std::chrono::minutes kSlowRegistration{2};

}  // namespace

Round::Round(FleetCore& core, Terminator& terminator) : core_(core), terminator_(terminator) {}

void Round::run(const std::string& gocd) {
  Listed listed{.asked = core_.begin_listing()};
  const auto list = core_.channel(gocd).list_agents(kListLimit);
  if (list) {
    for (const auto& status : *list) listed.agents.emplace(status.agent_id, status);
    take_over(gocd, listed);
    end_who_should(gocd, listed);
    tell_of_slow_registration(gocd);
    forget_unknown_agents(gocd, listed);
  } else {
    log_info("GoCD's agents could not be listed", {{"gocd", gocd}, {"error", list.error().message}});
  }
  remove_drained_clusters(gocd);
  core_.refresh_health(gocd);
}

std::vector<AgentEntry> Round::agents_of(const std::string& gocd) const {
  const std::scoped_lock lock(core_.mutex);
  std::vector<AgentEntry> list;
  for (const auto& [id, entry] : core_.agents)
    if (entry.agent.gocd == gocd) list.push_back(entry);
  return list;
}

void Round::take_over(const std::string& gocd, const Listed& listed) {
  std::vector<AgentEntry> registered;
  {
    const std::scoped_lock lock(core_.mutex);
    for (auto& [id, entry] : core_.agents) {
      if (entry.agent.gocd != gocd || listed.is_stale(entry)) continue;
      if (const auto found = listed.agents.find(id); found != listed.agents.end())
        take_over(entry, found->second, registered);
    }
  }
  for (const auto& entry : registered) {
    const Agent& agent = entry.agent;
    const auto took = std::chrono::duration_cast<std::chrono::seconds>(core_.now() - agent.created);
    core_.clear_note(registration_note(agent));
    log_info("agent registered", {{"agent", agent.id}, {"seconds", std::to_string(took.count())}});
    // One that was taken up after a restart registered long ago.
    if (!entry.request.auto_register_key.empty())
      core_.say(agent, "agent " + agent.id + " registered after " + std::to_string(took.count()) + " s");
  }
}

void Round::take_over(AgentEntry& entry, const AgentStatus& status, std::vector<AgentEntry>& registered) {
  Agent& agent = entry.agent;
  if (!agent.status || agent.status->agent_state != status.agent_state) agent.status_at = core_.now();
  agent.status = status;
  if (!agent.registered) {
    agent.registered = core_.now();
    registered.push_back(entry);
  }
  if (!entry.lives()) return;
  if (status.agent_state == "Building" && agent.state != AgentState::kBuilding)
    core_.move(entry, AgentState::kBuilding);
  if (status.agent_state == "Idle" && agent.state != AgentState::kIdle) core_.move(entry, AgentState::kIdle);
}

void Round::end_who_should(const std::string& gocd, const Listed& listed) {
  for (const auto& entry : agents_of(gocd))
    if (const auto cause = cause_to_end(entry, listed)) terminator_.end(entry.agent.id, *cause);
}

std::optional<EndCause> Round::cause_to_end(const AgentEntry& entry, const Listed& listed) {
  const Agent& agent = entry.agent;
  const auto cluster = core_.cluster(agent.cluster);
  if (!cluster || !entry.lives() || listed.is_stale(entry)) return std::nullopt;
  const auto found = listed.agents.find(agent.id);
  const auto status = found == listed.agents.end() ? std::nullopt : std::optional(found->second);
  if (cluster->draining && (!status || status->agent_state == "Idle")) return EndCause::kClusterRemoved;
  // While the engine is away, nothing is destroyed.
  if (!cluster->watch().ready()) return std::nullopt;
  auto timings = core_.settings.timings;
  timings.auto_register_timeout = cluster->profile().auto_register_timeout;
  const auto verdict = decide(agent, status, timings, core_.now());
  if (verdict.action == Verdict::Action::kKeep) return std::nullopt;
  return verdict.cause;
}

// A refused registration is told in the agent's log only, and tried again for ever.
void Round::tell_of_slow_registration(const std::string& gocd) {
  for (const auto& entry : agents_of(gocd)) {
    const Agent& agent = entry.agent;
    const auto waited = core_.now() - agent.state_since;
    if (agent.state != AgentState::kRegistering || waited < kSlowRegistration) continue;
    const auto cluster = core_.cluster(agent.cluster);
    const auto log = cluster ? cluster->engine().container_log(agent.container_id, 1) : Result<std::string>();
    auto text = "agent " + agent.id + " has not registered after " +
                std::to_string(std::chrono::duration_cast<std::chrono::seconds>(waited).count()) + " s";
    if (log && !log->empty()) text += "; its last line: " + without_secrets(std::string(trim(*log)), entry.secrets);
    core_.say(agent, text);
  }
}

// Agents of GoCD that have no container. Only on the word of complete listings of every engine that GoCD named.
void Round::forget_unknown_agents(const std::string& gocd, const Listed& listed) {
  const auto clusters = core_.clusters_of(gocd);
  const bool complete =
      std::ranges::all_of(clusters, [](const auto& cluster) { return cluster->taken_up && cluster->watch().ready(); });
  std::vector<std::string> unknown;
  {
    const std::scoped_lock lock(core_.mutex);
    if (!complete || !core_.pinged.contains(gocd)) return;
    for (const auto& [id, status] : listed.agents)
      if (!core_.agents.contains(id)) unknown.push_back(id);
  }
  if (unknown.empty()) return;
  for (const auto& id : unknown) log_info("GoCD knows an agent that has no container", {{"agent", id}});
  core_.channel(gocd).disable_agents(unknown);
  core_.channel(gocd).delete_agents(unknown);
}

void Round::remove_drained_clusters(const std::string& gocd) {
  for (const auto& cluster : core_.clusters_of(gocd)) {
    if (!remove_if_drained(*cluster)) continue;
    log_info("cluster removed", {{"cluster", cluster->key()}});
    core_.cluster_store.forget(cluster->key());
  }
}

bool Round::remove_if_drained(const Cluster& cluster) {
  const std::scoped_lock lock(core_.mutex);
  const bool empty = std::ranges::none_of(
      core_.agents, [&](const auto& known) { return known.second.agent.cluster == cluster.key(); });
  if (!empty || !cluster.draining) return false;
  core_.clusters.erase(cluster.key());
  return true;
}

}  // namespace ebbtide::plugin
