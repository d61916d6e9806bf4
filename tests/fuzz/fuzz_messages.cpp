// Any bytes as the body of each of GoCD's messages. The first byte names the message. Bodies that are taken give an
// answer that GoCD can read; identities stay identities. No engine is asked: what would need one, or would leave agents
// behind, is read and checked but not acted upon.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "plugin/contract.h"
#include "plugin/profile.h"

namespace {

using namespace ebbtide::plugin;
using nlohmann::json;

void require(bool holds) {
  if (!holds) std::abort();
}

// Those that change nothing in the fleet.
constexpr const char* kAsked[] = {
    "get-capabilities",
    "get-icon",
    "get-cluster-profile-metadata",
    "get-cluster-profile-view",
    "get-elastic-agent-profile-metadata",
    "get-elastic-agent-profile-view",
    "validate-elastic-agent-profile",
    "should-assign-work",
    "job-completion",
    "cluster-status-report",
    "agent-status-report",
    "plugin-status-report",
    "migrate-config",
};

Contract& contract() {
  static ebbtide::plugin::Fleet fleet(
      {.server_id = "fuzz", .run_dir = "/nonexistent"}, ebbtide::Database::in_memory(),
      std::make_shared<ebbtide::SystemClock>(),
      [](const ebbtide::EngineAddress&) -> std::shared_ptr<ebbtide::Engine> { std::abort(); });
  static Contract made(fleet, "");
  return made;
}

void ask(std::string_view name, std::string_view body) {
  const auto answer = contract().handle("gocd", name, body);
  require(answer.status == 200 || answer.status == 400);
  if (answer.status == 400) require(!json::parse(answer.body).at("message").get<std::string>().empty());
  if (answer.status != 200) return;
  if (name == "should-assign-work") require(answer.body == "false");
  if (name == "migrate-config") require(answer.body == body);
  if (name.ends_with("-report")) {
    const auto view = json::parse(answer.body).at("view").get<std::string>();
    require(!view.empty() && view.find("{{") == std::string::npos);
  }
  if (name.starts_with("validate-")) require(json::parse(answer.body).is_array());
}

// A job's identifier is the same after it has been a label.
void require_stable(const JobIdentifier& job) {
  const auto again = JobIdentifier::from_json(job.to_json());
  require(again.has_value() && *again == job);
}

void read_profiles(const Properties& cluster, const Properties& agent) {
  if (const auto read = read_cluster_profile(cluster)) {
    require(read->max_agents > 0 && !read->engine.text().empty());
  } else {
    require(!read.error().list.empty());
    require(json::parse(write_field_errors(read.error().list)).size() == read.error().list.size());
  }
  const auto read = read_agent_profile(agent);
  if (!read) return;
  require(!read->image.empty() && read->max_memory_bytes >= 0 && read->cpus >= 0);
  for (const auto& mount : read->mounts) require(!mount.source.empty() && mount.target.starts_with('/'));
}

void read(std::string_view body) {
  if (const auto message = read_create_agent(body)) {
    require(!message->auto_register_key.empty());
    require_stable(message->job);
    read_profiles(message->cluster, message->profile);
  }
  if (const auto message = read_server_ping(body))
    for (const auto& cluster : message->clusters) read_profiles(cluster, cluster);
  if (const auto message = read_cluster_profile_changed(body)) read_profiles(message->cluster, message->old_cluster);
  if (const auto properties = read_properties(body)) read_profiles(*properties, *properties);
  if (const auto agents = read_agents(body))
    for (const auto& agent : *agents) require(!agent.agent_id.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  ask(kAsked[data[0] % std::size(kAsked)], body);
  read(body);
  return 0;
}
