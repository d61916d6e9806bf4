#include "plugin/creator.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "docker/base/log.h"
#include "docker/base/secret.h"
#include "plugin/registry_config.h"

namespace ebbtide::plugin {
namespace {

constexpr std::chrono::seconds kEngineRetry{5};
constexpr unsigned kProgressStep = 25;  // percent between two words on the console

bool engine_may_be_away(const Error& error) {
  return error.kind == ErrorKind::kUnavailable || error.kind == ErrorKind::kTimeout;
}

std::string image_note(const Agent& agent) { return "create " + agent.cluster + " " + agent.image; }

std::string seconds_between(TimePoint from, TimePoint to) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(to - from).count()) + " s";
}

std::optional<unsigned> group_of(const std::string& socket) {
  struct stat status {};
  if (::stat(socket.c_str(), &status) != 0) return std::nullopt;
  return status.st_gid;
}

PullPolicy pull_policy(const AgentEntry& entry) {
  if (entry.profile.pull != PullPolicy::kAsCluster) return entry.profile.pull;
  return entry.cluster.pull_always ? PullPolicy::kAlways : PullPolicy::kIfNotPresent;
}

bool is_of_platform(const ImageDetail& image, const std::string& platform) {
  return platform.empty() || image.platform.empty() || platform == image.platform ||
         platform.starts_with(image.platform + "/");
}

std::optional<RegistryLogin> login_of(const ClusterProfile& profile, const std::string& image) {
  if (!profile.registry_enabled) return std::nullopt;
  return profile.registry_custom ? profile.registry : login_from_config(docker_config_path(), image);
}

}  // namespace

Creator::Creator(FleetCore& core, Terminator& terminator) : core_(core), terminator_(terminator) {}

// --- places ---

void Creator::request(const std::shared_ptr<Cluster>& cluster, const ClusterProfile& cluster_profile,
                      const AgentProfile& profile, const CreateAgent& request) {
  auto entry = new_entry(*cluster, cluster_profile, profile, request);
  auto id = entry.agent.id;
  const auto accepted = "agent " + id + " accepted (image " + entry.agent.image + ")";
  std::string repeated;
  {
    const std::scoped_lock lock(core_.mutex);
    if (auto* known = agent_for(entry.agent)) {
      known->agent.last_create_request = core_.now();
      known->newer = {request, core_.now()};
      id = known->agent.id;
      repeated = "GoCD asked again: agent " + id + " is " + std::string(to_string(known->agent.state)) + " already";
    } else {
      entry.sequence = ++core_.sequence;
      core_.add_step(entry, accepted);
      core_.touch(core_.agents.emplace(id, std::move(entry)).first->second);
    }
  }
  log_info("create-agent", {{"agent", id}, {"job", request.job.text()}, {"image", profile.image}});
  core_.say(cluster->gocd(), request.job, repeated.empty() ? accepted : repeated);
  admit(cluster->key());
  tell_place(*cluster, id);
}

AgentEntry Creator::new_entry(const Cluster& cluster, const ClusterProfile& cluster_profile,
                              const AgentProfile& profile, const CreateAgent& request) const {
  AgentEntry entry{.profile = profile, .cluster = cluster_profile, .request = request};
  Agent& agent = entry.agent;
  agent.id = "ebbtide-" + random_hex(6);
  agent.gocd = cluster.gocd();
  agent.cluster = cluster.key();
  agent.job = request.job;
  agent.environment = request.environment;
  agent.created = agent.state_since = agent.last_create_request = core_.now();
  agent.image = profile.image;
  agent.access = profile.access;
  agent.images = profile.images;
  const auto environment = merge_environment(cluster_profile.environment, profile.environment);
  entry.secrets = secrets_of(environment, request.auto_register_key);
  return entry;
}

// The one that the job has already: GoCD asks again every two minutes while a job waits, each time with a new key. The
// lock is held.
AgentEntry* Creator::agent_for(const Agent& wanted) {
  for (auto& [id, entry] : core_.agents)
    if (entry.lives() && entry.agent.gocd == wanted.gocd && entry.agent.job.job_id == wanted.job.job_id) return &entry;
  return nullptr;
}

void Creator::tell_place(const Cluster& cluster, const std::string& id) {
  std::size_t agents = 0;
  std::size_t ahead = 0;
  std::size_t waiting = 0;
  JobIdentifier job;
  {
    const std::scoped_lock lock(core_.mutex);
    const auto me = core_.agents.find(id);
    if (me == core_.agents.end() || me->second.agent.state != AgentState::kQueued) return;
    job = me->second.agent.job;
    for (const auto& [other, entry] : core_.agents) {
      if (entry.agent.cluster != cluster.key()) continue;
      if (entry.holds_place()) ++agents;
      if (entry.agent.state != AgentState::kQueued) continue;
      ++waiting;
      if (entry.sequence < me->second.sequence) ++ahead;
    }
  }
  const auto limit = cluster.profile().max_agents;
  const auto position = "position " + std::to_string(ahead + 1) + " of " + std::to_string(waiting);
  if (cluster.drained)
    core_.say(cluster.gocd(), job, "queued: an administrator wants no new agents on this engine; " + position);
  else if (!cluster.watch().state().error.empty())
    core_.say(cluster.gocd(), job, "queued: the engine does not answer; " + position);
  else if (limit > 0 && agents >= limit)
    core_.say(cluster.gocd(), job,
              "queued: the cluster is at its limit of " + std::to_string(limit) + " agents; " + position);
  core_.refresh_health(cluster.gocd());
}

void Creator::admit(const std::string& cluster_key) {
  const auto cluster = core_.cluster(cluster_key);
  if (!cluster || !cluster->watch().state().connected) return;
  const bool open = cluster->taken_up && !cluster->drained;
  const auto limit = cluster->profile().max_agents;
  std::vector<std::string> admitted;
  {
    const std::scoped_lock lock(core_.mutex);
    std::size_t agents = 0;
    std::vector<AgentEntry*> queue;
    for (auto& [id, entry] : core_.agents) {
      if (entry.agent.cluster != cluster_key) continue;
      if (entry.holds_place()) ++agents;
      if (entry.agent.state == AgentState::kQueued) queue.push_back(&entry);
    }
    std::ranges::sort(queue, {}, &AgentEntry::sequence);
    for (auto* entry : queue) {
      if (!open || (limit > 0 && agents >= limit)) break;
      ++agents;
      core_.move(*entry, AgentState::kPulling);
      admitted.push_back(entry->agent.id);
    }
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(admitted.size()));
    number(queue);
  }
  for (const auto& id : admitted) core_.creates.submit([this, id] { find_image(id); });
}

// The places of those that wait, in their order, for people. The lock is held.
void Creator::number(const std::vector<AgentEntry*>& queue) {
  for (std::size_t i = 0; i < queue.size(); ++i) {
    auto& entry = *queue[i];
    auto phase = std::to_string(i + 1) + " of " + std::to_string(queue.size()) + " in the queue";
    if (entry.agent.phase == phase) continue;
    entry.agent.phase = std::move(phase);
    core_.touch(entry);
  }
}

bool Creator::wanted(const std::string& id, AgentState state) const {
  const auto entry = core_.find(id);
  return entry && entry->agent.state == state;
}

// A gateway's socket is on this machine; to other machines it needs the front.
Result<void> Creator::can_reach_gateway(Cluster& cluster, const AgentEntry& entry) const {
  const auto& engine = cluster.engine().address();
  if (entry.agent.access != DockerAccess::kTracked || !engine.is_remote() || core_.settings.remote_gateways) return {};
  return fail(Error::invalid("DockerAccess tracked has no way from " + engine.text() +
                             ", which is another machine, to Ebbtide: set DockerAccess to none, dind or host, or set "
                             "gateway_listen in Ebbtide's own settings"));
}

// --- the image ---

void Creator::find_image(const std::string& id) {
  const auto entry = core_.find(id);
  const auto cluster = entry ? core_.cluster(entry->agent.cluster) : nullptr;
  if (!cluster || entry->agent.state != AgentState::kPulling) return;
  if (const auto reachable = can_reach_gateway(*cluster, *entry); !reachable) return failed(id, reachable.error());
  const auto image = cluster->engine().inspect_image(entry->agent.image);
  if (!image && image.error().kind != ErrorKind::kNotFound) return failed(id, image.error());
  const auto policy = pull_policy(*entry);
  const auto& platform = entry->profile.options.platform;
  const bool present = image && is_of_platform(*image, platform);
  if (present && policy != PullPolicy::kAlways) return build(id);
  if (policy == PullPolicy::kNever)
    return failed(id, Error::not_found("image " + entry->agent.image + (platform.empty() ? "" : " for " + platform) +
                                       " is not on the engine, and PullPolicy is never: bring it there, or set "
                                       "PullPolicy to if-not-present"));
  core_.pulls.submit([this, id] { pull(id); });
}

// Agents that wait for the same image share one pull, and hold no thread while they wait.
void Creator::pull(const std::string& id) {
  const auto entry = core_.find(id);
  const auto cluster = entry ? core_.cluster(entry->agent.cluster) : nullptr;
  if (!cluster || entry->agent.state != AgentState::kPulling) return;
  core_.say(entry->agent, "pulling image " + entry->agent.image);
  core_.set_phase(id, "pulling " + entry->agent.image);
  const auto began = core_.now();
  cluster->puller().pull(cluster->engine(), {entry->agent.image, entry->profile.options.platform},
                         login_of(entry->cluster, entry->agent.image),
                         {.progress = [this, id](const PullProgress& progress) { tell_progress(id, progress); },
                          .done = [this, id, began](const Result<void>& result) { pulled(id, result, began); }});
}

void Creator::tell_progress(const std::string& id, const PullProgress& progress) {
  if (progress.total_bytes == 0) return;
  const auto percent = static_cast<unsigned>(progress.done_bytes * 100 / progress.total_bytes);
  std::optional<Agent> tell;
  core_.with(id, [&](AgentEntry& entry) {
    entry.agent.phase = "pulling " + std::to_string(percent) + " %";
    // The total grows while layers are found, so that percents may go back.
    if (percent < entry.told_percent + kProgressStep) return;
    entry.told_percent = percent;
    tell = entry.agent;
  });
  if (tell) core_.say(*tell, "pulled " + std::to_string(percent) + " % of " + tell->image);
}

void Creator::pulled(const std::string& id, const Result<void>& result, TimePoint began) {
  const auto entry = core_.find(id);
  if (!entry || entry->agent.state != AgentState::kPulling) return;
  if (!result) return failed(id, result.error().within("pull image " + entry->agent.image));
  {
    const std::scoped_lock lock(core_.mutex);
    core_.counters.pull_seconds.add(std::chrono::duration<double>(core_.now() - began).count());
  }
  core_.say(entry->agent, "image pulled in " + seconds_between(began, core_.now()));
  core_.creates.submit([this, id] { build(id); });
}

// --- the container ---

void Creator::build(const std::string& id) {
  bool mine = false;
  core_.with(id, [&](AgentEntry& entry) {
    if (entry.agent.state != AgentState::kPulling || !core_.move(entry, AgentState::kCreating)) return;
    entry.creating = entry.touched_engine = mine = true;
  });
  const auto entry = core_.find(id);
  const auto cluster = mine && entry ? core_.cluster(entry->agent.cluster) : nullptr;
  if (!cluster) return;
  const auto made = make(*cluster, *entry);
  made ? started(id) : failed(id, made.error());
}

Result<void> Creator::make(Cluster& cluster, const AgentEntry& entry) {
  const auto& id = entry.agent.id;
  auto planned = plan(cluster, entry);
  if (!planned) return fail(planned.error());
  if (entry.agent.access == DockerAccess::kTracked)
    if (const auto opened = open_gateway(cluster, entry); !opened)
      return fail(opened.error().within("open the gateway"));
  planned->cgroup_parent = cluster.gateways().cgroup_parent(id);
  if (entry.agent.access == DockerAccess::kTracked && entry.profile.mounts_docker_socket)
    core_.say(entry.agent, "Mounts names the Docker socket of the host; the agent gets its gateway instead");
  for (const auto& volume : planned->volumes)
    if (const auto done = cluster.engine().create_volume(volume.name, volume_labels(planned->server_id, id, volume));
        !done)
      return fail(done.error().within("create volume " + volume.name));
  const auto container = make_container(cluster, entry, *planned);
  if (!container) return fail(container.error().within("create container " + id));
  core_.with(id, [&](AgentEntry& known) { known.agent.container_id = *container; });
  claim(cluster, entry.agent, *container);

  const auto& networks = entry.profile.networks;
  for (std::size_t i = 1; i < networks.size(); ++i)
    if (const auto done = cluster.engine().connect_network(networks[i], *container); !done)
      return fail(done.error().within("connect " + id + " to network " + networks[i]));
  if (entry.agent.access == DockerAccess::kTracked)
    if (const auto done = show_gateway(cluster, entry, *container); !done)
      return fail(done.error().within("give " + id + " its certificate"));
  if (!wanted(id, AgentState::kCreating)) return fail(Error::cancelled("it is not needed any more"));
  core_.with(id, [](AgentEntry& known) { known.started = true; });
  if (const auto done = cluster.engine().start_container(*container); !done)
    return fail(done.error().within("start container " + id));
  return {};
}

Result<AgentPlan> Creator::plan(Cluster& cluster, const AgentEntry& entry) {
  const auto image = cluster.engine().inspect_image(entry.agent.image);
  if (!image) return fail(image.error().within("inspect image " + entry.agent.image));
  AgentPlan plan{.server_id = core_.settings.server_id,
                 .plugin_id = core_.settings.plugin_id,
                 .auto_register_key = entry.request.auto_register_key,
                 .gateway_directory = core_.gateway_directory(entry.agent.id),
                 .volumes = agent_volumes(entry.agent.id, entry.profile, image->volumes)};
  if (entry.agent.access == DockerAccess::kTracked && core_.has_remote_gateways(cluster.engine().address())) {
    plan.gateway_address = core_.settings.remote_gateways->address;
    plan.volumes.push_back(credentials_volume(entry.agent.id));
  }
  if (entry.agent.access != DockerAccess::kHost) return plan;
  const auto& address = cluster.engine().address();
  plan.host_socket = address.kind == EngineAddress::Kind::kUnix ? address.path : "/var/run/docker.sock";
  if (address.kind == EngineAddress::Kind::kUnix) plan.group = group_of(plan.host_socket);
  core_.say(entry.agent,
            "warning, unsafe: this agent holds the raw Docker socket of its host; what its job makes there is "
            "neither seen nor removed");
  return plan;
}

Result<void> Creator::open_gateway(Cluster& cluster, const AgentEntry& entry) {
  const Agent& agent = entry.agent;
  const bool remote = core_.has_remote_gateways(cluster.engine().address());
  return cluster.gateways().open(
      {.owner = agent.id,
       .directory = core_.gateway_directory(agent.id),
       .staging = remote ? "" : core_.staging_directory(agent.id),
       .remote = remote,
       .contexts = core_.settings.state_dir,
       .images = agent.images,
       .policy = entry.cluster.policy,
       .shared_volumes = {.patterns = entry.profile.shared_volumes, .scope = core_.shared_scope(agent.gocd)},
       .max_belongings = entry.profile.max_belongings,
       .limits = entry.profile.limits(),
       .cgroup_parent = {},
       .extra_labels = {{label::kGocd, agent.gocd}}});
}

Result<std::string> Creator::make_container(Cluster& cluster, const AgentEntry& entry, const AgentPlan& plan) {
  auto& engine = cluster.engine();
  const auto body = container_body(entry.agent, entry.cluster, entry.profile, plan);
  const auto& platform = entry.profile.options.platform;
  auto made = engine.create_container(entry.agent.id, body, platform);
  if (made || made.error().kind != ErrorKind::kConflict) return made;
  // Of a try that the engine's absence cut short.
  if (const auto removed = engine.remove_container(entry.agent.id); !removed) return fail(removed.error());
  return engine.create_container(entry.agent.id, body, platform);
}

// Without waiting for the event: a listing that lacks it would look like its end.
void Creator::claim(Cluster& cluster, const Agent& agent, const std::string& container) {
  cluster.watch().ledger().claim({.kind = Kind::kContainer,
                                  .id = container,
                                  .name = agent.id,
                                  .real_name = agent.id,
                                  .owner = agent.id,
                                  .role = Role::kAgent,
                                  .image = agent.image,
                                  .state = "created",
                                  .created = core_.now()});
}

// What is in the container before it starts: a link, or what the front wants to see of its clients. The key is only
// there.
Result<void> Creator::show_gateway(Cluster& cluster, const AgentEntry& entry, const std::string& container) {
  if (!core_.has_remote_gateways(cluster.engine().address())) {
    link_socket(cluster, entry, container);
    return {};
  }
  const auto credentials = core_.settings.remote_gateways->authority->for_agent(entry.agent.id);
  if (!credentials) return fail(credentials.error());
  return cluster.engine().put_archive(container, kGatewayMount, credentials_tar(*credentials));
}

// For clients that look where Docker's socket always is. /var/run is a link to /run in most images, which the engine
// follows when the archive goes into it; where there is none, it is made.
void Creator::link_socket(Cluster& cluster, const AgentEntry& entry, const std::string& container) {
  auto& engine = cluster.engine();
  const auto there = engine.has_path(container, "/var/run");
  auto linked = there && *there ? engine.put_archive(container, "/var/run", socket_link_tar(""))
                                : fail(Error::not_found("no /var/run"));
  if (!linked) linked = engine.put_archive(container, "/", socket_link_tar(there && *there ? "run" : "var/run"));
  if (linked) return;
  log_warning("no link to the gateway at /var/run/docker.sock",
              {{"agent", entry.agent.id}, {"job", entry.agent.job.text()}, {"error", linked.error().message}});
  core_.say(entry.agent, "there is no /var/run/docker.sock in the agent; Docker clients must follow DOCKER_HOST");
}

// --- how it went ---

void Creator::started(const std::string& id) {
  bool ends = false;
  std::optional<Agent> agent;
  core_.with(id, [&](AgentEntry& entry) {
    entry.creating = false;
    ends = entry.agent.state == AgentState::kTerminating;
    if (ends || !core_.move(entry, AgentState::kRegistering)) return;
    agent = entry.agent;
    core_.counters.create_seconds.add(std::chrono::duration<double>(core_.now() - agent->created).count());
  });
  if (ends) return terminator_.proceed(id);
  if (!agent) return;
  log_info("agent started", {{"agent", id}, {"job", agent->job.text()}, {"container", agent->container_id}});
  core_.say(*agent, "container " + id + " (" + agent->container_id.substr(0, 12) + ") started; it registers now");
  core_.clear_note(image_note(*agent));
  core_.refresh_health(agent->gocd);
}

// True when it was to end while the creator was at work on it: then nobody else has begun with that.
bool Creator::hand_over(const std::string& id) {
  bool ends = false;
  core_.with(id, [&](AgentEntry& entry) {
    ends = std::exchange(entry.creating, false) && entry.agent.state == AgentState::kTerminating;
  });
  return ends;
}

void Creator::failed(const std::string& id, const Error& error) {
  const auto entry = core_.find(id);
  const auto cluster = entry ? core_.cluster(entry->agent.cluster) : nullptr;
  if (!cluster) return;
  if (!entry->lives()) {
    if (hand_over(id)) terminator_.proceed(id);
    return;
  }
  if (engine_may_be_away(error) && !cluster->engine().ping()) return wait_for_engine(id);
  log_warning("agent could not be created",
              {{"agent", id}, {"job", entry->agent.job.text()}, {"error", error.message}});
  core_.say(entry->agent, "agent " + id + " could not be created: " + error.message);
  core_.note(entry->agent.gocd, image_note(entry->agent),
             {.type = "error",
              .message = "No agent could be created from " + entry->agent.image + " on " +
                         cluster->engine().address().text() + ": " + error.message});
  if (hand_over(id)) return terminator_.proceed(id);
  terminator_.end(id, EndCause::kCreateFailed);
}

void Creator::wait_for_engine(const std::string& id) {
  if (hand_over(id)) return terminator_.proceed(id);
  std::optional<Agent> agent;
  core_.with(id, [&](AgentEntry& entry) {
    if (!core_.move(entry, AgentState::kQueued)) return;
    entry.agent.phase = "waiting for the engine";
    agent = entry.agent;
  });
  if (!agent) return;
  core_.say(*agent, "the engine does not answer; agent " + id + " waits for it");
  core_.creates.submit_after(kEngineRetry, [this, cluster = agent->cluster] { admit(cluster); });
}

}  // namespace ebbtide::plugin
