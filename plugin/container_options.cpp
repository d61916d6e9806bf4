#include "plugin/container_options.h"

#include <algorithm>
#include <array>

#include "docker/base/text.h"

namespace ebbtide::plugin {
namespace {

using nlohmann::json;

constexpr std::uint32_t kMostStopSeconds = 300;
constexpr std::string_view kReservedLabels = "ebbtide.";

// capabilities(7), as of Linux 6.1.
constexpr std::array kCapabilities = std::to_array<std::string_view>({
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
});

constexpr std::array kUlimits =
    std::to_array<std::string_view>({"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
                                     "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"});

std::vector<std::string> read_capabilities(ProfileReader& reader, const std::string& key) {
  std::vector<std::string> names;
  reader.each_line(key, "a capability of Linux, as in NET_ADMIN, or ALL", [&](const std::string& line) {
    auto name = line;
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (name.starts_with("CAP_")) name.erase(0, 4);
    if (std::ranges::find(kCapabilities, name) == kCapabilities.end()) return false;
    names.push_back(name);
    return true;
  });
  return names;
}

void read_tmpfs(ProfileReader& reader, ContainerOptions& options) {
  reader.each_line("Tmpfs", "/path or /path:options, as in /tmp:size=512m,mode=1777", [&](const std::string& line) {
    const auto colon = line.find(':');
    const auto path = line.substr(0, colon);
    const auto mount = colon == std::string::npos ? std::string() : line.substr(colon + 1);
    const bool sound = path.starts_with('/') && path.size() > 1 && path.find(' ') == std::string::npos;
    if (!sound || (colon != std::string::npos && !is_made_of_words(mount, "=,%_-"))) return false;
    options.tmpfs[path] = mount;
    return true;
  });
}

std::optional<std::int64_t> ulimit_value(const std::string& text) {
  if (text == "-1" || text == "unlimited") return -1;
  const auto number = parse_number(text);
  if (!number || *number > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

void read_ulimits(ProfileReader& reader, ContainerOptions& options) {
  reader.each_line("Ulimits", "name=soft or name=soft:hard, as in nofile=4096:65536, soft not over hard",
                   [&](const std::string& line) {
                     const auto equals = line.find('=');
                     if (equals == std::string::npos) return false;
                     const auto name = to_lower(line.substr(0, equals));
                     const auto values = split(line.substr(equals + 1), ':');
                     const auto soft = ulimit_value(values.front());
                     const auto hard = ulimit_value(values.back());
                     const bool known = std::ranges::find(kUlimits, name) != kUlimits.end();
                     if (!known || values.size() > 2 || !soft || !hard) return false;
                     if (*hard != -1 && (*soft == -1 || *soft > *hard)) return false;
                     options.ulimits.push_back({name, *soft, *hard});
                     return true;
                   });
}

void read_names(ProfileReader& reader, ContainerOptions& options) {
  reader.each_line("Dns", "the IP address of a name server", [&](const std::string& line) {
    options.dns.push_back(line);
    return is_ip_address(line);
  });
  reader.each_line("DnsSearch", "a domain, as in ci.example.com", [&](const std::string& line) {
    options.dns_search.push_back(line);
    return is_made_of_words(line, ".-_");
  });
  reader.each_line("DnsOptions", "an option of resolv.conf, as in ndots:1", [&](const std::string& line) {
    options.dns_options.push_back(line);
    return is_made_of_words(line, ":.-_");
  });
}

void read_user(ProfileReader& reader, ContainerOptions& options) {
  options.user = reader.text("User");
  const auto parts = split(options.user, ':');
  const bool sound =
      parts.size() <= 2 && std::ranges::all_of(parts, [](const auto& part) { return is_made_of_words(part, "._-"); });
  if (!options.user.empty() && !sound)
    reader.wrong("User", "must be a user, or a user and a group, by name or number, as in go or 1000:0");
  reader.each_line("Groups", "a group's name or number", [&](const std::string& line) {
    options.groups.push_back(line);
    return is_made_of_words(line, "._-");
  });
}

bool is_permissions(const std::string& text) {
  return !text.empty() && text.size() <= 3 && text.find_first_not_of("rwm") == std::string::npos;
}

void read_devices(ProfileReader& reader, ContainerOptions& options) {
  reader.each_line("Devices", "/dev/name, /dev/name:/dev/inside or /dev/name:/dev/inside:rwm",
                   [&](const std::string& line) {
                     auto parts = split(line, ':');
                     const bool permissions = parts.size() > 1 && is_permissions(parts.back());
                     Device device{.host = parts.front(), .container = parts.front(), .permissions = "rwm"};
                     if (permissions) {
                       device.permissions = parts.back();
                       parts.pop_back();
                     }
                     if (parts.size() == 2) device.container = parts.back();
                     const auto sound = [](const std::string& path) {
                       return path.starts_with("/dev/") && path.size() > 5 && path.find("..") == std::string::npos;
                     };
                     if (parts.size() > 2 || !sound(device.host) || !device.container.starts_with('/')) return false;
                     options.devices.push_back(device);
                     return true;
                   });
}

void read_gpus(ProfileReader& reader, ContainerOptions& options) {
  const auto text = reader.text("Gpus");
  if (text.empty()) return;
  const auto number = parse_number(text);
  if (text == "all")
    options.gpus = Gpus{.count = -1};
  else if (number && *number >= 1 && *number <= 64)
    options.gpus = Gpus{.count = static_cast<int>(*number)};
  else if (text.starts_with("device=") && is_made_of_words(text.substr(7), "-,_:"))
    options.gpus = Gpus{.count = 0, .ids = split(text.substr(7), ',')};
  else
    reader.wrong("Gpus", "must be all, a number from 1 to 64, or device= with ids, as in device=0,2");
}

void read_labels(ProfileReader& reader, ContainerOptions& options) {
  for (const auto& [name, value] : reader.environment("Labels")) {
    if (to_lower(name).starts_with(kReservedLabels))
      reader.wrong("Labels", "must not begin with " + std::string(kReservedLabels) +
                                 ", which is for Ebbtide's own labels; rename " + name);
    options.labels[name] = value;
  }
}

void read_words(ProfileReader& reader, ContainerOptions& options) {
  options.platform = reader.text("Platform");
  if (const auto parts = split(options.platform, '/'); !options.platform.empty()) {
    const bool sound = (parts.size() == 2 || parts.size() == 3) &&
                       std::ranges::all_of(parts, [](const auto& part) { return is_made_of_words(part, "._-"); });
    if (!sound) reader.wrong("Platform", "must be system/architecture, as in linux/amd64 or linux/arm/v7");
  }
  options.runtime = reader.text("Runtime");
  if (!options.runtime.empty() && !is_made_of_words(options.runtime, "._-"))
    reader.wrong("Runtime", "must be the name of a runtime that the engine knows, as in runc or nvidia");
}

json devices_of(const ContainerOptions& options) {
  auto list = json::array();
  for (const auto& device : options.devices)
    list.push_back({{"PathOnHost", device.host},
                    {"PathInContainer", device.container},
                    {"CgroupPermissions", device.permissions}});
  return list;
}

json gpus_of(const Gpus& gpus) {
  json request{{"Driver", ""}, {"Capabilities", json::array({json::array({"gpu"})})}};
  if (gpus.ids.empty())
    request["Count"] = gpus.count;
  else
    request["DeviceIDs"] = gpus.ids;
  return json::array({request});
}

json ulimits_of(const ContainerOptions& options) {
  auto list = json::array();
  for (const auto& limit : options.ulimits)
    list.push_back({{"Name", limit.name}, {"Soft", limit.soft}, {"Hard", limit.hard}});
  return list;
}

void put(json& object, const char* name, const std::vector<std::string>& list) {
  if (!list.empty()) object[name] = list;
}

}  // namespace

ContainerOptions read_container_options(ProfileReader& reader) {
  ContainerOptions options;
  options.cap_add = read_capabilities(reader, "CapAdd");
  options.cap_drop = read_capabilities(reader, "CapDrop");
  read_tmpfs(reader, options);
  options.shm_bytes = reader.memory("ShmSize");
  read_ulimits(reader, options);
  options.init = reader.flag("Init");
  read_names(reader, options);
  read_user(reader, options);
  read_devices(reader, options);
  read_gpus(reader, options);
  read_labels(reader, options);
  read_words(reader, options);
  options.stop_seconds = reader.number("StopTimeout", 0, kMostStopSeconds, 0);
  return options;
}

void apply_container_options(const ContainerOptions& options, json& body) {
  json& host = body["HostConfig"];
  put(host, "CapAdd", options.cap_add);
  put(host, "CapDrop", options.cap_drop);
  put(host, "Dns", options.dns);
  put(host, "DnsSearch", options.dns_search);
  put(host, "DnsOptions", options.dns_options);
  if (!options.tmpfs.empty()) host["Tmpfs"] = options.tmpfs;
  if (options.shm_bytes > 0) host["ShmSize"] = options.shm_bytes;
  if (!options.ulimits.empty()) host["Ulimits"] = ulimits_of(options);
  if (options.init) host["Init"] = true;
  if (!options.devices.empty()) host["Devices"] = devices_of(options);
  if (options.gpus) host["DeviceRequests"] = gpus_of(*options.gpus);
  if (!options.runtime.empty()) host["Runtime"] = options.runtime;
  for (const auto& group : options.groups) host["GroupAdd"].push_back(group);
  for (const auto& [name, value] : options.labels)
    if (!body["Labels"].contains(name)) body["Labels"][name] = value;
  if (!options.user.empty()) body["User"] = options.user;
  if (options.stop_seconds > 0) body["StopTimeout"] = options.stop_seconds;
}

}  // namespace ebbtide::plugin
