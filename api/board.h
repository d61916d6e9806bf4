// Board: what pages and the API show at a moment, numbered, so that whoever has seen one version is told only what
// changed since. It is brought up to date when somebody looks, agent by agent, and costs nothing while nobody does.
// Snapshots are immutable and may cross threads. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/usage.h"
#include "plugin/fleet.h"

namespace ebbtide::api {

struct Row {
  plugin::AgentView view;
  UsageByContainer usage;
  std::string json;           // as the API shows it
  std::string words;          // what a search looks through, in lower case
  std::uint64_t version = 0;  // of its last change
};

// What needs somebody's attention, the worst first.
struct Trouble {
  bool error = false;  // else a warning
  std::string text;
  bool operator==(const Trouble&) const = default;
};

struct Disk {
  std::uint64_t total_bytes = 0;  // 0: not known, since the engine is elsewhere
  std::uint64_t free_bytes = 0;
};

struct Snapshot {
  std::uint64_t version = 0;
  std::uint64_t oldest = 0;                                // what ended before this version is forgotten
  std::vector<std::shared_ptr<const Row>> rows;            // who came first, first
  std::deque<std::pair<std::uint64_t, std::string>> gone;  // agents, with the version in which they went
  std::vector<plugin::ClusterView> clusters;
  std::map<std::string, Disk> disks;  // by cluster key
  std::uint64_t clusters_version = 0;
  std::vector<Trouble> troubles;
  std::uint64_t troubles_version = 0;

  // Whether what changed since a version is known: else all must be told.
  bool reaches(std::uint64_t since) const { return since >= oldest && since <= version; }
};
using SnapshotPointer = std::shared_ptr<const Snapshot>;

// What a visitor wants to see of the agents.
struct Filter {
  std::string text;     // anywhere in names, images, the job
  std::string state;    // AgentState's name; empty: any
  std::string cluster;  // its key; empty: any

  bool empty() const { return text.empty() && state.empty() && cluster.empty(); }
  bool takes(const Row& row) const;
};

class Board {
 public:
  explicit Board(plugin::Fleet& fleet);

  SnapshotPointer look();
  // Waits until there is another version than since, which it returns; at the end of limit, or when the server stops,
  // the same one.
  SnapshotPointer wait(std::uint64_t since, std::chrono::milliseconds limit);

 private:
  bool update_rows(Snapshot& next);
  bool update_clusters(Snapshot& next);
  bool update_troubles(Snapshot& next);

  plugin::Fleet& fleet_;
  UsageSampler usage_;
  std::mutex mutex_;        // guards what follows
  std::uint64_t seen_ = 0;  // the fleet's changes that snapshot_ shows
  std::uint64_t version_;
  SnapshotPointer snapshot_;
  struct Known {
    plugin::AgentRevision revision;
    std::uint64_t usage = 0;
    std::shared_ptr<const Row> row;
  };
  std::map<std::string, Known> known_;
  std::string clusters_text_;
};

// The sum over an agent's containers; nothing where none was read.
std::optional<Usage> total(const UsageByContainer& usage);

}  // namespace ebbtide::api
