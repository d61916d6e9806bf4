#include "plugin/recovery.h"

#include <algorithm>
#include <filesystem>

#include "docker/base/log.h"
#include "docker/gateway/paths.h"

namespace ebbtide::plugin {
namespace {

bool is_own_container(const Belonging& belonging) {
  return belonging.kind == Kind::kContainer && belonging.role == Role::kAgent;
}

bool is_alive(const std::string& state) { return state == "running" || state == "paused" || state == "restarting"; }

}  // namespace

Recovery::Recovery(FleetCore& core, Creator& creator, Terminator& terminator)
    : core_(core), creator_(creator), terminator_(terminator) {}

void Recovery::run(const std::string& cluster_key) {
  const auto cluster = core_.cluster(cluster_key);
  if (!cluster || !cluster->watch().ready()) return;
  if (const auto taken = take_up(*cluster); !taken) {
    log_warning("agents could not be taken up", {{"cluster", cluster_key}, {"error", taken.error().message}});
    return;
  }
  cluster->taken_up = true;
  end_vanished(*cluster);
  remove_leftovers(*cluster);
  creator_.admit(cluster_key);
  core_.refresh_health(cluster->gocd());
}

Result<void> Recovery::take_up(Cluster& cluster) {
  if (!cluster.taken_up) reopen_gateways(cluster);
  if (knows_all_agents(cluster)) return {};
  const LabelFilter filter{std::string(label::kServer) + "=" + core_.settings.server_id,
                           std::string(label::kRole) + "=" + std::string(to_string(Role::kAgent)),
                           std::string(label::kGocd) + "=" + cluster.gocd()};
  const auto containers = cluster.engine().list_containers(filter);
  if (!containers) return fail(containers.error());
  for (const auto& container : *containers)
    if (ownership_of(core_.settings.server_id, Kind::kContainer, container.name, container.labels))
      adopt(cluster, container);
  return {};
}

bool Recovery::knows_all_agents(Cluster& cluster) const {
  const auto owners = cluster.watch().ledger().owners();
  return std::ranges::none_of(owners, [&](const auto& owner) {
    return !core_.find(owner) && std::ranges::any_of(cluster.watch().ledger().of(owner), is_own_container);
  });
}

void Recovery::adopt(Cluster& cluster, const ContainerSummary& container) {
  auto record = read_labels(container);
  if (!record) {
    log_warning("an agent's labels can't be read; it is left alone", {{"container", container.name}});
    return;
  }
  // Another cluster's: two profiles may name one engine by two addresses.
  if (record->agent.cluster != cluster.key() && core_.cluster(record->agent.cluster)) return;
  AgentEntry entry{
      .agent = std::move(record->agent), .profile = std::move(record->profile), .cluster = cluster.profile()};
  if (record->policy) entry.cluster.policy = std::move(*record->policy);
  entry.started = entry.touched_engine = true;
  entry.agent.cluster = cluster.key();
  entry.agent.last_create_request = core_.now();
  const bool alive = is_alive(container.state);
  entry.agent.state = alive ? AgentState::kRegistering : AgentState::kTerminating;
  const bool half_made = container.state == "created";
  if (!alive) entry.agent.end_cause = half_made ? EndCause::kCreateFailed : EndCause::kContainerDied;
  const auto id = entry.agent.id;
  {
    const std::scoped_lock lock(core_.mutex);
    entry.sequence = ++core_.sequence;
    core_.add_step(entry, "taken up after a restart of Ebbtide");
    const auto [place, is_new] = core_.agents.emplace(id, entry);
    if (!is_new) return;
    core_.touch(place->second);
  }
  log_info("agent taken up", {{"agent", id}, {"job", entry.agent.job.text()}, {"container", container.state}});
  if (!alive) return terminator_.proceed(id);
  if (entry.agent.access != DockerAccess::kTracked) return;
  if (const auto opened = creator_.open_gateway(cluster, entry); !opened)
    log_error("a gateway could not be opened again",
              {{"agent", id}, {"job", entry.agent.job.text()}, {"error", opened.error().message}});
}

// Agents whose container came and went while no events did.
void Recovery::end_vanished(Cluster& cluster) {
  std::vector<Agent> running;
  {
    const std::scoped_lock lock(core_.mutex);
    for (const auto& [id, entry] : core_.agents)
      if (entry.agent.cluster == cluster.key() && entry.started && entry.lives() && !entry.creating)
        running.push_back(entry.agent);
  }
  for (const auto& agent : running)
    if (!cluster.watch().ledger().find(Kind::kContainer, agent.container_id))
      terminator_.died({.owner = agent.id, .container_id = agent.container_id, .removed = true});
}

// After new certificates: the agents are known, the gateways are new.
void Recovery::reopen_gateways(Cluster& cluster) {
  std::vector<AgentEntry> open;
  {
    const std::scoped_lock lock(core_.mutex);
    for (const auto& [id, entry] : core_.agents)
      if (entry.agent.cluster == cluster.key() && entry.started && entry.lives() &&
          entry.agent.access == DockerAccess::kTracked)
        open.push_back(entry);
  }
  for (const auto& entry : open)
    if (!cluster.gateways().is_open(entry.agent.id))
      if (const auto opened = creator_.open_gateway(cluster, entry); !opened)
        log_error("a gateway could not be opened again",
                  {{"agent", entry.agent.id}, {"job", entry.agent.job.text()}, {"error", opened.error().message}});
}

void Recovery::remove_leftovers(Cluster& cluster) {
  auto owners = cluster.watch().ledger().owners();
  if (const auto of_images = core_.store->image_owners(cluster.engine().address().text()))
    owners.insert(owners.end(), of_images->begin(), of_images->end());
  if (const auto groups = cluster.watch().cgroups()) {
    const auto of_groups = groups->owners();
    owners.insert(owners.end(), of_groups.begin(), of_groups.end());
  }
  const auto staged = owners_of_places();
  owners.insert(owners.end(), staged.begin(), staged.end());
  std::ranges::sort(owners);
  const auto repeated = std::ranges::unique(owners);
  owners.erase(repeated.begin(), repeated.end());
  for (const auto& owner : owners)
    if (!core_.stopped() && is_left_over(cluster, owner)) remove_leftover(cluster, owner);
}

// Who has places for paths below run_dir. Those of clusters that are not taken up yet can't be told from a crash's.
std::vector<std::string> Recovery::owners_of_places() const {
  std::vector<std::string> owners;
  const auto clusters = core_.all_clusters();
  if (!std::ranges::all_of(clusters, [](const auto& cluster) { return cluster->taken_up.load(); })) return owners;
  std::error_code none;  // no path was staged yet
  for (const auto& entry : std::filesystem::directory_iterator(core_.settings.run_dir + "/mounts", none))
    owners.push_back(entry.path().filename().string());
  return owners;
}

// Nobody's: no agent that we know, and none that runs (another GoCD server's, whose cluster has yet to be listed).
bool Recovery::is_left_over(Cluster& cluster, const std::string& owner) const {
  if (core_.find(owner)) return false;
  const auto belongings = cluster.watch().ledger().of(owner);
  return std::ranges::none_of(
      belongings, [](const auto& belonging) { return is_own_container(belonging) && is_alive(belonging.state); });
}

void Recovery::remove_leftover(Cluster& cluster, const std::string& owner) {
  cluster.watch().ledger().close(owner);
  const auto report = reap(cluster.watch(), owner, {}, [this] { return core_.stopped(); });
  if (!report) {
    log_warning("leftovers could not be removed", {{"owner", owner}, {"error", report.error().message}});
    return;
  }
  if (report->complete())
    if (const auto cleared = gateway::clear_staging(core_.staging_directory(owner)); !cleared)
      log_warning("places of paths could not be removed", {{"owner", owner}, {"error", cleared.error().message}});
  const auto removed = report->containers + report->networks + report->volumes + report->images;
  if (removed == 0) return;
  log_info("leftovers removed", {{"owner", owner}, {"report", report->summary()}});
  {
    const std::scoped_lock lock(core_.mutex);
    core_.counters.leftovers += removed;
  }
  core_.note(cluster.gocd(), "leftovers " + owner,
             {.type = "warning",
              .message = "Removed what agent " + owner + ", which is no more, had left on " +
                         cluster.engine().address().text() + ": " + report->summary()});
}

}  // namespace ebbtide::plugin
