// Settings: one table of all settings, and their values from flags, environment and file, in that order of strength.
// The table makes the flags, the names of environment variables (EBBTIDE_LISTEN), the keys of the TOML file, --help and
// what check-config prints, so that nothing is written twice.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"

namespace ebbtide::api {

enum class SettingType { kText, kFlag, kSeconds, kMinutes, kCount };

// Which commands know a setting.
inline constexpr unsigned kServe = 1;
inline constexpr unsigned kGateway = 2;
inline constexpr unsigned kReap = 4;
inline constexpr unsigned kAccounts = 8;  // user and token
inline constexpr unsigned kAll = kServe | kGateway | kReap;

struct Setting {
  std::string_view name;  // run_dir: the flag is --run-dir, the variable EBBTIDE_RUN_DIR
  SettingType type;
  std::string_view otherwise;  // the default; empty: none, or found out
  std::string_view help;
  unsigned commands = kServe;
  bool secret = false;
};

std::span<const Setting> all_settings();
std::string flag_of(const Setting& setting);
std::string variable_of(const Setting& setting);
// Where nothing else is said, for one command; some depend on the user and on DOCKER_HOST.
std::string default_of(const Setting& setting, unsigned command);

// The values that one command runs with.
class Settings {
 public:
  struct Value {
    std::string text;
    std::string origin;  // "flag --listen", "EBBTIDE_LISTEN", "ebbtide.toml, line 3", "default"
  };
  // What flags said, by setting name.
  using Given = std::map<std::string, std::string, std::less<>>;
  using Lookup = std::optional<std::string> (*)(const std::string& variable);

  // file: the TOML file to read; empty: /etc/ebbtide/ebbtide.toml if it is there. kInvalid names key, line and remedy.
  // The file may hold settings of every command; those of others are checked and passed over.
  static Result<Settings> gather(unsigned command, const Given& flags, Lookup environment, const std::string& file);

  std::string text(std::string_view name) const;
  bool flag(std::string_view name) const;
  std::uint64_t number(std::string_view name) const;
  const std::string& origin(std::string_view name) const;
  const std::map<std::string, Value, std::less<>>& values() const { return values_; }

 private:
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace ebbtide::api
