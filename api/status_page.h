// The status page: what runs, for whom, and what refuses to go. Server-made HTML that loads itself anew. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "plugin/fleet.h"

namespace ebbtide::api {

std::string status_page(const plugin::Fleet& fleet);
// The same from given views, for tests.
std::string status_page(const std::vector<plugin::ClusterView>& clusters, const std::vector<plugin::AgentView>& agents,
                        const std::vector<plugin::HistoryEntry>& history, TimePoint now);
std::string_view status_style();

}  // namespace ebbtide::api
