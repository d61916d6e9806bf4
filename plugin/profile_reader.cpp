#include "plugin/profile_reader.h"

#include <arpa/inet.h>

#include <cctype>
#include <cmath>
#include <cstdlib>

#include "docker/base/text.h"

namespace ebbtide::plugin {
namespace {

constexpr double kMostMemory = 1024.0 * 1024 * 1024 * 1024 * 1024;

}  // namespace

std::string ProfileErrors::text() const {
  std::string text;
  for (const auto& error : list) {
    if (!text.empty()) text += "; ";
    text += error.key.empty() ? error.message : error.key + " " + error.message;
  }
  return text;
}

void ProfileReader::refuse_unknown(std::span<const ProfileKey> known) {
  for (const auto& [key, value] : properties_)
    if (std::ranges::find(known, key, &ProfileKey::name) == known.end()) wrong(key, "Is an unknown property");
}

std::string ProfileReader::text(const std::string& key) const {
  const auto found = properties_.find(key);
  return found == properties_.end() ? std::string() : std::string(trim(found->second));
}

std::string ProfileReader::lowered(const std::string& key) const { return to_lower(text(key)); }

std::string ProfileReader::required(const std::string& key) {
  auto value = text(key);
  if (value.empty()) wrong(key, "must not be blank");
  return value;
}

std::vector<std::string> ProfileReader::lines(const std::string& key) const { return lines_of(text(key)); }

void ProfileReader::each_line(const std::string& key, const std::string& rule,
                              const std::function<bool(const std::string&)>& accept) {
  for (const auto& line : lines(key))
    if (!accept(line)) wrong(key, "each line must be " + rule + "; this one is not: " + line);
}

bool ProfileReader::flag(const std::string& key, bool otherwise) {
  const auto value = lowered(key);
  if (value.empty()) return otherwise;
  if (value == "true") return true;
  if (value != "false") wrong(key, "must be true or false");
  return false;
}

std::uint32_t ProfileReader::number(const std::string& key, std::uint32_t least, std::uint32_t most,
                                    std::uint32_t otherwise) {
  const auto value = text(key);
  if (value.empty()) return otherwise;
  const auto parsed = parse_number(value);
  if (parsed && *parsed >= least && *parsed <= most) return static_cast<std::uint32_t>(*parsed);
  wrong(key, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return otherwise;
}

std::int64_t ProfileReader::memory(const std::string& key) {
  const auto value = text(key);
  if (value.empty()) return 0;
  const auto unit =
      std::string_view("MGT").find(static_cast<char>(std::toupper(static_cast<unsigned char>(value.back()))));
  const auto amount = parse_decimal(value.substr(0, value.size() - 1));
  const auto bytes = amount.value_or(0) * std::pow(1024.0, static_cast<double>(unit + 2));
  if (unit == std::string_view::npos || !amount || bytes > kMostMemory) {
    wrong(key, "must be a number with one of the units M, G or T, as in 512M or 1.5G, and not over 1024T");
    return 0;
  }
  return static_cast<std::int64_t>(bytes);
}

Environment ProfileReader::environment(const std::string& key) {
  Environment list;
  const auto found = properties_.find(key);
  if (found == properties_.end()) return list;
  const auto all = split(found->second, '\n');
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto line = trim(all[i]);
    const auto equals = line.find('=');
    if (line.empty()) continue;
    if (equals == std::string_view::npos || equals == 0)
      wrong(key, "each line must be NAME=value; line " + std::to_string(i + 1) + " is not");
    else
      list.emplace_back(trim(line.substr(0, equals)), line.substr(equals + 1));
  }
  return merge_environment({}, list);
}

std::optional<double> parse_decimal(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789.") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return *end == '\0' && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

bool is_ip_address(const std::string& text) {
  in6_addr address{};
  return inet_pton(AF_INET, text.c_str(), &address) == 1 || inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

bool is_made_of_words(std::string_view text, std::string_view others) {
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return word || others.find(c) != std::string_view::npos;
  });
}

Environment merge_environment(const Environment& lower, const Environment& upper) {
  Environment merged;
  for (const auto* list : {&lower, &upper})
    for (const auto& [name, value] : *list) {
      const auto known = std::ranges::find(merged, name, &std::pair<std::string, std::string>::first);
      if (known == merged.end())
        merged.emplace_back(name, value);
      else
        known->second = value;
    }
  return merged;
}

}  // namespace ebbtide::plugin
