#include "plugin/contract.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "docker/base/text.h"
#include "docker/engine/http_engine.h"
#include "plugin/report.h"
#include "plugin/resources.h"

namespace ebbtide::plugin {
namespace {

constexpr std::string_view kPrefix = "cd.go.elastic-agent.";

PluginAnswer failure(int status, std::string_view message) {
  return {status, nlohmann::json{{"message", message}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

PluginAnswer file(std::string_view name) { return {200, std::string(resource(name).value_or(""))}; }

// A form: GoCD wants it as "template", and only reports as "view".
PluginAnswer form(std::string_view name) {
  return {200, nlohmann::json{{"template", resource(name).value_or("")}}.dump()};
}

PluginAnswer icon() {
  return {200,
          nlohmann::json{{"content_type", "image/svg+xml"}, {"data", base64_encode(*resource("icon.svg"))}}.dump()};
}

PluginAnswer done() { return {200, ""}; }

// Runs act with the message that read makes of body; 400 if it can't.
template <class Read, class Act>
PluginAnswer with(Read read, std::string_view body, Act act) {
  const auto message = read(body);
  return message ? act(*message) : failure(400, message.error().message);
}

// At most 3 s: whoever saves the profile waits.
void try_engine(const EngineAddress& address, std::vector<FieldError>& errors) {
  const auto answered = make_http_engine(address)->ping();
  if (!answered)
    errors.push_back({"docker_uri", "no engine answers there: " + answered.error().message +
                                        ". Check the address, and that Ebbtide may reach it"});
}

PluginAnswer validate_cluster(std::string_view body) {
  return with(read_properties, body, [](const Properties& properties) {
    const auto profile = read_cluster_profile(properties);
    auto errors = profile ? std::vector<FieldError>() : profile.error().list;
    if (profile) try_engine(profile->engine, errors);
    return PluginAnswer{200, write_field_errors(errors)};
  });
}

PluginAnswer validate_agent(std::string_view body) {
  return with(read_properties, body, [](const Properties& properties) {
    const auto profile = read_agent_profile(properties);
    return PluginAnswer{200, write_field_errors(profile ? std::vector<FieldError>() : profile.error().list)};
  });
}

// The identity is the safe answer: GoCD puts it in place of its profiles.
PluginAnswer migrate(std::string_view body) {
  if (nlohmann::json::accept(body)) return {200, std::string(body)};
  return failure(400, "the message is not valid JSON");
}

PluginAnswer view(const std::string& html) { return {200, write_view(html)}; }

}  // namespace

Contract::Contract(Fleet& fleet, std::string page_url) : fleet_(fleet), page_url_(std::move(page_url)) {}

PluginAnswer Contract::handle(const std::string& gocd, std::string_view name, std::string_view body) {
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  if (name == "get-capabilities") return file("capabilities.json");
  if (name == "get-icon") return icon();
  if (name == "get-cluster-profile-metadata") return file("cluster-profile-metadata.json");
  if (name == "get-cluster-profile-view") return form("cluster-profile-view.html");
  if (name == "get-elastic-agent-profile-metadata") return file("elastic-agent-profile-metadata.json");
  if (name == "get-elastic-agent-profile-view") return form("elastic-agent-profile-view.html");
  if (name == "validate-cluster-profile") return validate_cluster(body);
  if (name == "validate-elastic-agent-profile") return validate_agent(body);
  if (name == "migrate-config") return migrate(body);
  if (name.ends_with("-report")) return report(gocd, name, body);
  return act(gocd, name, body);
}

PluginAnswer Contract::act(const std::string& gocd, std::string_view name, std::string_view body) {
  if (name == "should-assign-work")
    return with(read_should_assign_work, body, [&](const ShouldAssignWork& message) {
      return PluginAnswer{200, fleet_.should_assign_work(gocd, message) ? "true" : "false"};
    });
  if (name == "create-agent")
    return with(read_create_agent, body, [&](const CreateAgent& message) {
      fleet_.create_agent(gocd, message);
      return done();
    });
  if (name == "job-completion")
    return with(read_job_completion, body, [&](const JobCompletion& message) {
      fleet_.job_completion(gocd, message);
      return done();
    });
  if (name == "server-ping")
    return with(read_server_ping, body, [&](const ServerPing& message) {
      fleet_.server_ping(gocd, message);
      return done();
    });
  if (name == "cluster-profile-changed")
    return with(read_cluster_profile_changed, body, [&](const ClusterProfileChanged& message) {
      fleet_.cluster_profile_changed(gocd, message);
      return done();
    });
  return failure(404, "unknown request: " + std::string(name.substr(0, 100)));
}

PluginAnswer Contract::report(const std::string& gocd, std::string_view name, std::string_view body) const {
  if (name == "cluster-status-report")
    return with(read_cluster_report, body, [&](const ClusterReport& message) {
      const auto profile = read_cluster_profile(message.cluster);
      if (!profile) return view(error_report("This cluster profile is not valid: " + profile.error().text()));
      auto clusters = clusters_of(gocd);
      std::erase_if(clusters, [&](const ClusterView& each) { return each.engine != profile->engine.text(); });
      return view(cluster_report(clusters, fleet_.agents(), page_url_));
    });
  if (name == "plugin-status-report")
    return with(read_plugin_report, body, [&](const PluginReport&) {
      return view(cluster_report(clusters_of(gocd), fleet_.agents(), page_url_));
    });
  if (name == "agent-status-report")
    return with(read_agent_report, body,
                [&](const AgentReport& message) { return view(agent_report(find_agent(gocd, message), page_url_)); });
  return failure(404, "unknown request: " + std::string(name.substr(0, 100)));
}

std::vector<ClusterView> Contract::clusters_of(const std::string& gocd) const {
  auto clusters = fleet_.clusters();
  std::erase_if(clusters, [&](const ClusterView& each) { return each.gocd != gocd; });
  return clusters;
}

// By its id, or, while the job waits, by the job.
std::optional<AgentView> Contract::find_agent(const std::string& gocd, const AgentReport& message) const {
  const auto is_meant = [&](const AgentView& view) {
    if (!message.agent_id.empty()) return view.agent.id == message.agent_id;
    return message.job && view.agent.job.job_id == message.job->job_id;
  };
  const auto agents = fleet_.agents();
  const auto found =
      std::ranges::find_if(agents, [&](const AgentView& view) { return view.agent.gocd == gocd && is_meant(view); });
  return found == agents.end() ? std::nullopt : std::optional(*found);
}

}  // namespace ebbtide::plugin
