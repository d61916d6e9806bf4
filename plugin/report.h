// GoCD's status reports: compact HTML for GoCD's own page, which shows it unescaped and compiled by AngularJS; so it is
// written by Html and never blank. No environment values, no secrets. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/fleet.h"

namespace ebbtide::plugin {

// page_url: the live page, linked if not empty.
std::string cluster_report(const std::vector<ClusterView>& clusters, const std::vector<AgentView>& agents,
                           std::string_view page_url);
// Nothing known of the agent: the report says so.
std::string agent_report(const std::optional<AgentView>& agent, std::string_view page_url);
// Why there is no report.
std::string error_report(std::string_view message);

// "3 min", "2 h 5 min", for people.
std::string age_text(TimePoint since, TimePoint now);

}  // namespace ebbtide::plugin
