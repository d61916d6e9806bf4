#include "plugin/profile.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "docker/base/text.h"
#include "docker/engine/pull.h"
#include "plugin/keys.h"

namespace ebbtide::plugin {
namespace {

constexpr std::int64_t kLeastMemory = 4 << 20;  // the engine's own minimum
constexpr double kMostMemory = 1024.0 * 1024 * 1024 * 1024 * 1024;

// Reads a profile's values by key and gathers what is wrong with them.
class Reader {
 public:
  explicit Reader(const Properties& properties) : properties_(properties) {}

  template <std::size_t N>
  void refuse_unknown(const std::array<ProfileKey, N>& known) {
    for (const auto& [key, value] : properties_)
      if (std::ranges::find(known, key, &ProfileKey::name) == known.end()) wrong(key, "Is an unknown property");
  }

  std::string text(const std::string& key) const {
    const auto found = properties_.find(key);
    return found == properties_.end() ? std::string() : std::string(trim(found->second));
  }

  std::string required(const std::string& key) {
    auto value = text(key);
    if (value.empty()) wrong(key, "must not be blank");
    return value;
  }

  std::vector<std::string> lines(const std::string& key) const { return lines_of(text(key)); }

  bool flag(const std::string& key, bool otherwise = false) {
    const auto value = to_lower(text(key));
    if (value.empty()) return otherwise;
    if (value == "true") return true;
    if (value != "false") wrong(key, "must be true or false");
    return false;
  }

  // A whole number from least to most; blank: otherwise.
  std::uint32_t number(const std::string& key, std::uint32_t least, std::uint32_t most, std::uint32_t otherwise) {
    const auto value = text(key);
    if (value.empty()) return otherwise;
    const auto parsed = parse_number(value);
    if (parsed && *parsed >= least && *parsed <= most) return static_cast<std::uint32_t>(*parsed);
    wrong(key, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return otherwise;
  }

  // "512M", "1.5G"; zero when blank.
  std::int64_t memory(const std::string& key) {
    const auto value = text(key);
    if (value.empty()) return 0;
    const auto unit =
        std::string_view("MGT").find(static_cast<char>(std::toupper(static_cast<unsigned char>(value.back()))));
    const auto amount = decimal(value.substr(0, value.size() - 1));
    const auto bytes = amount.value_or(0) * std::pow(1024.0, static_cast<double>(unit + 2));
    if (unit == std::string_view::npos || !amount || bytes > kMostMemory) {
      wrong(key, "must be a number with one of the units M, G or T, as in 512M or 1.5G, and not over 1024T");
      return 0;
    }
    return static_cast<std::int64_t>(bytes);
  }

  std::optional<double> decimal(const std::string& text) const {
    if (text.empty() || text.find_first_not_of("0123456789.") != std::string::npos) return std::nullopt;
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return *end == '\0' && std::isfinite(value) ? std::optional(value) : std::nullopt;
  }

  // A faulty line is told by its number: it may be the second line of a password.
  Environment environment(const std::string& key) {
    Environment list;
    const auto found = properties_.find(key);
    if (found == properties_.end()) return list;
    const auto all = split(found->second, '\n');
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto line = trim(all[i]);
      const auto equals = line.find('=');
      if (line.empty()) continue;
      if (equals == std::string_view::npos || equals == 0)
        wrong(key, "each line must be NAME=value; line " + std::to_string(i + 1) + " is not");
      else
        list.emplace_back(trim(line.substr(0, equals)), line.substr(equals + 1));
    }
    return merge_environment({}, list);
  }

  void wrong(const std::string& key, std::string message) { errors_.list.push_back({key, std::move(message)}); }
  const ProfileErrors& errors() const { return errors_; }

 private:
  const Properties& properties_;
  ProfileErrors errors_;
};

void read_server_url(Reader& reader, ClusterProfile& cluster) {
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

void read_engine(Reader& reader, ClusterProfile& cluster) {
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

void read_registry(Reader& reader, ClusterProfile& cluster) {
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

void read_publish(Reader& reader, gateway::Policy& policy) {
  const auto publish = reader.text("docker_publish");
  if (publish.empty()) return;
  if (const auto known = gateway::publish_named(publish))
    policy.publish = *known;
  else
    reader.wrong("docker_publish", "must be ephemeral, loopback or any");
}

void read_policy(Reader& reader, gateway::Policy& policy) {
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

void read_mounts(Reader& reader, AgentProfile& profile) {
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

void read_hosts(Reader& reader, AgentProfile& profile) {
  for (const auto& line : reader.lines("Hosts")) {
    std::vector<std::string> words;
    for (const auto& word : split(line, ' '))
      for (const auto& part : split(word, '\t'))
        if (!part.empty()) words.push_back(part);
    in6_addr address{};
    const bool is_ip = inet_pton(AF_INET, words.front().c_str(), &address) == 1 ||
                       inet_pton(AF_INET6, words.front().c_str(), &address) == 1;
    if (!is_ip || words.size() < 2) {
      reader.wrong("Hosts",
                   "each line must be an IP address and one or more names, as in 10.0.0.5 db db.local; "
                   "this one is not: " +
                       line);
      continue;
    }
    for (std::size_t i = 1; i < words.size(); ++i) profile.extra_hosts.push_back(words[i] + ":" + words.front());
  }
}

void read_limits(Reader& reader, AgentProfile& profile) {
  profile.reserved_memory_bytes = reader.memory("ReservedMemory");
  profile.max_memory_bytes = reader.memory("MaxMemory");
  if (profile.max_memory_bytes > 0 && profile.max_memory_bytes < kLeastMemory)
    reader.wrong("MaxMemory", "must be 4M or more");
  if (profile.max_memory_bytes > 0 && profile.max_memory_bytes < profile.reserved_memory_bytes)
    reader.wrong("MaxMemory", "must not be less than ReservedMemory");
  profile.max_pids = reader.number("MaxPids", 0, 4'194'304, 0);
  const auto cpus = reader.text("Cpus");
  if (cpus.empty()) return;
  const auto number = reader.decimal(cpus);
  if (number && *number >= 0.01 && *number <= 4096)
    profile.cpus = *number;
  else
    reader.wrong("Cpus", "must be a number above 0, as in 2 or 0.5");
}

template <class Value>
void read_choice(Reader& reader, const std::string& key, Value& value,
                 std::initializer_list<std::pair<std::string_view, Value>> choices) {
  const auto given = to_lower(reader.text(key));
  if (given.empty()) return;
  std::string names;
  for (const auto& [name, choice] : choices) {
    if (given == name) {
      value = choice;
      return;
    }
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  reader.wrong(key, "must be one of " + names);
}

void read_access(Reader& reader, AgentProfile& profile) {
  read_choice(reader, "DockerAccess", profile.access,
              {{"tracked", DockerAccess::kTracked},
               {"none", DockerAccess::kNone},
               {"host", DockerAccess::kHost},
               {"dind", DockerAccess::kDind}});
  read_choice(reader, "Images", profile.images,
              {{"clean", ImageMode::kClean}, {"shared", ImageMode::kShared}, {"isolated", ImageMode::kIsolated}});
  const auto volumes = to_lower(reader.text("Volumes"));
  if (!volumes.empty() && volumes != "scoped")
    reader.wrong("Volumes", "must be scoped: volumes that outlive their agent are not available yet");
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

std::string ProfileErrors::text() const {
  std::string text;
  for (const auto& error : list) {
    if (!text.empty()) text += "; ";
    text += error.key.empty() ? error.message : error.key + " " + error.message;
  }
  return text;
}

tl::expected<ClusterProfile, ProfileErrors> read_cluster_profile(const Properties& properties) {
  Reader reader(properties);
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
  Reader reader(properties);
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
  if (!reader.errors().list.empty()) return tl::unexpected(reader.errors());
  return profile;
}

std::string with_tag(std::string_view image) {
  const auto parts = split_reference(image);
  return parts.repository + (parts.tag.find(':') == std::string::npos ? ":" : "@") + parts.tag;
}

Environment merge_environment(const Environment& cluster, const Environment& profile) {
  Environment merged;
  for (const auto* list : {&cluster, &profile})
    for (const auto& [name, value] : *list) {
      const auto known = std::ranges::find(merged, name, &std::pair<std::string, std::string>::first);
      if (known == merged.end())
        merged.emplace_back(name, value);
      else
        known->second = value;
    }
  return merged;
}

}  // namespace ebbtide::plugin
