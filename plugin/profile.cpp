#include "plugin/profile.h"

#include <algorithm>

#include "docker/base/text.h"
#include "docker/engine/pull.h"
#include "plugin/keys.h"
#include "plugin/profile_reader.h"

namespace ebbtide::plugin {
namespace {

constexpr std::int64_t kLeastMemory = 4 << 20;  // the engine's own minimum

void read_server_url(ProfileReader& reader, ClusterProfile& cluster) {
  auto url = reader.required("go_server_url");
  if (url.empty()) return;
  while (url.ends_with('/')) url.pop_back();
  cluster.go_server_url = url;
  const auto scheme = url.starts_with("https://") ? 8U : url.starts_with("http://") ? 7U : 0U;
  if (scheme == 0) {
    reader.wrong("go_server_url", "must begin with http:// or https://, as in https://gocd.example.com/go");
    return;
  }
  const auto host = to_lower(url.substr(scheme, url.find_first_of(":/", scheme) - scheme));
  const bool loopback = host == "localhost" || host.starts_with("127.") || url.substr(scheme).starts_with("[::1]");
  if (loopback || host.empty())
    reader.wrong("go_server_url", "must name GoCD as agents in containers reach it: not localhost or 127.0.0.1");
  if (!url.ends_with("/go")) reader.wrong("go_server_url", "must end in /go, as in https://gocd.example.com/go");
}

void read_engine(ProfileReader& reader, ClusterProfile& cluster) {
  const auto uri = reader.required("docker_uri");
  if (uri.empty()) return;
  EngineTls tls{reader.text("docker_ca_cert"), reader.text("docker_client_cert"), reader.text("docker_client_key")};
  bool sound = true;
  const auto check = [&](const std::string& key, const std::string& pem) {
    if (pem.empty() || pem.starts_with("-----BEGIN ")) return;
    reader.wrong(key, "must be PEM text, beginning with -----BEGIN");
    sound = false;
  };
  check("docker_ca_cert", tls.ca_pem);
  check("docker_client_cert", tls.cert_pem);
  check("docker_client_key", tls.key_pem);
  if (tls.cert_pem.empty() != tls.key_pem.empty()) {
    reader.wrong(tls.cert_pem.empty() ? "docker_client_cert" : "docker_client_key",
                 "a client certificate and its key go together: give both or neither");
    sound = false;
  }
  // Certificates that are left from another address are no reason to refuse a socket.
  if (uri.starts_with("unix://")) tls = {};
  if (!sound) return;
  auto address = EngineAddress::parse(uri, std::move(tls));
  if (address)
    cluster.engine = std::move(*address);
  else
    reader.wrong("docker_uri", address.error().message);
}

void read_registry(ProfileReader& reader, ClusterProfile& cluster) {
  cluster.registry_enabled = reader.flag("enable_private_registry_authentication");
  cluster.registry_custom = reader.flag("private_registry_custom_credentials", true);
  cluster.registry = {reader.text("private_registry_server"), reader.text("private_registry_username"),
                      reader.text("private_registry_password")};
  if (!cluster.registry_enabled) return;
  if (cluster.registry.server.empty()) reader.wrong("private_registry_server", "must not be blank");
  if (!cluster.registry_custom) return;
  if (cluster.registry.username.empty()) reader.wrong("private_registry_username", "must not be blank");
  if (cluster.registry.password.empty()) reader.wrong("private_registry_password", "must not be blank");
}

// HOST or HOST:PORT, nothing after it.
bool is_registry(const std::string& text) { return !text.empty() && text.find_first_of("/@ ") == std::string::npos; }

void read_publish(ProfileReader& reader, gateway::Policy& policy) {
  const auto publish = reader.text("docker_publish");
  if (publish.empty()) return;
  if (const auto known = gateway::publish_named(publish))
    policy.publish = *known;
  else
    reader.wrong("docker_publish", "must be ephemeral, loopback or any");
}

void read_policy(ProfileReader& reader, gateway::Policy& policy) {
  read_publish(reader, policy);
  if (const auto level = reader.text("docker_policy"); !level.empty()) {
    if (const auto known = gateway::policy_level(level))
      policy.level = *known;
    else
      reader.wrong("docker_policy", "must be strict, ci or trusted");
  }
  for (const auto& line : reader.lines("docker_policy_allow")) {
    const auto blank = line.find(' ');
    const auto what = line.substr(0, blank);
    const auto value = blank == std::string::npos ? std::string() : std::string(trim(line.substr(blank)));
    if (what == "privileged" && value.empty())
      policy.privileged = true;
    else if (what == "host-network" && value.empty())
      policy.host_network = true;
    else if (what == "host-path" && value.starts_with('/'))
      policy.host_paths.push_back(value);
    else if (what == "device" && value.starts_with("/dev/"))
      policy.devices.push_back(value);
    else if (what == "registry" && is_registry(value))
      policy.registries.push_back(value);
    else if (what == "capability" && !value.empty())
      policy.capabilities.push_back(value.starts_with("CAP_") ? value.substr(4) : value);
    else
      reader.wrong("docker_policy_allow",
                   "each line must be one of: privileged, host-network, host-path /path, device /dev/name, "
                   "capability NAME, registry HOST[:PORT]; this one is not: " +
                       line);
  }
}

void read_mounts(ProfileReader& reader, AgentProfile& profile) {
  for (const auto& line : reader.lines("Mounts")) {
    const auto parts = split(line, ':');
    const bool modes = parts.size() == 2 || (parts.size() == 3 && (parts[2] == "ro" || parts[2] == "rw"));
    if (!modes || parts[0].empty() || !parts[1].starts_with('/')) {
      reader.wrong("Mounts", "each line must be source:/target or source:/target:ro; this one is not: " + line);
      continue;
    }
    if (gateway::is_docker_socket(parts[0]))
      profile.mounts_docker_socket = true;
    else
      profile.mounts.push_back({parts[0], parts[1], parts.size() == 3 && parts[2] == "ro"});
  }
}

void read_hosts(ProfileReader& reader, AgentProfile& profile) {
  for (const auto& line : reader.lines("Hosts")) {
    std::vector<std::string> words;
    for (const auto& word : split(line, ' '))
      for (const auto& part : split(word, '\t'))
        if (!part.empty()) words.push_back(part);
    if (!is_ip_address(words.front()) || words.size() < 2) {
      reader.wrong("Hosts",
                   "each line must be an IP address and one or more names, as in 10.0.0.5 db db.local; "
                   "this one is not: " +
                       line);
      continue;
    }
    for (std::size_t i = 1; i < words.size(); ++i) profile.extra_hosts.push_back(words[i] + ":" + words.front());
  }
}

void read_limits(ProfileReader& reader, AgentProfile& profile) {
  profile.reserved_memory_bytes = reader.memory("ReservedMemory");
  profile.max_memory_bytes = reader.memory("MaxMemory");
  if (profile.max_memory_bytes > 0 && profile.max_memory_bytes < kLeastMemory)
    reader.wrong("MaxMemory", "must be 4M or more");
  if (profile.max_memory_bytes > 0 && profile.max_memory_bytes < profile.reserved_memory_bytes)
    reader.wrong("MaxMemory", "must not be less than ReservedMemory");
  profile.max_pids = reader.number("MaxPids", 0, 4'194'304, 0);
  const auto cpus = reader.text("Cpus");
  if (cpus.empty()) return;
  const auto number = parse_decimal(cpus);
  if (number && *number >= 0.01 && *number <= 4096)
    profile.cpus = *number;
  else
    reader.wrong("Cpus", "must be a number above 0, as in 2 or 0.5");
}

void read_volumes(ProfileReader& reader, AgentProfile& profile) {
  bool scoped = false;
  reader.each_line("Volumes", "scoped, or shared: with a pattern of volume names, as in shared:m2-*",
                   [&](const std::string& line) {
                     if (to_lower(line) == "scoped") return scoped = true;
                     if (!to_lower(line).starts_with("shared:")) return false;
                     profile.shared_volumes.emplace_back(trim(line.substr(7)));
                     return is_made_of_words(profile.shared_volumes.back(), "._-*");
                   });
  if (scoped && !profile.shared_volumes.empty())
    reader.wrong("Volumes", "must be either scoped or shared patterns: take the line scoped out");
}

void read_access(ProfileReader& reader, AgentProfile& profile) {
  reader.choice("DockerAccess", profile.access,
                {{"tracked", DockerAccess::kTracked},
                 {"none", DockerAccess::kNone},
                 {"host", DockerAccess::kHost},
                 {"dind", DockerAccess::kDind}});
  reader.choice("Images", profile.images,
                {{"clean", ImageMode::kClean}, {"shared", ImageMode::kShared}, {"isolated", ImageMode::kIsolated}});
  read_volumes(reader, profile);
  profile.privileged = reader.flag("Privileged") || profile.access == DockerAccess::kDind;
  profile.max_belongings = reader.number("MaxBelongings", 0, 100'000, 0);
  profile.keep_on_failure = std::chrono::minutes(reader.number("KeepOnFailure", 0, 10'080, 0));
  const bool socket_unused = profile.access == DockerAccess::kNone || profile.access == DockerAccess::kDind;
  if (profile.mounts_docker_socket && socket_unused)
    reader.wrong("Mounts", "names the docker socket, but DockerAccess is " + std::string(to_string(profile.access)) +
                               ": take the line out, or set DockerAccess to tracked");
}

}  // namespace

std::string_view to_string(DockerAccess access) {
  switch (access) {
    case DockerAccess::kTracked:
      return "tracked";
    case DockerAccess::kNone:
      return "none";
    case DockerAccess::kHost:
      return "host";
    case DockerAccess::kDind:
      return "dind";
  }
  return "tracked";
}

tl::expected<ClusterProfile, ProfileErrors> read_cluster_profile(const Properties& properties) {
  ProfileReader reader(properties);
  ClusterProfile cluster;
  reader.refuse_unknown(kClusterKeys);
  read_server_url(reader, cluster);
  read_engine(reader, cluster);
  reader.required("max_docker_containers");
  cluster.max_agents = reader.number("max_docker_containers", 1, 100'000, 0);
  cluster.auto_register_timeout = std::chrono::minutes(reader.number("auto_register_timeout", 1, 1'440, 10));
  cluster.environment = reader.environment("environment_variables");
  cluster.pull_always = reader.flag("pull_on_container_create");
  read_registry(reader, cluster);
  read_policy(reader, cluster.policy);
  if (!reader.errors().list.empty()) return tl::unexpected(reader.errors());
  return cluster;
}

tl::expected<AgentProfile, ProfileErrors> read_agent_profile(const Properties& properties) {
  ProfileReader reader(properties);
  AgentProfile profile;
  reader.refuse_unknown(kAgentKeys);
  if (const auto image = reader.required("Image"); !image.empty()) {
    profile.image = with_tag(image);
    if (image.find_first_of(" \t\r\n") != std::string::npos) reader.wrong("Image", "must be one image reference");
  }
  profile.command = reader.lines("Command");
  profile.environment = reader.environment("Environment");
  profile.networks = reader.lines("Networks");
  read_limits(reader, profile);
  read_mounts(reader, profile);
  read_hosts(reader, profile);
  read_access(reader, profile);
  reader.choice(
      "PullPolicy", profile.pull,
      {{"always", PullPolicy::kAlways}, {"if-not-present", PullPolicy::kIfNotPresent}, {"never", PullPolicy::kNever}});
  profile.options = read_container_options(reader);
  if (!reader.errors().list.empty()) return tl::unexpected(reader.errors());
  return profile;
}

std::string with_tag(std::string_view image) {
  const auto parts = split_reference(image);
  return parts.repository + (parts.tag.find(':') == std::string::npos ? ":" : "@") + parts.tag;
}

}  // namespace ebbtide::plugin
