// ProfileReader: a profile's values by key, and what is wrong with them. Not thread-safe; it reads the properties that
// it was given and does not own them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugin/keys.h"
#include "plugin/messages.h"

namespace ebbtide::plugin {

using Environment = std::vector<std::pair<std::string, std::string>>;  // in order, each key once

// All that is wrong, each with its key and the remedy.
struct ProfileErrors {
  std::vector<FieldError> list;
  std::string text() const;  // one line, for consoles and logs; no values of secure keys
};

class ProfileReader {
 public:
  explicit ProfileReader(const Properties& properties) : properties_(properties) {}

  void refuse_unknown(std::span<const ProfileKey> known);

  std::string text(const std::string& key) const;  // trimmed
  std::string required(const std::string& key);
  std::vector<std::string> lines(const std::string& key) const;
  // The lines that accept takes; the others are wrong, and repeated behind the rule that they break.
  void each_line(const std::string& key, const std::string& rule,
                 const std::function<bool(const std::string&)>& accept);
  bool flag(const std::string& key, bool otherwise = false);
  // A whole number from least to most; blank: otherwise.
  std::uint32_t number(const std::string& key, std::uint32_t least, std::uint32_t most, std::uint32_t otherwise);
  // "512M", "1.5G", as bytes; zero when blank.
  std::int64_t memory(const std::string& key);
  // NAME=value lines. A faulty one is told by its number: it may be the second line of a password.
  Environment environment(const std::string& key);

  template <class Value>
  void choice(const std::string& key, Value& value, std::initializer_list<std::pair<std::string_view, Value>> choices);

  void wrong(const std::string& key, std::string message) { errors_.list.push_back({key, std::move(message)}); }
  const ProfileErrors& errors() const { return errors_; }

 private:
  std::string lowered(const std::string& key) const;

  const Properties& properties_;
  ProfileErrors errors_;
};

// "1.5"; nothing for signs, exponents and what is no number.
std::optional<double> parse_decimal(const std::string& text);
// An IPv4 or IPv6 address and nothing else.
bool is_ip_address(const std::string& text);
// Not empty, and made of ASCII letters, digits and those of others.
bool is_made_of_words(std::string_view text, std::string_view others);
// The later of two lines for one name wins.
Environment merge_environment(const Environment& lower, const Environment& upper);

template <class Value>
void ProfileReader::choice(const std::string& key, Value& value,
                           std::initializer_list<std::pair<std::string_view, Value>> choices) {
  const auto given = lowered(key);
  if (given.empty()) return;
  std::string names;
  for (const auto& [name, choice] : choices) {
    if (given == name) {
      value = choice;
      return;
    }
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  wrong(key, "must be one of " + names);
}

}  // namespace ebbtide::plugin
