// The commands of the program, one function each; they return its exit code: 0 done, 1 it did not work, 2 the settings
// are wrong. They run on the main thread.
#pragma once

#include <string>

#include "api/settings.h"

namespace ebbtide::api {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongSettings = 2;

int serve(const Settings& settings);
int run_gateway(const Settings& settings);
int run_reap(const Settings& settings);
int check_config(const Settings& settings);

// `ebbtide user` and `ebbtide token`: what to do, and with whom.
struct AccountWish {
  std::string action;  // add, remove, list; for users also passwd and sign-out
  std::string name;
  std::string role = "viewer";
  unsigned days = 90;  // that a token lasts
};
int run_user(const Settings& settings, const AccountWish& wish);
int run_token(const Settings& settings, const AccountWish& wish);

}  // namespace ebbtide::api
