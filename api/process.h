// What the commands share: signals, logging, folders, locks, the store.
#pragma once

#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include "api/settings.h"
#include "docker/base/unique_fd.h"
#include "docker/ledger/store.h"

namespace ebbtide::api {

// SIGTERM and SIGINT, held back from all threads that start after it is made, and waited for.
class StopSignals {
 public:
  StopSignals();
  void wait();

 private:
  sigset_t signals_{};
};

Result<void> configure_log(const Settings& settings);
// "127.0.0.1:8160", "[::1]:8160"
struct HostAndPort {
  std::string host;
  std::uint16_t port = 0;
  bool is_loopback() const;
  std::string text() const;
};
Result<HostAndPort> parse_listen(const Settings& settings);
// Where agents on other machines' engines find their gateways.
struct GatewayAddresses {
  HostAndPort listen;
  HostAndPort reached;  // by agents
};
// Nothing where neither gateway_listen nor gateway_host is set. kInvalid says what is missing.
Result<std::optional<GatewayAddresses>> parse_gateway_addresses(const Settings& settings);
// The token that clients must show; empty: none. kInvalid if listen names an address beyond loopback and there is none.
Result<std::string> access_token(const Settings& settings, const HostAndPort& listen);
// A folder of ours, made if missing, for its owner only.
Result<void> make_folder(const std::string& path, const std::string& setting);
// Held for as long as it lives; kConflict if another process has it.
Result<UniqueFd> lock_file(const std::string& path);
// Whether some process holds it.
bool is_locked(const std::string& path);

struct State {
  std::shared_ptr<Database> database;
  std::shared_ptr<Store> store;
  std::string server_id;
};
Result<State> open_state(const Settings& settings);

AuditSettings audit_settings(const Settings& settings);

// Where the lock of a gateway's owner is.
std::string owner_lock(const Settings& settings, const std::string& owner);

// Prints to stderr what is wrong, in the program's manner.
int complain(const Error& error, int exit_code);

}  // namespace ebbtide::api
