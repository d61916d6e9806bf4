#include "plugin/desk.h"

#include <algorithm>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "plugin/console.h"

namespace ebbtide::plugin {
namespace {

constexpr std::size_t kLongLine = 64 * 1024;

Error no_agent(const std::string& id) { return Error::not_found("there is no agent " + id); }

void note(const char* action, const std::string& who, const AgentEntry& entry) {
  log_info("an admin acts",
           {{"action", action}, {"who", who}, {"agent", entry.agent.id}, {"job", entry.agent.job.text()}});
}

}  // namespace

Result<void> Desk::end(const std::string& id, const std::string& who) {
  const bool known = core_.with(id, [&](AgentEntry& entry) {
    note("end", who, entry);
    core_.add_step(entry, who + " ends it");
  });
  if (!known) return fail(no_agent(id));
  terminator_.end(id, EndCause::kAdmin);
  return {};
}

Result<void> Desk::reap(const std::string& id, const std::string& who) {
  bool kept = false;
  bool waits = false;
  const bool known = core_.with(id, [&](AgentEntry& entry) {
    kept = entry.kept;
    waits = entry.retry_due;
    if (!kept && !waits) return;
    note("reap", who, entry);
    core_.add_step(entry, who + " wants it reaped at once");
  });
  if (!known) return fail(no_agent(id));
  if (kept)
    terminator_.end(id, EndCause::kAdmin);
  else if (waits)
    terminator_.try_again(id);
  else
    return fail(Error::conflict("agent " + id + " is neither kept for a look nor waiting for its next try: end it"));
  return {};
}

Result<void> Desk::keep(const std::string& id, std::chrono::minutes time, const std::string& who) {
  bool lives = false;
  const bool known = core_.with(id, [&](AgentEntry& entry) {
    lives = entry.lives();
    if (!lives) return;
    entry.keep = time;
    note("keep", who, entry);
    core_.add_step(entry, time.count() > 0
                              ? who + " wants it kept for " + std::to_string(time.count()) + " min when it ends"
                              : who + " does not want it kept");
  });
  if (!known) return fail(no_agent(id));
  if (!lives) return fail(Error::conflict("agent " + id + " is ending already: what it has can't be kept any more"));
  return {};
}

// Known by their names, which begin with a digest over this server and GoCD's: one that the engine made by itself, as a
// container came between a removal and its start, lacks the label.
Result<std::map<std::string, std::string>> Desk::find_caches(Cluster& cluster) const {
  const auto volumes = cluster.engine().list_volumes({});
  if (!volumes) return fail(volumes.error().within("list the caches"));
  const auto scope = core_.shared_scope(cluster.gocd());
  std::map<std::string, std::string> caches;
  for (const auto& volume : *volumes) {
    const auto owner = volume.labels.find(label::kSharedVolume);
    const bool ours = owner == volume.labels.end() || owner->second == core_.settings.server_id;
    if (ours && volume.name.starts_with(scope)) caches[volume.name] = without_scope(scope, volume.name);
  }
  return caches;
}

Result<std::vector<std::string>> Desk::caches(const std::string& key) const {
  const auto cluster = core_.cluster(key);
  if (!cluster) return fail(Error::not_found("there is no cluster " + key));
  const auto found = find_caches(*cluster);
  if (!found) return fail(found.error());
  std::vector<std::string> names;
  for (const auto& [real_name, name] : *found) names.push_back(name);
  return names;
}

Result<CachesPruned> Desk::prune_caches(const std::string& key, const std::string& who) {
  const auto cluster = core_.cluster(key);
  if (!cluster) return fail(Error::not_found("there is no cluster " + key));
  const auto found = find_caches(*cluster);
  if (!found) return fail(found.error());
  CachesPruned pruned;
  for (const auto& [real_name, name] : *found) {
    const auto removed = cluster->engine().remove_volume(real_name);
    if (removed)
      pruned.removed.push_back(name);
    else if (removed.error().kind == ErrorKind::kConflict)
      pruned.in_use.push_back(name);
    else
      pruned.failed.push_back(name + " (" + removed.error().message + ")");
  }
  log_info("an admin acts", {{"action", "prune-caches"},
                             {"who", who},
                             {"cluster", key},
                             {"removed", std::to_string(pruned.removed.size())},
                             {"in_use", std::to_string(pruned.in_use.size())},
                             {"failed", std::to_string(pruned.failed.size())}});
  return pruned;
}

Result<std::shared_ptr<Cluster>> Desk::drain(const std::string& key, bool drain, const std::string& who) {
  const auto cluster = core_.cluster(key);
  if (!cluster) return fail(Error::not_found("there is no cluster " + key));
  cluster->drained = drain;
  core_.cluster_store.set_drained(key, drain);
  log_info("an admin acts", {{"action", drain ? "drain" : "resume"}, {"who", who}, {"cluster", key}});
  core_.changes->note();
  return cluster;
}

Result<std::shared_ptr<Cluster>> Desk::cluster_with(const AgentEntry& entry, const std::string& container) const {
  const auto cluster = core_.cluster(entry.agent.cluster);
  const bool own = cluster && (container == entry.agent.container_id ||
                               cluster->watch().ledger().owns(entry.agent.id, Kind::kContainer, container));
  if (!own || container.empty())
    return fail(Error::not_found("agent " + entry.agent.id + " has no container " + container));
  return cluster;
}

Result<void> Desk::read_log(const std::string& id, const std::string& container, const LogWishes& wishes,
                            const std::function<bool(std::string_view)>& write,
                            const std::function<bool()>& wanted) const {
  const auto entry = core_.find(id);
  if (!entry) return fail(no_agent(id));
  const auto cluster = cluster_with(*entry, container);
  if (!cluster) return fail(cluster.error());
  SecretFilter filter(entry->secrets);
  const auto done = (*cluster)->engine().read_log(
      container, wishes, [&](std::string_view piece) { return write(filter.feed(piece)); },
      [&] { return !core_.stopped() && wanted(); });
  if (done) write(filter.finish());
  return done;
}

Result<ContainerUsage> Desk::usage(const std::string& id, const std::string& container) const {
  const auto entry = core_.find(id);
  if (!entry) return fail(no_agent(id));
  const auto cluster = cluster_with(*entry, container);
  if (!cluster) return fail(cluster.error());
  return (*cluster)->engine().container_usage(container);
}

SecretFilter::SecretFilter(const std::vector<std::string>& secrets) {
  for (const auto& secret : secrets)
    for (auto& line : lines_of(secret)) {
      longest_ = std::max(longest_, line.size());
      secrets_.push_back(std::move(line));
    }
  std::ranges::sort(secrets_, std::ranges::greater{}, &std::string::size);
}

std::string SecretFilter::feed(std::string_view piece) {
  kept_.append(piece);
  auto whole = kept_.rfind('\n');
  whole = whole == std::string::npos ? 0 : whole + 1;
  auto out = without_secrets(kept_.substr(0, whole), secrets_);
  kept_.erase(0, whole);
  if (kept_.size() <= kLongLine + longest_) return out;
  // The end of a line that is too long to wait for may be the beginning of a secret.
  kept_ = without_secrets(std::move(kept_), secrets_);
  const auto sure = kept_.size() - std::min(longest_, kept_.size());
  out.append(kept_, 0, sure);
  kept_.erase(0, sure);
  return out;
}

std::string SecretFilter::finish() { return without_secrets(std::exchange(kept_, {}), secrets_); }

}  // namespace ebbtide::plugin
