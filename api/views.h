// What the JSON API answers, as api/web/openapi.json describes it. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/board.h"
#include "plugin/fleet.h"

namespace ebbtide::api {

// Each a whole answer, with a line end.
std::string clusters_json(const std::vector<plugin::ClusterView>& clusters, const std::map<std::string, Disk>& disks);
std::string audit_json(const std::vector<AuditRecord>& records);
std::string history_json(const std::vector<plugin::HistoryEntry>& history);
std::string ended_json(const plugin::HistoryEntry& entry);
std::string troubles_json(const std::vector<Trouble>& troubles);

// An object without a line end, to be put together.
std::string agent_json(const plugin::AgentView& view, const UsageByContainer& usage);
// The same with what only one agent's answer has: time line, names of environment variables.
std::string whole_agent_json(const plugin::AgentView& view, const UsageByContainer& usage);
std::string agents_json(const Snapshot& snapshot, const Filter& filter);
// What changed since a version, or all of it.
std::string changes_json(const Snapshot& snapshot, std::uint64_t since);

}  // namespace ebbtide::api
