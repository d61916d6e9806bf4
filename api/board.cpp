#include "api/board.h"

#include <sys/statvfs.h>

#include <algorithm>

#include "api/views.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

constexpr std::size_t kGoneKept = 4000;
constexpr std::chrono::minutes kSlowRegistration{2};
constexpr double kDiskLow = 0.1;  // free, of all

std::uint64_t first_version() {
  // A former process's versions are older than ours.
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

std::string words_of(const plugin::AgentView& view) {
  auto words = view.agent.id + "\n" + view.agent.job.text() + "\n" + view.agent.image + "\n" + view.agent.phase;
  for (const auto& belonging : view.belongings) words += "\n" + belonging.name + "\n" + belonging.image;
  return to_lower(words);
}

// Of an engine on this machine; another's can't be asked.
Disk disk_of(const plugin::ClusterView& cluster) {
  struct statvfs status {};
  if (!cluster.info || cluster.info->root_dir.empty() || !cluster.engine.starts_with("unix:") ||
      ::statvfs(cluster.info->root_dir.c_str(), &status) != 0)
    return {};
  return {.total_bytes = status.f_blocks * status.f_frsize, .free_bytes = status.f_bavail * status.f_frsize};
}

bool is_low(const Disk& disk) {
  return disk.total_bytes > 0 &&
         static_cast<double>(disk.free_bytes) < kDiskLow * static_cast<double>(disk.total_bytes);
}

void add_disks(std::vector<Trouble>& troubles, const Snapshot& snapshot) {
  for (const auto& cluster : snapshot.clusters) {
    const auto disk = snapshot.disks.find(cluster.key);
    if (disk == snapshot.disks.end() || !is_low(disk->second)) continue;
    troubles.push_back({.error = false,
                        .text = "The disk of engine " + cluster.engine +
                                " is nearly full: " + std::to_string(disk->second.free_bytes >> 30) + " GiB free of " +
                                std::to_string(disk->second.total_bytes >> 30) + " GiB"});
  }
}

void add_slow_agents(std::vector<Trouble>& troubles, const Snapshot& snapshot) {
  const auto now = std::chrono::system_clock::now();
  for (const auto& row : snapshot.rows) {
    const auto& agent = row->view.agent;
    if (agent.state == plugin::AgentState::kRegistering && now - agent.state_since > kSlowRegistration)
      troubles.push_back({.error = false,
                          .text = "Agent " + agent.id + " of " + agent.image +
                                  " runs and has not registered with GoCD for minutes: its log tells why"});
  }
}

}  // namespace

bool Filter::takes(const Row& row) const {
  if (!state.empty() && plugin::to_string(row.view.agent.state) != state) return false;
  if (!cluster.empty() && row.view.agent.cluster != cluster) return false;
  return text.empty() || row.words.find(to_lower(text)) != std::string::npos;
}

std::optional<Usage> total(const UsageByContainer& usage) {
  if (usage.empty()) return std::nullopt;
  Usage sum;
  for (const auto& [container, each] : usage) {
    sum.cpu_percent += each.cpu_percent;
    sum.memory_bytes += each.memory_bytes;
    sum.memory_limit_bytes = std::max(sum.memory_limit_bytes, each.memory_limit_bytes);
  }
  return sum;
}

Board::Board(plugin::Fleet& fleet)
    : fleet_(fleet), usage_(fleet), version_(first_version()), snapshot_(std::make_shared<Snapshot>()) {
  auto first = std::make_shared<Snapshot>();
  first->version = first->oldest = first->clusters_version = first->troubles_version = version_;
  snapshot_ = std::move(first);
}

SnapshotPointer Board::look() {
  usage_.look();
  const auto count = fleet_.changes().count();
  const std::scoped_lock lock(mutex_);
  if (count == seen_) return snapshot_;
  seen_ = count;
  auto next = std::make_shared<Snapshot>(*snapshot_);
  ++version_;
  const bool rows = update_rows(*next);
  const bool clusters = update_clusters(*next);
  const bool troubles = update_troubles(*next);
  if (!rows && !clusters && !troubles) {
    --version_;
    return snapshot_;
  }
  next->version = version_;
  snapshot_ = std::move(next);
  return snapshot_;
}

SnapshotPointer Board::wait(std::uint64_t since, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (true) {
    const auto count = fleet_.changes().count();
    auto snapshot = look();
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (snapshot->version != since || left.count() <= 0 || fleet_.changes().closed()) return snapshot;
    fleet_.changes().wait(count, left);
  }
}

bool Board::update_rows(Snapshot& next) {
  bool changed = false;
  std::map<std::string, Known> known;
  for (auto& revision : fleet_.revisions()) {
    const auto usage = usage_.revision(revision.id);
    auto& entry = known[revision.id];
    if (const auto old = known_.find(revision.id);
        old != known_.end() && old->second.revision == revision && old->second.usage == usage) {
      entry = old->second;
      continue;
    }
    auto view = fleet_.agent(revision.id);
    if (!view) {
      known.erase(revision.id);
      continue;
    }
    auto row = std::make_shared<Row>(
        Row{.view = std::move(*view), .usage = usage_.of(revision.id), .json = {}, .words = {}, .version = version_});
    row->json = agent_json(row->view, row->usage);
    row->words = words_of(row->view);
    entry = {.revision = std::move(revision), .usage = usage, .row = std::move(row)};
    changed = true;
  }
  for (const auto& [id, old] : known_) {
    if (known.contains(id)) continue;
    next.gone.emplace_back(version_, id);
    changed = true;
  }
  while (next.gone.size() > kGoneKept) {
    next.oldest = next.gone.front().first;
    next.gone.pop_front();
  }
  known_ = std::move(known);
  if (!changed) return false;
  next.rows.clear();
  for (const auto& [id, entry] : known_) next.rows.push_back(entry.row);
  std::ranges::sort(next.rows, {}, [](const auto& row) { return row->view.sequence; });
  return true;
}

bool Board::update_clusters(Snapshot& next) {
  next.clusters = fleet_.clusters();
  next.disks.clear();
  for (const auto& cluster : next.clusters) next.disks[cluster.key] = disk_of(cluster);
  auto text = clusters_json(next.clusters, next.disks);
  if (text == clusters_text_) return false;
  clusters_text_ = std::move(text);
  next.clusters_version = version_;
  return true;
}

bool Board::update_troubles(Snapshot& next) {
  std::vector<Trouble> troubles;
  for (const auto& gocd : fleet_.gocd_servers()) {
    for (auto& message : fleet_.health(gocd))
      troubles.push_back({.error = message.type == "error", .text = std::move(message.message)});
    const auto channel = fleet_.channel(gocd).state();
    if (!channel.connected)
      troubles.push_back({.error = true,
                          .text = "No bridge of GoCD server " + gocd +
                                  " is connected: " + std::to_string(channel.waiting) + " messages to GoCD wait"});
  }
  add_disks(troubles, next);
  add_slow_agents(troubles, next);
  std::ranges::stable_sort(troubles, {}, [](const Trouble& trouble) { return trouble.error ? 0 : 1; });
  if (troubles == next.troubles) return false;
  next.troubles = std::move(troubles);
  next.troubles_version = version_;
  return true;
}

}  // namespace ebbtide::api
