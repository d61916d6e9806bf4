// ebbtide: what was said on the command line, then the command.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <span>

#include "api/commands.h"
#include "api/process.h"

namespace {

using namespace ebbtide;
using namespace ebbtide::api;

struct Command {
  const char* name;
  const char* help;
  unsigned settings;
  int (*run)(const Settings&);
};

constexpr Command kCommands[] = {
    {"serve", "the server: GoCD's elastic agents on Docker", kServe, serve},
    {"gateway", "one gateway alone, for one owner, with no GoCD", kGateway, run_gateway},
    {"reap", "find and remove what owners that no longer exist left on an engine", kReap, run_reap},
    {"check-config", "check and show the settings of serve", kServe, check_config},
};

std::optional<std::string> environment(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

std::string help_of(const Setting& setting, unsigned command) {
  std::string help(setting.help);
  if (const auto otherwise = default_of(setting, command); !otherwise.empty()) help += " [" + otherwise + "]";
  return help + " (" + variable_of(setting) + ")";
}

const char* type_name(const Setting& setting) {
  switch (setting.type) {
    case SettingType::kSeconds:
      return "SECONDS";
    case SettingType::kMinutes:
      return "MINUTES";
    case SettingType::kCount:
      return "NUMBER";
    default:
      return "TEXT";
  }
}

struct AccountAction {
  const char* name;
  const char* help;
  bool has_name = true;
};
constexpr AccountAction kUserActions[] = {
    {"add", "an account; its password is asked for, or read from the standard input"},
    {"passwd", "another password; ends the account's sessions"},
    {"sign-out", "end the account's sessions"},
    {"remove", "the account and its sessions"},
    {"list", "all accounts", false}};
constexpr AccountAction kTokenActions[] = {{"add", "a token, printed once"},
                                           {"remove", "the token is good for nothing any more"},
                                           {"list", "all tokens", false}};

// What one command's flags said. Values stay texts: Settings checks them all in one way, wherever they come from.
struct Said {
  CLI::App* app = nullptr;
  std::string file;
  Settings::Given given;
};

void add_flags(Said& said, unsigned command) {
  said.app->add_option("--config", said.file, "a TOML file of settings [/etc/ebbtide/ebbtide.toml, if it is there]");
  for (const auto& setting : all_settings()) {
    if (!(setting.commands & command)) continue;
    const auto keep = [&said, name = std::string(setting.name)](const std::string& value) { said.given[name] = value; };
    if (setting.type == SettingType::kFlag)
      said.app->add_flag_function(
          flag_of(setting), [keep](std::int64_t) { keep("true"); }, help_of(setting, command));
    else
      said.app->add_option_function<std::string>(flag_of(setting), keep, help_of(setting, command))
          ->type_name(type_name(setting));
  }
}

// `ebbtide user add NAME` and its kin.
struct Keeper {
  std::list<Said> said;  // of each action; CLI11 keeps their addresses
  AccountWish wish;

  void add(CLI::App& app, const char* name, const char* help, std::span<const AccountAction> actions) {
    auto* group = app.add_subcommand(name, help);
    group->require_subcommand(1);
    for (const auto& action : actions) {
      auto& one = said.emplace_back();
      one.app = group->add_subcommand(action.name, action.help);
      if (action.has_name) one.app->add_option("name", wish.name, "whom or what")->required();
      add_flags(one, kAccounts);
    }
  }
  CLI::App* app_of(const char* action) const {
    for (const auto& one : said)
      if (one.app->get_name() == action) return one.app;
    return nullptr;
  }

  std::optional<int> run(int (*command)(const Settings&, const AccountWish&)) {
    for (const auto& one : said) {
      if (!one.app->parsed()) continue;
      const auto settings = Settings::gather(kAccounts, one.given, environment, one.file);
      if (!settings) return complain(settings.error(), kWrongSettings);
      if (const auto configured = configure_log(*settings); !configured)
        return complain(configured.error(), kWrongSettings);
      wish.action = one.app->get_name();
      return command(*settings, wish);
    }
    return std::nullopt;
  }
};

int run(const Command& command, const Said& said) {
  const auto settings = Settings::gather(command.settings, said.given, environment, said.file);
  if (!settings) return complain(settings.error(), kWrongSettings);
  if (const auto configured = configure_log(*settings); !configured)
    return complain(configured.error(), kWrongSettings);
  return command.run(*settings);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Ebbtide: GoCD elastic agents on Docker that leave nothing behind.", "ebbtide");
  app.require_subcommand(1);
  app.footer("Settings: flags over EBBTIDE_… variables over the TOML file. `ebbtide serve --help` lists them.");
  std::vector<Said> said(std::size(kCommands));
  for (std::size_t i = 0; i < std::size(kCommands); ++i) {
    said[i].app = app.add_subcommand(kCommands[i].name, kCommands[i].help);
    add_flags(said[i], kCommands[i].settings);
  }
  Keeper users;
  users.add(app, "user", "who may sign in", kUserActions);
  users.app_of("add")->add_option("--role", users.wish.role, "viewer or admin [viewer]");
  Keeper tokens;
  tokens.add(app, "token", "tokens for scripts and Prometheus", kTokenActions);
  tokens.wish.role = "read";
  tokens.app_of("add")->add_option("--scope", tokens.wish.role, "read or admin [read]");
  tokens.app_of("add")->add_option("--days", tokens.wish.days, "how long it lasts [90]")->check(CLI::Range(1, 3650));
  const auto* version = app.add_subcommand("version", "print the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kWrongSettings;
  }
  if (version->parsed()) {
    std::puts("ebbtide " EBBTIDE_VERSION);
    return kDone;
  }
  for (std::size_t i = 0; i < std::size(kCommands); ++i)
    if (said[i].app->parsed()) return run(kCommands[i], said[i]);
  if (const auto done = users.run(run_user)) return *done;
  return tokens.run(run_token).value_or(kWrongSettings);
}
