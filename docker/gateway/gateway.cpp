#include "docker/gateway/gateway.h"

#include <pthread.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

#include "docker/base/log.h"
#include "docker/gateway/listener.h"

namespace ebbtide::gateway {
namespace {

namespace asio = http::asio;

// A thread with an io_context, and the engine connections of what lives on it.
class Loop {
 public:
  explicit Loop(const EngineAddress& engine) : upstream_(engine), guard_(asio::make_work_guard(context_)) {
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "gateway");
      context_.run();
    });
  }
  ~Loop() {
    // Idle engine connections are closed where they live.
    run([this] { upstream_ = http::Upstream(upstream_.address()); });
    guard_.reset();
    thread_.join();
  }

  // Runs work on the loop and waits for it.
  template <class Work>
  std::invoke_result_t<Work> run(Work work) {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto done = task.get_future();
    asio::post(context_, [&task] { task(); });
    return done.get();
  }

  asio::io_context& context() { return context_; }
  http::Upstream& upstream() { return upstream_; }

 private:
  asio::io_context context_{1};
  http::Upstream upstream_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  std::thread thread_;
};

}  // namespace

class GatewayHost::Impl {
 public:
  Impl(EngineWatch& watch, unsigned loops) : watch_(watch), disk_("gateway-disk", 1), archives_("gateway-contexts", 2) {
    for (unsigned i = 0; i < std::max(1U, loops); ++i)
      loops_.push_back(std::make_unique<Loop>(watch.engine().address()));
  }

  ~Impl() {
    std::vector<std::string> owners;
    {
      const std::scoped_lock lock(mutex_);
      for (const auto& [owner, gateway] : gateways_) owners.push_back(owner);
    }
    // The agents live on: sockets and directories stay for the next process.
    for (const auto& owner : owners) end_sessions(take(owner));
  }

  Result<void> open(const GatewaySpec& asked) {
    auto spec = asked;
    spec.cgroup_parent = make_group(spec);
    if (const auto known = find(spec.owner); known.listener) {
      known.loop->run([&] {
        known.listener->context().spec = spec;
        known.listener->context().scope = scope_of(spec);
      });
      return {};
    }
    auto& loop = *loops_[next_loop_++ % loops_.size()];
    auto context = std::make_shared<Context>(Context{.spec = spec,
                                                     .watch = watch_,
                                                     .upstream = loop.upstream(),
                                                     .disk = disk_,
                                                     .counting = counting_,
                                                     .scope = scope_of(spec),
                                                     .archives = archives_,
                                                     .sessions = sessions_,
                                                     .loads = loads_,
                                                     .pulls = pulls_,
                                                     .readings = {},
                                                     .contexts = 0,
                                                     .seen_images = {}});
    auto listener = std::make_shared<Listener>(loop.context(), std::move(context));
    const auto opened = loop.run([&] { return listener->open(); });
    if (!opened) return opened;
    const std::scoped_lock lock(mutex_);
    gateways_[spec.owner] = {&loop, std::move(listener)};
    return {};
  }

  void refuse(const std::string& owner) {
    watch_.ledger().close(owner);
    const auto known = find(owner);
    if (!known.listener) return;
    asio::post(known.loop->context(), [listener = known.listener] { listener->context().refusing = true; });
  }

  void close(const std::string& owner, std::chrono::milliseconds limit) {
    refuse(owner);
    auto gateway = take(owner);
    if (!gateway.listener) return;
    if (!watch_.ledger().wait_for_creates(owner, limit))
      log_warning("creates of an ending agent are still under way and will be cut off", {{"agent", owner}});
    const auto directory = gateway.loop->run([&] { return gateway.listener->context().spec.directory; });
    end_sessions(std::move(gateway));
    std::error_code failed;
    std::filesystem::remove_all(directory, failed);
    if (failed) log_warning("a gateway's directory stays", {{"path", directory}, {"error", failed.message()}});
  }

  bool is_open(const std::string& owner) const {
    const std::scoped_lock lock(mutex_);
    return gateways_.contains(owner);
  }

  std::string cgroup_parent(const std::string& owner) const {
    const auto known = find(owner);
    if (!known.listener) return {};
    return known.loop->run([&] { return known.listener->context().spec.cgroup_parent; });
  }

  GatewayCounters counters() const { return counting_.read(); }

 private:
  struct Gateway {
    Loop* loop = nullptr;
    std::shared_ptr<Listener> listener;
  };

  Scope scope_of(const GatewaySpec& spec) const {
    return {name_scope(watch_.server_id(), spec.owner), spec.shared_volumes, spec.directory, spec.staging};
  }

  // Where there can be none, each container is held to the limits by itself.
  std::string make_group(const GatewaySpec& spec) {
    const auto groups = watch_.cgroups();
    if (!groups) return {};
    const auto made = groups->make(spec.owner, spec.limits);
    if (made) return groups->parent_of(spec.owner);
    log_warning("an agent's limits count for each container by itself: it has no control group",
                {{"agent", spec.owner}, {"error", made.error().message}});
    return {};
  }

  Gateway find(const std::string& owner) const {
    const std::scoped_lock lock(mutex_);
    const auto found = gateways_.find(owner);
    return found == gateways_.end() ? Gateway{} : found->second;
  }

  Gateway take(const std::string& owner) {
    const std::scoped_lock lock(mutex_);
    const auto node = gateways_.extract(owner);
    return node ? node.mapped() : Gateway{};
  }

  static void end_sessions(Gateway gateway) {
    if (!gateway.listener) return;
    std::promise<void> ended;
    asio::post(gateway.loop->context(), [&] { gateway.listener->close([&ended] { ended.set_value(); }); });
    ended.get_future().wait();
    gateway.loop->run([&] { gateway.listener.reset(); });
  }

  EngineWatch& watch_;
  Counting counting_;
  BuildSessions sessions_;
  Loads loads_;
  Pulls pulls_;
  WorkerPool disk_;
  WorkerPool archives_;
  std::vector<std::unique_ptr<Loop>> loops_;  // end before the pools, whose work comes back to them
  std::atomic<std::size_t> next_loop_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Gateway> gateways_;
};

GatewayHost::GatewayHost(EngineWatch& watch, unsigned loops) : impl_(std::make_unique<Impl>(watch, loops)) {}
GatewayHost::~GatewayHost() = default;
Result<void> GatewayHost::open(const GatewaySpec& spec) { return impl_->open(spec); }
void GatewayHost::refuse(const std::string& owner) { impl_->refuse(owner); }
void GatewayHost::close(const std::string& owner, std::chrono::milliseconds limit) { impl_->close(owner, limit); }
bool GatewayHost::is_open(const std::string& owner) const { return impl_->is_open(owner); }
std::string GatewayHost::cgroup_parent(const std::string& owner) const { return impl_->cgroup_parent(owner); }
GatewayCounters GatewayHost::counters() const { return impl_->counters(); }

}  // namespace ebbtide::gateway
