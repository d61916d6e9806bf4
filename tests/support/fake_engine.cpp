#include "tests/support/fake_engine.h"

#include <algorithm>

namespace ebbtide::test {
namespace {

using nlohmann::json;

bool matches(const Labels& labels, const LabelFilter& filter) {
  return std::ranges::all_of(filter, [&](const std::string& wanted) {
    const auto equals = wanted.find('=');
    const auto found = labels.find(wanted.substr(0, equals));
    return found != labels.end() && (equals == std::string::npos || found->second == wanted.substr(equals + 1));
  });
}

// The volumes that a container's body mounts by name.
std::vector<std::string> volumes_of(const json& body) {
  std::vector<std::string> names;
  const auto host = body.value("HostConfig", json::object());
  for (const auto& bind : host.value("Binds", json::array())) {
    const auto source = bind.get<std::string>().substr(0, bind.get<std::string>().find(':'));
    if (!source.starts_with('/')) names.push_back(source);
  }
  for (const auto& mount : host.value("Mounts", json::array()))
    if (mount.value("Type", "") == "volume" && mount.contains("Source")) names.push_back(mount["Source"]);
  return names;
}

Result<void> gone(const std::string& what) { return fail(Error::not_found("No such object: " + what)); }

}  // namespace

class FakeEngine::Subscription final : public EventSubscription {
 public:
  Subscription(FakeEngine& engine, EventCallbacks callbacks) : engine_(engine), callbacks(std::move(callbacks)) {}
  ~Subscription() override {
    const std::scoped_lock lock(engine_.subscribers_mutex_);
    std::erase(engine_.subscribers_, this);
  }

 private:
  FakeEngine& engine_;

 public:
  const EventCallbacks callbacks;
};

FakeEngine::FakeEngine(std::string socket) { address_.path = std::move(socket); }
FakeEngine::~FakeEngine() = default;

void FakeEngine::add_image(const std::string& reference, std::vector<std::string> volumes, Labels labels) {
  const std::scoped_lock lock(mutex_);
  images_[reference] = {.id = "sha256:" + next_id(),
                        .references = {reference},
                        .labels = std::move(labels),
                        .volumes = std::move(volumes),
                        .user = {},
                        .platform = {}};
}

void FakeEngine::fail_next(const std::string& operation, Error error, int times) {
  const std::scoped_lock lock(mutex_);
  for (int i = 0; i < times; ++i) failures_[operation].push_back(error);
}

void FakeEngine::down() {
  {
    const std::scoped_lock lock(mutex_);
    down_ = true;
  }
  const std::scoped_lock lock(subscribers_mutex_);
  for (auto* each : subscribers_)
    if (each->callbacks.lost) each->callbacks.lost("the engine is down");
}

void FakeEngine::up() {
  {
    const std::scoped_lock lock(mutex_);
    down_ = false;
  }
  const std::scoped_lock lock(subscribers_mutex_);
  for (auto* each : subscribers_)
    if (each->callbacks.connected) each->callbacks.connected();
}

void FakeEngine::hold(const std::string& operation) {
  const std::scoped_lock lock(mutex_);
  held_operations_.insert(operation);
}

void FakeEngine::await_held(const std::string& operation) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_[operation] > 0; });
}

void FakeEngine::release(const std::string& operation) {
  const std::scoped_lock lock(mutex_);
  held_operations_.erase(operation);
  changed_.notify_all();
}

void FakeEngine::die(const std::string& name_or_id, int exit_code, bool oom) {
  EngineEvent event;
  {
    const std::scoped_lock lock(mutex_);
    auto* container = find(name_or_id);
    if (!container) return;
    container->summary.state = "exited";
    container->exit_code = exit_code;
    container->oom = oom;
    event = event_of(*container, "die");
  }
  event.attributes["exitCode"] = std::to_string(exit_code);
  tell(event);
}

std::string FakeEngine::add_container(const std::string& name, Labels labels, const std::string& state) {
  EngineEvent event;
  std::string id;
  {
    const std::scoped_lock lock(mutex_);
    id = next_id();
    containers_[id] = {.summary = {.id = id, .name = name, .image = "x", .state = state, .labels = std::move(labels)},
                       .body = json::object()};
    event = event_of(containers_[id], "create");
  }
  tell(event);
  return id;
}

std::string FakeEngine::add_network(const std::string& name, Labels labels) {
  const std::scoped_lock lock(mutex_);
  const auto id = next_id();
  networks_[id] = {.summary = {.id = id, .name = name, .driver = "bridge", .labels = std::move(labels)},
                   .endpoints = {}};
  return id;
}

void FakeEngine::set_log(const std::string& log) {
  const std::scoped_lock lock(mutex_);
  log_ = log;
}

std::vector<std::string> FakeEngine::calls() const {
  const std::scoped_lock lock(mutex_);
  return calls_;
}

bool FakeEngine::has_container(const std::string& name) const {
  const auto names = container_names();
  return std::ranges::find(names, name) != names.end();
}

json FakeEngine::body_of(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [id, container] : containers_)
    if (container.summary.name == name) return container.body;
  return nullptr;
}

std::string FakeEngine::archive_of(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [id, container] : containers_)
    if (container.summary.name == name) return container.archive;
  return {};
}

std::string FakeEngine::platform_of(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [id, container] : containers_)
    if (container.summary.name == name) return container.platform;
  return {};
}

std::vector<std::string> FakeEngine::container_names() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [id, container] : containers_) names.push_back(container.summary.name);
  return names;
}

std::size_t FakeEngine::count() const {
  const std::scoped_lock lock(mutex_);
  return containers_.size() + networks_.size() + volumes_.size();
}

std::unique_ptr<EventSubscription> FakeEngine::subscribe(EventCallbacks callbacks) {
  auto subscription = std::make_unique<Subscription>(*this, std::move(callbacks));
  bool is_down = false;
  {
    const std::scoped_lock lock(mutex_);
    is_down = down_;
  }
  const std::scoped_lock lock(subscribers_mutex_);
  subscribers_.push_back(subscription.get());
  if (is_down && subscription->callbacks.lost) subscription->callbacks.lost("the engine is down");
  if (!is_down && subscription->callbacks.connected) subscription->callbacks.connected();
  return subscription;
}

Result<void> FakeEngine::enter(const std::string& operation, const std::string& object) {
  std::unique_lock lock(mutex_);
  calls_.push_back(object.empty() ? operation : operation + " " + object);
  if (held_operations_.contains(operation)) {
    ++waiting_[operation];
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_operations_.contains(operation); });
    --waiting_[operation];
  }
  if (down_) return fail(Error::unavailable("the engine is down"));
  auto& failures = failures_[operation];
  if (failures.empty()) return {};
  const auto error = failures.front();
  failures.pop_front();
  return fail(error);
}

std::string FakeEngine::next_id() {
  const auto digits = std::to_string(++ids_);
  return std::string(8 - digits.size(), '0') + digits + std::string(56, 'f');
}

FakeEngine::Container* FakeEngine::find(const std::string& name_or_id) {
  for (auto& [id, container] : containers_)
    if (id == name_or_id || container.summary.name == name_or_id) return &container;
  return nullptr;
}

EngineEvent FakeEngine::event_of(const Container& container, const std::string& action) {
  EngineEvent event{.type = "container",
                    .action = action,
                    .id = container.summary.id,
                    .attributes = container.summary.labels,
                    .time_nano = ++time_nano_};
  event.attributes["name"] = container.summary.name;
  event.attributes["image"] = container.summary.image;
  return event;
}

void FakeEngine::tell(const EngineEvent& event) {
  const std::scoped_lock lock(subscribers_mutex_);
  for (auto* each : subscribers_)
    if (each->callbacks.event) each->callbacks.event(event);
}

Result<void> FakeEngine::ping() { return enter("ping"); }

Result<EngineInfo> FakeEngine::info() {
  if (auto entered = enter("info"); !entered) return fail(entered.error());
  return EngineInfo{.id = "fake", .name = "fake", .version = "20.10.24", .api_version = "1.41"};
}

Result<std::string> FakeEngine::create_container(const std::string& name, const json& body,
                                                 const std::string& platform) {
  if (auto entered = enter("create_container", name); !entered) return fail(entered.error());
  EngineEvent event;
  std::string id;
  {
    const std::scoped_lock lock(mutex_);
    if (find(name)) return fail(Error::conflict("Conflict. The container name \"/" + name + "\" is already in use"));
    const auto image = body.value("Image", "");
    if (!images_.contains(image)) return fail(Error::not_found("No such image: " + image));
    id = next_id();
    Container container{.summary = {.id = id,
                                    .name = name,
                                    .image = image,
                                    .image_id = images_[image].id,
                                    .state = "created",
                                    .labels = body.value("Labels", Labels{}),
                                    .created = std::chrono::system_clock::now(),
                                    .volumes = volumes_of(body)},
                        .body = body,
                        .platform = platform};
    for (const auto& volume : container.summary.volumes) volumes_.try_emplace(volume, VolumeSummary{.name = volume});
    event = event_of(container, "create");
    containers_[id] = std::move(container);
  }
  tell(event);
  return id;
}

Result<void> FakeEngine::start_container(const std::string& id) {
  if (auto entered = enter("start_container", id); !entered) return entered;
  EngineEvent event;
  {
    const std::scoped_lock lock(mutex_);
    auto* container = find(id);
    if (!container) return gone(id);
    container->summary.state = "running";
    event = event_of(*container, "start");
  }
  tell(event);
  return {};
}

Result<void> FakeEngine::end(const std::string& id, const std::string& operation, int exit_code) {
  if (auto entered = enter(operation, id); !entered) return entered;
  {
    const std::scoped_lock lock(mutex_);
    const auto* container = find(id);
    if (!container) return gone(id);
    if (container->summary.state != "running") return {};
  }
  die(id, exit_code);
  return {};
}

Result<void> FakeEngine::stop_container(const std::string& id, std::chrono::seconds) {
  return end(id, "stop_container", 143);
}

Result<void> FakeEngine::kill_container(const std::string& id) { return end(id, "kill_container", 137); }

Result<void> FakeEngine::remove_container(const std::string& id) {
  if (auto entered = enter("remove_container", id); !entered) return entered;
  EngineEvent event;
  bool ran = false;
  std::string full_id;
  {
    const std::scoped_lock lock(mutex_);
    const auto* container = find(id);
    if (!container) return gone(id);
    full_id = container->summary.id;
    ran = container->summary.state == "running";
    event = event_of(*container, "destroy");
  }
  if (ran) die(full_id, 137);
  {
    const std::scoped_lock lock(mutex_);
    containers_.erase(full_id);
    for (auto& [network_id, network] : networks_) network.endpoints.erase(full_id);
  }
  tell(event);
  return {};
}

Result<ContainerDetail> FakeEngine::inspect_container(const std::string& id) {
  if (auto entered = enter("inspect_container", id); !entered) return fail(entered.error());
  const std::scoped_lock lock(mutex_);
  const auto* container = find(id);
  if (!container) return fail(Error::not_found("No such container: " + id));
  return ContainerDetail{.id = container->summary.id,
                         .name = container->summary.name,
                         .image = container->summary.image,
                         .image_id = container->summary.image_id,
                         .state = container->summary.state,
                         .running = container->summary.state == "running",
                         .oom_killed = container->oom,
                         .exit_code = container->exit_code,
                         .labels = container->summary.labels,
                         .created = container->summary.created};
}

Result<std::vector<ContainerSummary>> FakeEngine::list_containers(const LabelFilter& filter) {
  if (auto entered = enter("list_containers"); !entered) return fail(entered.error());
  const std::scoped_lock lock(mutex_);
  std::vector<ContainerSummary> list;
  for (const auto& [id, container] : containers_)
    if (matches(container.summary.labels, filter)) list.push_back(container.summary);
  return list;
}

Result<std::string> FakeEngine::container_log(const std::string& id, int) {
  if (auto entered = enter("container_log", id); !entered) return fail(entered.error());
  const std::scoped_lock lock(mutex_);
  return log_;
}

Result<void> FakeEngine::read_log(const std::string& id, const LogWishes& wishes,
                                  const std::function<bool(std::string_view)>& write,
                                  const std::function<bool()>& wanted) {
  if (auto entered = enter("read_log", id); !entered) return fail(entered.error());
  std::unique_lock lock(mutex_);
  if (!find(id)) return fail(Error::not_found("no container " + id));
  std::string written;
  while (true) {
    const auto fresh = log_.starts_with(written) ? log_.substr(written.size()) : log_;
    written = log_;
    lock.unlock();
    if ((!fresh.empty() && !write(fresh)) || !wishes.follow || !wanted()) return {};
    lock.lock();
    changed_.wait_for(lock, std::chrono::milliseconds(20), [&] { return log_ != written; });
  }
}

Result<ContainerUsage> FakeEngine::container_usage(const std::string& id) {
  if (auto entered = enter("container_usage", id); !entered) return fail(entered.error());
  const std::scoped_lock lock(mutex_);
  if (!find(id)) return fail(Error::not_found("no container " + id));
  cpu_ns_ += 10'000'000;
  return ContainerUsage{.cpu_ns = cpu_ns_, .memory_bytes = 64 << 20, .memory_limit_bytes = 256 << 20};
}

Result<bool> FakeEngine::has_path(const std::string& id, const std::string& path) {
  if (auto entered = enter("has_path", id); !entered) return fail(entered.error());
  return path == "/var/run";
}

Result<void> FakeEngine::put_archive(const std::string& id, const std::string&, const std::string& tar) {
  if (auto entered = enter("put_archive", id); !entered) return entered;
  const std::scoped_lock lock(mutex_);
  if (const auto found = containers_.find(id); found != containers_.end()) found->second.archive = tar;
  return {};
}

Result<std::vector<NetworkSummary>> FakeEngine::list_networks(const LabelFilter& filter) {
  if (auto entered = enter("list_networks"); !entered) return fail(entered.error());
  const std::scoped_lock lock(mutex_);
  std::vector<NetworkSummary> list;
  for (const auto& [id, network] : networks_)
    if (matches(network.summary.labels, filter)) list.push_back(network.summary);
  return list;
}

Result<std::vector<std::string>> FakeEngine::network_containers(const std::string& id) {
  if (auto entered = enter("network_containers", id); !entered) return fail(entered.error());
  const std::scoped_lock lock(mutex_);
  const auto found = networks_.find(id);
  if (found == networks_.end()) return fail(Error::not_found("network " + id + " not found"));
  return std::vector<std::string>(found->second.endpoints.begin(), found->second.endpoints.end());
}

Result<void> FakeEngine::connect_network(const std::string& network, const std::string& container) {
  if (auto entered = enter("connect_network", network); !entered) return entered;
  const std::scoped_lock lock(mutex_);
  for (auto& [id, each] : networks_)
    if (id == network || each.summary.name == network) {
      each.endpoints.insert(container);
      return {};
    }
  return gone(network);
}

Result<void> FakeEngine::disconnect_network(const std::string& network, const std::string& container) {
  if (auto entered = enter("disconnect_network", network); !entered) return entered;
  const std::scoped_lock lock(mutex_);
  networks_[network].endpoints.erase(container);
  return {};
}

Result<void> FakeEngine::remove_network(const std::string& id) {
  if (auto entered = enter("remove_network", id); !entered) return entered;
  const std::scoped_lock lock(mutex_);
  const auto found = networks_.find(id);
  if (found == networks_.end()) return gone(id);
  if (!found->second.endpoints.empty()) return fail(Error::conflict("network has active endpoints"));
  networks_.erase(found);
  return {};
}

Result<std::vector<VolumeSummary>> FakeEngine::list_volumes(const LabelFilter& filter) {
  if (auto entered = enter("list_volumes"); !entered) return fail(entered.error());
  const std::scoped_lock lock(mutex_);
  std::vector<VolumeSummary> list;
  for (const auto& [name, volume] : volumes_)
    if (matches(volume.labels, filter)) list.push_back(volume);
  return list;
}

Result<void> FakeEngine::create_volume(const std::string& name, const Labels& labels) {
  if (auto entered = enter("create_volume", name); !entered) return entered;
  const std::scoped_lock lock(mutex_);
  volumes_.try_emplace(name, VolumeSummary{.name = name, .driver = "local", .labels = labels});
  return {};
}

Result<void> FakeEngine::remove_volume(const std::string& name) {
  if (auto entered = enter("remove_volume", name); !entered) return entered;
  const std::scoped_lock lock(mutex_);
  if (!volumes_.contains(name)) return gone(name);
  for (const auto& [id, container] : containers_)
    if (std::ranges::find(container.summary.volumes, name) != container.summary.volumes.end())
      return fail(Error::conflict("volume is in use - [" + id + "]"));
  volumes_.erase(name);
  return {};
}

Result<std::vector<ImageSummary>> FakeEngine::list_images(const LabelFilter& filter) {
  if (auto entered = enter("list_images"); !entered) return fail(entered.error());
  const std::scoped_lock lock(mutex_);
  std::vector<ImageSummary> list;
  for (const auto& [reference, image] : images_)
    if (matches(image.labels, filter))
      list.push_back({.id = image.id, .references = image.references, .labels = image.labels});
  return list;
}

Result<ImageDetail> FakeEngine::inspect_image(const std::string& reference) {
  if (auto entered = enter("inspect_image", reference); !entered) return fail(entered.error());
  const std::scoped_lock lock(mutex_);
  for (const auto& [name, image] : images_)
    if (name == reference || image.id == reference) return image;
  return fail(Error::not_found("No such image: " + reference));
}

Result<void> FakeEngine::tag_image(const std::string& id, const std::string& reference) {
  if (auto entered = enter("tag_image", reference); !entered) return entered;
  const std::scoped_lock lock(mutex_);
  const auto meant = std::ranges::find_if(images_, [&](const auto& image) { return image.second.id == id; });
  if (meant == images_.end()) return gone(id);
  auto detail = meant->second;
  if (const auto former = images_.extract(reference)) {
    auto left = former.mapped();
    left.references.clear();
    images_[left.id] = std::move(left);
  }
  detail.references = {reference};
  images_[reference] = std::move(detail);
  return {};
}

Result<void> FakeEngine::remove_image(const std::string& reference) {
  if (auto entered = enter("remove_image", reference); !entered) return entered;
  const std::scoped_lock lock(mutex_);
  const auto found = std::ranges::find_if(
      images_, [&](const auto& image) { return image.first == reference || image.second.id == reference; });
  if (found == images_.end()) return gone(reference);
  for (const auto& [id, container] : containers_)
    if (container.summary.image_id == found->second.id)
      return fail(Error::conflict("image is being used by container " + id));
  images_.erase(found);
  return {};
}

Result<void> FakeEngine::pull_image(const WantedImage& image, const std::optional<RegistryLogin>&,
                                    const std::function<void(const PullProgress&)>& progress) {
  if (progress) progress({.status = "Downloading", .done_bytes = 43, .total_bytes = 100});
  if (auto entered = enter("pull_image", image.reference); !entered) return entered;
  add_image(image.reference);
  const std::scoped_lock lock(mutex_);
  images_[image.reference].platform = image.platform;
  return {};
}

}  // namespace ebbtide::test
