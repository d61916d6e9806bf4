// A fleet over an engine in memory, a clock that the test sets, and a GoCD that answers the fleet's requests from a
// script.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "docker/base/secret.h"
#include "plugin/fleet.h"
#include "tests/support/fake_engine.h"

namespace ebbtide::plugin::test {

using namespace std::chrono_literals;

class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return TimePoint(TimePoint::duration(ticks_.load())); }
  void forward(std::chrono::seconds by) { ticks_ += TimePoint::duration(by).count(); }

 private:
  std::atomic<TimePoint::rep> ticks_{std::chrono::system_clock::now().time_since_epoch().count()};
};

// True as soon as condition holds; false after ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// GoCD at the other end of a channel: knows agents, keeps consoles and the health list.
class ScriptedGocd {
 public:
  explicit ScriptedGocd(Channel& channel) : channel_(channel), attachment_(channel.attach()) {
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedGocd() {
    channel_.detach(attachment_);
    thread_.join();
  }

  void set(const std::string& id, const std::string& agent_state, const std::string& build_state = "Idle") {
    const std::scoped_lock lock(mutex_);
    agents_[id] = {
        {"agent_id", id}, {"agent_state", agent_state}, {"build_state", build_state}, {"config_state", "Enabled"}};
  }
  // What becomes of an agent in the moment that it is disabled.
  void when_disabled(std::function<void(const std::string& id)> script) {
    const std::scoped_lock lock(mutex_);
    when_disabled_ = std::move(script);
  }
  // The answer to the next request of this kind is made when it comes, and given when it is released.
  void hold(std::string_view api) {
    const std::scoped_lock lock(mutex_);
    held_[std::string(api)];
  }
  bool holds(std::string_view api) const {
    const std::scoped_lock lock(mutex_);
    const auto found = held_.find(std::string(api));
    return found != held_.end() && found->second;
  }
  void release(std::string_view api) {
    std::pair<std::string, std::string> held;
    {
      const std::scoped_lock lock(mutex_);
      held = held_.extract(std::string(api)).mapped().value();
    }
    channel_.answer(held.first, {200, held.second});
  }
  bool knows(const std::string& id) const {
    const std::scoped_lock lock(mutex_);
    return agents_.contains(id);
  }
  bool was_disabled(const std::string& id) const {
    const std::scoped_lock lock(mutex_);
    return disabled_.contains(id);
  }
  bool console_has(const std::string& text) const {
    const std::scoped_lock lock(mutex_);
    return console_.find(text) != std::string::npos;
  }
  bool health_has(const std::string& text) const {
    const std::scoped_lock lock(mutex_);
    return health_.find(text) != std::string::npos;
  }
  std::string console() const {
    const std::scoped_lock lock(mutex_);
    return console_;
  }
  std::size_t lists() const {
    const std::scoped_lock lock(mutex_);
    return lists_;
  }

 private:
  using Json = nlohmann::json;

  void serve() {
    while (channel_.attached(attachment_))
      if (const auto request = channel_.next(attachment_, 1s)) serve(*request);
  }

  void serve(const ProcessorRequest& request) {
    const auto body = answer(request);
    {
      const std::scoped_lock lock(mutex_);
      if (const auto held = held_.find(std::string(request.api)); held != held_.end() && !held->second) {
        held->second = {request.id, body};
        return;
      }
    }
    channel_.answer(request.id, {200, body});
  }

  std::string answer(const ProcessorRequest& request) {
    if (request.api == processor::kDisableAgents) return disable(Json::parse(request.body));
    const std::scoped_lock lock(mutex_);
    if (request.api == processor::kListAgents) return list();
    if (request.api == processor::kConsole) console_ += Json::parse(request.body)["text"].get<std::string>();
    if (request.api == processor::kHealth) health_ = request.body;
    if (request.api == processor::kDeleteAgents)
      for (const auto& agent : Json::parse(request.body)) agents_.erase(agent["agent_id"].get<std::string>());
    return "";
  }

  std::string list() {
    ++lists_;
    auto list = Json::array();
    for (const auto& [id, agent] : agents_) list.push_back(agent);
    return list.dump();
  }

  std::string disable(const Json& agents) {
    std::function<void(const std::string&)> script;
    {
      const std::scoped_lock lock(mutex_);
      for (const auto& agent : agents) {
        const auto id = agent["agent_id"].get<std::string>();
        disabled_.insert(id);
        if (agents_.contains(id)) agents_[id]["config_state"] = "Disabled";
      }
      script = when_disabled_;
    }
    if (script)
      for (const auto& agent : agents) script(agent["agent_id"]);
    return "";
  }

  Channel& channel_;
  std::uint64_t attachment_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Json> agents_;
  std::set<std::string> disabled_;
  std::string console_;
  std::string health_;
  std::size_t lists_ = 0;
  std::function<void(const std::string&)> when_disabled_;
  std::map<std::string, std::optional<std::pair<std::string, std::string>>> held_;  // by api: id and answer
  std::thread thread_;
};

class FleetTest : public testing::Test {
 protected:
  static constexpr const char* kGocd = "gocd-1";
  static constexpr const char* kImage = "ci/agent:1";

  FleetTest() {
    engine->add_image(kImage, {"/go-working-dir", "/godata"});
    cluster = {{"go_server_url", "http://gocd.example:8153/go"},
               {"docker_uri", "unix:///fake/docker.sock"},
               {"max_docker_containers", "3"},
               {"auto_register_timeout", "10"}};
    profile = {{"Image", kImage}};
    restart();
  }
  ~FleetTest() override {
    stop();
    std::filesystem::remove_all(run_dir);
  }

  // A process ends, and the next one begins with the same database and engine.
  void restart() {
    stop();
    FleetSettings settings{.server_id = "server-1", .run_dir = run_dir};
    settings.timings.completion_grace = 0s;
    settings.gateway_loops = 1;
    settings.remote_gateways = remote_gateways;
    fleet = std::make_unique<Fleet>(settings, database, clock,
                                    [this](const EngineAddress&) { return std::static_pointer_cast<Engine>(engine); });
    fleet->start();
    gocd = std::make_unique<ScriptedGocd>(fleet->channel(kGocd));
  }
  void stop() {
    gocd.reset();
    if (fleet) fleet->stop();
    fleet.reset();
  }

  JobIdentifier job(std::int64_t id) const {
    return {.pipeline_name = "build",
            .pipeline_label = "17",
            .pipeline_counter = 17,
            .stage_name = "test",
            .stage_counter = "1",
            .job_name = "unit" + std::to_string(id),
            .job_id = id};
  }
  void create(std::int64_t job_id, const std::string& key = "key-of-registration", const std::string& of = kGocd) {
    fleet->create_agent(of, {.auto_register_key = key, .profile = profile, .cluster = cluster, .job = job(job_id)});
  }
  void ping() { fleet->server_ping(kGocd, {.clusters = {cluster}}); }
  void complete(const std::string& id, std::int64_t job_id) {
    fleet->job_completion(kGocd, {.agent_id = id, .job = job(job_id), .profile = profile, .cluster = cluster});
  }
  bool assign(const std::string& id, std::int64_t job_id) {
    return fleet->should_assign_work(
        kGocd, {.profile = profile, .cluster = cluster, .agent = {.agent_id = id}, .job = job(job_id)});
  }

  std::optional<Agent> agent_of(std::int64_t job_id) const {
    for (const auto& view : fleet->agents())
      if (view.agent.job.job_id == job_id) return view.agent;
    return std::nullopt;
  }
  bool becomes(std::int64_t job_id, AgentState state) const {
    return eventually([&] {
      const auto agent = agent_of(job_id);
      return agent && agent->state == state;
    });
  }
  bool ends(const std::string& id) const {
    return eventually([&] { return !fleet->agent(id); });
  }
  // An agent whose container runs; its id.
  std::string running(std::int64_t job_id) {
    create(job_id);
    EXPECT_TRUE(becomes(job_id, AgentState::kRegistering)) << gocd->console();
    return agent_of(job_id)->id;
  }
  std::string idle(std::int64_t job_id) {
    const auto id = running(job_id);
    gocd->set(id, "Idle");
    ping();
    EXPECT_TRUE(becomes(job_id, AgentState::kIdle));
    return id;
  }
  // A round with GoCD that began after this call has ended.
  void round() {
    const auto before = gocd->lists();
    ping();
    EXPECT_TRUE(eventually([&] { return gocd->lists() > before; }));
  }
  std::string env_of(const std::string& container, const std::string& key) const {
    const auto body = engine->body_of(container);
    for (const auto& line : body["Env"])
      if (line.get<std::string>().starts_with(key + "=")) return line.get<std::string>().substr(key.size() + 1);
    return {};
  }

  std::string run_dir = std::filesystem::temp_directory_path() / ("ebbtide-fleet-" + random_hex(4));
  std::shared_ptr<ebbtide::test::FakeEngine> engine = std::make_shared<ebbtide::test::FakeEngine>();
  std::shared_ptr<Database> database = Database::in_memory();
  std::shared_ptr<ManualClock> clock = std::make_shared<ManualClock>();
  std::optional<RemoteGateways> remote_gateways;  // from the next restart on
  Properties cluster;
  Properties profile;
  std::unique_ptr<Fleet> fleet;
  std::unique_ptr<ScriptedGocd> gocd;
};

}  // namespace ebbtide::plugin::test
