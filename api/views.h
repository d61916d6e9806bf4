// What the JSON API answers. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "plugin/fleet.h"

namespace ebbtide::api {

std::string clusters_json(const std::vector<plugin::ClusterView>& clusters);
// One object instead of a list where alone.
std::string agents_json(const std::vector<plugin::AgentView>& agents, bool alone = false);
std::string audit_json(const std::vector<AuditRecord>& records);
std::string history_json(const std::vector<plugin::HistoryEntry>& history);

}  // namespace ebbtide::api
