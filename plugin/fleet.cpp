#include "plugin/fleet.h"

#include <algorithm>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "plugin/creator.h"
#include "plugin/desk.h"
#include "plugin/fleet_core.h"
#include "plugin/recovery.h"
#include "plugin/round.h"
#include "plugin/terminator.h"

namespace ebbtide::plugin {
namespace {

// Where GoCD shows a job; nothing where its address could be something else than one of the web.
std::string job_url(const std::string& go_server_url, const JobIdentifier& job) {
  if (!go_server_url.starts_with("http://") && !go_server_url.starts_with("https://")) return {};
  return go_server_url + "/tab/build/detail/" + percent_encode(job.pipeline_name) + "/" +
         std::to_string(job.pipeline_counter) + "/" + percent_encode(job.stage_name) + "/" +
         percent_encode(job.stage_counter) + "/" + percent_encode(job.job_name);
}

// After a job was given to an agent: by then GoCD lists it as building.
constexpr std::chrono::seconds kLookAfterAssignment{5};

}  // namespace

class Fleet::Impl {
 public:
  Impl(FleetSettings settings, std::shared_ptr<Database> database, std::shared_ptr<Clock> clock, EngineMaker maker)
      : core_(std::move(settings), std::move(database), std::move(clock), std::move(maker)),
        terminator_(core_, [this](const std::string& gocd, const CreateAgent& request) { create(gocd, request); }),
        creator_(core_, terminator_),
        recovery_(core_, creator_, terminator_),
        round_(core_, terminator_),
        desk_(core_, terminator_) {
    core_.place_freed = [this](const std::string& cluster) { creator_.admit(cluster); };
  }
  ~Impl() { stop(); }

  void start() {
    for (const auto& row : core_.cluster_store.all()) {
      const auto profile = read_cluster_profile(row.properties);
      if (profile)
        use_cluster(row.gocd, *profile, row.properties);
      else
        log_warning("a cluster that was known before can't be used",
                    {{"cluster", row.key}, {"error", profile.error().text()}});
    }
  }

  void stop() {
    if (core_.stopping.exchange(true)) return;
    core_.changes->close();
    {
      const std::scoped_lock lock(core_.mutex);
      for (const auto& [gocd, channel] : core_.channels) channel->close();
    }
    for (auto* pool : {&core_.upkeep, &core_.creates, &core_.pulls, &core_.reaps}) pool->stop();
    // Outside the lock: their destructors wait for threads that may want it.
    std::map<std::string, std::shared_ptr<Cluster>> clusters;
    {
      const std::scoped_lock lock(core_.mutex);
      clusters.swap(core_.clusters);
    }
  }

  // --- messages ---

  void create_agent(const std::string& gocd, const CreateAgent& request) {
    count("create-agent");
    create(gocd, request);
  }

  void create(const std::string& gocd, const CreateAgent& request) {
    const auto cluster = read_cluster_profile(request.cluster);
    if (!cluster) return refuse(gocd, request, "cluster profile", cluster.error());
    const auto profile = read_agent_profile(request.profile);
    if (!profile) return refuse(gocd, request, "elastic agent profile", profile.error());
    if (const auto used = use_cluster(gocd, *cluster, request.cluster))
      creator_.request(used, *cluster, *profile, request);
  }

  // Called within GoCD's global lock: from memory, and nothing else.
  bool should_assign(const std::string& gocd, const ShouldAssignWork& request) {
    count("should-assign-work");
    const auto cluster = read_cluster_profile(request.cluster);
    if (!cluster) return false;
    const auto key = cluster_key(gocd, *cluster);
    bool assign = false;
    core_.with(request.agent.agent_id, [&](AgentEntry& entry) {
      Agent& agent = entry.agent;
      if (agent.cluster != key) return;
      const bool waits = agent.state == AgentState::kRegistering || agent.state == AgentState::kIdle;
      assign = waits && agent.job.job_id == request.job.job_id;
      // It asked GoCD for work: so it is registered, as the next list will show.
      if (agent.state == AgentState::kRegistering) core_.move(entry, AgentState::kIdle);
      if (assign) agent.phase = "given its job";
    });
    if (assign) core_.upkeep.submit_after(kLookAfterAssignment, [this, gocd] { begin_round(gocd); });
    return assign;
  }

  void job_completion(const std::string& gocd, const JobCompletion& request) {
    count("job-completion");
    const auto entry = core_.find(request.agent_id);
    if (entry && entry->agent.gocd == gocd) terminator_.end(request.agent_id, EndCause::kJobCompleted);
  }

  void ping(const std::string& gocd, const ServerPing& request) {
    count("server-ping");
    std::vector<std::string> present;
    bool all_read = true;
    for (const auto& properties : request.clusters) {
      const auto profile = read_cluster_profile(properties);
      if (!profile) {
        all_read = false;
        note_bad_cluster(gocd, profile.error());
      } else if (const auto cluster = use_cluster(gocd, *profile, properties)) {
        present.push_back(cluster->key());
      }
    }
    // One that can't be read may be any of those that are missing.
    if (all_read) drain_absent(gocd, present);
    begin_round(gocd);
  }

  void cluster_changed(const std::string& gocd, const ClusterProfileChanged& request) {
    count("cluster-profile-changed");
    const auto profile = read_cluster_profile(request.cluster);
    if (!profile) return note_bad_cluster(gocd, profile.error());
    if (request.status == "deleted") {
      drain(cluster_key(gocd, *profile));
    } else {
      use_cluster(gocd, *profile, request.cluster);
      const auto old = read_cluster_profile(request.old_cluster);
      if (old && cluster_key(gocd, *old) != cluster_key(gocd, *profile)) drain(cluster_key(gocd, *old));
    }
    begin_round(gocd);
  }

  Result<void> drain_for(const std::string& key, bool wanted, const std::string& who) {
    const auto cluster = desk_.drain(key, wanted, who);
    if (!cluster) return fail(cluster.error());
    if (!wanted) creator_.admit(key);
    return {};
  }

  // --- pages ---

  ClusterView view(const Cluster& cluster) const {
    ClusterView view{.key = cluster.key(),
                     .gocd = cluster.gocd(),
                     .engine = cluster.watch().engine().address().text(),
                     .state = cluster.watch().state(),
                     .info = cluster.watch().info(),
                     .max_agents = cluster.profile().max_agents,
                     .draining = cluster.draining,
                     .drained = cluster.drained,
                     .go_server_url = cluster.profile().go_server_url,
                     .refusals = cluster.gateways().counters().refusals};
    const std::scoped_lock lock(core_.mutex);
    for (const auto& [id, entry] : core_.agents) {
      if (entry.agent.cluster != cluster.key()) continue;
      if (entry.holds_place()) ++view.agents;
      if (entry.agent.state == AgentState::kQueued) ++view.queued;
    }
    return view;
  }

  AgentView view(const AgentEntry& entry) const {
    const auto cluster = core_.cluster(entry.agent.cluster);
    AgentView view{.agent = entry.agent,
                   .belongings = cluster ? cluster->watch().ledger().of(entry.agent.id) : std::vector<Belonging>{},
                   .sequence = entry.sequence,
                   .job_url = job_url(entry.cluster.go_server_url, entry.agent.job),
                   .kept = entry.kept,
                   .keep = entry.keep};
    for (const auto& [name, value] : merge_environment(entry.cluster.environment, entry.profile.environment))
      view.environment_names.push_back(name);
    return view;
  }

  std::vector<AgentRevision> revisions() const {
    std::vector<AgentRevision> list;
    std::vector<std::string> clusters;  // of each in the list
    {
      const std::scoped_lock lock(core_.mutex);
      for (const auto& [id, entry] : core_.agents) {
        list.push_back({.id = id, .agent = entry.revision});
        clusters.push_back(entry.agent.cluster);
      }
    }
    std::map<std::string, std::shared_ptr<Cluster>> known;
    for (const auto& cluster : core_.all_clusters()) known[cluster->key()] = cluster;
    for (std::size_t i = 0; i < list.size(); ++i)
      if (const auto cluster = known.find(clusters[i]); cluster != known.end())
        list[i].belongings = cluster->second->watch().ledger().revision(list[i].id);
    return list;
  }

  std::vector<AgentView> agents() const {
    std::vector<AgentEntry> entries;
    {
      const std::scoped_lock lock(core_.mutex);
      for (const auto& [id, entry] : core_.agents) entries.push_back(entry);
    }
    std::ranges::sort(entries, {}, &AgentEntry::sequence);
    std::vector<AgentView> views;
    for (const auto& entry : entries) views.push_back(view(entry));
    return views;
  }

  Result<void> ready() const {
    for (const auto& cluster : core_.all_clusters()) {
      const auto state = cluster->watch().state();
      if (state.connected && state.listed && cluster->taken_up) continue;
      const auto why = !state.connected ? state.error
                       : !state.listed  ? "it has not been listed yet"
                                        : "its agents have not been taken up yet";
      return fail(Error::unavailable("engine " + cluster->engine().address().text() + ": " + why));
    }
    return {};
  }

  Desk& desk() { return desk_; }

  mutable FleetCore core_;

 private:
  void count(const char* message) {
    const std::scoped_lock lock(core_.mutex);
    ++core_.counters.messages[message];
  }

  void refuse(const std::string& gocd, const CreateAgent& request, const char* what, const ProfileErrors& errors) {
    const auto text = std::string("no agent: the ") + what + " is not valid: " + errors.text();
    log_warning("create-agent refused", {{"job", request.job.text()}, {"error", errors.text()}});
    core_.say(gocd, request.job, text);
    core_.note(gocd, "refused " + gocd + " " + errors.text(),
               {.type = "error", .message = request.job.text() + ": " + text});
  }

  void note_bad_cluster(const std::string& gocd, const ProfileErrors& errors) {
    core_.note(gocd, "bad cluster " + gocd + " " + errors.text(),
               {.type = "error", .message = "A cluster profile is not valid: " + errors.text()});
  }

  // The cluster of a profile; a new one is started. Nothing while the server stops.
  std::shared_ptr<Cluster> use_cluster(const std::string& gocd, const ClusterProfile& profile,
                                       const Properties& properties) {
    if (core_.stopped()) return nullptr;
    const auto [cluster, is_new] = core_.upsert(gocd, profile);
    core_.channel(gocd);
    core_.cluster_store.save({.key = cluster->key(), .gocd = gocd, .properties = properties});
    if (!is_new) {
      creator_.admit(cluster->key());  // its limit may be higher now
      return cluster;
    }
    log_info("cluster", {{"cluster", cluster->key()}});
    // The observers run on the watch's threads: they must hold no cluster, for its end waits for these threads.
    const auto key = cluster->key();
    cluster->watch().start({.agent_died = [this](const AgentDeath& death) { terminator_.died(death); },
                            .listed = [this, key] { begin_upkeep(key); },
                            .state_changed =
                                [this, key](const EngineState&) {
                                  core_.changes->note();
                                  begin_upkeep(key);
                                }});
    return cluster;
  }

  void begin_upkeep(const std::string& key) {
    core_.submit_once("cluster " + key, [this, key] { upkeep(key); });
  }

  void upkeep(const std::string& key) {
    recovery_.run(key);
    const auto cluster = core_.cluster(key);
    if (cluster) core_.refresh_health(cluster->gocd());
  }

  void begin_round(const std::string& gocd) {
    core_.submit_once("round " + gocd, [this, gocd] { round_.run(gocd); });
  }

  void drain(const std::string& key) {
    const auto cluster = core_.cluster(key);
    if (!cluster || cluster->draining.exchange(true)) return;
    log_info("cluster drains: GoCD has no profile of it any more", {{"cluster", key}});
    core_.changes->note();
  }

  void drain_absent(const std::string& gocd, const std::vector<std::string>& present) {
    for (const auto& cluster : core_.clusters_of(gocd))
      if (std::ranges::find(present, cluster->key()) == present.end()) drain(cluster->key());
    const std::scoped_lock lock(core_.mutex);
    core_.pinged.insert(gocd);
  }

  Terminator terminator_;
  Creator creator_;
  Recovery recovery_;
  Round round_;
  Desk desk_;
};

Fleet::Fleet(FleetSettings settings, std::shared_ptr<Database> database, std::shared_ptr<Clock> clock,
             EngineMaker make_engine)
    : impl_(
          std::make_unique<Impl>(std::move(settings), std::move(database), std::move(clock), std::move(make_engine))) {}

Fleet::~Fleet() = default;

void Fleet::start() { impl_->start(); }
void Fleet::stop() { impl_->stop(); }

void Fleet::create_agent(const std::string& gocd, const CreateAgent& request) { impl_->create_agent(gocd, request); }

bool Fleet::should_assign_work(const std::string& gocd, const ShouldAssignWork& request) const {
  return impl_->should_assign(gocd, request);
}

void Fleet::job_completion(const std::string& gocd, const JobCompletion& request) {
  impl_->job_completion(gocd, request);
}

void Fleet::server_ping(const std::string& gocd, const ServerPing& request) { impl_->ping(gocd, request); }

void Fleet::cluster_profile_changed(const std::string& gocd, const ClusterProfileChanged& request) {
  impl_->cluster_changed(gocd, request);
}

Result<void> Fleet::end_agent(const std::string& agent_id, const std::string& who) {
  return impl_->desk().end(agent_id, who);
}
Result<void> Fleet::reap_agent(const std::string& agent_id, const std::string& who) {
  return impl_->desk().reap(agent_id, who);
}
Result<void> Fleet::keep_agent(const std::string& agent_id, std::chrono::minutes time, const std::string& who) {
  return impl_->desk().keep(agent_id, time, who);
}
Result<void> Fleet::drain_cluster(const std::string& key, bool drain, const std::string& who) {
  return impl_->drain_for(key, drain, who);
}
Result<std::vector<std::string>> Fleet::caches(const std::string& key) const { return impl_->desk().caches(key); }
Result<CachesPruned> Fleet::prune_caches(const std::string& key, const std::string& who) {
  return impl_->desk().prune_caches(key, who);
}
Result<void> Fleet::read_log(const std::string& agent_id, const std::string& container, const LogWishes& wishes,
                             const std::function<bool(std::string_view)>& write,
                             const std::function<bool()>& wanted) const {
  return impl_->desk().read_log(agent_id, container, wishes, write, wanted);
}
Result<ContainerUsage> Fleet::container_usage(const std::string& agent_id, const std::string& container) const {
  return impl_->desk().usage(agent_id, container);
}

std::vector<ClusterView> Fleet::clusters() const {
  std::vector<ClusterView> views;
  for (const auto& cluster : impl_->core_.all_clusters()) views.push_back(impl_->view(*cluster));
  return views;
}

std::vector<AgentView> Fleet::agents() const { return impl_->agents(); }

std::optional<AgentView> Fleet::agent(const std::string& agent_id) const {
  const auto entry = impl_->core_.find(agent_id);
  return entry ? std::optional(impl_->view(*entry)) : std::nullopt;
}

std::vector<AgentRevision> Fleet::revisions() const { return impl_->revisions(); }

Changes& Fleet::changes() const { return *impl_->core_.changes; }

std::vector<HistoryEntry> Fleet::history(std::size_t limit) const {
  return impl_->core_.history.find({.text = {}, .limit = limit});
}
std::vector<HistoryEntry> Fleet::history(const HistoryWishes& wishes) const {
  return impl_->core_.history.find(wishes);
}
std::optional<HistoryEntry> Fleet::ended(const std::string& agent_id) const {
  return impl_->core_.history.of(agent_id);
}

Result<std::vector<AuditRecord>> Fleet::audit(std::string_view agent_id, std::size_t limit,
                                              std::optional<std::uint64_t> before, bool refused) const {
  return impl_->core_.store->audit_of(agent_id, limit, before, refused);
}

std::vector<Channel::HealthMessage> Fleet::health(const std::string& gocd) const { return impl_->core_.health(gocd); }

FleetCounters Fleet::counters() const {
  const std::scoped_lock lock(impl_->core_.mutex);
  auto counters = impl_->core_.counters;
  counters.audit_lost = impl_->core_.store->audit().dropped();
  return counters;
}

std::map<std::string, gateway::GatewayCounters> Fleet::gateway_counters() const {
  std::map<std::string, gateway::GatewayCounters> counters;
  for (const auto& cluster : impl_->core_.all_clusters()) {
    const auto own = cluster->gateways().counters();
    auto& sum = counters[cluster->engine().address().text()];
    for (const auto& [request, number] : own.requests) sum.requests[request] += number;
    for (const auto& [rule, number] : own.refusals) sum.refusals[rule] += number;
    sum.open_connections += own.open_connections;
    sum.open_streams += own.open_streams;
  }
  return counters;
}

std::map<std::string, std::map<std::string, Histogram>> Fleet::engine_latencies() const {
  std::map<std::string, std::map<std::string, Histogram>> latencies;
  for (const auto& cluster : impl_->core_.all_clusters())
    latencies[cluster->engine().address().text()] = cluster->engine().latencies();
  return latencies;
}

Result<void> Fleet::ready() const { return impl_->ready(); }

Channel& Fleet::channel(const std::string& gocd) { return impl_->core_.channel(gocd); }

std::vector<std::string> Fleet::gocd_servers() const {
  const std::scoped_lock lock(impl_->core_.mutex);
  std::vector<std::string> servers;
  for (const auto& [gocd, channel] : impl_->core_.channels) servers.push_back(gocd);
  return servers;
}

}  // namespace ebbtide::plugin
