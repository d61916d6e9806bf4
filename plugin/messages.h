// GoCD's messages of the elastic agent extension, protocol 5.0, as types. Reading tolerates members that are
// unknown, absent or null; it fails (kInvalid, naming the member) where one that the message can't do without
// is missing or of the wrong type. Pure; any thread. Source: GoCD's ElasticAgentExtensionConverterV5.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"

namespace ebbtide::plugin {

// Keys and values of a profile; what was null or absent is absent.
using Properties = std::map<std::string, std::string>;

struct JobIdentifier {
  std::string pipeline_name;
  std::string pipeline_label;
  std::int64_t pipeline_counter = 0;
  std::string stage_name;
  std::string stage_counter;  // a text in GoCD's messages
  std::string job_name;
  std::int64_t job_id = 0;  // one run of a job; a job that is rescheduled gets a new one

  bool operator==(const JobIdentifier&) const = default;
  std::string text() const;     // "build/17/test/1/unit"
  std::string to_json() const;  // as GoCD writes it, for the label ebbtide.job
  static Result<JobIdentifier> from_json(std::string_view text);
};

// One agent as GoCD sees it.
struct AgentStatus {
  std::string agent_id;
  std::string agent_state;   // Idle Building LostContact Missing Unknown
  std::string build_state;   // Idle Building Cancelled Unknown
  std::string config_state;  // Pending Enabled Disabled
};

struct CreateAgent {
  std::string auto_register_key;
  std::string environment;  // empty: the pipeline is in none
  Properties profile;
  Properties cluster;
  JobIdentifier job;
};

struct ShouldAssignWork {
  std::string environment;
  Properties profile;
  Properties cluster;
  AgentStatus agent;
  JobIdentifier job;
};

struct JobCompletion {
  std::string agent_id;
  JobIdentifier job;
  Properties profile;
  Properties cluster;
};

struct ServerPing {
  std::vector<Properties> clusters;
};

struct ClusterProfileChanged {
  std::string status;  // created updated deleted
  Properties cluster;
  Properties old_cluster;  // for updated
};

struct ClusterReport {
  Properties cluster;
};

struct AgentReport {
  std::optional<JobIdentifier> job;
  Properties cluster;
  std::string agent_id;  // empty: the job is not assigned yet
};

struct PluginReport {
  std::vector<Properties> clusters;
};

Result<CreateAgent> read_create_agent(std::string_view body);
Result<ShouldAssignWork> read_should_assign_work(std::string_view body);
Result<JobCompletion> read_job_completion(std::string_view body);
Result<ServerPing> read_server_ping(std::string_view body);
Result<ClusterProfileChanged> read_cluster_profile_changed(std::string_view body);
Result<ClusterReport> read_cluster_report(std::string_view body);
Result<AgentReport> read_agent_report(std::string_view body);
Result<PluginReport> read_plugin_report(std::string_view body);
// A flat object, for validate-cluster-profile and validate-elastic-agent-profile; nulls are left out.
Result<Properties> read_properties(std::string_view body);

// list-agents' answer, and the body of disable-agents and delete-agents.
Result<std::vector<AgentStatus>> read_agents(std::string_view body);
std::string write_agent_ids(const std::vector<std::string>& agent_ids);

struct FieldError {
  std::string key;  // empty: about the whole profile
  std::string message;
};
std::string write_field_errors(const std::vector<FieldError>& errors);
std::string write_view(std::string_view html);  // {"view": html}; html must not be blank

}  // namespace ebbtide::plugin
