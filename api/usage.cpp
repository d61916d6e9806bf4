#include "api/usage.h"

#include <algorithm>

namespace ebbtide::api {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kLooked{30};
constexpr std::chrono::seconds kRound{5};       // at least, between two readings of one container
constexpr milliseconds kBetweenContainers{20};  // an engine takes some milliseconds for each
constexpr std::chrono::seconds kTell{1};

std::vector<std::string> running_containers(const plugin::AgentView& view) {
  std::vector<std::string> ids;
  for (const auto& belonging : view.belongings)
    if (belonging.kind == Kind::kContainer && belonging.state == "running") ids.push_back(belonging.id);
  return ids;
}

}  // namespace

UsageSampler::UsageSampler(plugin::Fleet& fleet) : fleet_(fleet), thread_([this] { run(); }) {}

UsageSampler::~UsageSampler() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void UsageSampler::look() {
  const std::scoped_lock lock(mutex_);
  const bool slept = steady_clock::now() - looked_ > kLooked;
  looked_ = steady_clock::now();
  if (slept) wake_.notify_all();
}

std::uint64_t UsageSampler::revision(const std::string& agent_id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = agents_.find(agent_id);
  return found == agents_.end() ? 0 : found->second.revision;
}

UsageByContainer UsageSampler::of(const std::string& agent_id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = agents_.find(agent_id);
  return found == agents_.end() ? UsageByContainer{} : found->second.usage;
}

bool UsageSampler::pause(milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [this] { return stopping_; });
  return !stopping_;
}

void UsageSampler::run() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || steady_clock::now() - looked_ < kLooked; });
      if (stopping_) return;
    }
    const auto began = steady_clock::now();
    auto told = began;
    const auto present = fleet_.revisions();
    for (const auto& revision : present) {
      const auto view = fleet_.agent(revision.id);
      if (!view) continue;
      sample(*view);
      if (steady_clock::now() - told > kTell) {
        fleet_.changes().note();
        told = steady_clock::now();
      }
      if (!pause(kBetweenContainers)) return;
    }
    forget_others(present);
    if (!present.empty()) fleet_.changes().note();
    const auto rest = std::chrono::duration_cast<milliseconds>(began + kRound - steady_clock::now());
    if (!pause(std::max(rest, kBetweenContainers))) return;
  }
}

void UsageSampler::sample(const plugin::AgentView& view) {
  UsageByContainer usage;
  std::map<std::string, Reading> readings;
  const auto before = [&] {
    const std::scoped_lock lock(mutex_);
    return agents_[view.agent.id].readings;
  }();
  for (const auto& container : running_containers(view)) {
    const auto used = fleet_.container_usage(view.agent.id, container);
    if (!used) continue;
    const Reading reading{.cpu_ns = used->cpu_ns, .at = steady_clock::now()};
    readings[container] = reading;
    auto& shown = usage[container];
    shown.memory_bytes = used->memory_bytes;
    shown.memory_limit_bytes = used->memory_limit_bytes;
    const auto last = before.find(container);
    if (last == before.end() || reading.cpu_ns < last->second.cpu_ns) continue;
    const auto passed = std::chrono::duration<double, std::nano>(reading.at - last->second.at).count();
    shown.cpu_percent = static_cast<double>(reading.cpu_ns - last->second.cpu_ns) / passed * 100;
    if (!pause(kBetweenContainers)) return;
  }
  const std::scoped_lock lock(mutex_);
  auto& agent = agents_[view.agent.id];
  agent.usage = std::move(usage);
  agent.readings = std::move(readings);
  ++agent.revision;
}

void UsageSampler::forget_others(const std::vector<plugin::AgentRevision>& present) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(agents_, [&](const auto& known) {
    return std::ranges::none_of(present, [&](const auto& each) { return each.id == known.first; });
  });
}

}  // namespace ebbtide::api
