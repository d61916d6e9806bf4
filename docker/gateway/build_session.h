// BuildSessions: the open sessions of BuildKit clients (POST /session) on one engine, and whose each is. The engine
// calls back over a session for files and secrets, and builds name the session that they use; so a name is one owner's.
// One table for all gateways of an engine. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ebbtide::gateway {

// Of the id by which a build names a session: the engine reads what follows a first colon.
std::string_view session_name(std::string_view id);

class BuildSessions {
 public:
  // One session, for as long as it lives.
  class Open {
   public:
    Open(BuildSessions& sessions, std::string id) : sessions_(&sessions), id_(std::move(id)) {}
    Open(Open&& other) noexcept : sessions_(std::exchange(other.sessions_, nullptr)), id_(std::move(other.id_)) {}
    Open& operator=(Open&&) = delete;
    ~Open();

   private:
    BuildSessions* sessions_;
    std::string id_;
  };

  // Nothing if there is a session of that id already, whosesoever.
  std::optional<Open> open(std::string_view owner, std::string_view id);
  // Whose it is; nothing if there is none. id as a build names it.
  std::optional<std::string> owner_of(std::string_view id) const;

 private:
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, std::string, std::less<>> owners_;
};

}  // namespace ebbtide::gateway
