#include "docker/gateway/image.h"

#include <algorithm>

#include "docker/base/text.h"
#include "docker/engine/pull.h"
#include "docker/gateway/answer.h"

namespace ebbtide::gateway {
namespace {

constexpr std::string_view kId = "sha256:";

bool holds(const Json& image, const char* list, std::string_view wanted) {
  const auto found = image.find(list);
  return found != image.end() && found->is_array() &&
         std::ranges::any_of(*found, [&](const Json& each) { return each.is_string() && each == wanted; });
}

}  // namespace

std::string familiar(std::string_view reference) {
  for (const std::string_view prefix : {"docker.io/library/", "index.docker.io/library/", "docker.io/"})
    if (reference.starts_with(prefix)) {
      reference.remove_prefix(prefix.size());
      break;
    }
  const auto parts = split_reference(reference);
  return parts.repository + (parts.tag.find(':') == std::string::npos ? ":" : "@") + parts.tag;
}

bool is_id(std::string_view reference) { return reference.starts_with(kId); }

bool is_full_id(std::string_view reference) {
  constexpr std::size_t kDigits = 64;
  return is_id(reference) && reference.size() == kId.size() + kDigits && may_mean_an_id(reference);
}

bool may_mean_an_id(std::string_view reference) {
  if (reference.starts_with(kId)) reference.remove_prefix(kId.size());
  return reference.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

std::string image_path(std::string_view reference) { return "/images/" + percent_encode(reference, "/:@") + "/json"; }

Labels labels_of_image(const Json& image) {
  const auto config = image.is_object() ? image.value("Config", Json()) : Json();
  return config.is_object() ? labels_of(config) : Labels();
}

bool bears(const Json& image, std::string_view reference) {
  if (!image.is_object() || reference.empty()) return false;
  const auto id = image.value("Id", std::string());
  if (is_id(reference)) return id == reference;
  const auto full = familiar(reference);
  const auto at = full.find('@');
  if (at == std::string::npos) return holds(image, "RepoTags", full);
  // A tag beside a digest says nothing.
  return holds(image, "RepoDigests", split_reference(full.substr(0, at)).repository + full.substr(at));
}

std::vector<std::string> triggers_of(const Json& image) {
  std::vector<std::string> triggers;
  const auto config = image.is_object() ? image.value("Config", Json()) : Json();
  if (config.is_object() && config.contains("OnBuild") && config["OnBuild"].is_array())
    for (const auto& each : config["OnBuild"])
      if (each.is_string()) triggers.push_back(each.get<std::string>());
  return triggers;
}

}  // namespace ebbtide::gateway
