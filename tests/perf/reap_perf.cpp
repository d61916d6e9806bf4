// How long from an agent's death to an engine without it, for an agent with ten running containers, a network and a
// volume; beside it, in the same run, the same objects removed one after the other, as a script would, and as fast as
// the engine can: all its containers at once, by eight bare requests at a time.
//
//   DOCKER_HOST=unix:///… build/release-perf/reap_perf [containers] [rounds]
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "docker/base/log.h"
#include "docker/base/secret.h"
#include "docker/engine/http_engine.h"
#include "docker/ledger/reaper.h"
#include "tests/perf/wire.h"

namespace ebbtide::perf {
namespace {

template <class T>
T need(Result<T> result) {
  if (!result) give_up(result.error().message);
  return std::move(*result);
}

void need(const Result<void>& result) {
  if (!result) give_up(result.error().message);
}

class Round {
 public:
  Round(EngineWatch& watch, std::string owner, int containers) : watch_(watch), owner_(std::move(owner)) {
    agent_ = start(owner_, Role::kAgent);
    for (int i = 0; i < containers; ++i) children_.push_back(start(owner_ + "-" + std::to_string(i), Role::kBelonging));
    volume_ = owner_ + "-volume";
    need(watch_.engine().create_volume(volume_, labels(Role::kBelonging, Kind::kVolume, volume_)));
  }

  const std::string& agent() const { return agent_; }

  void remove_at_once() {
    auto all = children_;
    all.push_back(agent_);
    std::atomic<std::size_t> next = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
        for (auto at = next++; at < all.size(); at = next++) need(watch_.engine().remove_container(all[at]));
      });
    for (auto& thread : threads) thread.join();
    need(watch_.engine().remove_volume(volume_));
  }

  void remove_one_by_one() {
    for (const auto& child : children_) need(watch_.engine().remove_container(child));
    need(watch_.engine().remove_container(agent_));
    need(watch_.engine().remove_volume(volume_));
  }

 private:
  Labels labels(Role role, Kind kind, const std::string& name) {
    return ownership_labels(watch_.server_id(), owner_, role, kind, name, name);
  }

  std::string start(const std::string& name, Role role) {
    const nlohmann::json body{{"Image", "ebbtide-test/busybox:1"},
                              {"Cmd", {"sleep", "3600"}},
                              {"Labels", labels(role, Kind::kContainer, name)},
                              {"HostConfig", {{"NetworkMode", "none"}}}};
    auto id = need(watch_.engine().create_container(name, body));
    need(watch_.engine().start_container(id));
    return id;
  }

  EngineWatch& watch_;
  std::string owner_;
  std::string agent_;
  std::vector<std::string> children_;
  std::string volume_;
};

class Deaths {
 public:
  void tell(const AgentDeath& death) {
    const std::scoped_lock lock(mutex_);
    last_ = death.container_id;
    told_.notify_all();
  }
  void await(const std::string& container) {
    std::unique_lock lock(mutex_);
    if (!told_.wait_for(lock, std::chrono::seconds(10), [&] { return last_ == container; }))
      give_up("no death was told");
  }

 private:
  std::mutex mutex_;
  std::condition_variable told_;
  std::string last_;
};

void measure(const char* uri, int containers, int rounds) {
  const auto address = EngineAddress::parse(uri);
  if (!address) give_up(address.error().message);
  Deaths deaths;
  EngineWatch watch(make_http_engine(*address), std::make_shared<Store>(Database::in_memory()),
                    "perf-" + random_hex(4));
  watch.start({.agent_died = [&](const AgentDeath& death) { deaths.tell(death); }});
  need(watch.resync());
  std::vector<double> reaped;
  std::vector<double> noticed;
  std::vector<double> scripted;
  std::vector<double> bare;
  for (int i = 0; i < rounds; ++i) {
    Round ours(watch, "perf-" + random_hex(4), containers);
    const auto owner = need(watch.engine().inspect_container(ours.agent())).name;
    double notice = 0;
    reaped.push_back(seconds([&] {
      notice = seconds([&] {
        need(watch.engine().kill_container(ours.agent()));
        deaths.await(ours.agent());
      });
      if (!need(reap(watch, owner, {})).complete()) give_up("something refused to go");
    }));
    noticed.push_back(notice);
    Round theirs(watch, "perf-" + random_hex(4), containers);
    scripted.push_back(seconds([&] { theirs.remove_one_by_one(); }));
    Round fastest(watch, "perf-" + random_hex(4), containers);
    bare.push_back(seconds([&] { fastest.remove_at_once(); }));
  }
  const auto ours = spread_of(reaped);
  const auto script = spread_of(scripted);
  const auto engine = spread_of(bare);
  std::printf(
      "agent's death to an empty engine, %d running containers: p50 %.2f s (of it until the death was known %.2f s); "
      "one after the other %.2f s, ratio %.2f; the engine's own best, eight bare removals at a time, %.2f s, ratio "
      "%.2f\n",
      containers, ours.p50, spread_of(noticed).p50, script.p50, ours.p50 / script.p50, engine.p50,
      ours.p50 / engine.p50);
  watch.stop();
}

}  // namespace
}  // namespace ebbtide::perf

int main(int argc, char** argv) {
  ebbtide::configure_log(ebbtide::LogFormat::kText, ebbtide::LogLevel::kError);
  const char* uri = std::getenv("DOCKER_HOST");
  if (!uri) ebbtide::perf::give_up("DOCKER_HOST must name an engine for the measurement");
  ebbtide::perf::measure(uri, argc > 1 ? std::atoi(argv[1]) : 10, argc > 2 ? std::atoi(argv[2]) : 3);
}
