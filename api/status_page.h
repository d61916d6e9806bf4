// The status page: trouble first, clusters, agents by state with what their jobs brought up. It comes whole from the
// server, so that it works without script, and the script gets what changed. Pure; any thread.
#pragma once

#include <string>

#include "api/board.h"
#include "api/frame.h"

namespace ebbtide::api {

std::string status_page(const Snapshot& snapshot, const Filter& filter, const Frame& frame, TimePoint now);

// What changed since a version, for the script: {"version", "whole", "rows": [{"id", "state", "html"}], "gone": [ids],
// "parts": {"clusters": html, …}}. Agents that the filter does not take count as gone.
std::string status_changes(const Snapshot& snapshot, const Filter& filter, const Visitor& visitor, std::uint64_t since,
                           TimePoint now);

}  // namespace ebbtide::api
