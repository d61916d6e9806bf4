#include "plugin/agent_container.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "docker/base/text.h"
#include "docker/ledger/labels.h"

namespace ebbtide::plugin {
namespace {

using nlohmann::json;

constexpr const char* kSocket = "docker.sock";
constexpr std::size_t kTarBlock = 512;

bool mounted_at(const AgentProfile& profile, const std::string& target) {
  if (profile.options.tmpfs.contains(target)) return true;
  return std::ranges::any_of(profile.mounts, [&](const Mount& mount) { return mount.target == target; });
}

// "/go-working-dir" → "go-working-dir": what the engine takes in a volume's name.
std::string as_name(std::string_view path) {
  std::string name;
  for (const char c : path.substr(path.starts_with('/') ? 1 : 0)) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    name += plain ? c : '-';
  }
  return name;
}

void set(Environment& environment, const std::string& key, const std::string& value) {
  const auto found = std::ranges::find(environment, key, &Environment::value_type::first);
  if (found == environment.end())
    environment.emplace_back(key, value);
  else
    found->second = value;
}

// GoCD's names for auto-registration of elastic agents; the image's entry script reads them.
void add_registration(Environment& environment, const Agent& agent, const ClusterProfile& cluster,
                      const AgentPlan& plan) {
  set(environment, "GO_EA_SERVER_URL", cluster.go_server_url);
  set(environment, "GO_EA_AUTO_REGISTER_KEY", plan.auto_register_key);
  if (!agent.environment.empty()) set(environment, "GO_EA_AUTO_REGISTER_ENVIRONMENT", agent.environment);
  set(environment, "GO_EA_AUTO_REGISTER_ELASTIC_AGENT_ID", agent.id);
  set(environment, "GO_EA_AUTO_REGISTER_ELASTIC_PLUGIN_ID", plan.plugin_id);
}

// Who says where Docker is says how as well.
void add_gateway(Environment& environment, const std::string& address) {
  if (std::ranges::find(environment, "DOCKER_HOST", &Environment::value_type::first) != environment.end()) return;
  if (address.empty()) return set(environment, "DOCKER_HOST", "unix://" + std::string(kGatewayMount) + "/" + kSocket);
  set(environment, "DOCKER_HOST", "tcp://" + address);
  set(environment, "DOCKER_TLS_VERIFY", "1");
  set(environment, "DOCKER_CERT_PATH", kGatewayMount);
}

json environment_of(const Agent& agent, const ClusterProfile& cluster, const AgentProfile& profile,
                    const AgentPlan& plan) {
  auto environment = merge_environment(cluster.environment, profile.environment);
  add_registration(environment, agent, cluster, plan);
  if (profile.access == DockerAccess::kTracked) add_gateway(environment, plan.gateway_address);
  auto lines = json::array();
  for (const auto& [key, value] : environment) lines.push_back(key + "=" + value);
  return lines;
}

json write_policy(const gateway::Policy& policy) {
  return {{"level", gateway::to_string(policy.level)}, {"privileged", policy.privileged},
          {"host_network", policy.host_network},       {"host_paths", policy.host_paths},
          {"capabilities", policy.capabilities},       {"devices", policy.devices},
          {"registries", policy.registries},           {"publish", gateway::to_string(policy.publish)}};
}

gateway::Policy read_policy(const json& policy) {
  using List = std::vector<std::string>;
  return {.level = gateway::policy_level(policy.value("level", "")).value_or(gateway::PolicyLevel::kCi),
          .publish = gateway::publish_named(policy.value("publish", "")).value_or(gateway::Publish::kEphemeral),
          .privileged = policy.value("privileged", false),
          .host_network = policy.value("host_network", false),
          .host_paths = policy.value("host_paths", List()),
          .capabilities = policy.value("capabilities", List()),
          .devices = policy.value("devices", List()),
          .registries = policy.value("registries", List())};
}

json labels_of(const Agent& agent, const ClusterProfile& cluster, const AgentProfile& profile, const AgentPlan& plan) {
  auto labels = ownership_labels(plan.server_id, agent.id, Role::kAgent, Kind::kContainer, agent.id, "");
  labels[label::kGocd] = agent.gocd;
  labels[label::kJob] = agent.job.to_json();
  labels[label::kCluster] = json{{"key", agent.cluster}, {"policy", write_policy(cluster.policy)}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
  labels[label::kProfile] = json{
      {"image", profile.image},
      {"access", to_string(profile.access)},
      {"images", to_string(profile.images)},
      {"shared_volumes", profile.shared_volumes},
      {"max_belongings", profile.max_belongings},
      {"keep_minutes", profile.keep_on_failure.count()},
      {"stop_seconds", profile.options.stop_seconds},
      {"max_memory", profile.max_memory_bytes},
      {"cpus", profile.cpus},
      {"max_pids", profile.max_pids},
      {"environment",
       agent.environment}}.dump(-1, ' ', false, json::error_handler_t::replace);
  return labels;
}

json binds_of(const AgentProfile& profile, const AgentPlan& plan) {
  auto binds = json::array();
  for (const auto& mount : profile.mounts)
    binds.push_back(mount.source + ":" + mount.target + (mount.read_only ? ":ro" : ""));
  for (const auto& volume : plan.volumes) binds.push_back(volume.name + ":" + volume.target);
  // Read-only: a job that is root could put a socket of its own in the place of the gateway's.
  if (profile.access == DockerAccess::kTracked && plan.gateway_address.empty())
    binds.push_back(plan.gateway_directory + ":" + kGatewayMount + ":ro");
  if (profile.access == DockerAccess::kHost) binds.push_back(plan.host_socket + ":/var/run/docker.sock");
  return binds;
}

json host_config(const AgentProfile& profile, const AgentPlan& plan) {
  json host{{"Binds", binds_of(profile, plan)},
            {"Privileged", profile.privileged || profile.access == DockerAccess::kDind}};
  if (profile.max_memory_bytes > 0) host["Memory"] = profile.max_memory_bytes;
  if (profile.reserved_memory_bytes > 0) host["MemoryReservation"] = profile.reserved_memory_bytes;
  if (profile.cpus > 0) host["NanoCpus"] = static_cast<std::int64_t>(profile.cpus * 1e9);
  if (profile.max_pids > 0) host["PidsLimit"] = profile.max_pids;
  if (!plan.cgroup_parent.empty()) host["CgroupParent"] = plan.cgroup_parent;
  if (!profile.extra_hosts.empty()) host["ExtraHosts"] = profile.extra_hosts;
  if (!profile.networks.empty()) host["NetworkMode"] = profile.networks.front();
  if (plan.group) host["GroupAdd"] = {std::to_string(*plan.group)};
  return host;
}

std::string value_of(const Labels& labels, const char* key) {
  const auto found = labels.find(key);
  return found == labels.end() ? std::string() : found->second;
}

DockerAccess access_named(std::string_view text) {
  for (const auto access : {DockerAccess::kNone, DockerAccess::kHost, DockerAccess::kDind})
    if (text == to_string(access)) return access;
  return DockerAccess::kTracked;
}

ImageMode images_named(std::string_view text) {
  for (const auto mode : {ImageMode::kShared, ImageMode::kIsolated})
    if (text == to_string(mode)) return mode;
  return ImageMode::kClean;
}

// POSIX.1-1988 ustar; type '0' is a file that all may read, '2' a symbolic link, '5' a folder.
std::string tar_entry(const std::string& name, char type, const std::string& link, std::size_t size = 0) {
  std::array<char, kTarBlock> header{};
  const auto put = [&](std::size_t at, const std::string& text) { std::memcpy(&header[at], text.data(), text.size()); };
  put(0, name);
  put(100, type == '0' ? "0000444" : type == '5' ? "0000755" : "0000777");
  put(108, "0000000");
  put(116, "0000000");
  std::array<char, 12> octal{};
  std::snprintf(octal.data(), octal.size(), "%011zo", size);
  put(124, octal.data());
  put(136, "00000000000");
  put(148, "        ");
  header[156] = type;
  put(157, link);
  put(257, "ustar");
  put(263, "00");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::array<char, 8> digits{};
  std::snprintf(digits.data(), digits.size(), "%06o", sum);
  std::memcpy(&header[148], digits.data(), 7);
  return {header.data(), header.size()};
}

std::string tar_file(const std::string& name, const std::string& content) {
  auto entry = tar_entry(name, '0', "", content.size()) + content;
  entry.resize((entry.size() + kTarBlock - 1) / kTarBlock * kTarBlock);
  return entry;
}

bool sounds_secret(const std::string& key) {
  const auto name = to_lower(key);
  return std::ranges::any_of(std::array{"password", "passwd", "secret", "token", "key", "credential"},
                             [&](const char* word) { return name.find(word) != std::string::npos; });
}

AgentRecord record_of(const ContainerSummary& container, JobIdentifier job, const json& cluster, const json& profile) {
  AgentRecord record;
  record.profile = {.image = profile.value("image", container.image),
                    .max_memory_bytes = profile.value("max_memory", std::int64_t{0}),
                    .cpus = profile.value("cpus", 0.0),
                    .max_pids = profile.value("max_pids", 0U),
                    .access = access_named(profile.value("access", "")),
                    .images = images_named(profile.value("images", "")),
                    .max_belongings = profile.value("max_belongings", 0U),
                    .keep_on_failure = std::chrono::minutes(profile.value("keep_minutes", 0))};
  record.profile.shared_volumes = profile.value("shared_volumes", std::vector<std::string>());
  record.profile.options.stop_seconds = profile.value("stop_seconds", 0U);
  record.agent = {.id = value_of(container.labels, label::kAgent),
                  .gocd = value_of(container.labels, label::kGocd),
                  .cluster = cluster.value("key", ""),
                  .job = std::move(job),
                  .environment = profile.value("environment", ""),
                  .created = container.created,
                  .state_since = container.created,
                  .container_id = container.id,
                  .image = record.profile.image,
                  .access = record.profile.access,
                  .images = record.profile.images};
  if (cluster.contains("policy")) record.policy = read_policy(cluster.at("policy"));
  return record;
}

}  // namespace

std::vector<AgentVolume> agent_volumes(const std::string& agent_id, const AgentProfile& profile,
                                       const std::vector<std::string>& image_volumes) {
  auto targets = image_volumes;
  const std::string engine_root = "/var/lib/docker";
  if (profile.access == DockerAccess::kDind && std::ranges::find(targets, engine_root) == targets.end())
    targets.push_back(engine_root);
  std::vector<AgentVolume> volumes;
  for (const auto& target : targets)
    if (!mounted_at(profile, target)) volumes.push_back({.name = agent_id + "-" + as_name(target), .target = target});
  return volumes;
}

AgentVolume credentials_volume(const std::string& agent_id) {
  return {.name = agent_id + "-" + as_name(kGatewayMount), .target = kGatewayMount};
}

Labels volume_labels(const std::string& server_id, const std::string& agent_id, const AgentVolume& volume) {
  // The agent's own, not its job's to list or remove.
  return ownership_labels(server_id, agent_id, Role::kAgent, Kind::kVolume, volume.name, volume.name);
}

json container_body(const Agent& agent, const ClusterProfile& cluster, const AgentProfile& profile,
                    const AgentPlan& plan) {
  json body{{"Image", profile.image},
            {"Env", environment_of(agent, cluster, profile, plan)},
            {"Labels", labels_of(agent, cluster, profile, plan)},
            {"HostConfig", host_config(profile, plan)}};
  if (!profile.command.empty()) body["Cmd"] = profile.command;
  apply_container_options(profile.options, body);
  return body;
}

std::optional<AgentRecord> read_labels(const ContainerSummary& container) {
  auto job = JobIdentifier::from_json(value_of(container.labels, label::kJob));
  const auto cluster = json::parse(value_of(container.labels, label::kCluster), nullptr, false);
  const auto profile = json::parse(value_of(container.labels, label::kProfile), nullptr, false);
  if (!job || !cluster.is_object() || !profile.is_object()) return std::nullopt;
  try {
    return record_of(container, std::move(*job), cluster, profile);
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

std::string socket_link_tar(const std::string& folder) {
  std::string tar;
  std::string path;
  for (const auto& part : split(folder, '/')) {
    if (part.empty()) continue;
    path += part + "/";
    tar += tar_entry(path, '5', "");
  }
  tar += tar_entry(path + kSocket, '2', std::string(kGatewayMount) + "/" + kSocket);
  tar.append(2 * kTarBlock, '\0');
  return tar;
}

std::string credentials_tar(const EngineTls& credentials) {
  auto tar = tar_file("ca.pem", credentials.ca_pem) + tar_file("cert.pem", credentials.cert_pem) +
             tar_file("key.pem", credentials.key_pem);
  tar.append(2 * kTarBlock, '\0');
  return tar;
}

std::vector<std::string> secrets_of(const Environment& environment, const std::string& auto_register_key) {
  std::vector<std::string> secrets{auto_register_key};
  for (const auto& [key, value] : environment)
    if (sounds_secret(key)) secrets.push_back(value);
  return secrets;
}

}  // namespace ebbtide::plugin
