// The page of one agent, of one that lives or of one that ended. Pure; any thread.
#pragma once

#include <string>

#include "api/board.h"
#include "api/frame.h"

namespace ebbtide::api {

// log: the last lines of container (one of its own), for browsers without script. audit: what Site has at
// /agents/<id>/audit.
struct ShownLog {
  std::string container;
  std::string lines;
};
std::string agent_page(const Snapshot& snapshot, const Row& row, const ShownLog& log, const plugin::Html& audit,
                       const Frame& frame, TimePoint now);
// {"version", "parts": {"agent": html, …}}; an agent that is gone gets "gone": true.
std::string agent_changes(const Snapshot& snapshot, const std::string& id, const Visitor& visitor, TimePoint now);
std::string ended_page(const plugin::HistoryEntry& entry, const plugin::Html& audit, const Frame& frame);

// The last lines of a log as a page shows them: long lines cut, no control characters.
std::string log_text(std::string_view log);

}  // namespace ebbtide::api
