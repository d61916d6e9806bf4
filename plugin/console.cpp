#include "plugin/console.h"

#include <array>
#include <ctime>

#include "docker/base/text.h"

namespace ebbtide::plugin {
namespace {

constexpr std::size_t kShortestSecret = 4;  // less would cut words out of every log

std::string clock_time(TimePoint now) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::array<char, 16> text{};
  const auto length = std::strftime(text.data(), text.size(), "%H:%M:%S", &local);
  const auto fraction = std::to_string(1000 + milliseconds).substr(1);
  return std::string(text.data(), length) + "." + fraction;
}

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

}  // namespace

std::string console_lines(std::string_view text, TimePoint now) {
  const auto prefix = "##|" + clock_time(now) + " [go] ";
  std::string lines;
  for (const auto& line : split(text, '\n')) {
    lines += prefix;
    for (const char c : line)
      if (!is_control(c)) lines += c;
    lines += '\n';
  }
  return lines;
}

std::string without_secrets(std::string text, const std::vector<std::string>& secrets) {
  for (const auto& secret : secrets) {
    if (secret.size() < kShortestSecret) continue;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 8))
      text.replace(at, secret.size(), "********");
  }
  return text;
}

}  // namespace ebbtide::plugin
