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
#include <vector>

#include "docker/base/clock.h"
#include "docker/gateway/gateway.h"
#include "docker/ledger/engine_watch.h"
#include "plugin/agent.h"
#include "plugin/channel.h"
#include "plugin/decide.h"
#include "plugin/history.h"
#include "plugin/messages.h"

namespace ebbtide::plugin {

struct FleetSettings {
  std::string server_id;
  std::string plugin_id = "ebbtide.elastic-agent";
  std::string run_dir;  // gateways live below <run_dir>/agents/<agent id>
  Timings timings;
  unsigned create_workers = 4;  // creates and starts in flight; the engine gains nothing from more
  unsigned reap_workers = 4;
  unsigned gateway_loops = 2;
  std::chrono::seconds sweep{60};
  AuditSettings audit;
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
  bool draining = false;
};

struct AgentView {
  Agent agent;
  std::vector<Belonging> belongings;
};

// Duration histograms and counts, since the start; read by the metrics page.
struct FleetCounters {
  std::map<std::string, std::uint64_t> messages;  // by request name
  std::map<std::string, std::uint64_t> ends;      // by cause
  std::vector<double> create_seconds;             // of the last 1000
  std::vector<double> reap_seconds;
  std::uint64_t leftovers = 0;   // belongings of owners that no longer existed, found and removed
  std::uint64_t audit_lost = 0;  // records that could not be written
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

  // --- admins ---
  Result<void> end_agent(const std::string& agent_id, EndCause cause = EndCause::kAdmin);

  // --- pages ---
  std::vector<ClusterView> clusters() const;
  std::vector<AgentView> agents() const;  // all that are not gone
  std::optional<AgentView> agent(const std::string& agent_id) const;
  std::vector<HistoryEntry> history(std::size_t limit) const;
  // What agents did through their gateways, also those that are gone; as of Store.
  Result<std::vector<AuditRecord>> audit(std::string_view agent_id, std::size_t limit,
                                         std::optional<std::uint64_t> before) const;
  std::vector<Channel::HealthMessage> health(const std::string& gocd) const;
  FleetCounters counters() const;
  std::map<std::string, gateway::GatewayCounters> gateway_counters() const;  // by engine address
  // Every known engine answers and is listed; else what is wrong with which.
  Result<void> ready() const;

  Channel& channel(const std::string& gocd);  // made at the first call
  std::vector<std::string> gocd_servers() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide::plugin
