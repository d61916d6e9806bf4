#include "api/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "docker/base/log.h"
#include "docker/base/text.h"

namespace ebbtide::api {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void StopSignals::wait() {
  int signal = 0;
  sigwait(&signals_, &signal);
}

Result<void> configure_log(const Settings& settings) {
  const auto format = settings.text("log_format");
  const auto level = settings.text("log_level");
  if (format != "text" && format != "json")
    return fail(Error::invalid("log_format (" + settings.origin("log_format") + ") must be text or json"));
  constexpr std::pair<std::string_view, LogLevel> kLevels[] = {{"debug", LogLevel::kDebug},
                                                               {"info", LogLevel::kInfo},
                                                               {"warning", LogLevel::kWarning},
                                                               {"error", LogLevel::kError}};
  for (const auto& [name, value] : kLevels)
    if (level == name) {
      ebbtide::configure_log(format == "json" ? LogFormat::kJson : LogFormat::kText, value);
      return {};
    }
  return fail(Error::invalid("log_level (" + settings.origin("log_level") + ") must be debug, info, warning or error"));
}

bool HostAndPort::is_loopback() const {
  in_addr address{};
  const bool ipv4 = ::inet_pton(AF_INET, host.c_str(), &address) == 1;  // a name may begin with 127. too
  return (ipv4 && host.starts_with("127.")) || host == "localhost" || host == "::1";
}

namespace {

Result<HostAndPort> parse_address(const Settings& settings, std::string_view setting, const std::string& text) {
  const auto colon = text.rfind(':');
  const auto port = colon == std::string::npos ? std::nullopt : parse_number(text.substr(colon + 1));
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (!port || *port > 65535 || host.empty())
    return fail(Error::invalid(std::string(setting) + " (" + settings.origin(setting) +
                               ") must be an address and a port, as 127.0.0.1:8160; it is " + text));
  return HostAndPort{host, static_cast<std::uint16_t>(*port)};
}

bool is_plain(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == ':'; }

}  // namespace

Result<HostAndPort> parse_listen(const Settings& settings) {
  return parse_address(settings, "listen", settings.text("listen"));
}

std::string HostAndPort::text() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<std::optional<GatewayAddresses>> parse_gateway_addresses(const Settings& settings) {
  const auto text = settings.text("gateway_listen");
  auto host = settings.text("gateway_host");
  if (text.empty() && host.empty()) return std::nullopt;
  if (text.empty())
    return fail(Error::invalid("gateway_host (" + settings.origin("gateway_host") +
                               ") says how agents reach gateway_listen: set that too, as 0.0.0.0:8161"));
  const auto listen = parse_address(settings, "gateway_listen", text);
  if (!listen) return fail(listen.error());
  if (listen->port == 0) return fail(Error::invalid("gateway_listen needs a port that agents can know: not 0"));
  const bool wildcard = listen->host == "0.0.0.0" || listen->host == "::";
  if (host.empty() && wildcard)
    return fail(Error::invalid("gateway_listen (" + settings.origin("gateway_listen") +
                               ") names every address of this machine: set gateway_host to the name or address by "
                               "which agents on the engines reach it"));
  if (host.empty()) return GatewayAddresses{.listen = *listen, .reached = *listen};
  const bool has_port = !host.ends_with(']') && host.find(':') != std::string::npos;
  if (!has_port) host += ":" + std::to_string(listen->port);
  const auto reached = parse_address(settings, "gateway_host", host);
  if (!reached) return fail(reached.error());
  const bool unclear = !host.starts_with('[') && reached->host.find(':') != std::string::npos;
  if (reached->port == 0 || unclear || !std::ranges::all_of(reached->host, is_plain))
    return fail(Error::invalid("gateway_host (" + settings.origin("gateway_host") +
                               ") must be a name or an address, and a port if it is another, as ci.example.com, "
                               "10.0.0.7:8161 or [fd00::7]"));
  return GatewayAddresses{.listen = *listen, .reached = *reached};
}

Result<std::string> access_token(const Settings& settings, const HostAndPort& listen) {
  auto token = settings.text("token");
  if (const auto path = settings.text("token_file"); !path.empty()) {
    std::ifstream file(path);
    token = trim(std::string((std::istreambuf_iterator<char>(file)), {}));
    if (!file || token.empty())
      return fail(
          Error::invalid("token_file (" + settings.origin("token_file") + ") can't be read, or is empty: " + path));
  }
  if (listen.is_loopback() || !token.empty()) return token;
  return fail(
      Error::invalid("listen names an address beyond loopback, so a token is needed: set token_file to a file "
                     "that holds one (head -c 32 /dev/urandom | base64), and give the bridge the same"));
}

Result<void> make_folder(const std::string& path, const std::string& setting) {
  try {
    std::filesystem::create_directories(path);
    std::filesystem::permissions(path, std::filesystem::perms(0700));
    return {};
  } catch (const std::exception& error) {
    return fail(
        Error::unavailable("can't make the folder " + path + ": " + error.what() + ". Choose another with " + setting));
  }
}

Result<UniqueFd> lock_file(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return fail(Error::unavailable("can't open " + path));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Error::conflict("another ebbtide holds " + path + ": stop it, or choose another state_dir"));
  return file;
}

bool is_locked(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  return file && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0;
}

Result<State> open_state(const Settings& settings) {
  const auto folder = settings.text("state_dir");
  if (const auto made = make_folder(folder, "--state-dir"); !made) return fail(made.error());
  auto database = Database::open(folder + "/ebbtide.db");
  if (!database) return fail(database.error());
  State state{.database = *database, .store = std::make_shared<Store>(*database), .server_id = {}};
  state.server_id = settings.text("server_id");
  if (!state.server_id.empty()) return state;
  const auto kept = state.store->server_id();
  if (!kept) return fail(kept.error());
  state.server_id = *kept;
  return state;
}

AuditSettings audit_settings(const Settings& settings) {
  AuditSettings audit;
  audit.keep = std::chrono::hours(24 * settings.number("audit_keep"));
  audit.lines = settings.text("audit_log");
  return audit;
}

std::string owner_lock(const Settings& settings, const std::string& owner) {
  return settings.text("state_dir") + "/owners/" + percent_encode(owner) + ".lock";
}

int complain(const Error& error, int exit_code) {
  std::fprintf(stderr, "ebbtide: %s\n", error.message.c_str());
  return exit_code;
}

}  // namespace ebbtide::api
