#include "docker/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

namespace ebbtide {
namespace {

constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%e%z %-7l %v";
constexpr const char* kJsonPattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v)";

std::atomic<LogFormat> format{LogFormat::kText};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_logger_mt("ebbtide");
    made->set_pattern(kTextPattern);
    return made;
  }();
  return *instance;
}

std::string as_json(std::string_view message, LogFields fields) {
  nlohmann::ordered_json line{{"message", message}};
  for (const auto& field : fields) line[std::string(field.key)] = field.value;
  // The pattern writes time and level; here only the members that follow them.
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).substr(1);
}

void append_quoted(std::string& out, std::string_view value) {
  // Control characters would reach the reader's terminal.
  const bool plain = !value.empty() && std::ranges::none_of(value, [](unsigned char c) {
    return c <= ' ' || c == 0x7f || c == '"' || c == '\\' || c == '=';
  });
  if (plain) {
    out += value;
    return;
  }
  out += nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string as_text(std::string_view message, LogFields fields) {
  std::string line(message);
  for (const auto& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_quoted(line, field.value);
  }
  return line;
}

}  // namespace

void configure_log(LogFormat new_format, LogLevel level) {
  format = new_format;
  logger().set_level(to_spdlog(level));
  logger().set_pattern(new_format == LogFormat::kJson ? kJsonPattern : kTextPattern);
}

void log_line(LogLevel level, std::string_view message, LogFields fields) {
  const auto spd_level = to_spdlog(level);
  if (!logger().should_log(spd_level)) return;
  logger().log(spd_level, "{}", format == LogFormat::kJson ? as_json(message, fields) : as_text(message, fields));
}

}  // namespace ebbtide
