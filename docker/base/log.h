// Structured logging: one line is a level, a short fixed message and fields.
//   log_info("agent created", {{"agent", id}, {"image", image}});
// Written to stderr as text or as one JSON object a line (spdlog underneath). Never log bodies of GoCD's
// messages, environment values or credentials. Any thread.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace ebbtide {

enum class LogFormat { kText, kJson };
enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogField {
  std::string_view key;
  std::string value;
};
using LogFields = std::initializer_list<LogField>;

// Once, at the start of the program. Before it, lines are text at level info.
void configure_log(LogFormat format, LogLevel level);

void log_line(LogLevel level, std::string_view message, LogFields fields);

inline void log_debug(std::string_view m, LogFields f = {}) { log_line(LogLevel::kDebug, m, f); }
inline void log_info(std::string_view m, LogFields f = {}) { log_line(LogLevel::kInfo, m, f); }
inline void log_warning(std::string_view m, LogFields f = {}) { log_line(LogLevel::kWarning, m, f); }
inline void log_error(std::string_view m, LogFields f = {}) { log_line(LogLevel::kError, m, f); }

}  // namespace ebbtide
