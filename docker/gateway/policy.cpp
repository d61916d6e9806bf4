#include "docker/gateway/policy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <span>

#include "docker/base/text.h"
#include "docker/gateway/buildkit.h"
#include "docker/gateway/stamp.h"

namespace ebbtide::gateway {

namespace {

using Verdict = std::optional<Refusal>;

Verdict refuse(std::string rule, std::string message) { return Refusal{std::move(rule), std::move(message)}; }

const Json& member(const Json& object, std::string_view name) {
  static const Json nothing;
  const auto found = object.find(name);
  return found == object.end() ? nothing : *found;
}

std::string text(const Json& object, std::string_view name) {
  const auto& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool given(const Json& object, std::string_view name) { return !is_zero(member(object, name)); }

template <class List>
bool among(const List& list, std::string_view value) {
  return std::find(std::begin(list), std::end(list), value) != std::end(list);
}

// The engine takes "CAP_SYS_ADMIN", "sys_admin" and anything between.
std::string capability_name(std::string_view given_name) {
  std::string name(given_name);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return name.starts_with("CAP_") ? name.substr(4) : name;
}

// What the engine gives by default, and what stays within the container's own namespaces.
constexpr std::array<std::string_view, 17> kCapabilities = {
    "AUDIT_WRITE",      "CHOWN",    "DAC_OVERRIDE", "FOWNER", "FSETID",  "KILL",   "MKNOD",
    "NET_BIND_SERVICE", "NET_RAW",  "SETFCAP",      "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    "IPC_LOCK",         "SYS_NICE", "SYS_PTRACE"};

Verdict check_privileged(const Policy&, const Json& host) {
  if (!given(host, "Privileged")) return std::nullopt;
  return refuse("privileged",
                "privileged containers are not allowed: leave out --privileged and add the single capability or device "
                "that is needed, or ask the operator to allow them for this cluster");
}

Verdict check_capabilities(const Policy& policy, const Json& host) {
  // The last three are beyond the engine's default set.
  const auto known = std::span(kCapabilities).first(policy.level == PolicyLevel::kStrict ? 14 : kCapabilities.size());
  for (const auto& element : member(host, "CapAdd")) {
    const auto name = capability_name(element.get<std::string>());
    const bool allowed =
        among(known, name) || std::any_of(policy.capabilities.begin(), policy.capabilities.end(),
                                          [&](const auto& more) { return capability_name(more) == name; });
    if (!allowed)
      return refuse("capability", "the capability " + name +
                                      " is not allowed: leave it out of --cap-add, or ask the operator to allow it for "
                                      "this cluster");
  }
  return std::nullopt;
}

Verdict check_security(const Policy&, const Json& host) {
  constexpr std::array<std::string_view, 3> kAllowed = {"no-new-privileges", "no-new-privileges:true",
                                                        "no-new-privileges=true"};
  for (const auto& element : member(host, "SecurityOpt")) {
    const auto option = element.get<std::string>();
    if (!among(kAllowed, option))
      return refuse("security-option",
                    "the security option " + option + " is not allowed: only no-new-privileges is. Leave it out");
  }
  // An empty list unmasks everything, so a list is refused even then.
  for (const auto* name : {"MaskedPaths", "ReadonlyPaths"}) {
    if (host.contains(name))
      return refuse("masked-paths", std::string(name) + " can't be changed: leave out systempaths=unconfined");
  }
  return std::nullopt;
}

Verdict check_devices(const Policy& policy, const Json& host) {
  for (const auto& device : member(host, "Devices")) {
    const auto path = text(device, "PathOnHost");
    if (!among(policy.devices, clean_path(path).value_or(path)))
      return refuse("device", "the device " + path +
                                  " is not allowed: leave it out of --device, or ask the operator to allow it for this "
                                  "cluster");
  }
  if (given(host, "DeviceCgroupRules"))
    return refuse("device", "device cgroup rules are not allowed: leave out --device-cgroup-rule");
  if (given(host, "DeviceRequests"))
    return refuse("device", "device requests (GPUs) are not allowed: leave out --gpus");
  return std::nullopt;
}

Verdict check_namespaces(const Policy& policy, const Json& host) {
  constexpr std::array<std::string_view, 4> kOwn = {"", "private", "shareable", "none"};
  for (const auto* name : {"PidMode", "IpcMode", "UTSMode", "UsernsMode", "CgroupnsMode"}) {
    const auto mode = text(host, name);
    // Whose container that is, the ledger says.
    if (!among(kOwn, mode) && !mode.starts_with("container:"))
      return refuse("host-namespace", std::string(name) + " " + mode +
                                          " is not allowed: a job's containers keep to namespaces of their own or of "
                                          "its other containers");
    if (policy.level == PolicyLevel::kStrict && mode.starts_with("container:"))
      return refuse("shared-namespace", std::string(name) + " " + mode +
                                            " is not allowed by the policy strict: each container keeps to namespaces "
                                            "of its own");
  }
  if (text(host, "NetworkMode") == "host" && !policy.host_network)
    return refuse("host-network",
                  "the host's network is not allowed: publish ports, or put the containers in a network of their own "
                  "(docker network create)");
  if (given(host, "Cgroup")) return refuse("cgroup", "joining a cgroup is not allowed: leave Cgroup out");
  return std::nullopt;
}

Verdict check_source(const Policy& policy, const std::string& source) {
  if (is_allowed_source(policy, source)) return std::nullopt;
  return refuse("host-path",
                "the path " + source +
                    " can't be mounted: bind mounts would show the engine host's files, not this agent's. Use a volume "
                    "(docker volume create) and docker cp, or ask the operator to allow the path for this cluster");
}

Verdict check_propagation(std::string_view propagation) {
  if (propagation != "shared" && propagation != "rshared") return std::nullopt;
  return refuse("propagation", "mount propagation " + std::string(propagation) +
                                   " is not allowed: it would change the host's mounts. Use rslave or leave it out");
}

Verdict check_binds(const Policy& policy, const Json& host) {
  for (const auto& element : member(host, "Binds")) {
    const auto bind = parse_bind(element.get<std::string>());
    if (!bind)
      return refuse("bind-syntax", "the bind " + element.get<std::string>() +
                                       " can't be read: write volume:/path, or volume:/path:ro");
    if (bind->source.starts_with('/')) {
      if (auto refusal = check_source(policy, bind->source)) return refusal;
    }
    for (const auto& word : split(bind->mode, ',')) {
      if (auto refusal = check_propagation(word)) return refusal;
    }
  }
  return std::nullopt;
}

// Mounts a file system in the engine's memory and nothing else: neither a path nor a bind among the options.
bool is_tmpfs_options(const Json& options) {
  constexpr std::array<std::string_view, 16> kWords = {"size",   "nr_blocks", "nr_inodes", "mode",    "uid",   "gid",
                                                       "ro",     "rw",        "nosuid",    "suid",    "nodev", "dev",
                                                       "noexec", "exec",      "noatime",   "relatime"};
  if (text(options, "type") != "tmpfs") return false;
  for (const auto& [key, value] : options.items()) {
    if (key == "type" || key == "device") continue;
    if (key != "o") return false;
    for (const auto& option : split(value.get<std::string>(), ','))
      if (!among(kWords, option.substr(0, option.find('=')))) return false;
  }
  return true;
}

Verdict check_driver(const std::string& driver, const Json& options) {
  if (!driver.empty() && driver != "local")
    return refuse("volume-driver", "the volume driver " + driver + " is not allowed: leave it out");
  const bool only_size = options.is_object() && options.size() == 1 && options.contains("size");
  if (is_zero(options) || only_size || is_tmpfs_options(options)) return std::nullopt;
  return refuse("volume-options",
                "volume options are not allowed but for type=tmpfs: they could mount the host's files. Leave out the "
                "driver options (type, o, device)");
}

// The engine resolves it (API 1.45), and is to have no occasion for a mistake.
Verdict check_subpath(const Json& options) {
  const auto path = text(options, "Subpath");
  const auto parts = split(path, '/');
  if (!path.starts_with('/') && std::ranges::find(parts, "..") == parts.end()) return std::nullopt;
  return refuse("volume-options", "the sub-path " + path +
                                      " leads out of its volume: give one without \"..\" and \"/\" at "
                                      "its beginning");
}

Verdict check_mounts(const Policy& policy, const Json& host) {
  constexpr std::array<std::string_view, 4> kTypes = {"bind", "volume", "tmpfs", "image"};
  for (const auto& mount : member(host, "Mounts")) {
    const auto type = text(mount, "Type");
    if (!among(kTypes, type))
      return refuse("mount-type", "mounts of type \"" + type + "\" are not allowed: use volume or tmpfs");
    if (type == "bind") {
      if (auto refusal = check_source(policy, text(mount, "Source"))) return refusal;
    }
    if (auto refusal = check_propagation(text(member(mount, "BindOptions"), "Propagation"))) return refusal;
    for (const auto* options : {"VolumeOptions", "ImageOptions"})
      if (auto refusal = check_subpath(member(mount, options))) return refusal;
    const auto& driver = member(member(mount, "VolumeOptions"), "DriverConfig");
    if (auto refusal = check_driver(text(driver, "Name"), member(driver, "Options"))) return refusal;
  }
  return check_driver(text(host, "VolumeDriver"), {});
}

Verdict check_sysctls(const Policy&, const Json& host) {
  constexpr std::array<std::string_view, 4> kPrefixes = {"net.", "kernel.shm", "kernel.msg", "fs.mqueue."};
  const bool own_network = text(host, "NetworkMode") != "host";
  for (const auto& [key, value] : member(host, "Sysctls").items()) {
    const bool of_namespace =
        key == "kernel.sem" || std::any_of(kPrefixes.begin(), kPrefixes.end(),
                                           [&name = key](auto prefix) { return name.starts_with(prefix); });
    if (!of_namespace || (key.starts_with("net.") && !own_network))
      return refuse("sysctl", "the sysctl " + key +
                                  " is not allowed: only those of the container's own namespaces are (net.*, "
                                  "kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*)");
  }
  return std::nullopt;
}

// What containers and updates have in common.
Verdict check_resources(const Json& resources) {
  if (given(resources, "CpuRealtimePeriod") || given(resources, "CpuRealtimeRuntime"))
    return refuse("realtime", "realtime scheduling is not allowed: leave out --cpu-rt-period and --cpu-rt-runtime");
  if (given(resources, "OomKillDisable"))
    return refuse("oom-kill", "the OOM killer can't be disabled: leave out --oom-kill-disable");
  if (given(resources, "CgroupParent"))
    return refuse("cgroup-parent", "the cgroup parent is set by the gateway: leave out --cgroup-parent");
  return std::nullopt;
}

bool is_loopback(std::string_view address) { return address.starts_with("127.") || address == "::1"; }

// What is not refused here may still be published elsewhere than it asks for: temper.h.
Verdict check_ports(const Policy& policy, const Json& host) {
  if (policy.publish == Publish::kAny && policy.level != PolicyLevel::kStrict) return std::nullopt;
  const bool all = given(host, "PublishAllPorts");
  if (policy.level == PolicyLevel::kStrict && (all || given(host, "PortBindings")))
    return refuse("publish",
                  "published ports are not allowed by the policy strict: put the containers in one network and use "
                  "their names (docker network create)");
  if (policy.publish == Publish::kLoopback && all)
    return refuse("publish", "ports are published on 127.0.0.1 only: name them (-p 80), in place of -P");
  for (const auto& [port, bindings] : member(host, "PortBindings").items())
    for (const auto& binding : bindings) {
      const auto address = text(binding, "HostIp");
      if (!is_loopback(address) && address != "" && address != "0.0.0.0" && address != "::")
        return refuse("publish", "ports can't be published on the host's address " + address +
                                     ": leave the address out (-p " + port + ")");
    }
  return std::nullopt;
}

Verdict check_runtime(const Policy&, const Json& host) {
  constexpr std::array<std::string_view, 4> kLogs = {"", "json-file", "local", "none"};
  if (auto refusal = check_resources(host)) return refusal;
  const auto score = member(host, "OomScoreAdj");
  if (score.is_number_integer() && !score.is_number_unsigned() && score.get<std::int64_t>() < 0)
    return refuse("oom-score", "a negative OOM score is not allowed: leave out --oom-score-adj");
  const auto runtime = text(host, "Runtime");
  if (!runtime.empty() && runtime != "runc")
    return refuse("runtime", "the runtime " + runtime + " is not allowed: leave out --runtime");
  const auto log = text(member(host, "LogConfig"), "Type");
  if (!among(kLogs, log))
    return refuse("log-driver", "the log driver " + log + " is not allowed: use json-file, local or none");
  for (const auto& [key, value] : member(host, "StorageOpt").items())
    if (key != "size")
      return refuse("storage-option", "the storage option " + key + " is not allowed: only size is. Leave it out");
  if (given(host, "Annotations"))
    return refuse("annotation", "annotations are not allowed, since runtimes act on them: leave out --annotation");
  return std::nullopt;
}

Verdict check_endpoint(const Json& endpoint) {
  constexpr std::string_view kSysctls = "com.docker.network.endpoint.sysctls";
  constexpr std::string_view kInterface = "com.docker.network.endpoint.ifname";
  for (const auto& [key, value] : member(endpoint, "DriverOpts").items()) {
    const auto settings = split(value.get<std::string>(), ',');
    const bool own_sysctls = key == kSysctls && std::all_of(settings.begin(), settings.end(), [](const auto& setting) {
                               return setting.starts_with("net.");
                             });
    if (!own_sysctls && key != kInterface)
      return refuse("endpoint-option", "the endpoint option " + key + " is not allowed: leave it out");
  }
  return std::nullopt;
}

Verdict check_endpoints(const Policy& policy, const Json& body) {
  for (const auto& [network, endpoint] : member(member(body, "NetworkingConfig"), "EndpointsConfig").items()) {
    if (network == "host" && !policy.host_network)
      return refuse("host-network", "the host's network is not allowed: use a network of your own");
    if (auto refusal = check_endpoint(endpoint)) return refusal;
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(PolicyLevel level) {
  switch (level) {
    case PolicyLevel::kStrict:
      return "strict";
    case PolicyLevel::kCi:
      return "ci";
    case PolicyLevel::kTrusted:
      return "trusted";
  }
  return "ci";
}

std::optional<PolicyLevel> policy_level(std::string_view text) {
  for (const auto level : {PolicyLevel::kStrict, PolicyLevel::kCi, PolicyLevel::kTrusted})
    if (to_string(level) == text) return level;
  return std::nullopt;
}

bool is_docker_socket(std::string_view path) { return gateway_source(path, "").has_value(); }

bool is_allowed_source(const Policy& policy, std::string_view source) {
  if (is_docker_socket(source)) return true;
  const auto path = clean_path(source);
  return path && std::any_of(policy.host_paths.begin(), policy.host_paths.end(),
                             [&](const auto& allowed) { return clean_path(allowed) == path; });
}

std::optional<Refusal> check_container(const Policy& policy, const Json& body) {
  if (policy.level == PolicyLevel::kTrusted) return std::nullopt;
  const auto& host = member(body, "HostConfig");
  if (!policy.privileged) {
    // Who may be privileged has all of these anyway.
    for (const auto check : {check_privileged, check_capabilities, check_security, check_devices})
      if (auto refusal = check(policy, host)) return refusal;
  }
  for (const auto check : {check_namespaces, check_binds, check_mounts, check_sysctls, check_runtime, check_ports})
    if (auto refusal = check(policy, host)) return refusal;
  return check_endpoints(policy, body);
}

std::optional<Refusal> check_update(const Policy& policy, const Json& body) {
  if (policy.level == PolicyLevel::kTrusted) return std::nullopt;
  if (!policy.privileged) {
    if (auto refusal = check_devices(policy, body)) return refusal;
  }
  return check_resources(body);
}

std::optional<Refusal> check_exec(const Policy& policy, const Json& body) {
  if (policy.level == PolicyLevel::kTrusted || policy.privileged || !given(body, "Privileged")) return std::nullopt;
  return refuse("privileged", "privileged commands are not allowed: leave out --privileged of docker exec");
}

namespace {

// The host gets a route to a network's addresses: others' could be drawn to the job's containers by it.
Verdict check_subnet(const Policy& policy, const std::string& subnet) {
  constexpr unsigned kWidest4 = 16;
  constexpr unsigned kWidest6 = 48;
  if (subnet.empty()) return std::nullopt;
  const auto slash = subnet.find('/');
  const auto length = slash == std::string::npos ? std::nullopt : parse_number(subnet.substr(slash + 1));
  std::array<unsigned char, 16> address{};
  const auto host = subnet.substr(0, slash);
  const bool four = ::inet_pton(AF_INET, host.c_str(), address.data()) == 1;
  const bool six = !four && ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
  const auto [a, b] = std::pair(address[0], address[1]);
  const bool own =
      four ? a == 10 || (a == 172 && b >= 16 && b < 32) || (a == 192 && b == 168) : six && (a & 0xfe) == 0xfc;
  const bool narrow = length && *length >= (four ? kWidest4 : kWidest6);
  if (policy.level != PolicyLevel::kStrict && own && narrow) return std::nullopt;
  return refuse("subnet", "the subnet " + subnet +
                              " is not allowed: leave it to the engine, or choose a private one (10.0.0.0/8, "
                              "172.16.0.0/12, 192.168.0.0/16, fd00::/8) of /16 (IPv6: /48) or narrower");
}

}  // namespace

std::optional<Refusal> check_network(const Policy& policy, const Json& body) {
  constexpr std::array<std::string_view, 5> kOptions = {
      "com.docker.network.driver.mtu", "com.docker.network.bridge.enable_icc",
      "com.docker.network.bridge.enable_ip_masquerade", "com.docker.network.container_iface_prefix",
      "com.docker.network.enable_ipv6"};
  if (policy.level == PolicyLevel::kTrusted) return std::nullopt;
  const auto driver = text(body, "Driver");
  if (!driver.empty() && driver != "bridge")
    return refuse("network-driver", "the network driver " + driver + " is not allowed: use bridge");
  for (const auto& [key, value] : member(body, "Options").items()) {
    if (!among(kOptions, key))
      return refuse("network-option", "the network option " + key + " is not allowed: leave it out");
  }
  for (const auto& range : member(member(body, "IPAM"), "Config"))
    if (auto refusal = check_subnet(policy, text(range, "Subnet"))) return refusal;
  const auto ipam = text(member(body, "IPAM"), "Driver");
  if ((!ipam.empty() && ipam != "default") || given(member(body, "IPAM"), "Options"))
    return refuse("ipam", "only the default address management is allowed: leave out --ipam-driver and --ipam-opt");
  if (given(body, "ConfigOnly") || given(member(body, "ConfigFrom"), "Network"))
    return refuse("network-config", "configuration networks are not allowed: give the settings at the network itself");
  const auto scope = text(body, "Scope");
  if (given(body, "Ingress") || (!scope.empty() && scope != "local"))
    return refuse("network-scope", "swarm networks are not allowed: leave out --ingress and --scope");
  return std::nullopt;
}

std::optional<Refusal> check_connect(const Policy& policy, const Json& body) {
  if (policy.level == PolicyLevel::kTrusted) return std::nullopt;
  return check_endpoint(member(body, "EndpointConfig"));
}

std::optional<Refusal> check_volume(const Policy& policy, const Json& body) {
  if (policy.level == PolicyLevel::kTrusted) return std::nullopt;
  return check_driver(text(body, "Driver"), member(body, "DriverOpts"));
}

std::optional<Refusal> check_build(const Policy& policy, const http::Query& query) {
  if (policy.level == PolicyLevel::kTrusted) return std::nullopt;
  const auto is_given = [&](std::string_view key) {
    const auto value = query.get(key).value_or("");
    return !value.empty() && value != "null" && value != "[]";
  };
  if (query.get("networkmode") == "host" && !policy.host_network)
    return refuse("host-network", "the host's network is not allowed in builds: leave out --network=host");
  // With BuildKit these two stand for what the client sends.
  const bool buildkit = query.get("version") == "2";
  const auto remote = query.get("remote").value_or("");
  if (is_given("remote") && !(buildkit && (remote == "client-session" || remote == "upload-request")))
    return refuse("remote-context",
                  "the engine does not fetch build contexts for jobs: check the sources out and build from there");
  if (is_given("securityopt"))
    return refuse("security-option", "security options are not allowed in builds: leave out --security-opt");
  if (is_given("outputs") && !buildkit)
    return refuse("build-output", "the classic builder has no outputs: leave out --output, or build with BuildKit");
  const auto outputs = parse_build_outputs(query.get("outputs").value_or(""));
  if (!outputs) return refuse("build-output", outputs.error().message);
  for (const auto& output : *outputs)
    if (auto refusal = check_output(policy, output)) return refusal;
  if (is_given("cgroupparent"))
    return refuse("cgroup-parent", "the cgroup parent is set by the gateway: leave out --cgroup-parent");
  return std::nullopt;
}

std::optional<Refusal> check_pull(const Policy& policy, const http::Query& query) {
  const auto source = query.get("fromSrc").value_or("");
  if (policy.level == PolicyLevel::kTrusted) return std::nullopt;
  if (source.empty()) return check_registry(policy, query.get("fromImage").value_or(""));
  if (source == "-") return std::nullopt;
  return refuse("remote-import",
                "the engine does not fetch archives for jobs: download the file and pipe it to docker import -");
}

}  // namespace ebbtide::gateway
