#include "docker/engine/engine_json.h"

#include <algorithm>

#include "docker/base/text.h"

namespace ebbtide {
namespace {

using nlohmann::json;

const json kNull;

const json& member(const json& object, const char* name) {
  if (!object.is_object()) return kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}

std::string text(const json& object, const char* name) {
  const auto& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::int64_t number(const json& object, const char* name) {
  const auto& value = member(object, name);
  return value.is_number() ? value.get<std::int64_t>() : 0;
}

bool flag(const json& object, const char* name) {
  const auto& value = member(object, name);
  return value.is_boolean() && value.get<bool>();
}

std::map<std::string, std::string> texts(const json& object) {
  std::map<std::string, std::string> list;
  if (!object.is_object()) return list;
  for (const auto& [key, value] : object.items())
    if (value.is_string()) list[key] = value.get<std::string>();
  return list;
}

TimePoint time(const json& object, const char* name) {
  const auto& value = member(object, name);
  if (value.is_number()) return TimePoint(std::chrono::seconds(value.get<std::int64_t>()));
  return value.is_string() ? parse_rfc3339(value.get<std::string>()).value_or(TimePoint{}) : TimePoint{};
}

// The engine writes year 1 for never.
std::optional<TimePoint> time_if_any(const json& object, const char* name) {
  if (text(object, name).starts_with("0001-")) return std::nullopt;
  const auto value = time(object, name);
  return value == TimePoint{} ? std::nullopt : std::optional(value);
}

std::string without_slash(std::string name) {
  if (name.starts_with('/')) name.erase(0, 1);
  return name;
}

std::vector<std::string> volume_names(const json& mounts) {
  std::vector<std::string> names;
  if (mounts.is_array())
    for (const auto& mount : mounts)
      if (text(mount, "Type") == "volume") names.push_back(text(mount, "Name"));
  return names;
}

std::vector<std::string> references(const json& item) {
  std::vector<std::string> list;
  const auto& tags = member(item, "RepoTags");
  if (tags.is_array())
    for (const auto& tag : tags)
      if (tag.is_string() && tag != "<none>:<none>") list.push_back(tag.get<std::string>());
  return list;
}

std::string port_text(const json& port) {
  const auto inner = std::to_string(number(port, "PrivatePort")) + "/" + text(port, "Type");
  const auto outer = number(port, "PublicPort");
  if (outer == 0) return inner;
  const auto ip = text(port, "IP");
  return (ip.find(':') == std::string::npos ? ip : "[" + ip + "]") + ":" + std::to_string(outer) + "->" + inner;
}

}  // namespace

json read_json(std::string_view body) {
  auto parsed = json::parse(body, nullptr, false);
  return parsed.is_discarded() ? json() : parsed;
}

EngineInfo read_info(const json& info, const json& version) {
  return {.id = text(info, "ID"),
          .name = text(info, "Name"),
          .version = text(version, "Version"),
          .api_version = text(version, "ApiVersion"),
          .min_api_version = text(version, "MinAPIVersion"),
          .os = text(info, "OperatingSystem"),
          .architecture = text(info, "Architecture"),
          .kernel = text(info, "KernelVersion"),
          .root_dir = text(info, "DockerRootDir"),
          .storage_driver = text(info, "Driver"),
          .cgroup_driver = text(info, "CgroupDriver"),
          .cgroup_version = text(info, "CgroupVersion"),
          .log_driver = text(info, "LoggingDriver"),
          .cpus = number(info, "NCPU"),
          .memory_bytes = number(info, "MemTotal")};
}

ContainerSummary read_container_summary(const json& item) {
  ContainerSummary container{.id = text(item, "Id"),
                             .name = {},
                             .image = text(item, "Image"),
                             .image_id = text(item, "ImageID"),
                             .state = text(item, "State"),
                             .status = text(item, "Status"),
                             .labels = texts(member(item, "Labels")),
                             .created = time(item, "Created"),
                             .ports = {},
                             .volumes = volume_names(member(item, "Mounts"))};
  const auto& names = member(item, "Names");
  // A legacy link adds names such as "/parent/alias": the container's own is the one with a single slash.
  if (names.is_array())
    for (const auto& name : names)
      if (name.is_string() && container.name.empty() && std::ranges::count(name.get_ref<const std::string&>(), '/') < 2)
        container.name = without_slash(name.get<std::string>());
  const auto& ports = member(item, "Ports");
  if (ports.is_array())
    for (const auto& port : ports) container.ports.push_back(port_text(port));
  return container;
}

ContainerDetail read_container_detail(const json& item) {
  const auto& state = member(item, "State");
  const auto& config = member(item, "Config");
  ContainerDetail container{.id = text(item, "Id"),
                            .name = without_slash(text(item, "Name")),
                            .image = text(config, "Image"),
                            .image_id = text(item, "Image"),
                            .state = text(state, "Status"),
                            .running = flag(state, "Running"),
                            .terminal = flag(config, "Tty"),
                            .oom_killed = flag(state, "OOMKilled"),
                            .exit_code = static_cast<int>(number(state, "ExitCode")),
                            .error = text(state, "Error"),
                            .labels = texts(member(config, "Labels")),
                            .created = time(item, "Created"),
                            .started = time_if_any(state, "StartedAt"),
                            .finished = time_if_any(state, "FinishedAt"),
                            .cgroup_parent = text(member(item, "HostConfig"), "CgroupParent"),
                            .volumes = volume_names(member(item, "Mounts")),
                            .networks = {}};
  const auto& networks = member(member(item, "NetworkSettings"), "Networks");
  if (networks.is_object())
    for (const auto& [name, endpoint] : networks.items()) container.networks[name] = text(endpoint, "NetworkID");
  return container;
}

NetworkSummary read_network(const json& item) {
  return {.id = text(item, "Id"),
          .name = text(item, "Name"),
          .driver = text(item, "Driver"),
          .labels = texts(member(item, "Labels")),
          .created = time(item, "Created")};
}

VolumeSummary read_volume(const json& item) {
  return {.name = text(item, "Name"),
          .driver = text(item, "Driver"),
          .labels = texts(member(item, "Labels")),
          .created = time(item, "CreatedAt")};
}

ImageSummary read_image_summary(const json& item) {
  return {.id = text(item, "Id"),
          .references = references(item),
          .labels = texts(member(item, "Labels")),
          .size_bytes = number(item, "Size"),
          .created = time(item, "Created")};
}

ImageDetail read_image_detail(const json& item) {
  const auto& config = member(item, "Config");
  ImageDetail image{.id = text(item, "Id"),
                    .references = references(item),
                    .labels = texts(member(config, "Labels")),
                    .volumes = {},
                    .user = text(config, "User"),
                    .platform = {}};
  const auto system = text(item, "Os");
  if (!system.empty()) image.platform = system + "/" + text(item, "Architecture");
  const auto& volumes = member(config, "Volumes");
  if (volumes.is_object())
    for (const auto& [target, unused] : volumes.items()) image.volumes.push_back(target);
  return image;
}

std::optional<EngineEvent> read_event(std::string_view line) {
  const auto event = read_json(line);
  const auto& actor = member(event, "Actor");
  if (!actor.is_object()) return std::nullopt;
  EngineEvent read{.type = text(event, "Type"),
                   .action = text(event, "Action"),
                   .id = text(actor, "ID"),
                   .attributes = texts(member(actor, "Attributes")),
                   .time_nano = number(event, "timeNano")};
  return read.type.empty() || read.action.empty() ? std::nullopt : std::optional(std::move(read));
}

std::string filters_text(const LabelFilter& filter) { return json{{"label", filter}}.dump(); }

std::string without_frames(std::string_view log) {
  std::string out;
  while (log.size() >= 8 && log[0] >= 0 && log[0] <= 3 && log.substr(1, 3) == std::string_view("\0\0\0", 3)) {
    std::size_t size = 0;
    for (std::size_t i = 4; i < 8; ++i) size = size << 8 | static_cast<unsigned char>(log[i]);
    log.remove_prefix(8);
    out.append(log.substr(0, size));
    log.remove_prefix(std::min(size, log.size()));
  }
  return out.append(log);
}

std::string FrameReader::feed(std::string_view piece) {
  std::string out;
  while (!piece.empty()) {
    if (inside_ > 0) {
      const auto some = piece.substr(0, inside_);
      out.append(some);
      inside_ -= some.size();
      piece.remove_prefix(some.size());
      continue;
    }
    const auto some = piece.substr(0, 8 - head_.size());
    head_.append(some);
    piece.remove_prefix(some.size());
    if (head_.size() < 8) break;
    for (std::size_t i = 4; i < 8; ++i) inside_ = inside_ << 8 | static_cast<unsigned char>(head_[i]);
    head_.clear();
  }
  return out;
}

ContainerUsage read_usage(const json& stats) {
  const auto& memory = member(stats, "memory_stats");
  const auto& details = member(memory, "stats");
  const auto unsigned_of = [](const json& object, const char* key) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(number(object, key), 0));
  };
  // The page cache that nobody uses, by its names in cgroup v2 and v1.
  const auto cache = std::max(unsigned_of(details, "inactive_file"), unsigned_of(details, "total_inactive_file"));
  const auto used = unsigned_of(memory, "usage");
  return {.cpu_ns = unsigned_of(member(member(stats, "cpu_stats"), "cpu_usage"), "total_usage"),
          .memory_bytes = used > cache ? used - cache : 0,
          .memory_limit_bytes = unsigned_of(memory, "limit")};
}

}  // namespace ebbtide
