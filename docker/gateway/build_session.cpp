#include "docker/gateway/build_session.h"

namespace ebbtide::gateway {

std::string_view session_name(std::string_view id) {
  const auto colon = id.find(':');
  if (colon != std::string_view::npos && colon + 1 < id.size()) id.remove_prefix(colon + 1);
  return id;
}

BuildSessions::Open::~Open() {
  if (sessions_ == nullptr) return;
  const std::scoped_lock lock(sessions_->mutex_);
  sessions_->owners_.erase(id_);
}

std::optional<BuildSessions::Open> BuildSessions::open(std::string_view owner, std::string_view id) {
  const std::scoped_lock lock(mutex_);
  if (!owners_.try_emplace(std::string(id), owner).second) return std::nullopt;
  return Open(*this, std::string(id));
}

std::optional<std::string> BuildSessions::owner_of(std::string_view id) const {
  id = session_name(id);
  const std::scoped_lock lock(mutex_);
  const auto found = owners_.find(id);
  return found == owners_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace ebbtide::gateway
