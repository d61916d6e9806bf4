// FakeEngine: an engine in memory for unit tests: containers, networks, volumes and images with labels, states and the
// engine's rules about use; failures and holds on demand; events to subscribers, on the thread of the call that caused
// them. Any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>

#include "docker/engine/engine.h"

namespace ebbtide::test {

class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(std::string socket = "/fake/docker.sock");
  explicit FakeEngine(EngineAddress address) : address_(std::move(address)) {}
  ~FakeEngine() override;

  // --- what a test does to it ---
  void add_image(const std::string& reference, std::vector<std::string> volumes = {}, Labels labels = {});
  // The next calls of an operation ("create_container", "list_containers", "pull_image" …) fail with error.
  void fail_next(const std::string& operation, Error error, int times = 1);
  // Every call fails with kUnavailable and the event stream is lost, until up().
  void down();
  void up();
  // Calls of operation wait until release; held() waits until one does.
  void hold(const std::string& operation);
  void await_held(const std::string& operation);
  void release(const std::string& operation);
  // A container's process ends by itself.
  void die(const std::string& name_or_id, int exit_code, bool oom = false);
  // Someone else makes a container.
  std::string add_container(const std::string& name, Labels labels, const std::string& state = "running");
  void set_log(const std::string& log);

  // --- what a test sees ---
  std::vector<std::string> calls() const;  // "start_container eb-1" in order
  bool has_container(const std::string& name) const;
  nlohmann::json body_of(const std::string& name) const;  // as it was created
  std::string archive_of(const std::string& name) const;  // the last that was put into it
  std::string platform_of(const std::string& name) const;
  std::vector<std::string> container_names() const;
  std::size_t count() const;  // containers, networks and volumes

  // --- Engine ---
  const EngineAddress& address() const override { return address_; }
  std::unique_ptr<EventSubscription> subscribe(EventCallbacks callbacks) override;
  Result<void> ping() override;
  Result<EngineInfo> info() override;
  Result<std::string> create_container(const std::string& name, const nlohmann::json& body,
                                       const std::string& platform = {}) override;
  Result<void> start_container(const std::string& id) override;
  Result<void> stop_container(const std::string& id, std::chrono::seconds grace) override;
  Result<void> kill_container(const std::string& id) override;
  Result<void> remove_container(const std::string& id) override;
  Result<ContainerDetail> inspect_container(const std::string& id) override;
  Result<std::vector<ContainerSummary>> list_containers(const LabelFilter& filter) override;
  Result<std::string> container_log(const std::string& id, int last_lines) override;
  Result<void> read_log(const std::string& id, const LogWishes& wishes,
                        const std::function<bool(std::string_view)>& write,
                        const std::function<bool()>& wanted) override;
  Result<ContainerUsage> container_usage(const std::string& id) override;
  Result<bool> has_path(const std::string& id, const std::string& path) override;
  Result<void> put_archive(const std::string& id, const std::string& path, const std::string& tar) override;
  Result<std::vector<NetworkSummary>> list_networks(const LabelFilter& filter) override;
  Result<std::vector<std::string>> network_containers(const std::string& id) override;
  Result<void> connect_network(const std::string& network, const std::string& container) override;
  Result<void> disconnect_network(const std::string& network, const std::string& container) override;
  Result<void> remove_network(const std::string& id) override;
  Result<std::vector<VolumeSummary>> list_volumes(const LabelFilter& filter) override;
  Result<void> create_volume(const std::string& name, const Labels& labels) override;
  Result<void> remove_volume(const std::string& name) override;
  Result<std::vector<ImageSummary>> list_images(const LabelFilter& filter) override;
  Result<ImageDetail> inspect_image(const std::string& reference) override;
  Result<void> tag_image(const std::string& id, const std::string& reference) override;
  Result<void> remove_image(const std::string& reference) override;
  Result<void> pull_image(const WantedImage& image, const std::optional<RegistryLogin>& login,
                          const std::function<void(const PullProgress&)>& progress) override;
  std::map<std::string, Histogram> latencies() const override { return {}; }

  // A network, as a job's client would make it through a gateway; its id.
  std::string add_network(const std::string& name, Labels labels);

 private:
  struct Container {
    ContainerSummary summary;
    nlohmann::json body;
    std::string platform;
    std::string archive;
    int exit_code = 0;
    bool oom = false;
  };
  struct Network {
    NetworkSummary summary;
    std::set<std::string> endpoints;
  };
  class Subscription;

  // Counts the call, waits while it is held, and says whether it fails.
  Result<void> enter(const std::string& operation, const std::string& object = {});
  std::string next_id();
  Container* find(const std::string& name_or_id);
  // Outside the lock: subscribers may call back.
  void tell(const EngineEvent& event);
  EngineEvent event_of(const Container& container, const std::string& action);
  Result<void> end(const std::string& id, const std::string& operation, int exit_code);

  EngineAddress address_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool down_ = false;
  std::uint64_t ids_ = 0;
  std::int64_t time_nano_ = 1;
  std::map<std::string, Container> containers_;
  std::map<std::string, Network> networks_;
  std::map<std::string, VolumeSummary> volumes_;
  std::map<std::string, ImageDetail> images_;  // by reference
  std::map<std::string, std::deque<Error>> failures_;
  std::set<std::string> held_operations_;
  std::map<std::string, int> waiting_;
  std::vector<std::string> calls_;
  std::string log_ = "the agent's log\n";
  std::uint64_t cpu_ns_ = 0;
  std::mutex subscribers_mutex_;  // held while events are told, so that a subscription's end waits for them
  std::vector<Subscription*> subscribers_;
};

}  // namespace ebbtide::test
