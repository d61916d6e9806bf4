// ebbtide user, ebbtide token: accounts and tokens, beside a running server or without one.
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "api/accounts.h"
#include "api/commands.h"
#include "api/process.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

int exit_code_of(const Error& error) {
  return complain(error, error.kind == ErrorKind::kInvalid ? kWrongSettings : kFailed);
}

// Typed unseen at a terminal, else the first line of the input; never an argument, which others could see.
Result<std::string> read_password() {
  const bool typed = ::isatty(STDIN_FILENO) != 0;
  termios shown{};
  if (typed) {
    std::fputs("Password: ", stderr);
    ::tcgetattr(STDIN_FILENO, &shown);
    auto hidden = shown;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
  }
  std::string password;
  std::getline(std::cin, password);
  if (typed) {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    std::fputs("\n", stderr);
  }
  if (password.ends_with('\r')) password.pop_back();
  if (password.empty()) return fail(Error::invalid("no password was given: type it, or give it on the standard input"));
  return password;
}

// Without the server's lock: both may have the database.
Result<std::shared_ptr<Database>> open_database(const Settings& settings) {
  const auto folder = settings.text("state_dir");
  if (const auto made = make_folder(folder, "--state-dir"); !made) return fail(made.error());
  return Database::open(folder + "/ebbtide.db");
}

int report(const Result<void>& done, const std::string& text) {
  if (!done) return exit_code_of(done.error());
  std::printf("%s\n", text.c_str());
  return kDone;
}

int add_user(Accounts& accounts, const AccountWish& wish) {
  const auto rights = rights_of(wish.role);
  if (!rights) return complain(Error::invalid("--role must be viewer or admin"), kWrongSettings);
  const auto password = read_password();
  if (!password) return exit_code_of(password.error());
  return report(accounts.add(wish.name, *rights, *password), wish.name + " may sign in as " + wish.role);
}

int change_password(Accounts& accounts, const AccountWish& wish) {
  const auto password = read_password();
  if (!password) return exit_code_of(password.error());
  return report(accounts.set_password(wish.name, *password),
                "the password of " + wish.name + " is changed, and its sessions are ended");
}

int list_users(const Accounts& accounts) {
  for (const auto& account : accounts.list())
    std::printf("%-24s %-8s since %s\n", account.name.c_str(), std::string(to_string(account.rights)).c_str(),
                to_rfc3339(account.created).c_str());
  return kDone;
}

int add_token(Accounts& accounts, const AccountWish& wish) {
  const auto rights = wish.role == "read" ? Rights::kView : Rights::kAct;
  if (wish.role != "read" && wish.role != "admin")
    return complain(Error::invalid("--scope must be read or admin"), kWrongSettings);
  const auto secret = accounts.add_token(wish.name, rights, std::chrono::days(wish.days));
  if (!secret) return exit_code_of(secret.error());
  std::fprintf(stderr, "for Authorization: Bearer …; it is shown only now, and lasts %u days\n", wish.days);
  std::printf("%s\n", secret->c_str());
  return kDone;
}

int list_tokens(const Accounts& accounts) {
  for (const auto& token : accounts.tokens())
    std::printf("%-24s %-6s until %s, used %s\n", token.name.c_str(), token.rights == Rights::kAct ? "admin" : "read",
                to_rfc3339(token.expires).c_str(), token.used ? to_rfc3339(*token.used).c_str() : "never");
  return kDone;
}

}  // namespace

int run_user(const Settings& settings, const AccountWish& wish) {
  const auto database = open_database(settings);
  if (!database) return complain(database.error(), kFailed);
  Accounts accounts(*database, std::make_shared<SystemClock>());
  if (wish.action == "list") return list_users(accounts);
  if (wish.action == "add") return add_user(accounts, wish);
  if (wish.action == "passwd") return change_password(accounts, wish);
  if (wish.action == "remove") return report(accounts.remove(wish.name), wish.name + " may not sign in any more");
  accounts.end_sessions(wish.name);
  return report({}, "the sessions of " + wish.name + " are ended");
}

int run_token(const Settings& settings, const AccountWish& wish) {
  const auto database = open_database(settings);
  if (!database) return complain(database.error(), kFailed);
  Accounts accounts(*database, std::make_shared<SystemClock>());
  if (wish.action == "list") return list_tokens(accounts);
  if (wish.action == "add") return add_token(accounts, wish);
  return report(accounts.remove_token(wish.name), "the token " + wish.name + " is good for nothing any more");
}

}  // namespace ebbtide::api
