// What jobs asked of Docker that changed something or was refused, as pages show it. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/frame.h"
#include "docker/ledger/audit.h"

namespace ebbtide::api {

struct AuditFilter {
  std::string agent;     // empty: all
  bool refused = false;  // only what was refused
  std::optional<std::uint64_t> before;
};

inline constexpr std::size_t kAuditRowsOfAPage = 100;
inline constexpr std::size_t kAuditRowsOfAnAgent = 30;  // on its page; its refusals likewise

// The page of all agents' records, the newest first.
std::string audit_page(const std::vector<AuditRecord>& records, const AuditFilter& filter, const Frame& frame);
// The part of an agent's page: what it was refused, and the newest of all that it asked.
void write_agent_audit(plugin::Html& html, const std::string& agent, const std::vector<AuditRecord>& refused,
                       const std::vector<AuditRecord>& newest);

}  // namespace ebbtide::api
