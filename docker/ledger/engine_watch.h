// EngineWatch: one engine as Ebbtide knows it: the client, its ledger, and the event stream that keeps the
// ledger. A listing follows every connection of the stream and every minute; until one has succeeded after a
// connection, ready() is false and nothing may be destroyed on the word of the ledger.
//
// It owns the feed's thread and one more for the listings; the observer is called on either, must not block
// and must not call back into start or stop. All functions: any thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "docker/engine/cgroup.h"
#include "docker/engine/engine.h"
#include "docker/engine/event_feed.h"
#include "docker/ledger/ledger.h"
#include "docker/ledger/store.h"

namespace ebbtide {

// How an agent's own container ended.
struct AgentDeath {
  std::string owner;
  std::string container_id;
  bool removed = false;  // destroyed, not only stopped
  int exit_code = 0;
  bool oom_killed = false;
};

struct EngineState {
  bool connected = false;         // the event stream is up
  bool listed = false;            // a listing succeeded since it came up
  TimePoint since{};              // of this state of connected
  std::string error;              // why it is not connected
  std::uint64_t connections = 0;  // how often the stream came up
  std::uint64_t events = 0;
  std::uint64_t resyncs = 0;
  std::int64_t last_event_lag_ms = 0;
};

class EngineWatch {
 public:
  struct Observer {
    std::function<void(const AgentDeath&)> agent_died;
    std::function<void()> listed;  // a listing was taken over
    std::function<void(const EngineState&)> state_changed;
  };

  EngineWatch(std::shared_ptr<Engine> engine, std::shared_ptr<Store> store, std::string server_id,
              std::chrono::seconds sweep = std::chrono::seconds(60));
  ~EngineWatch();  // stop()

  void start(Observer observer);
  void stop();

  Engine& engine() const;
  Ledger& ledger() const;
  Store& store() const;
  const std::string& server_id() const;
  EngineState state() const;
  // The ledger is complete: a listing succeeded since the stream came up.
  bool ready() const;
  // What the engine said of itself last; nothing before it was reached.
  std::optional<EngineInfo> info() const;
  // Where owners' control groups are made; nothing before the engine was reached, or where there can be none.
  std::shared_ptr<const Cgroups> cgroups() const;
  // Lists now, on the calling thread, and mends the ledger.
  Result<void> resync();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide
