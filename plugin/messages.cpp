#include "plugin/messages.h"

#include <nlohmann/json.hpp>

#include "docker/base/text.h"

namespace ebbtide::plugin {
namespace {

using nlohmann::json;

// What a message lacks, or has in a wrong form: caught at the edge of each read function.
struct BadMessage {
  std::string what;
};

const json* find(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_or_empty(const json& object, const char* name) {
  const auto* value = find(object, name);
  if (!value) return {};
  if (!value->is_string()) throw BadMessage{std::string(name) + " must be a text"};
  return value->get<std::string>();
}

std::string text(const json& object, const char* name) {
  auto value = text_or_empty(object, name);
  if (value.empty()) throw BadMessage{std::string(name) + " is missing"};
  return value;
}

std::int64_t integer(const json& object, const char* name) {
  const auto* value = find(object, name);
  if (!value || !value->is_number_integer()) throw BadMessage{std::string(name) + " must be an integer"};
  return value->get<std::int64_t>();
}

const json& child(const json& object, const char* name) {
  const auto* value = find(object, name);
  if (!value || !value->is_object()) throw BadMessage{std::string(name) + " must be an object"};
  return *value;
}

Properties properties(const json& object) {
  Properties list;
  for (const auto& [key, value] : object.items()) {
    if (value.is_null()) continue;
    // GoCD sends texts only; a script that plays GoCD may send a bare number or boolean.
    if (value.is_structured()) throw BadMessage{key + " must be a text"};
    list[key] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return list;
}

Properties properties(const json& object, const char* name) { return properties(child(object, name)); }

std::vector<Properties> all_properties(const json& object, const char* name) {
  std::vector<Properties> list;
  const auto* values = find(object, name);
  if (!values) return list;
  if (!values->is_array()) throw BadMessage{std::string(name) + " must be a list"};
  for (const auto& each : *values) {
    if (!each.is_object()) throw BadMessage{std::string(name) + " must be a list of objects"};
    list.push_back(properties(each));
  }
  return list;
}

JobIdentifier job(const json& object) {
  JobIdentifier read{.pipeline_name = text(object, "pipeline_name"),
                     .pipeline_label = text_or_empty(object, "pipeline_label"),
                     .pipeline_counter = integer(object, "pipeline_counter"),
                     .stage_name = text(object, "stage_name"),
                     .stage_counter = {},
                     .job_name = text(object, "job_name"),
                     .job_id = integer(object, "job_id")};
  const auto* counter = find(object, "stage_counter");
  if (!counter || (!counter->is_string() && !counter->is_number_integer()))
    throw BadMessage{"stage_counter must be a text"};
  read.stage_counter = counter->is_string() ? counter->get<std::string>() : counter->dump();
  return read;
}

AgentStatus agent(const json& object) {
  return {.agent_id = text(object, "agent_id"),
          .agent_state = text_or_empty(object, "agent_state"),
          .build_state = text_or_empty(object, "build_state"),
          .config_state = text_or_empty(object, "config_state")};
}

// Parses body as an object and reads it; what is wrong becomes kInvalid.
template <class Read>
auto reading(std::string_view body, Read read) -> Result<decltype(read(json()))> {
  try {
    const auto object = json::parse(body);
    if (!object.is_object()) return fail(Error::invalid("the message must be a JSON object"));
    return read(object);
  } catch (const BadMessage& bad) {
    return fail(Error::invalid("the message can't be read: " + bad.what));
  } catch (const json::exception&) {
    return fail(Error::invalid("the message is not valid JSON"));
  }
}

}  // namespace

std::string JobIdentifier::text() const {
  return pipeline_name + "/" + std::to_string(pipeline_counter) + "/" + stage_name + "/" + stage_counter + "/" +
         job_name;
}

std::string JobIdentifier::to_json() const {
  return json{{"pipeline_name", pipeline_name},
              {"pipeline_label", pipeline_label},
              {"pipeline_counter", pipeline_counter},
              {"stage_name", stage_name},
              {"stage_counter", stage_counter},
              {"job_name", job_name},
              {"job_id", job_id}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<JobIdentifier> JobIdentifier::from_json(std::string_view text) {
  return reading(text, [](const json& object) { return job(object); });
}

Result<CreateAgent> read_create_agent(std::string_view body) {
  return reading(body, [](const json& message) {
    return CreateAgent{.auto_register_key = text(message, "auto_register_key"),
                       .environment = text_or_empty(message, "environment"),
                       .profile = properties(message, "elastic_agent_profile_properties"),
                       .cluster = properties(message, "cluster_profile_properties"),
                       .job = job(child(message, "job_identifier"))};
  });
}

Result<ShouldAssignWork> read_should_assign_work(std::string_view body) {
  return reading(body, [](const json& message) {
    return ShouldAssignWork{.environment = text_or_empty(message, "environment"),
                            .profile = properties(message, "elastic_agent_profile_properties"),
                            .cluster = properties(message, "cluster_profile_properties"),
                            .agent = agent(child(message, "agent")),
                            .job = job(child(message, "job_identifier"))};
  });
}

Result<JobCompletion> read_job_completion(std::string_view body) {
  return reading(body, [](const json& message) {
    return JobCompletion{.agent_id = text(message, "elastic_agent_id"),
                         .job = job(child(message, "job_identifier")),
                         .profile = properties(message, "elastic_agent_profile_properties"),
                         .cluster = properties(message, "cluster_profile_properties")};
  });
}

Result<ServerPing> read_server_ping(std::string_view body) {
  return reading(body, [](const json& message) {
    return ServerPing{.clusters = all_properties(message, "all_cluster_profile_properties")};
  });
}

Result<ClusterProfileChanged> read_cluster_profile_changed(std::string_view body) {
  return reading(body, [](const json& message) {
    ClusterProfileChanged changed{.status = text(message, "status"),
                                  .cluster = properties(message, "cluster_profiles_properties"),
                                  .old_cluster = {}};
    if (changed.status != "created" && changed.status != "updated" && changed.status != "deleted")
      throw BadMessage{"status must be created, updated or deleted"};
    if (changed.status == "updated") changed.old_cluster = properties(message, "old_cluster_profiles_properties");
    return changed;
  });
}

Result<ClusterReport> read_cluster_report(std::string_view body) {
  return reading(body, [](const json& message) {
    return ClusterReport{.cluster = properties(message, "cluster_profile_properties")};
  });
}

Result<AgentReport> read_agent_report(std::string_view body) {
  return reading(body, [](const json& message) {
    AgentReport report{.job = {},
                       .cluster = properties(message, "cluster_profile_properties"),
                       .agent_id = text_or_empty(message, "elastic_agent_id")};
    if (find(message, "job_identifier")) report.job = job(child(message, "job_identifier"));
    return report;
  });
}

Result<PluginReport> read_plugin_report(std::string_view body) {
  return reading(body, [](const json& message) {
    return PluginReport{.clusters = all_properties(message, "all_cluster_profiles_properties")};
  });
}

Result<Properties> read_properties(std::string_view body) {
  return reading(body, [](const json& object) { return properties(object); });
}

Result<std::vector<AgentStatus>> read_agents(std::string_view body) {
  try {
    std::vector<AgentStatus> agents;
    const auto list = json::parse(body);
    if (!list.is_array()) return fail(Error::invalid("the list of agents is no list"));
    for (const auto& each : list) agents.push_back(agent(each.is_object() ? each : json::object()));
    return agents;
  } catch (const BadMessage& bad) {
    return fail(Error::invalid("the list of agents can't be read: " + bad.what));
  } catch (const json::exception&) {
    return fail(Error::invalid("the list of agents is not valid JSON"));
  }
}

std::string write_agent_ids(const std::vector<std::string>& agent_ids) {
  auto list = json::array();
  for (const auto& id : agent_ids) list.push_back({{"agent_id", id}});
  return list.dump();
}

std::string write_field_errors(const std::vector<FieldError>& errors) {
  auto list = json::array();
  for (const auto& error : errors) {
    json entry{{"message", error.message}};
    if (!error.key.empty()) entry["key"] = error.key;
    list.push_back(std::move(entry));
  }
  return list.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string write_view(std::string_view html) {
  return json{{"view", html}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace ebbtide::plugin
