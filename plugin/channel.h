// Channel: what Ebbtide asks of one GoCD server (processor requests), and the answers. The bridge fetches
// requests over HTTP and posts the answers back; while none is connected, requests wait here in order. What
// would hurt if it were lost (disable, delete of agents) is kept in the database and asked again after a
// restart; the rest is in memory, bounded, the oldest given up first. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "docker/base/result.h"
#include "docker/ledger/store.h"
#include "plugin/messages.h"

namespace ebbtide::plugin {

struct ProcessorRequest {
  std::string id;
  std::string api;
  std::string api_version;
  std::string body;
};

struct ProcessorResponse {
  int code = 0;
  std::string body;
};

namespace processor {
inline constexpr const char* kListAgents = "go.processor.elastic-agents.list-agents";
inline constexpr const char* kDisableAgents = "go.processor.elastic-agents.disable-agents";
inline constexpr const char* kDeleteAgents = "go.processor.elastic-agents.delete-agents";
inline constexpr const char* kHealth = "go.processor.server-health.add-messages";
inline constexpr const char* kConsole = "go.processor.console-log.append";
inline constexpr const char* kServerInfo = "go.processor.server-info.get";
}  // namespace processor

struct ChannelState {
  bool connected = false;
  std::size_t waiting = 0;    // not fetched yet
  std::size_t in_flight = 0;  // fetched, not answered
  std::uint64_t given_up = 0;
};

class Channel {
 public:
  // gocd: the GoCD server's id, or "default" where the bridge doesn't say. Loads what the database kept.
  Channel(std::string gocd, std::shared_ptr<Database> database);
  ~Channel();  // close()

  // --- for the plugin ---
  // Kept until answered with 200; asked again (by back-off) on another answer; unknown agents are no error to
  // GoCD.
  void disable_agents(const std::vector<std::string>& agent_ids);
  void delete_agents(const std::vector<std::string>& agent_ids);
  // Blocks; kUnavailable at once if no bridge is connected, kTimeout after limit.
  Result<std::vector<AgentStatus>> list_agents(std::chrono::milliseconds limit);
  Result<std::string> server_info(std::chrono::milliseconds limit);
  // disable_agents, and waits for GoCD's answer; kUnavailable or kTimeout leave it queued.
  Result<void> disable_agents_now(const std::vector<std::string>& agent_ids, std::chrono::milliseconds limit);
  // Appended to the job's console, in order; lines for one job that wait are sent together.
  void console(const JobIdentifier& job, std::string text);
  // Replaces the whole list: type "warning" or "error". A list that still waits is replaced.
  struct HealthMessage {
    std::string type;
    std::string message;
    bool operator==(const HealthMessage&) const = default;
  };
  void health(std::vector<HealthMessage> messages);

  // --- for the HTTP surface ---
  // A bridge attaches; an older attachment ends: its next() returns nothing. What was fetched and not
  // answered is offered again.
  std::uint64_t attach();
  void detach(std::uint64_t attachment);
  // The next request; nothing after limit, or when the attachment has ended (attached() tells which).
  std::optional<ProcessorRequest> next(std::uint64_t attachment, std::chrono::milliseconds limit);
  bool attached(std::uint64_t attachment) const;
  // False: nobody waits for this id (answered before, or given up).
  bool answer(const std::string& id, ProcessorResponse response);

  ChannelState state() const;
  const std::string& gocd() const;
  // Ends every wait; for the server's stop.
  void close();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide::plugin
