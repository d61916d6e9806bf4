#include "api/views.h"

#include <nlohmann/json.hpp>

#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json time_json(TimePoint time) { return time == TimePoint{} ? Json() : Json(to_rfc3339(time)); }

Json job_json(const plugin::JobIdentifier& job) {
  return {{"pipeline", job.pipeline_name},
          {"counter", job.pipeline_counter},
          {"label", job.pipeline_label},
          {"stage", job.stage_name},
          {"stage_counter", job.stage_counter},
          {"job", job.job_name},
          {"id", job.job_id}};
}

Json belonging_json(const Belonging& belonging) {
  Json json{{"kind", to_string(belonging.kind)},
            {"id", belonging.id},
            {"name", belonging.name},
            {"role", to_string(belonging.role)},
            {"created", time_json(belonging.created)}};
  if (belonging.kind == Kind::kContainer) {
    json["image"] = belonging.image;
    json["state"] = belonging.state;
    json["ports"] = belonging.ports;
  }
  if (belonging.kind == Kind::kExec) json["container"] = belonging.container;
  return json;
}

Json agent_json(const plugin::AgentView& view) {
  const auto& agent = view.agent;
  Json json{{"id", agent.id},
            {"gocd", agent.gocd},
            {"cluster", agent.cluster},
            {"job", job_json(agent.job)},
            {"state", plugin::to_string(agent.state)},
            {"phase", agent.phase},
            {"created", time_json(agent.created)},
            {"state_since", time_json(agent.state_since)},
            {"container", agent.container_id},
            {"image", agent.image},
            {"docker_access", plugin::to_string(agent.access)},
            {"reap_tries", agent.reap_tries},
            {"left", agent.reap_left}};
  if (agent.end_cause) json["end_cause"] = plugin::to_string(*agent.end_cause);
  json["belongings"] = Json::array();
  for (const auto& belonging : view.belongings) json["belongings"].push_back(belonging_json(belonging));
  return json;
}

Json cluster_json(const plugin::ClusterView& cluster) {
  Json json{{"key", cluster.key},
            {"gocd", cluster.gocd},
            {"engine", cluster.engine},
            {"connected", cluster.state.connected},
            {"listed", cluster.state.listed},
            {"since", time_json(cluster.state.since)},
            {"error", cluster.state.error},
            {"agents", cluster.agents},
            {"max_agents", cluster.max_agents},
            {"queued", cluster.queued},
            {"draining", cluster.draining}};
  if (cluster.info)
    json["info"] = {{"version", cluster.info->version},
                    {"api_version", cluster.info->api_version},
                    {"os", cluster.info->os},
                    {"architecture", cluster.info->architecture},
                    {"cpus", cluster.info->cpus},
                    {"memory_bytes", cluster.info->memory_bytes},
                    {"storage", cluster.info->storage_driver}};
  return json;
}

Json entry_json(const plugin::HistoryEntry& entry) {
  return {{"id", entry.agent_id},
          {"gocd", entry.gocd},
          {"cluster", entry.cluster},
          {"job", job_json(entry.job)},
          {"image", entry.image},
          {"created", time_json(entry.created)},
          {"ended", time_json(entry.ended)},
          {"cause", entry.cause},
          {"exit_code", entry.exit_code},
          {"oom_killed", entry.oom_killed},
          {"last_log", entry.last_log},
          {"reaped", entry.reaped},
          {"left", entry.left}};
}

template <class Items, class Write>
std::string list(const Items& items, Write write) {
  auto array = Json::array();
  for (const auto& item : items) array.push_back(write(item));
  return dump(array);
}

}  // namespace

std::string clusters_json(const std::vector<plugin::ClusterView>& clusters) { return list(clusters, cluster_json); }

std::string agents_json(const std::vector<plugin::AgentView>& agents, bool alone) {
  return alone ? dump(agent_json(agents.front())) : list(agents, agent_json);
}

std::string audit_json(const std::vector<AuditRecord>& records) {
  std::string text;
  for (const auto& record : records) text += (text.empty() ? "[" : ",\n") + to_json(record);
  return (text.empty() ? "[" : text) + "]\n";
}

std::string history_json(const std::vector<plugin::HistoryEntry>& history) { return list(history, entry_json); }

}  // namespace ebbtide::api
