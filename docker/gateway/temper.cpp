#include "docker/gateway/temper.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "docker/base/text.h"

namespace ebbtide::gateway {
namespace {

constexpr std::int64_t kLongestStop = 300;
constexpr std::uint64_t kLargestLog = 100 << 20;
constexpr std::uint64_t kMostLogs = 10;

std::string text(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

void set_loopback(Json& binding) {
  const auto address = text(binding, "HostIp");
  if (!address.starts_with("127.") && address != "::1") binding["HostIp"] = "127.0.0.1";
}

void temper_ports(Publish publish, Json& host) {
  if (publish == Publish::kAny || !host.contains("PortBindings")) return;
  for (auto& [port, bindings] : host["PortBindings"].items()) {
    auto kept = Json::array();
    for (auto binding : bindings) {
      if (publish == Publish::kEphemeral)
        binding["HostPort"] = "";
      else
        set_loopback(binding);
      // 0.0.0.0 and :: become one.
      if (std::find(kept.begin(), kept.end(), binding) == kept.end()) kept.push_back(std::move(binding));
    }
    bindings = std::move(kept);
  }
}

// "10m" → bytes; nothing for what the engine takes for unlimited, or for no size.
std::optional<std::uint64_t> log_size(const std::string& size) {
  const auto digits = size.substr(0, size.find_first_not_of("0123456789"));
  const auto number = parse_number(digits);
  const auto unit = to_lower(std::string_view(size).substr(digits.size()));
  if (!number || *number > kLargestLog) return std::nullopt;
  if (unit.empty() || unit == "b") return *number;
  if (unit.starts_with('k')) return *number << 10;
  if (unit.starts_with('m')) return *number << 20;
  return std::nullopt;
}

void temper_log(const EngineDefaults& engine, Json& host) {
  auto& log = host["LogConfig"];
  if (!log.is_object()) log = Json::object();
  const auto type = text(log, "Type").empty() ? engine.log_driver : text(log, "Type");
  if (type != "json-file" && type != "local") {
    if (log.empty()) host.erase("LogConfig");
    return;
  }
  auto& options = log["Config"];
  if (!options.is_object()) options = Json::object();
  const auto size = log_size(text(options, "max-size"));
  if (!size || *size == 0 || *size > kLargestLog) options["max-size"] = "100m";
  if (const auto files = parse_number(text(options, "max-file")); files && *files > kMostLogs)
    options["max-file"] = std::to_string(kMostLogs);
}

void temper_stop(Json& body) {
  const auto timeout = body.find("StopTimeout");
  if (timeout == body.end() || !timeout->is_number_integer()) return;
  const bool too_long =
      timeout->is_number_unsigned() ? timeout->get<std::uint64_t>() > kLongestStop : timeout->get<std::int64_t>() < 0;
  if (too_long) *timeout = kLongestStop;
}

void temper_security(Json& host) {
  auto& options = host["SecurityOpt"];
  if (!options.is_array()) options = Json::array();
  // Others than spellings of this one have been refused.
  options = Json::array({"no-new-privileges"});
}

constexpr std::int64_t kDefaultPeriod = 100'000;

std::int64_t integer(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

// Zero and, of some, negative numbers mean no limit; on an update, no change.
void cap(Json& resources, const char* name, std::int64_t most, bool creates) {
  if (most <= 0) return;
  const auto asked = integer(resources, name);
  if (asked > most || asked < 0 || (asked == 0 && creates)) resources[name] = most;
}

void cap_cpus(double cpus, bool always, Json& resources) {
  if (cpus <= 0) return;
  const auto period = integer(resources, "CpuPeriod") > 0 ? integer(resources, "CpuPeriod") : kDefaultPeriod;
  const auto quota = integer(resources, "CpuQuota");
  const auto most = std::llround(cpus * static_cast<double>(period));
  if (quota > most) resources["CpuQuota"] = most;
  if (quota <= 0) cap(resources, "NanoCpus", std::llround(cpus * 1e9), always);
}

}  // namespace

void put_limits(const OwnerLimits& limits, const std::string& cgroup_parent, bool creates, Json& resources) {
  const bool alone = cgroup_parent.empty();
  cap_cpus(limits.cpus, creates && alone, resources);
  if (!alone) {
    if (creates && text(resources, "CgroupParent").empty()) resources["CgroupParent"] = cgroup_parent;
    return;
  }
  cap(resources, "Memory", limits.memory_bytes, creates);
  // Its swap is the engine's default, unless that is less.
  if (const auto swap = integer(resources, "MemorySwap"); limits.memory_bytes > 0 && swap != 0)
    if (swap < 0 || swap > 2 * limits.memory_bytes) resources["MemorySwap"] = 2 * limits.memory_bytes;
  cap(resources, "PidsLimit", limits.pids, creates);
}

void put_build_limits(const OwnerLimits& limits, const std::string& cgroup_parent, http::Query& query) {
  if (!cgroup_parent.empty()) {
    if (query.get("cgroupparent").value_or("").empty()) query.set("cgroupparent", cgroup_parent);
    return;
  }
  if (limits.memory_bytes <= 0) return;
  const auto asked = parse_number(query.get("memory").value_or(""));
  if (asked && *asked > 0 && *asked <= static_cast<std::uint64_t>(limits.memory_bytes)) return;
  query.set("memory", std::to_string(limits.memory_bytes));
  query.remove("memswap");
}

void temper_container(const Policy& policy, const EngineDefaults& engine, Json& body) {
  if (policy.level == PolicyLevel::kTrusted) return;
  auto& host = body["HostConfig"];
  temper_ports(policy.publish, host);
  temper_log(engine, host);
  temper_stop(body);
  host.erase("Runtime");
  host.erase("ContainerIDFile");
  if (policy.level == PolicyLevel::kStrict) temper_security(host);
  temper_update(policy, host);
}

void temper_update(const Policy& policy, Json& body) {
  if (policy.level == PolicyLevel::kStrict) body.erase("RestartPolicy");
}

std::string explain_port_collision(const Policy& policy, std::string error_body) {
  constexpr std::string_view kTaken = "port is already allocated";
  constexpr std::string_view kBound = "address already in use";
  if (error_body.find(kTaken) == std::string::npos && error_body.find(kBound) == std::string::npos) return error_body;
  auto error = Json::parse(error_body, nullptr, false);
  if (!error.is_object() || !error.contains("message") || !error["message"].is_string()) return error_body;
  auto message = error["message"].get<std::string>();
  message +=
      ". Ports of the engine's host are shared by all jobs: publish without a fixed host port (-p 80 in place of -p "
      "8080:80) and ask for the chosen one (docker port), or reach the container by its name in a network";
  if (policy.publish != Publish::kEphemeral)
    message += "; the operator can have free ports chosen for every job (docker_publish ephemeral)";
  error["message"] = std::move(message);
  return error.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ebbtide::gateway
