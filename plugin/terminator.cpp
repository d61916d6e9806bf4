#include "plugin/terminator.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "docker/gateway/paths.h"
#include "plugin/console.h"

namespace ebbtide::plugin {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kGocdLimit{10};  // for an answer that an end waits for
constexpr seconds kCancelledLimit{2};
constexpr std::chrono::minutes kKeyLife{30};  // of an auto-register key, by GoCD
constexpr int kLogLines = 20;
constexpr std::size_t kLogBytes = 8 * 1024;  // of these lines, the last
constexpr milliseconds kFirstRetry{1000};
constexpr milliseconds kLastRetry{60'000};

// Decided from a list that is a moment old: work may have been assigned since.
bool needs_confirmation(EndCause cause) {
  return cause == EndCause::kNotNeeded || cause == EndCause::kLost || cause == EndCause::kNeverRegistered ||
         cause == EndCause::kClusterRemoved;
}

std::string tail(std::string text) { return text.size() <= kLogBytes ? text : text.substr(text.size() - kLogBytes); }

}  // namespace

Terminator::Terminator(FleetCore& core, Recreate recreate) : core_(core), recreate_(std::move(recreate)) {}

void Terminator::end(const std::string& id, EndCause cause) {
  bool mine = false;
  bool was_kept = false;
  core_.with(id, [&](AgentEntry& entry) {
    was_kept = std::exchange(entry.kept, false);
    if (!core_.move(entry, AgentState::kTerminating)) return;
    entry.agent.end_cause = cause;
    mine = !entry.creating;
  });
  if (mine) proceed(id);
  if (was_kept) core_.reaps.submit([this, id] { reap_agent(id); });
}

void Terminator::died(const AgentDeath& death) {
  bool mine = false;
  core_.with(death.owner, [&](AgentEntry& entry) {
    if (!entry.lives() || !core_.move(entry, AgentState::kTerminating)) return;
    entry.agent.end_cause = EndCause::kContainerDied;
    entry.agent.exit_code = death.exit_code;
    entry.agent.oom_killed = death.oom_killed;
    entry.removed = death.removed;
    mine = !entry.creating;
  });
  if (mine) proceed(death.owner);
}

void Terminator::proceed(const std::string& id) {
  core_.reaps.submit([this, id] { terminate(id); });
}

void Terminator::try_again(const std::string& id) {
  core_.reaps.submit([this, id] { reap_agent(id); });
}

void Terminator::terminate(const std::string& id) {
  const auto entry = core_.find(id);
  if (!entry || entry->agent.state != AgentState::kTerminating || !entry->agent.end_cause) return;
  const auto cause = *entry->agent.end_cause;
  core_.set_phase(id, std::string(to_string(cause)));
  if (entry->started && needs_confirmation(cause) && !confirm(entry->agent)) return;
  if (cause == EndCause::kContainerDied) tell_death(*entry);
  if (cause == EndCause::kNeverRegistered) tell_never_registered(*entry);
  if (entry->started) core_.channel(entry->agent.gocd).disable_agents({id});
  log_info("agent ends", {{"agent", id}, {"job", entry->agent.job.text()}, {"cause", std::string(to_string(cause))}});
  core_.say(entry->agent, "agent " + id + " ends: " + std::string(to_string(cause)));

  const auto wait = grace(*entry);
  if (wait.count() > 0)
    core_.reaps.submit_after(wait, [this, id] { reap_agent(id); });
  else
    reap_agent(id);
}

// The order that closes the gap in which GoCD may assign work (gocd/gocd#3095): no work from us, disabled there, and
// then a look whether it was too late.
bool Terminator::confirm(const Agent& agent) {
  auto& channel = core_.channel(agent.gocd);
  const auto disabled = channel.disable_agents_now({agent.id}, kGocdLimit);
  const auto list = disabled ? channel.list_agents(kGocdLimit) : fail(disabled.error());
  if (!list) {
    // Nothing is ended on a word that can't be confirmed; the next round decides anew.
    keep_after_all(agent.id, agent.status.value_or(AgentStatus{}));
    return false;
  }
  const auto found = std::ranges::find(*list, agent.id, &AgentStatus::agent_id);
  if (found == list->end() || found->agent_state != "Building") return true;
  keep_after_all(agent.id, *found);
  return false;
}

void Terminator::keep_after_all(const std::string& id, const AgentStatus& status) {
  core_.with(id, [&](AgentEntry& entry) {
    log_info("agent stays: it has work, or GoCD can't be asked", {{"agent", id}, {"job", entry.agent.job.text()}});
    const auto state = status.agent_state == "Building" ? AgentState::kBuilding
                       : entry.agent.registered         ? AgentState::kIdle
                                                        : AgentState::kRegistering;
    const auto since = entry.agent.state_since;
    if (!core_.move(entry, state)) return;
    entry.agent.end_cause.reset();
    entry.heard = core_.listings;
    // A try to end it must not start its times anew.
    if (state == AgentState::kRegistering) entry.agent.state_since = std::min(since, entry.agent.created);
  });
}

// How its container ended, and what it said last; kept in the table for the history.
Agent Terminator::last_words(const AgentEntry& entry) {
  Agent agent = entry.agent;
  const auto cluster = core_.cluster(agent.cluster);
  if (!cluster || entry.removed) return agent;
  if (const auto detail = cluster->engine().inspect_container(agent.container_id); detail && !detail->running) {
    agent.exit_code = detail->exit_code;
    agent.oom_killed = agent.oom_killed || detail->oom_killed;
  }
  if (const auto text = cluster->engine().container_log(agent.container_id, kLogLines))
    agent.last_log = tail(without_secrets(std::string(trim(*text)), entry.secrets));
  core_.with(agent.id, [&](AgentEntry& known) {
    known.agent.exit_code = agent.exit_code;
    known.agent.oom_killed = agent.oom_killed;
    known.agent.last_log = agent.last_log;
  });
  return agent;
}

void Terminator::tell_death(const AgentEntry& entry) {
  const auto agent = last_words(entry);
  auto text = "the container of agent " + agent.id;
  text += entry.removed ? " was removed by someone else" : " ended with code " + std::to_string(agent.exit_code);
  if (agent.oom_killed) text += " (out of memory)";
  if (!agent.last_log.empty()) text += ". Its last lines:\n" + agent.last_log;
  core_.say(agent, text);
  try_again_with_newer_key(entry);
}

void Terminator::tell_never_registered(const AgentEntry& entry) {
  const auto agent = last_words(entry);
  const auto last_line = agent.last_log.substr(agent.last_log.rfind('\n') + 1);
  if (!agent.last_log.empty()) core_.say(agent, "the last lines of agent " + agent.id + ":\n" + agent.last_log);
  core_.note(
      agent.gocd, registration_note(agent),
      {.type = "error",
       .message = "Agents of " + agent.image + " don't register with GoCD in time. The last said: " + last_line});
}

// A key serves once and for 30 minutes: only a request that came while the dead agent lived brings one that is good.
void Terminator::try_again_with_newer_key(const AgentEntry& entry) {
  if (entry.agent.registered || !entry.newer || core_.now() - entry.newer->second > kKeyLife) return;
  recreate_(entry.agent.gocd, entry.newer->first);
}

// How long its container stays: for a look at what failed, or for the cancel task of a cancelled job. Only a dead
// container counts as failure: job-completion doesn't tell how the job went.
milliseconds Terminator::grace(const AgentEntry& entry) {
  const Agent& agent = entry.agent;
  const bool failed = agent.end_cause == EndCause::kContainerDied && !entry.removed;
  const auto keep = std::max(entry.keep, failed ? entry.profile.keep_on_failure : std::chrono::minutes(0));
  if (keep.count() > 0) {
    core_.with(agent.id, [&](AgentEntry& known) {
      known.kept = true;
      known.agent.phase = "kept for a look for " + std::to_string(keep.count()) + " min";
      core_.add_step(known, known.agent.phase);
    });
    core_.place_freed(agent.cluster);
    return keep;
  }
  if (agent.end_cause != EndCause::kJobCompleted) return milliseconds(0);
  const auto list = core_.channel(agent.gocd).list_agents(kCancelledLimit);
  if (!list) return milliseconds(0);
  const auto found = std::ranges::find(*list, agent.id, &AgentStatus::agent_id);
  const bool cancelled = found != list->end() && found->build_state == "Cancelled";
  return cancelled ? core_.settings.timings.completion_grace : seconds(0);
}

void Terminator::reap_agent(const std::string& id) {
  bool mine = false;
  core_.with(id, [&](AgentEntry& entry) {
    entry.kept = false;
    mine = core_.move(entry, AgentState::kReaping) || std::exchange(entry.retry_due, false);
  });
  const auto entry = core_.find(id);
  if (!mine || !entry) return;
  const auto cluster = core_.cluster(entry->agent.cluster);
  if (!cluster || !entry->touched_engine) return drop(*entry, "nothing was made");

  stop_softly(*cluster, *entry);
  close_gateway(*cluster, entry->agent);
  const auto report = reap(cluster->watch(), id, {.images = entry->agent.images}, [this] { return core_.stopped(); });
  if (core_.stopped()) return;
  if (!report) return left_over(id, {report.error().message});
  if (!report->complete()) return left_over(id, report->left);
  // Only now: a belonging that stands on a staged path may have been started again until it was removed.
  if (const auto cleared = gateway::clear_staging(core_.staging_directory(id)); !cleared)
    return left_over(id, {cleared.error().message});
  finished(*entry, *report);
}

// The profile's StopTimeout, once: its process may still use its gateway. What fails is removed all the same.
void Terminator::stop_softly(Cluster& cluster, const AgentEntry& entry) {
  const std::chrono::seconds grace(entry.profile.options.stop_seconds);
  const bool dead = entry.removed || entry.agent.end_cause == EndCause::kContainerDied;
  if (grace.count() == 0 || dead || entry.agent.reap_tries > 0 || entry.agent.container_id.empty()) return;
  if (const auto stopped = cluster.engine().stop_container(entry.agent.container_id, grace); !stopped)
    log_info("agent was not stopped before its removal",
             {{"agent", entry.agent.id}, {"error", stopped.error().message}});
}

void Terminator::close_gateway(Cluster& cluster, const Agent& agent) {
  cluster.watch().ledger().close(agent.id);
  if (agent.access != DockerAccess::kTracked) return;
  cluster.gateways().close(agent.id);
  // One that a former process opened is not open here.
  std::error_code ignored;
  std::filesystem::remove_all(core_.gateway_directory(agent.id), ignored);
}

void Terminator::finished(const AgentEntry& entry, const ReapReport& report) {
  log_info("agent reaped", {{"agent", entry.agent.id}, {"job", entry.agent.job.text()}, {"report", report.summary()}});
  core_.say(entry.agent, "agent " + entry.agent.id + " is gone: removed " + report.summary());
  {
    const std::scoped_lock lock(core_.mutex);
    core_.counters.reap_seconds.add(std::chrono::duration<double>(report.duration).count());
  }
  drop(entry, report.summary());
}

// Some of it refused, or the engine is away: the same again, later and later.
void Terminator::left_over(const std::string& id, const std::vector<std::string>& left) {
  int tries = 0;
  bool container_gone = false;
  Agent agent;
  core_.with(id, [&](AgentEntry& entry) {
    tries = ++entry.agent.reap_tries;
    const bool told = entry.agent.reap_left == left;
    entry.agent.reap_left = left;
    entry.agent.phase = "reaping, " + std::to_string(left.size()) + " left";
    entry.retry_due = true;
    if (!told)
      core_.add_step(entry, "refused to go: " + left.front() +
                                (left.size() > 1 ? " and " + std::to_string(left.size() - 1) + " more" : ""));
    agent = entry.agent;
  });
  for (const auto& text : left)
    log_warning("not removed yet", {{"agent", id}, {"job", agent.job.text()}, {"error", text}});
  if (const auto cluster = core_.cluster(agent.cluster); cluster && cluster->watch().ready())
    container_gone = !cluster->watch().ledger().owns(id, Kind::kContainer, agent.container_id);
  if (container_gone) core_.channel(agent.gocd).delete_agents({id});
  const auto pause = std::min(kFirstRetry * (1 << std::min(tries - 1, 9)), kLastRetry);
  core_.reaps.submit_after(pause, [this, id] { reap_agent(id); });
  core_.place_freed(agent.cluster);
  core_.refresh_health(agent.gocd);
}

void Terminator::drop(const AgentEntry& entry, const std::string& reaped) {
  const Agent& agent = entry.agent;
  const auto latest = core_.find(agent.id);
  const auto cause = agent.end_cause ? std::string(to_string(*agent.end_cause)) : std::string();
  if (entry.started) core_.channel(agent.gocd).delete_agents({agent.id});
  core_.history.add({.agent_id = agent.id,
                     .gocd = agent.gocd,
                     .cluster = agent.cluster,
                     .job = agent.job,
                     .image = agent.image,
                     .created = agent.created,
                     .ended = core_.now(),
                     .cause = cause,
                     .exit_code = agent.exit_code,
                     .oom_killed = agent.oom_killed,
                     .last_log = agent.last_log,
                     .reaped = reaped,
                     .left = agent.reap_left,
                     .registered = agent.registered,
                     .steps = latest ? latest->agent.steps : agent.steps});
  {
    const std::scoped_lock lock(core_.mutex);
    ++core_.counters.ends[cause];
    if (const auto found = core_.agents.find(agent.id); found != core_.agents.end()) {
      core_.move(found->second, AgentState::kGone);
      core_.agents.erase(found);
    }
    core_.changes->note();
  }
  core_.place_freed(agent.cluster);
  core_.refresh_health(agent.gocd);
}

}  // namespace ebbtide::plugin
