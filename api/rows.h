// The parts that pages are made of, and that a live page gets anew: agents, belongings, clusters, trouble. Pure; any
// thread.
#pragma once

#include <string_view>
#include <vector>

#include "api/board.h"
#include "api/frame.h"

namespace ebbtide::api {

// In the order of the page.
inline constexpr plugin::AgentState kGroups[] = {plugin::AgentState::kBuilding,    plugin::AgentState::kIdle,
                                                 plugin::AgentState::kRegistering, plugin::AgentState::kCreating,
                                                 plugin::AgentState::kPulling,     plugin::AgentState::kQueued,
                                                 plugin::AgentState::kTerminating, plugin::AgentState::kReaping};

// with_tree: the belongings are in it; else they come when somebody opens them.
void write_agent(plugin::Html& html, const Row& row, TimePoint now, bool with_tree);
void write_belongings(plugin::Html& html, const plugin::AgentView& view, const UsageByContainer& usage);
// Its own container at the root.
void write_tree(plugin::Html& html, const plugin::AgentView& view, const UsageByContainer& usage);
void write_clusters(plugin::Html& html, const Snapshot& snapshot, const Visitor& visitor);
void write_troubles(plugin::Html& html, const std::vector<Trouble>& troubles);
void write_state(plugin::Html& html, const plugin::Agent& agent);
void write_steps(plugin::Html& html, const std::vector<plugin::Step>& steps);
// The job, linked to GoCD where its address is known.
void write_job(plugin::Html& html, const plugin::JobIdentifier& job, std::string_view url);
std::size_t belongings_of_job(const plugin::AgentView& view);

}  // namespace ebbtide::api
