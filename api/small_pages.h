// Pages around the others: the history, signing in, sessions, confirmations, errors. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/frame.h"
#include "plugin/fleet.h"

namespace ebbtide::api {

std::string history_page(const std::vector<plugin::HistoryEntry>& entries, const plugin::HistoryWishes& wishes,
                         const Frame& frame);
// next: where to go then. problem: why the last try failed; may be empty.
std::string sign_in_page(std::string_view next, std::string_view name, std::string_view problem);
std::string sessions_page(const std::vector<Session>& sessions, const Frame& frame);

// What an admin must confirm.
struct Question {
  std::string title;
  std::string text;    // what will happen
  std::string verb;    // on the button
  std::string target;  // where the form is posted to
  std::string back;
  std::string hidden_name;  // one more field of the form; may be empty
  std::string hidden_value;
  bool destroys = false;
  bool asks_minutes = false;
};
std::string question_page(const Question& question, const Frame& frame);
std::string message_page(std::string_view title, std::string_view text, const Frame& frame);

}  // namespace ebbtide::api
