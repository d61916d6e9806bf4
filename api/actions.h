// What admins can do, in one table for pages and API. Any thread.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "api/small_pages.h"
#include "plugin/fleet.h"

namespace ebbtide::api {

struct ActionRequest {
  std::string object;  // an agent's id or a cluster's key
  std::map<std::string, std::string> fields;
  std::string who;
};

struct Action {
  std::string_view name;
  std::string_view title;
  std::string_view text;
  bool destroys = false;
  bool asks_minutes = false;
  // What to tell who asked; empty where the page shows it by itself.
  Result<std::string> (*run)(plugin::Fleet& fleet, const ActionRequest& request);
};

// By the last part of its path; null for none.
const Action* agent_action(std::string_view name);
const Action* cluster_action(std::string_view name);

// "a=1&b=2" of a form; empty where malformed.
std::map<std::string, std::string> form_fields(std::string_view body);

}  // namespace ebbtide::api
