#include "plugin/fleet_core.h"

#include <algorithm>

#include "plugin/console.h"
#include "plugin/health.h"

namespace ebbtide::plugin {
namespace {

constexpr unsigned kPullWorkers = 8;
constexpr unsigned kUpkeepWorkers = 3;
constexpr std::chrono::minutes kNoteAge{30};
constexpr std::size_t kStepText = 500;

}  // namespace

std::string registration_note(const Agent& agent) { return "register " + agent.cluster + " " + agent.image; }

bool AgentEntry::holds_place() const {
  if (kept || agent.state == AgentState::kQueued || agent.state == AgentState::kGone) return false;
  return agent.state != AgentState::kReaping || agent.reap_tries == 0;
}

bool AgentEntry::lives() const { return agent.state < AgentState::kTerminating; }

FleetCore::FleetCore(FleetSettings settings_, std::shared_ptr<Database> database_, std::shared_ptr<Clock> clock_,
                     Fleet::EngineMaker make_engine_)
    : settings(std::move(settings_)),
      database(std::move(database_)),
      clock(std::move(clock_)),
      make_engine(std::move(make_engine_)),
      store(std::make_shared<Store>(database)),
      history(database, settings.history),
      cluster_store(database),
      creates("creates", settings.create_workers),
      pulls("pulls", kPullWorkers),
      reaps("reaps", settings.reap_workers),
      upkeep("upkeep", kUpkeepWorkers) {
  store->audit().configure(settings.audit);
}

std::optional<AgentEntry> FleetCore::find(const std::string& id) const {
  const std::scoped_lock lock(mutex);
  const auto found = agents.find(id);
  return found == agents.end() ? std::nullopt : std::optional(found->second);
}

bool FleetCore::with(const std::string& id, const std::function<void(AgentEntry&)>& change) {
  const std::scoped_lock lock(mutex);
  const auto found = agents.find(id);
  if (found == agents.end()) return false;
  change(found->second);
  touch(found->second);
  return true;
}

void FleetCore::touch(AgentEntry& entry) {
  ++entry.revision;
  changes->note();
}

void FleetCore::add_step(AgentEntry& entry, std::string_view text) {
  auto& steps = entry.agent.steps;
  steps.push_back({.at = now(), .text = std::string(text.substr(0, std::min(text.find('\n'), kStepText)))});
  if (steps.size() > kSteps) steps.erase(steps.begin());
}

bool FleetCore::move(AgentEntry& entry, AgentState to) {
  Agent& agent = entry.agent;
  if (!may_become(agent.state, to)) return false;
  agent.state = to;
  agent.state_since = now();
  agent.phase.clear();
  add_step(entry, to_string(to));
  touch(entry);
  return true;
}

bool FleetCore::move(const std::string& id, AgentState to) {
  const std::scoped_lock lock(mutex);
  const auto found = agents.find(id);
  return found != agents.end() && move(found->second, to);
}

void FleetCore::set_phase(const std::string& id, const std::string& phase) {
  with(id, [&](AgentEntry& entry) { entry.agent.phase = phase; });
}

void FleetCore::say(const Agent& agent, const std::string& text) {
  with(agent.id, [&](AgentEntry& entry) { add_step(entry, text); });
  say(agent.gocd, agent.job, text);
}

void FleetCore::say(const std::string& gocd, const JobIdentifier& job, const std::string& text) {
  channel(gocd).console(job, console_lines(text, now()));
}

std::shared_ptr<Cluster> FleetCore::cluster(const std::string& key) const {
  const std::scoped_lock lock(mutex);
  const auto found = clusters.find(key);
  return found == clusters.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<Cluster>> FleetCore::all_clusters() const {
  const std::scoped_lock lock(mutex);
  std::vector<std::shared_ptr<Cluster>> list;
  for (const auto& [key, cluster] : clusters) list.push_back(cluster);
  return list;
}

std::vector<std::shared_ptr<Cluster>> FleetCore::clusters_of(const std::string& gocd) const {
  auto list = all_clusters();
  std::erase_if(list, [&](const auto& cluster) { return cluster->gocd() != gocd; });
  return list;
}

// False if it was removed in the meantime.
bool FleetCore::revive(const std::shared_ptr<Cluster>& known) {
  const std::scoped_lock lock(mutex);
  const auto found = clusters.find(known->key());
  if (found == clusters.end() || found->second != known) return false;
  if (known->draining.exchange(false)) changes->note();
  return true;
}

std::pair<std::shared_ptr<Cluster>, bool> FleetCore::upsert(const std::string& gocd, const ClusterProfile& profile) {
  const auto key = cluster_key(gocd, profile);
  auto known = cluster(key);
  // Other certificates need other connections, and these a cluster of their own; the agents don't notice.
  if (known && known->engine().address().tls == profile.engine.tls && revive(known)) {
    known->set_profile(profile);
    return {known, false};
  }
  auto made = std::make_shared<Cluster>(gocd, profile,
                                        Cluster::Parts{.engine = make_engine(profile.engine),
                                                       .store = store,
                                                       .server_id = settings.server_id,
                                                       .sweep = settings.sweep,
                                                       .gateway_loops = settings.gateway_loops,
                                                       .changes = changes});
  made->drained = cluster_store.is_drained(key);
  const std::scoped_lock lock(mutex);
  auto& place = clusters[key];
  // Of two messages that name a new cluster at the same time, the first wins.
  if (place && place != known) return {place, false};
  place = made;
  changes->note();
  return {made, true};
}

std::uint64_t FleetCore::begin_listing() {
  const std::scoped_lock lock(mutex);
  return ++listings;
}

Channel& FleetCore::channel(const std::string& gocd) {
  {
    const std::scoped_lock lock(mutex);
    if (const auto found = channels.find(gocd); found != channels.end()) return *found->second;
  }
  auto made = std::make_unique<Channel>(gocd, database);
  const std::scoped_lock lock(mutex);
  return *channels.emplace(gocd, std::move(made)).first->second;
}

void FleetCore::note(const std::string& gocd, const std::string& key, Channel::HealthMessage message) {
  {
    const std::scoped_lock lock(mutex);
    std::erase_if(notes, [&](const auto& old) { return now() - old.second.since >= kNoteAge; });
    notes[key] = {.gocd = gocd, .message = std::move(message), .since = now()};
  }
  changes->note();
  refresh_health(gocd);
}

void FleetCore::clear_note(const std::string& key) {
  std::string gocd;
  {
    const std::scoped_lock lock(mutex);
    const auto found = notes.find(key);
    if (found == notes.end()) return;
    gocd = found->second.gocd;
    notes.erase(found);
  }
  changes->note();
  refresh_health(gocd);
}

namespace {

void add_agent(HealthFacts& facts, std::map<std::string, HealthFacts::Limit>& limits, const AgentEntry& entry,
               const std::shared_ptr<Cluster>& cluster) {
  const Agent& agent = entry.agent;
  if (agent.access == DockerAccess::kHost && entry.lives()) facts.unsafe.push_back(agent.image);
  if (agent.state == AgentState::kReaping && !agent.reap_left.empty())
    facts.removals.push_back({.agent = agent.id, .tries = agent.reap_tries, .left = agent.reap_left});
  if (!cluster) return;
  auto& limit = limits[agent.cluster];
  if (entry.holds_place()) ++limit.agents;
  if (agent.state == AgentState::kQueued) limit.waiting.push_back(agent.job.text());
}

}  // namespace

std::vector<Channel::HealthMessage> FleetCore::health(const std::string& gocd) const {
  HealthFacts facts;
  std::map<std::string, HealthFacts::Limit> limits;
  {
    const std::scoped_lock lock(mutex);
    for (const auto& [id, entry] : agents) {
      if (entry.agent.gocd != gocd) continue;
      const auto cluster = clusters.find(entry.agent.cluster);
      add_agent(facts, limits, entry, cluster == clusters.end() ? nullptr : cluster->second);
    }
    for (const auto& [key, note] : notes)
      if (note.gocd == gocd && now() - note.since < kNoteAge) facts.notes.push_back(note.message);
  }
  for (const auto& cluster : clusters_of(gocd)) {
    const auto name = cluster->engine().address().text();
    const auto state = cluster->watch().state();
    if (!state.connected && !state.error.empty())
      facts.unreachable.push_back({.name = name, .since = state.since, .error = state.error});
    auto limit = limits.find(cluster->key());
    if (limit == limits.end()) continue;
    limit->second.engine = name;
    limit->second.limit = cluster->profile().max_agents;
    const bool full = limit->second.limit > 0 && limit->second.agents >= limit->second.limit;
    if (full && !limit->second.waiting.empty()) facts.limits.push_back(limit->second);
  }
  return health_messages(facts);
}

void FleetCore::refresh_health(const std::string& gocd) {
  auto messages = health(gocd);
  {
    const std::scoped_lock lock(mutex);
    auto& told = told_health[gocd];
    if (told == messages) return;
    told = messages;
  }
  channel(gocd).health(std::move(messages));
}

void FleetCore::submit_once(const std::string& name, std::function<void()> task) {
  {
    const std::scoped_lock lock(mutex);
    const auto [place, is_new] = running_.emplace(name, false);
    place->second = !is_new;
    if (!is_new) return;
  }
  upkeep.submit([this, name, task = std::move(task)] { run_once(name, task); });
}

void FleetCore::run_once(const std::string& name, const std::function<void()>& task) {
  for (bool again = true; again && !stopped();) {
    task();
    const std::scoped_lock lock(mutex);
    const auto running = running_.find(name);
    again = std::exchange(running->second, false);
    if (!again) running_.erase(running);
  }
}

bool FleetCore::has_remote_gateways(const EngineAddress& engine) const {
  return engine.is_remote() || (settings.remote_gateways && engine.kind != EngineAddress::Kind::kUnix);
}

std::string FleetCore::staging_directory(const std::string& agent_id) const {
  return settings.run_dir + "/mounts/" + agent_id + "/";
}

std::string FleetCore::gateway_directory(const std::string& agent_id) const {
  return settings.run_dir + "/agents/" + agent_id;
}

}  // namespace ebbtide::plugin
