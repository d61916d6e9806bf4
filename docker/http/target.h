// Request targets of the Engine API, taken apart strictly and written anew. Pure; any thread.
//
// The engine matches on the percent-decoded path, cleans paths by redirect, and reads the first of repeated
// query keys; a filter that reads the raw text differently is bypassed. So: decode once, refuse what is not
// canonical, and always send a target written by to_text. (Engine API 1.41, tried.)
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "docker/base/result.h"

namespace ebbtide::http {

// Decoded keys and values in their order.
class Query {
 public:
  // The first value of key, which is the one that the engine reads.
  std::optional<std::string_view> get(std::string_view key) const;
  std::vector<std::string> get_all(std::string_view key) const;
  bool flag(std::string_view key) const;              // as the engine reads booleans: not "", 0, no, false, none
  void set(std::string_view key, std::string value);  // replaces all of that key
  void add(std::string key, std::string value) { list_.emplace_back(std::move(key), std::move(value)); }
  void remove(std::string_view key);
  // Keeps only these keys, and of each only the first value unless it is in repeatable.
  void keep(const std::vector<std::string_view>& keys, const std::vector<std::string_view>& repeatable = {});
  const std::vector<std::pair<std::string, std::string>>& list() const { return list_; }
  std::string to_text() const;  // without '?'

 private:
  std::vector<std::pair<std::string, std::string>> list_;
};

struct Target {
  // "1.41", or empty where the path had no version: the engine's own newest.
  std::string version;
  // Decoded, without the version: "/containers/db/json".
  std::string path;
  Query query;

  // The version's numbers; nothing without one.
  std::optional<std::pair<int, int>> version_numbers() const;
  std::string to_text() const;  // "/v1.41/containers/db/json?all=1", percent-encoded canonically
};

// kInvalid with the reason: not origin-form, a control character, "//", a dot segment, a '%' that is left
// after decoding, a malformed escape or version.
Result<Target> parse_target(std::string_view text);

}  // namespace ebbtide::http
