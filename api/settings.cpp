#include "api/settings.h"

#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

constexpr const char* kDefaultFile = "/etc/ebbtide/ebbtide.toml";

using enum SettingType;

constexpr Setting kSettings[] = {
    {"listen", kText, "", "address of the HTTP surface (serve), or of the gateway's socket (gateway)",
     kServe | kGateway},
    {"state_dir", kText, "", "where the database is kept", kAll | kAccounts},
    {"run_dir", kText, "", "where agents' sockets live; keep the path short, and the same for the engine",
     kServe | kReap},
    {"token", kText, "", "bearer token for the bridge and the pages; needed beyond loopback", kServe, true},
    {"token_file", kText, "", "a file that holds the token", kServe},
    {"page_url", kText, "", "address of the status page as browsers reach it; also for links in GoCD's reports",
     kServe},
    {"tls_cert", kText, "", "a PEM file with the certificate and those above it: serve HTTPS; read again on change",
     kServe},
    {"tls_key", kText, "", "a PEM file with its key", kServe},
    {"session_hours", kCount, "12", "hours after which one must sign in again", kServe},
    {"proxy_addresses", kText, "", "addresses of front proxies whose proxy_user_header is believed", kServe},
    {"proxy_user_header", kText, "", "the header in which a front proxy names the user that it let in", kServe},
    {"proxy_admins", kText, "", "users of the front proxy that are admins; the others are viewers", kServe},
    {"history_days", kCount, "14", "days for which ended agents are remembered", kServe},
    {"plugin_id", kText, "ebbtide.elastic-agent", "the id of the plugin in GoCD", kServe},
    {"server_id", kText, "", "id on the labels of all that is ours; kept in the database if not set", kAll},
    {"log_format", kText, "text", "text or json", kAll | kAccounts},
    {"log_level", kText, "info", "debug, info, warning or error", kAll | kAccounts},
    {"idle_limit", kSeconds, "120", "an agent whose job went away is ended after so many seconds", kServe},
    {"lost_limit", kMinutes, "5", "an agent that GoCD lost is ended after so many minutes", kServe},
    {"completion_grace", kSeconds, "10", "seconds that a cancelled job's agent has for its cancel task", kServe},
    {"sweep", kSeconds, "60", "seconds between full listings of an engine", kServe},
    {"create_workers", kCount, "4", "agents created at the same time", kServe},
    {"reap_workers", kCount, "4", "agents removed at the same time", kServe},
    {"gateway_loops", kCount, "2", "threads for the gateways of an engine", kServe},
    {"http_threads", kCount, "256", "threads for HTTP at the most; bridges, open pages and followed logs hold one each",
     kServe},
    {"gateway_listen", kText, "",
     "address and port for tracked agents on other machines' engines, with TLS and a certificate each; empty: none",
     kServe},
    {"gateway_host", kText, "",
     "host, or host:port, by which these agents reach it; else the address of gateway_listen", kServe},
    {"audit_keep", kCount, "14", "days for which records of jobs' Docker requests stay in the database",
     kServe | kGateway},
    {"audit_log", kText, "", "a file that gets these records as JSON lines too; - is standard output",
     kServe | kGateway},
    {"engine", kText, "", "the engine: unix:///var/run/docker.sock, tcp://host:2375", kGateway | kReap},
    {"owner", kText, "", "whom the gateway serves; a name for labels and logs", kGateway},
    {"policy", kText, "ci", "what the owner may ask of the engine: strict, ci or trusted", kGateway},
    {"publish", kText, "ephemeral", "where published ports are on the host: ephemeral, loopback or any", kGateway},
    {"images", kText, "clean", "what becomes of the owner's images: clean, shared or isolated", kGateway},
    {"reap_on_exit", kFlag, "false", "remove all that the owner made when the gateway ends", kGateway},
    {"all", kFlag, "false", "also what living owners have: before Ebbtide is taken off this engine", kReap},
    {"dry_run", kFlag, "false", "only show what would be removed", kReap},
};

const Setting* find_setting(std::string_view name) {
  const auto found = std::ranges::find(kSettings, name, &Setting::name);
  return found == std::end(kSettings) ? nullptr : found;
}

// How many letters differ, for suggestions.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, changed}));
    }
  }
  return row.back();
}

std::string suggestion_for(std::string_view name) {
  const auto nearest =
      std::ranges::min_element(kSettings, {}, [&](const Setting& setting) { return distance(name, setting.name); });
  if (distance(name, nearest->name) > 3) return "; `ebbtide serve --help` lists the settings";
  return "; did you mean " + std::string(nearest->name) + "?";
}

Result<void> check(const Setting& setting, const Settings::Value& value) {
  const auto wrong = [&](const std::string& remedy) {
    return fail(Error::invalid(std::string(setting.name) + " (" + value.origin + ") " + remedy));
  };
  switch (setting.type) {
    case kText:
      return {};
    case kFlag:
      if (value.text != "true" && value.text != "false") return wrong("must be true or false");
      return {};
    case kSeconds:
    case kMinutes:
    case kCount: {
      const auto number = parse_number(value.text);
      const std::uint64_t least = setting.name == "completion_grace" ? 0 : 1;
      if (!number || *number < least || *number > 100'000)
        return wrong("must be a whole number from " + std::to_string(least) + " to 100000");
      return {};
    }
  }
  return {};
}

// A TOML value as text; nothing if it is a list or table.
std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  return std::nullopt;
}

Result<std::map<std::string, Settings::Value, std::less<>>> read_file(const std::string& path) {
  std::map<std::string, Settings::Value, std::less<>> values;
  try {
    const auto table = toml::parse_file(path);
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      const auto where = path + ", line " + std::to_string(node.source().begin.line);
      if (!find_setting(name)) return fail(Error::invalid(where + ": unknown key " + name + suggestion_for(name)));
      const auto text = text_of(node);
      if (!text) return fail(Error::invalid(where + ": " + name + " must be a text, a number or true/false"));
      values[name] = {*text, where};
    }
  } catch (const toml::parse_error& error) {
    return fail(Error::invalid(path + ", line " + std::to_string(error.source().begin.line) + ": " +
                               std::string(error.description())));
  }
  return values;
}

std::string default_folder(const char* for_root, const char* variable, const char* below_home) {
  if (::geteuid() == 0) return for_root;
  if (const char* set = std::getenv(variable)) return std::string(set) + "/ebbtide";
  const char* home = std::getenv("HOME");
  return std::string(home ? home : "/tmp") + below_home;
}

}  // namespace

std::string default_of(const Setting& setting, unsigned command) {
  if (setting.name == "listen") return command == kServe ? "127.0.0.1:8160" : "";
  if (setting.name == "state_dir") return default_folder("/var/lib/ebbtide", "XDG_STATE_HOME", "/.local/state/ebbtide");
  if (setting.name == "run_dir") return default_folder("/run/ebbtide", "XDG_RUNTIME_DIR", "/.cache/ebbtide-run");
  if (setting.name == "engine") {
    const char* docker_host = std::getenv("DOCKER_HOST");
    return docker_host && *docker_host ? docker_host : "unix:///var/run/docker.sock";
  }
  return std::string(setting.otherwise);
}

std::span<const Setting> all_settings() { return kSettings; }

std::string flag_of(const Setting& setting) {
  std::string flag = "--" + std::string(setting.name);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

std::string variable_of(const Setting& setting) {
  std::string variable = "EBBTIDE_";
  for (const char c : setting.name) variable += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return variable;
}

Result<Settings> Settings::gather(unsigned command, const Given& flags, Lookup environment, const std::string& file) {
  auto path = file;
  std::error_code ignored;  // not there, or not readable: no file
  if (path.empty() && std::filesystem::exists(kDefaultFile, ignored)) path = kDefaultFile;
  std::map<std::string, Value, std::less<>> from_file;
  if (!path.empty()) {
    auto read = read_file(path);
    if (!read) return fail(read.error());
    from_file = std::move(*read);
  }
  for (const auto& [name, value] : from_file)
    if (const auto sound = check(*find_setting(name), value); !sound) return fail(sound.error());
  Settings settings;
  for (const auto& setting : kSettings) {
    if (!(setting.commands & command)) continue;
    const std::string name(setting.name);
    Value value{default_of(setting, command), "default"};
    if (const auto found = from_file.find(name); found != from_file.end()) value = found->second;
    if (const auto set = environment(variable_of(setting)); set && !set->empty()) value = {*set, variable_of(setting)};
    if (const auto given = flags.find(name); given != flags.end()) value = {given->second, "flag " + flag_of(setting)};
    if (const auto sound = check(setting, value); !sound) return fail(sound.error());
    settings.values_[name] = std::move(value);
  }
  return settings;
}

std::string Settings::text(std::string_view name) const { return values_.find(name)->second.text; }
bool Settings::flag(std::string_view name) const { return text(name) == "true"; }
std::uint64_t Settings::number(std::string_view name) const { return parse_number(text(name)).value_or(0); }
const std::string& Settings::origin(std::string_view name) const { return values_.find(name)->second.origin; }

}  // namespace ebbtide::api
