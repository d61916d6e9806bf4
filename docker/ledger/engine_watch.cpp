#include "docker/ledger/engine_watch.h"

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "docker/ledger/listing.h"

namespace ebbtide {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kListingRetry{1};

std::string attribute(const EngineEvent& event, const char* key) {
  const auto found = event.attributes.find(key);
  return found == event.attributes.end() ? std::string() : found->second;
}

// A container's state after an event; empty where the event changes none.
std::string_view state_after(const std::string& action) {
  if (action == "start" || action == "unpause") return "running";
  if (action == "die") return "exited";
  if (action == "pause") return "paused";
  return {};
}

bool is_dead(const std::string& state) { return state == "exited" || state == "dead" || state == "removing"; }

}  // namespace

class EngineWatch::Impl {
 public:
  Impl(std::shared_ptr<Engine> engine, std::shared_ptr<Store> store, std::string server_id, std::chrono::seconds sweep)
      : engine_(std::move(engine)), store_(std::move(store)), server_id_(std::move(server_id)), sweep_(sweep) {}
  ~Impl() { stop(); }

  void start(Observer observer) {
    observer_ = std::move(observer);
    lister_ = std::thread([this] { keep_listing(); });
    subscription_ = engine_->subscribe({.connected = [this] { on_connected(); },
                                        .event = [this](const EngineEvent& event) { on_event(event); },
                                        .lost = [this](const std::string& why) { on_lost(why); }});
  }

  void stop() {
    subscription_.reset();
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (lister_.joinable()) lister_.join();
  }

  Result<void> resync() {
    if (!info()) refresh_info();
    const auto connection = state().connections;
    const auto mark = ledger_.mark();
    auto listing = list_belongings(*engine_, *store_, server_id_, mark);
    if (!listing) return fail(listing.error().within("list what is ours on " + engine_->address().text()));
    const auto before = living_agents();
    ledger_.resync(*listing);
    {
      const std::scoped_lock lock(mutex_);
      ++state_.resyncs;
      // A listing that began before the stream came up may have missed what happened in between.
      if (state_.connected && state_.connections == connection) state_.listed = true;
    }
    tell_of_deaths(before, *listing);
    if (observer_.listed) observer_.listed();
    return {};
  }

  EngineState state() const {
    const std::scoped_lock lock(mutex_);
    return state_;
  }

  std::optional<EngineInfo> info() const {
    const std::scoped_lock lock(mutex_);
    return info_;
  }

  std::shared_ptr<const Cgroups> cgroups() const {
    const std::scoped_lock lock(mutex_);
    return cgroups_;
  }

  const std::shared_ptr<Engine> engine_;
  const std::shared_ptr<Store> store_;
  const std::string server_id_;
  Ledger ledger_;

 private:
  // --- the feed's thread ---

  void on_connected() {
    {
      const std::scoped_lock lock(mutex_);
      state_.connected = true;
      state_.listed = false;
      state_.since = std::chrono::system_clock::now();
      state_.error.clear();
      ++state_.connections;
      listing_wanted_ = true;
    }
    wake_.notify_all();
    tell_state();
  }

  void on_lost(const std::string& why) {
    {
      const std::scoped_lock lock(mutex_);
      state_.connected = false;
      state_.listed = false;
      state_.since = std::chrono::system_clock::now();
      state_.error = why;
    }
    log_warning("the engine's event stream ended", {{"engine", engine_->address().text()}, {"error", why}});
    tell_state();
  }

  void on_event(const EngineEvent& event) {
    note_event(event);
    if (event.type == "container") {
      on_container_event(event);
    } else if (event.type == "network" && event.action == "destroy") {
      ledger_.forget(Kind::kNetwork, event.id);
    } else if (event.type == "volume" && event.action == "destroy") {
      ledger_.forget(Kind::kVolume, event.id);
    }
  }

  void note_event(const EngineEvent& event) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto lag = std::chrono::duration_cast<std::chrono::milliseconds>(now).count() - event.time_nano / 1'000'000;
    const std::scoped_lock lock(mutex_);
    ++state_.events;
    state_.last_event_lag_ms = lag;
  }

  void on_container_event(const EngineEvent& event) {
    if (event.action == "create") {
      claim_created(event);
    } else if (event.action == "rename") {
      on_rename(event);
    } else if (event.action == "oom") {
      out_of_memory_.insert(event.id);
    } else if (const auto state = state_after(event.action); !state.empty()) {
      ledger_.set_container_state(event.id, state);
    }
    const bool destroyed = event.action == "destroy";
    if (event.action == "die" || destroyed) {
      if (const auto known = ledger_.find(Kind::kContainer, event.id); known && known->role == Role::kAgent)
        tell_death(event, *known);
    }
    if (destroyed) {
      ledger_.forget(Kind::kContainer, event.id);
      out_of_memory_.erase(event.id);
    }
  }

  // Events of containers carry their labels, so that even a create of which no gateway of this process knows is seen.
  void claim_created(const EngineEvent& event) {
    if (ledger_.find(Kind::kContainer, event.id)) return;
    const ContainerSummary container{.id = event.id,
                                     .name = attribute(event, "name"),
                                     .image = attribute(event, "image"),
                                     .state = "created",
                                     .labels = event.attributes,
                                     .created = std::chrono::system_clock::now()};
    if (auto belonging = container_belonging(server_id_, container)) ledger_.claim(std::move(*belonging));
  }

  void on_rename(const EngineEvent& event) {
    const auto known = ledger_.find(Kind::kContainer, event.id);
    if (!known) return;
    const auto name = attribute(event, "name");
    ledger_.rename_container(event.id, name, without_scope(name_scope(server_id_, known->owner), name));
  }

  void tell_death(const EngineEvent& event, const Belonging& agent) {
    if (!observer_.agent_died) return;
    const auto exit_code = parse_number(attribute(event, "exitCode"));
    observer_.agent_died({.owner = agent.owner,
                          .container_id = agent.id,
                          .removed = event.action == "destroy",
                          .exit_code = exit_code ? static_cast<int>(*exit_code) : 0,
                          .oom_killed = out_of_memory_.contains(event.id)});
  }

  // --- the lister's thread, and whoever calls resync ---

  void keep_listing() {
    auto due = steady_clock::now();
    while (wait_until(due)) {
      refresh_info();
      const auto listed = resync();
      if (!listed)
        log_warning("the engine could not be listed",
                    {{"engine", engine_->address().text()}, {"error", listed.error().message}});
      due = steady_clock::now() + (listed ? sweep_ : kListingRetry);
      tell_state();
    }
  }

  // True when a listing is due: wanted, or its time has come, and the engine is connected. False: stop.
  bool wait_until(steady_clock::time_point due) {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (state_.connected && (listing_wanted_ || steady_clock::now() >= due)) {
        listing_wanted_ = false;
        return true;
      }
      if (state_.connected)
        wake_.wait_until(lock, due);
      else
        wake_.wait(lock);
    }
    return false;
  }

  void refresh_info() {
    auto info = engine_->info();
    if (!info) return;  // the listing that follows says what is wrong
    const bool first = !this->info();
    auto groups = first ? Cgroups::find(engine_->address(), *info, server_id_) : fail(Error::cancelled(""));
    if (first && !groups)
      log_info("agents' limits count for each container by itself",
               {{"engine", engine_->address().text()}, {"why", groups.error().message}});
    const std::scoped_lock lock(mutex_);
    info_ = std::move(*info);
    if (groups) cgroups_ = std::make_shared<const Cgroups>(std::move(*groups));
  }

  std::vector<Belonging> living_agents() const {
    std::vector<Belonging> agents;
    for (const auto& owner : ledger_.owners())
      for (const auto& belonging : ledger_.of(owner))
        if (belonging.kind == Kind::kContainer && belonging.role == Role::kAgent && !is_dead(belonging.state))
          agents.push_back(belonging);
    return agents;
  }

  // Deaths that no event told of: the stream was down, or the engine dropped them.
  void tell_of_deaths(const std::vector<Belonging>& lived_before, const Listing& listing) {
    if (!observer_.agent_died) return;
    for (const auto& belonging : listing.belongings)
      if (belonging.kind == Kind::kContainer && belonging.role == Role::kAgent && is_dead(belonging.state))
        observer_.agent_died({.owner = belonging.owner, .container_id = belonging.id});
    for (const auto& agent : lived_before)
      if (!ledger_.find(Kind::kContainer, agent.id))
        observer_.agent_died({.owner = agent.owner, .container_id = agent.id, .removed = true});
  }

  void tell_state() {
    if (observer_.state_changed) observer_.state_changed(state());
  }

  const std::chrono::seconds sweep_;
  Observer observer_;  // set before the threads start
  std::unique_ptr<EventSubscription> subscription_;
  std::thread lister_;
  std::set<std::string> out_of_memory_;  // the feed's thread only

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  EngineState state_;
  std::optional<EngineInfo> info_;
  std::shared_ptr<const Cgroups> cgroups_;
  bool listing_wanted_ = false;
  bool stopping_ = false;
};

EngineWatch::EngineWatch(std::shared_ptr<Engine> engine, std::shared_ptr<Store> store, std::string server_id,
                         std::chrono::seconds sweep)
    : impl_(std::make_unique<Impl>(std::move(engine), std::move(store), std::move(server_id), sweep)) {}

EngineWatch::~EngineWatch() = default;

void EngineWatch::start(Observer observer) { impl_->start(std::move(observer)); }
void EngineWatch::stop() { impl_->stop(); }
Engine& EngineWatch::engine() const { return *impl_->engine_; }
Ledger& EngineWatch::ledger() const { return impl_->ledger_; }
Store& EngineWatch::store() const { return *impl_->store_; }
const std::string& EngineWatch::server_id() const { return impl_->server_id_; }
EngineState EngineWatch::state() const { return impl_->state(); }
std::optional<EngineInfo> EngineWatch::info() const { return impl_->info(); }
std::shared_ptr<const Cgroups> EngineWatch::cgroups() const { return impl_->cgroups(); }
Result<void> EngineWatch::resync() { return impl_->resync(); }

bool EngineWatch::ready() const {
  const auto now = state();
  return now.connected && now.listed;
}

}  // namespace ebbtide
