#include "docker/http/target.h"

#include <algorithm>

#include "docker/base/text.h"

namespace ebbtide::http {
namespace {

// Kept as they are in paths: object names may hold them, and the engine reads them so.
constexpr std::string_view kPathKeeps = "/:@!$&'()*,;=";

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

bool has_dot_segment(std::string_view path) {
  return std::ranges::any_of(split(path, '/'), [](const std::string& part) { return part == "." || part == ".."; });
}

// A path's first segment when it is a version: "v1.41" and the like. What merely resembles one is an error, since the
// engine reads /v1.041/ and /v1.41.0/ as versions too.
Result<std::string> take_version(std::string& path) {
  const auto end = path.find('/', 1);
  const auto segment = path.substr(1, end == std::string::npos ? std::string::npos : end - 1);
  const bool like_version = segment.size() > 1 && segment[0] == 'v' && segment[1] >= '0' && segment[1] <= '9';
  if (!like_version) return std::string();
  const auto minor = segment.starts_with("v1.") ? segment.substr(3) : std::string();
  if (minor.empty() || minor.size() > 2 || minor[0] == '0' || !parse_number(minor) || end == std::string::npos)
    return fail(Error::invalid("malformed API version in the path: use /v1.41/ and the like"));
  path.erase(0, end);
  return segment.substr(1);
}

Result<Query> parse_query(std::string_view text) {
  Query query;
  if (text.empty()) return query;
  for (const auto& part : split(text, '&')) {
    if (part.empty()) continue;
    const auto equals = part.find('=');
    auto key = percent_decode(part.substr(0, equals), true);
    auto value = percent_decode(equals == std::string::npos ? "" : part.substr(equals + 1), true);
    // Go refuses a query with ';' between pairs and drops malformed pairs; what is dropped must not reach us either.
    if (!key || !value || part.find(';') != std::string::npos)
      return fail(Error::invalid("a malformed query in the request's target"));
    query.add(std::move(*key), std::move(*value));
  }
  return query;
}

}  // namespace

std::optional<std::string_view> Query::get(std::string_view key) const {
  for (const auto& [name, value] : list_)
    if (name == key) return value;
  return std::nullopt;
}

std::vector<std::string> Query::get_all(std::string_view key) const {
  std::vector<std::string> values;
  for (const auto& [name, value] : list_)
    if (name == key) values.push_back(value);
  return values;
}

bool Query::flag(std::string_view key) const {
  const auto value = to_lower(trim(get(key).value_or("")));
  return !(value.empty() || value == "0" || value == "no" || value == "false" || value == "none");
}

void Query::set(std::string_view key, std::string value) {
  remove(key);
  add(std::string(key), std::move(value));
}

void Query::remove(std::string_view key) {
  std::erase_if(list_, [&](const auto& pair) { return pair.first == key; });
}

void Query::keep(const std::vector<std::string_view>& keys, const std::vector<std::string_view>& repeatable) {
  std::vector<std::pair<std::string, std::string>> kept;
  for (auto& pair : list_) {
    const bool many = std::ranges::find(repeatable, pair.first) != repeatable.end();
    const bool known = many || std::ranges::find(keys, pair.first) != keys.end();
    const bool seen = std::ranges::any_of(kept, [&](const auto& other) { return other.first == pair.first; });
    if (known && (many || !seen)) kept.push_back(std::move(pair));
  }
  list_ = std::move(kept);
}

std::string Query::to_text() const {
  std::string text;
  for (const auto& [key, value] : list_) {
    if (!text.empty()) text += '&';
    text += percent_encode(key) + "=" + percent_encode(value);
  }
  return text;
}

std::optional<std::pair<int, int>> Target::version_numbers() const {
  if (version.empty()) return std::nullopt;
  return std::pair(1, static_cast<int>(parse_number(version.substr(2)).value_or(0)));
}

std::string Target::to_text() const {
  std::string text = version.empty() ? "" : "/v" + version;
  text += percent_encode(path, kPathKeeps);
  const auto query_text = query.to_text();
  return query_text.empty() ? text : text + "?" + query_text;
}

Result<Target> parse_target(std::string_view text) {
  if (!text.starts_with('/')) return fail(Error::invalid("the request's target must be a path"));
  if (text.find('#') != std::string_view::npos) return fail(Error::invalid("a fragment in the request's target"));
  const auto mark = text.find('?');
  auto path = percent_decode(text.substr(0, mark));
  if (!path) return fail(Error::invalid("a malformed escape in the request's target"));
  if (has_control(*path) || path->find('%') != std::string::npos || path->find('\\') != std::string::npos)
    return fail(Error::invalid("a forbidden character in the request's path"));
  if (path->find("//") != std::string::npos || has_dot_segment(*path))
    return fail(Error::invalid("the request's path is not canonical"));
  Target target;
  auto version = take_version(*path);
  if (!version) return fail(version.error());
  target.version = std::move(*version);
  target.path = std::move(*path);
  auto query = parse_query(mark == std::string_view::npos ? "" : text.substr(mark + 1));
  if (!query) return fail(query.error());
  target.query = std::move(*query);
  return target;
}

}  // namespace ebbtide::http
