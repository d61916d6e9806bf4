// Fleet: all clusters and all agents. It takes GoCD's messages, creates and ends agents, and tells GoCD and
// people what goes on. Messages are answered from memory; what takes time runs on its worker pool. One mutex
// guards the tables and is never held across I/O. All public functions: any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/changes.h"
#include "docker/base/clock.h"
#include "docker/base/histogram.h"
#include "docker/gateway/authority.h"
#include "docker/gateway/gateway.h"
#include "docker/ledger/engine_watch.h"
#include "plugin/agent.h"
#include "plugin/channel.h"
#include "plugin/decide.h"
#include "plugin/history.h"
#include "plugin/messages.h"

namespace ebbtide::plugin {

// How tracked agents on other machines' engines reach their gateways.
struct RemoteGateways {
  std::string address;  // host:port of the front (gateway/front.h), as agents reach it
  std::shared_ptr<const gateway::Authority> authority;
};

struct FleetSettings {
  std::string server_id;
  std::string plugin_id = "ebbtide.elastic-agent";
  std::string state_dir;
  std::string run_dir;  // gateways live below <run_dir>/agents/<agent id>
  Timings timings;
  unsigned create_workers = 4;  // creates and starts in flight; the engine gains nothing from more
  unsigned reap_workers = 4;
  unsigned gateway_loops = 2;
  std::optional<RemoteGateways> remote_gateways;  // none: tracked agents are on this machine only
  std::chrono::seconds sweep{60};
  AuditSettings audit;
  std::chrono::hours history{14 * 24};  // how long ends are remembered
};

// Everything a page shows of one cluster.
struct ClusterView {
  std::string key;  // "<gocd>|<engine address>"
  std::string gocd;
  std::string engine;  // address, without secrets
  EngineState state;
  std::optional<EngineInfo> info;
  std::uint32_t max_agents = 0;
  std::size_t agents = 0;
  std::size_t queued = 0;
  bool draining = false;  // GoCD has no profile of it any more
  bool drained = false;   // an admin wants no new agents there
  std::string go_server_url = {};
  std::map<std::string, std::uint64_t> refusals = {};  // of its gateways, by rule, since the start
};

struct AgentView {
  Agent agent;
  std::vector<Belonging> belongings = {};
  std::uint64_t sequence = 0;                       // who came first
  std::string job_url = {};                         // its job in GoCD; empty where no address is known
  std::vector<std::string> environment_names = {};  // of the profiles; their values are nobody's to see
  bool kept = false;                                // it ended, and its belongings stay for a look
  std::chrono::minutes keep{0};                     // they will when it ends
};

// Which agents there are, and another number of each after every change to it or its belongings.
struct AgentRevision {
  std::string id;
  std::uint64_t agent = 0;
  std::uint64_t belongings = 0;
  bool operator==(const AgentRevision&) const = default;
};

// Durations and counts, since the start; read by the metrics page.
struct FleetCounters {
  std::map<std::string, std::uint64_t> messages;  // by request name
  std::map<std::string, std::uint64_t> ends;      // by cause
  Histogram create_seconds;                       // from create-agent to a started container
  Histogram pull_seconds;
  Histogram reap_seconds;
  std::uint64_t leftovers = 0;   // belongings of owners that no longer existed, found and removed
  std::uint64_t audit_lost = 0;  // records that could not be written
};

// By the names that jobs use; failed: with what the engine said.
struct CachesPruned {
  std::vector<std::string> removed;
  std::vector<std::string> in_use;
  std::vector<std::string> failed;
};

class Fleet {
 public:
  // How the Fleet comes by an engine: tests give one in memory.
  using EngineMaker = std::function<std::shared_ptr<Engine>(const EngineAddress&)>;

  Fleet(FleetSettings settings, std::shared_ptr<Database> database, std::shared_ptr<Clock> clock,
        EngineMaker make_engine);
  ~Fleet();  // stop()

  // Takes up clusters that were known before (from the database) and the agents found on their engines.
  void start();
  // Ends background work; agents live on. What was under way is taken up at the next start.
  void stop();

  // --- GoCD's messages; gocd is the id of the server that sent it ---
  void create_agent(const std::string& gocd, const CreateAgent& request);  // returns at once
  bool should_assign_work(const std::string& gocd, const ShouldAssignWork& request) const;
  void job_completion(const std::string& gocd, const JobCompletion& request);
  void server_ping(const std::string& gocd, const ServerPing& request);
  void cluster_profile_changed(const std::string& gocd, const ClusterProfileChanged& request);

  // --- admins; who: the admin's name, for the log and the agent's time line ---
  Result<void> end_agent(const std::string& agent_id, const std::string& who);
  // What is kept for a look, or waits for its next try, is reaped at once. kConflict where there is nothing to reap
  // yet.
  Result<void> reap_agent(const std::string& agent_id, const std::string& who);
  // Its container and belongings stay for so long when it ends. kConflict once it is ending.
  Result<void> keep_agent(const std::string& agent_id, std::chrono::minutes time, const std::string& who);
  // No new agents there, or again; kept over restarts.
  Result<void> drain_cluster(const std::string& key, bool drain, const std::string& who);
  // The caches that jobs there have in common (volumes, as jobs call them), and their end, but for those that a
  // container uses. Both ask the engine, and block.
  Result<std::vector<std::string>> caches(const std::string& key) const;
  Result<CachesPruned> prune_caches(const std::string& key, const std::string& who);

  // --- pages ---
  std::vector<ClusterView> clusters() const;
  std::vector<AgentView> agents() const;  // all that are not gone
  std::optional<AgentView> agent(const std::string& agent_id) const;
  std::vector<AgentRevision> revisions() const;  // of all that are not gone
  // Counts on with every change to what these functions show.
  Changes& changes() const;
  std::vector<HistoryEntry> history(std::size_t limit) const;
  // What agents did through their gateways, also those that are gone; as of Store.
  Result<std::vector<AuditRecord>> audit(std::string_view agent_id, std::size_t limit,
                                         std::optional<std::uint64_t> before, bool refused = false) const;
  // Entries before the one numbered so, the newest first.
  std::vector<HistoryEntry> history(const HistoryWishes& wishes) const;
  std::optional<HistoryEntry> ended(const std::string& agent_id) const;
  // Of the agent's container, or of one of its belongings'; secrets cut out. Blocks as Engine::read_log does.
  Result<void> read_log(const std::string& agent_id, const std::string& container, const LogWishes& wishes,
                        const std::function<bool(std::string_view)>& write, const std::function<bool()>& wanted) const;
  Result<ContainerUsage> container_usage(const std::string& agent_id, const std::string& container) const;
  std::vector<Channel::HealthMessage> health(const std::string& gocd) const;
  FleetCounters counters() const;
  std::map<std::string, gateway::GatewayCounters> gateway_counters() const;          // by engine address
  std::map<std::string, std::map<std::string, Histogram>> engine_latencies() const;  // by engine address and method
  // Every known engine answers and is listed; else what is wrong with which.
  Result<void> ready() const;

  Channel& channel(const std::string& gocd);  // made at the first call
  std::vector<std::string> gocd_servers() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide::plugin
