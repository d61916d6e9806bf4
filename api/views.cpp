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

Json usage_json(const Usage& usage) {
  return {{"cpu_percent", static_cast<double>(static_cast<std::int64_t>(usage.cpu_percent * 10)) / 10},
          {"memory_bytes", usage.memory_bytes},
          {"memory_limit_bytes", usage.memory_limit_bytes}};
}

Json belonging_json(const Belonging& belonging, const UsageByContainer& usage) {
  Json json{{"kind", to_string(belonging.kind)},
            {"id", belonging.id},
            {"name", belonging.name},
            {"role", to_string(belonging.role)},
            {"created", time_json(belonging.created)}};
  if (belonging.kind == Kind::kContainer) {
    json["image"] = belonging.image;
    json["state"] = belonging.state;
    json["ports"] = belonging.ports;
    if (const auto used = usage.find(belonging.id); used != usage.end()) json["usage"] = usage_json(used->second);
  }
  if (!belonging.parent.empty()) json["parent"] = belonging.parent;
  if (belonging.kind == Kind::kExec) json["container"] = belonging.container;
  return json;
}

Json steps_json(const std::vector<plugin::Step>& steps) {
  auto list = Json::array();
  for (const auto& step : steps) list.push_back({{"at", time_json(step.at)}, {"text", step.text}});
  return list;
}

Json agent_object(const plugin::AgentView& view, const UsageByContainer& usage) {
  const auto& agent = view.agent;
  Json json{{"id", agent.id},
            {"gocd", agent.gocd},
            {"cluster", agent.cluster},
            {"job", job_json(agent.job)},
            {"job_url", view.job_url},
            {"state", plugin::to_string(agent.state)},
            {"phase", agent.phase},
            {"created", time_json(agent.created)},
            {"state_since", time_json(agent.state_since)},
            {"registered", agent.registered ? time_json(*agent.registered) : Json()},
            {"container", agent.container_id},
            {"image", agent.image},
            {"docker_access", plugin::to_string(agent.access)},
            {"kept", view.kept},
            {"keep_minutes", view.keep.count()},
            {"reap_tries", agent.reap_tries},
            {"left", agent.reap_left}};
  if (agent.end_cause) json["end_cause"] = plugin::to_string(*agent.end_cause);
  if (const auto sum = total(usage)) json["usage"] = usage_json(*sum);
  json["belongings"] = Json::array();
  for (const auto& belonging : view.belongings) json["belongings"].push_back(belonging_json(belonging, usage));
  return json;
}

Json cluster_json(const plugin::ClusterView& cluster, const Disk& disk) {
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
            {"draining", cluster.draining},
            {"drained", cluster.drained},
            {"refusals", cluster.refusals}};
  if (disk.total_bytes > 0) json["disk"] = {{"total_bytes", disk.total_bytes}, {"free_bytes", disk.free_bytes}};
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
          {"left", entry.left},
          {"number", entry.number}};
}

Json trouble_json(const Trouble& trouble) {
  return {{"severity", trouble.error ? "error" : "warning"}, {"text", trouble.text}};
}

template <class Items, class Write>
Json list(const Items& items, Write write) {
  auto array = Json::array();
  for (const auto& item : items) array.push_back(write(item));
  return array;
}

Json clusters_list(const std::vector<plugin::ClusterView>& clusters, const std::map<std::string, Disk>& disks) {
  return list(clusters, [&](const auto& cluster) {
    const auto disk = disks.find(cluster.key);
    return cluster_json(cluster, disk == disks.end() ? Disk{} : disk->second);
  });
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// Of objects that are texts already, and many: the room for them is taken once.
void append_rows(std::string& text, const Snapshot& snapshot, const auto& takes) {
  std::size_t size = text.size() + 2;
  for (const auto& row : snapshot.rows)
    if (takes(*row)) size += row->json.size() + 1;
  text.reserve(size);
  text += '[';
  for (const auto& row : snapshot.rows) {
    if (!takes(*row)) continue;
    if (text.back() != '[') text += ',';
    text += row->json;
  }
  text += ']';
}

}  // namespace

std::string clusters_json(const std::vector<plugin::ClusterView>& clusters, const std::map<std::string, Disk>& disks) {
  return dump(clusters_list(clusters, disks));
}

std::string audit_json(const std::vector<AuditRecord>& records) {
  std::string text;
  for (const auto& record : records) text += (text.empty() ? "[" : ",\n") + to_json(record);
  return (text.empty() ? "[" : text) + "]\n";
}

std::string history_json(const std::vector<plugin::HistoryEntry>& history) { return dump(list(history, entry_json)); }

std::string ended_json(const plugin::HistoryEntry& entry) {
  auto json = entry_json(entry);
  json["steps"] = steps_json(entry.steps);
  return dump(json);
}

std::string troubles_json(const std::vector<Trouble>& troubles) { return dump(list(troubles, trouble_json)); }

std::string agent_json(const plugin::AgentView& view, const UsageByContainer& usage) {
  return text_of(agent_object(view, usage));
}

std::string whole_agent_json(const plugin::AgentView& view, const UsageByContainer& usage) {
  auto json = agent_object(view, usage);
  json["steps"] = steps_json(view.agent.steps);
  json["environment_names"] = view.environment_names;
  return dump(json);
}

std::string agents_json(const Snapshot& snapshot, const Filter& filter) {
  std::string text;
  append_rows(text, snapshot, [&](const Row& row) { return filter.takes(row); });
  text += '\n';
  return text;
}

std::string changes_json(const Snapshot& snapshot, std::uint64_t since) {
  const bool whole = !snapshot.reaches(since);
  std::string text = "{\"version\":" + std::to_string(snapshot.version) + ",\"whole\":" + (whole ? "true" : "false");
  text += ",\"agents\":";
  append_rows(text, snapshot, [&](const Row& row) { return whole || row.version > since; });
  auto gone = Json::array();
  for (const auto& [version, id] : snapshot.gone)
    if (!whole && version > since) gone.push_back(id);
  text += ",\"gone\":" + text_of(gone);
  if (whole || snapshot.clusters_version > since)
    text += ",\"clusters\":" + text_of(clusters_list(snapshot.clusters, snapshot.disks));
  if (whole || snapshot.troubles_version > since)
    text += ",\"troubles\":" + text_of(list(snapshot.troubles, trouble_json));
  return text + "}\n";
}

}  // namespace ebbtide::api
