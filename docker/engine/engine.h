// Engine: the calls that Ebbtide itself makes of a Docker engine, typed. HttpEngine makes them; tests have an
// engine in memory. Every call blocks, with a limit of its own; any thread. Errors: kNotFound (404),
// kConflict (409, and the 403 of a network in use), kInvalid (400), kUnavailable (no connection, or 5xx),
// kTimeout.
//
// Source of the shapes: Docker Engine API 1.41 and later. Reading is tolerant: a member that is missing is
// empty.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/clock.h"
#include "docker/base/histogram.h"
#include "docker/base/result.h"
#include "docker/engine/address.h"

namespace ebbtide {

using Labels = std::map<std::string, std::string>;
// "key" or "key=value", all of which must match; as the engine's label filter.
using LabelFilter = std::vector<std::string>;

struct EngineInfo {
  std::string id;
  std::string name;
  std::string version;
  std::string api_version;  // the newest that the engine speaks
  std::string min_api_version;
  std::string os;  // "Debian GNU/Linux 12 (bookworm)"
  std::string architecture;
  std::string kernel;
  std::string root_dir;  // /var/lib/docker
  std::string storage_driver;
  std::string cgroup_driver;   // "cgroupfs" or "systemd"
  std::string cgroup_version;  // "1" or "2"
  std::string log_driver;      // of containers that name none
  std::int64_t cpus = 0;
  std::int64_t memory_bytes = 0;
};

struct ContainerSummary {
  std::string id;
  std::string name;   // without the leading slash
  std::string image;  // as given at create
  std::string image_id;
  std::string state;   // created running paused restarting removing exited dead
  std::string status;  // "Up 3 minutes"
  Labels labels;
  TimePoint created;
  std::vector<std::string> ports;    // "127.0.0.1:8080->80/tcp"
  std::vector<std::string> volumes;  // names of mounted volumes
};

struct ContainerDetail {
  std::string id;
  std::string name;
  std::string image;  // as given at create
  std::string image_id;
  std::string state;
  bool running = false;
  bool terminal = false;  // its log has no frames
  bool oom_killed = false;
  int exit_code = 0;
  std::string error;  // why a start failed
  Labels labels;
  TimePoint created;
  std::optional<TimePoint> started;
  std::optional<TimePoint> finished;
  std::string cgroup_parent;
  std::vector<std::string> volumes;
  std::map<std::string, std::string> networks;  // name → network id
};

// What a container has used, from its cgroup.
struct ContainerUsage {
  std::uint64_t cpu_ns = 0;        // since its start, over all CPUs
  std::uint64_t memory_bytes = 0;  // without the page cache that can go
  std::uint64_t memory_limit_bytes = 0;
};

struct LogWishes {
  int last_lines = 100;
  bool follow = false;  // until the container ends
  bool times = false;   // each line begins with its time
};

struct NetworkSummary {
  std::string id;
  std::string name;
  std::string driver;
  Labels labels;
  TimePoint created;
};

struct VolumeSummary {
  std::string name;
  std::string driver;
  Labels labels;
  TimePoint created;
};

struct ImageSummary {
  std::string id;                       // sha256:…
  std::vector<std::string> references;  // repo:tag; without <none>:<none>
  Labels labels;
  std::int64_t size_bytes = 0;
  TimePoint created;
};

struct ImageDetail {
  std::string id;
  std::vector<std::string> references;
  Labels labels;
  std::vector<std::string> volumes;  // destinations of VOLUME
  std::string user;
  std::string platform;  // "linux/amd64", without a variant; empty if the engine doesn't tell
};

// What is to be pulled.
struct WantedImage {
  std::string reference;
  std::string platform;  // empty: the engine's
};

struct RegistryLogin {
  std::string server;  // empty: Docker Hub
  std::string username;
  std::string password;
};

struct PullProgress {
  std::string status;             // the engine's last word: "Downloading", "Pull complete"
  std::uint64_t done_bytes = 0;   // summed over layers
  std::uint64_t total_bytes = 0;  // 0 while unknown
};

// One message of GET /events.
struct EngineEvent {
  std::string type;    // container network volume image …
  std::string action;  // create start die destroy connect …; "exec_create: sh" as the engine writes it
  std::string id;      // Actor.ID
  std::map<std::string, std::string> attributes;  // for containers: labels, name, image, exitCode
  std::int64_t time_nano = 0;
};

// How an engine's events are told; see event_feed.h for when and on which thread.
struct EventCallbacks {
  std::function<void()> connected;
  std::function<void(const EngineEvent&)> event;
  std::function<void(const std::string& why)> lost;
};

// While it lives, events are told; its destructor returns when no callback runs any more.
class EventSubscription {
 public:
  virtual ~EventSubscription() = default;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // All events of the engine, unfiltered (EventFeed for a real one; the fake's own in tests).
  virtual std::unique_ptr<EventSubscription> subscribe(EventCallbacks callbacks) = 0;

  virtual const EngineAddress& address() const = 0;
  // 3 s: whether the engine answers.
  virtual Result<void> ping() = 0;
  virtual Result<EngineInfo> info() = 0;

  // body as of POST /containers/create; platform as "linux/arm64", empty for the engine's. The id of what was made.
  virtual Result<std::string> create_container(const std::string& name, const nlohmann::json& body,
                                               const std::string& platform = {}) = 0;
  virtual Result<void> start_container(const std::string& id) = 0;
  virtual Result<void> stop_container(const std::string& id, std::chrono::seconds grace) = 0;
  virtual Result<void> kill_container(const std::string& id) = 0;
  // With force and with anonymous volumes. kNotFound: gone already. kConflict: its removal is in progress.
  virtual Result<void> remove_container(const std::string& id) = 0;
  virtual Result<ContainerDetail> inspect_container(const std::string& id) = 0;
  // Of every state.
  virtual Result<std::vector<ContainerSummary>> list_containers(const LabelFilter& filter) = 0;
  // stdout and stderr, without frame headers, at most 64 KiB.
  virtual Result<std::string> container_log(const std::string& id, int last_lines) = 0;
  // Its log as it comes, without frame headers, in pieces cut anywhere, until write returns false or there is no more.
  // Without limit where followed; wanted is asked about every second meanwhile, and false ends it.
  virtual Result<void> read_log(const std::string& id, const LogWishes& wishes,
                                const std::function<bool(std::string_view piece)>& write,
                                const std::function<bool()>& wanted) = 0;
  virtual Result<ContainerUsage> container_usage(const std::string& id) = 0;
  // HEAD archive: whether path exists in the container.
  virtual Result<bool> has_path(const std::string& id, const std::string& path) = 0;
  virtual Result<void> put_archive(const std::string& id, const std::string& path, const std::string& tar) = 0;

  virtual Result<std::vector<NetworkSummary>> list_networks(const LabelFilter& filter) = 0;
  // Ids of the containers that are connected now.
  virtual Result<std::vector<std::string>> network_containers(const std::string& id) = 0;
  virtual Result<void> connect_network(const std::string& network, const std::string& container) = 0;
  virtual Result<void> disconnect_network(const std::string& network, const std::string& container) = 0;
  virtual Result<void> remove_network(const std::string& id) = 0;

  virtual Result<std::vector<VolumeSummary>> list_volumes(const LabelFilter& filter) = 0;
  virtual Result<void> create_volume(const std::string& name, const Labels& labels) = 0;
  virtual Result<void> remove_volume(const std::string& name) = 0;

  virtual Result<std::vector<ImageSummary>> list_images(const LabelFilter& filter) = 0;
  virtual Result<ImageDetail> inspect_image(const std::string& reference) = 0;
  // Makes reference mean the image of that id; what it meant before stays.
  virtual Result<void> tag_image(const std::string& id, const std::string& reference) = 0;
  // Without force: untags a reference, or removes an untagged image by id.
  virtual Result<void> remove_image(const std::string& reference) = 0;
  // Blocks until pulled; progress is told as it comes, on the calling thread. No limit but the engine's.
  virtual Result<void> pull_image(const WantedImage& image, const std::optional<RegistryLogin>& login,
                                  const std::function<void(const PullProgress&)>& progress) = 0;

  // How long the engine took to answer, by method; streams are not among them.
  virtual std::map<std::string, Histogram> latencies() const = 0;
};

}  // namespace ebbtide
