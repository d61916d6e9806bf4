// FleetCore: the tables of the fleet and what its parts share: agents, clusters, channels, counters, worker pools. One
// mutex guards the tables; it is held for moments, never across I/O. Any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "docker/base/worker_pool.h"
#include "plugin/cluster.h"
#include "plugin/cluster_store.h"
#include "plugin/fleet.h"
#include "plugin/history.h"
#include "plugin/profile.h"

namespace ebbtide::plugin {

// An agent, and what only the server needs of it.
struct AgentEntry {
  Agent agent;
  AgentProfile profile;
  ClusterProfile cluster;      // its own message's: two of GoCD's profiles may name the same engine
  std::uint64_t sequence = 0;  // who came first
  CreateAgent request;         // its key is a secret, and is kept in memory only
  std::optional<std::pair<CreateAgent, TimePoint>> newer;  // a repeated request, whose key nobody used
  bool creating = false;         // the creator is at work on it, and gives it to the terminator if it is to end
  bool started = false;          // its container ran: GoCD may know it
  bool assigned = false;         // should-assign-work was answered with true
  bool removed = false;          // its container was removed by someone else
  bool kept = false;             // it died, and its belongings stay for a look
  bool touched_engine = false;   // something of it may be there
  bool retry_due = false;        // the last try to reap it left something
  std::uint64_t heard = 0;       // FleetCore::listings when GoCD's word was taken out of turn, by the terminator
  unsigned told_percent = 0;     // of its pull, on the console
  std::uint64_t revision = 0;    // another after each change
  std::chrono::minutes keep{0};  // an admin wants its belongings to stay for a look when it ends
  std::vector<std::string> secrets;

  bool holds_place() const;  // counts towards the cluster's limit
  bool lives() const;        // will do, does, or may yet do its job
};

// What went wrong lately, for the health list; cleared by the next success or by time.
struct Note {
  std::string gocd;
  Channel::HealthMessage message;
  TimePoint since{};
};

// The key of the note that agents of this image don't register.
std::string registration_note(const Agent& agent);

class FleetCore {
 public:
  FleetCore(FleetSettings settings_, std::shared_ptr<Database> database_, std::shared_ptr<Clock> clock_,
            Fleet::EngineMaker make_engine_);

  TimePoint now() const { return clock->now(); }
  bool stopped() const { return stopping; }

  // --- agents ---
  std::optional<AgentEntry> find(const std::string& id) const;
  // Runs change on the entry, under the lock; false if there is none.
  bool with(const std::string& id, const std::function<void(AgentEntry&)>& change);
  // The lock must be held. False, and nothing changed, if the table of transitions forbids it.
  bool move(AgentEntry& entry, AgentState to);
  bool move(const std::string& id, AgentState to);
  void set_phase(const std::string& id, const std::string& phase);
  // The lock must be held: entry was changed, or is new.
  void touch(AgentEntry& entry);
  // On its time line.
  void add_step(AgentEntry& entry, std::string_view text);
  // On the console of its job.
  void say(const Agent& agent, const std::string& text);
  void say(const std::string& gocd, const JobIdentifier& job, const std::string& text);

  // --- clusters ---
  std::shared_ptr<Cluster> cluster(const std::string& key) const;
  std::vector<std::shared_ptr<Cluster>> all_clusters() const;
  std::vector<std::shared_ptr<Cluster>> clusters_of(const std::string& gocd) const;
  // Known already (its settings are taken over), or made; whether it is new.
  std::pair<std::shared_ptr<Cluster>, bool> upsert(const std::string& gocd, const ClusterProfile& profile);

  Channel& channel(const std::string& gocd);
  // To be called before GoCD is asked for its agents: the number of this listing.
  std::uint64_t begin_listing();

  // --- health ---
  void note(const std::string& gocd, const std::string& key, Channel::HealthMessage message);
  void clear_note(const std::string& key);
  std::vector<Channel::HealthMessage> health(const std::string& gocd) const;
  // Tells GoCD, if the list is another than the last.
  void refresh_health(const std::string& gocd);

  // Runs task on the upkeep pool. Tasks of one name never overlap; asked for while it runs, it runs once more.
  void submit_once(const std::string& name, std::function<void()> task);

  // Whether tracked agents of this engine reach their gateways over the network.
  bool has_remote_gateways(const EngineAddress& engine) const;
  std::string gateway_directory(const std::string& agent_id) const;
  std::string staging_directory(const std::string& agent_id) const;  // gateway::GatewaySpec::staging
  // What the names of volumes begin with that jobs of one GoCD server have in common.
  std::string shared_scope(const std::string& gocd) const {
    return name_scope(settings.server_id, "shared volumes of " + gocd);
  }

  const FleetSettings settings;
  const std::shared_ptr<Database> database;
  const std::shared_ptr<Clock> clock;
  const Fleet::EngineMaker make_engine;
  const std::shared_ptr<Store> store;
  const std::shared_ptr<Changes> changes = std::make_shared<Changes>();
  History history;
  ClusterStore cluster_store;
  std::function<void(const std::string& cluster)> place_freed;  // set before the pools have work
  std::atomic<bool> stopping = false;

  mutable std::mutex mutex;  // guards what follows
  std::map<std::string, AgentEntry> agents;
  std::map<std::string, std::shared_ptr<Cluster>> clusters;
  std::map<std::string, std::unique_ptr<Channel>> channels;
  std::map<std::string, Note> notes;
  std::map<std::string, std::vector<Channel::HealthMessage>> told_health;
  std::set<std::string> pinged;  // GoCD servers that have named all their clusters since the start
  FleetCounters counters;
  std::uint64_t sequence = 0;
  std::uint64_t listings = 0;  // of GoCD's agents, asked for so far: an older one doesn't overrule a newer one's word

  WorkerPool creates;
  WorkerPool pulls;
  WorkerPool reaps;
  WorkerPool upkeep;  // rounds with GoCD, taking up, sweeps

 private:
  bool revive(const std::shared_ptr<Cluster>& known);
  void run_once(const std::string& name, const std::function<void()>& task);

  std::map<std::string, bool> running_;  // upkeep tasks; whether they were asked for again
};

}  // namespace ebbtide::plugin
