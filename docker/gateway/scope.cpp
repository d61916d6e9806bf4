#include "docker/gateway/scope.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "docker/base/text.h"

namespace ebbtide::gateway {
namespace {

constexpr std::size_t kMaxKept = 1 << 20;
constexpr std::size_t kStagedDigits = 8;  // of a directory below the staging one

bool matches_glob(std::string_view pattern, std::string_view text) {
  while (!pattern.empty() && pattern.front() != '*') {
    if (text.empty() || text.front() != pattern.front()) return false;
    pattern.remove_prefix(1);
    text.remove_prefix(1);
  }
  if (pattern.empty()) return text.empty();
  pattern.remove_prefix(1);
  for (std::size_t at = 0; at <= text.size(); ++at)
    if (matches_glob(pattern, text.substr(at))) return true;
  return false;
}

// "[a-zA-Z0-9][a-zA-Z0-9_.-]+"
bool is_restricted_name(std::string_view name) {
  const auto is_letter = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  return name.size() >= 2 && is_letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || c == '_' || c == '.' || c == '-'; });
}

// "<staging>3f2a9c01/go/src" → "/go/src"; nothing after the digits: "/"
std::string without_staging(std::string text, const std::string& staging) {
  for (auto at = text.find(staging); at != std::string::npos; at = text.find(staging, at)) {
    const auto end = std::min(text.size(), at + staging.size() + kStagedDigits);
    const bool whole = end == text.size() || text[end] != '/';
    text.replace(at, end - at, whole ? "/" : "");
  }
  return text;
}

}  // namespace

bool SharedVolumes::matches(std::string_view given_name) const {
  return std::ranges::any_of(patterns, [&](const auto& pattern) { return matches_glob(pattern, given_name); });
}

Scope::Scope(std::string names, SharedVolumes shared, std::string_view directory, std::string staging)
    : names_(std::move(names)), shared_(std::move(shared)), staging_(std::move(staging)) {
  const std::string folder(directory);
  words_ = {{folder + "/docker.sock", "/var/run/docker.sock"},
            {"\"" + folder + "\"", "\"/run/ebbtide\""},  // as a bind's source
            {"\"" + folder + ":", "\"/run/ebbtide:"},
            {names_, ""},
            {shared_.scope, ""}};
  std::erase_if(words_, [](const Word& word) { return word.from.empty(); });
}

std::string Scope::real_name(Kind kind, std::string_view given_name) const {
  if (given_name.empty()) return {};
  const bool shared = kind == Kind::kVolume && is_shared_volume(given_name);
  return (shared ? shared_.scope : names_) + std::string(given_name);
}

std::string Scope::in_job_words(std::string text) const {
  if (!staging_.empty()) text = without_staging(std::move(text), staging_);
  for (const auto& word : words_) text = replace_all(std::move(text), word.from, word.to);
  return text;
}

std::string ScopedLines::feed(std::string_view bytes) {
  kept_.append(bytes);
  const auto end = bytes.empty() || kept_.size() > kMaxKept ? kept_.size() : kept_.rfind('\n') + 1;
  auto whole = kept_.substr(0, end);
  kept_.erase(0, end);
  return scope_.in_job_words(std::move(whole));
}

std::optional<Error> check_name(Kind kind, std::string_view given_name) {
  const std::string name(given_name);
  if (kind == Kind::kContainer && !is_restricted_name(name))
    return Error::invalid("Invalid container name (" + name + "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  if (kind == Kind::kVolume && name.size() == 1)
    return Error::invalid("volume name is too short, names should be at least two alphanumeric characters");
  if (kind == Kind::kVolume && !is_restricted_name(name))
    return Error::invalid("create " + name + ": \"" + name +
                          "\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" "
                          "are allowed. If you intended to pass a host directory, use absolute path");
  constexpr std::array<std::string_view, 4> kPredefined = {"bridge", "host", "none", "default"};
  if (kind == Kind::kNetwork && std::ranges::find(kPredefined, name) != kPredefined.end())
    return Error::denied("operation is not permitted on predefined " + name + " network");
  return std::nullopt;
}

bool matches_name(Kind kind, const std::vector<std::string>& values, std::string_view given_name) {
  if (values.empty()) return true;
  std::vector<std::string> names{std::string(given_name)};
  if (kind == Kind::kContainer) names.push_back("/" + names.front());
  RE2::Options options;
  options.set_log_errors(false);
  for (const auto& value : values) {
    const RE2 expression(value, options);
    for (const auto& name : names)
      if (value == name || (expression.ok() && RE2::PartialMatch(name, expression))) return true;
  }
  return false;
}

}  // namespace ebbtide::gateway
