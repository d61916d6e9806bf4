// Accounts: who may sign in, their sessions, and tokens for scripts, in the database. Passwords are kept as scrypt
// hashes, session and token secrets as SHA-256 of themselves, which nobody can guess. `ebbtide user` and `ebbtide
// token` change them beside a running server, which sees it within kRemembered. Calls block for the disk, and check for
// a tenth of a second; any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/clock.h"
#include "docker/base/result.h"
#include "docker/ledger/database.h"

namespace ebbtide::api {

enum class Rights {
  kView,  // "viewer"
  kAct,   // "admin": may also end agents and the like
};
std::string_view to_string(Rights rights);
std::optional<Rights> rights_of(std::string_view role);

struct Account {
  std::string name;
  Rights rights = Rights::kView;
  TimePoint created{};
};

struct Session {
  std::int64_t number = 0;
  std::string user;
  Rights rights = Rights::kView;
  std::string peer;  // the address that signed in
  TimePoint created{};
  TimePoint seen{};
};

struct AccessToken {
  std::string name;
  Rights rights = Rights::kView;
  TimePoint created{};
  TimePoint expires{};
  std::optional<TimePoint> used;
};

class Accounts {
 public:
  static constexpr std::size_t kShortestPassword = 10;
  static constexpr std::chrono::seconds kRemembered{2};  // whether there are any

  Accounts(std::shared_ptr<Database> database, std::shared_ptr<Clock> clock);  // makes its tables

  // --- accounts ---
  Result<void> add(const std::string& name, Rights rights, std::string_view password);
  Result<void> set_password(const std::string& name, std::string_view password);  // ends its sessions
  Result<void> remove(const std::string& name);                                   // and its sessions
  std::vector<Account> list() const;
  bool any() const;
  // Whether name may sign in with password. Takes as long where there is no such account.
  bool check(const std::string& name, std::string_view password) const;

  // --- sessions ---
  // The secret that its cookie holds.
  Result<std::string> open_session(const std::string& user, const std::string& peer, std::chrono::hours life);
  std::optional<Session> session(const std::string& secret);
  std::vector<Session> sessions() const;
  void end_session(std::int64_t number);
  void end_sessions(const std::string& user);

  // --- tokens ---
  static constexpr std::string_view kTokenPrefix = "ebt_";
  // The secret, which is told once only.
  Result<std::string> add_token(const std::string& name, Rights rights, std::chrono::days life);
  Result<void> remove_token(const std::string& name);
  std::vector<AccessToken> tokens() const;
  std::optional<AccessToken> token(const std::string& secret);

 private:
  std::int64_t now() const;
  Result<void> change(const char* statement, const std::string& name, const std::string& what);

  const std::shared_ptr<Database> database_;
  const std::shared_ptr<Clock> clock_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::chrono::steady_clock::time_point looked_{};
  mutable bool any_ = false;
};

}  // namespace ebbtide::api
