#include "docker/gateway/filter.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace ebbtide::gateway {

namespace {

using Resolve = std::function<Result<std::string>(Kind kind, std::string_view reference)>;

tl::unexpected<Error> invalid(std::string message) { return fail(Error::invalid(std::move(message))); }

// The key of a label filter's value "key=value".
bool is_reserved_filter(std::string_view value) { return is_reserved_label(value.substr(0, value.find('='))); }

// The values of one key, in either form.
Result<std::vector<std::string>> values_of(const std::string& key, const nlohmann::json& content) {
  std::vector<std::string> values;
  if (content.is_object()) {
    for (const auto& [value, on] : content.items()) {
      if (!on.is_boolean()) return invalid("invalid filter '" + key + "'");
      values.push_back(value);
    }
    return values;
  }
  if (!content.is_array()) return invalid("invalid filter '" + key + "'");
  for (const auto& value : content) {
    if (!value.is_string()) return invalid("invalid filter '" + key + "'");
    values.push_back(value.get<std::string>());
  }
  return values;
}

// Every value of key that resolve knows becomes what it says; the others stay.
void resolve_known(Filters& filters, std::string_view key, Kind kind, const Resolve& resolve) {
  auto values = filters.get(key);
  for (auto& value : values) {
    if (kind == Kind::kVolume && value.starts_with('/')) continue;
    if (auto resolved = resolve(kind, value)) value = std::move(*resolved);
  }
  if (!values.empty()) filters.set(key, std::move(values));
}

}  // namespace

Result<Filters> Filters::parse(std::string_view text) {
  Filters filters;
  if (text.empty()) return filters;
  const auto document = nlohmann::json::parse(text, nullptr, false);
  if (document.is_null()) return filters;
  if (!document.is_object()) return invalid("invalid filters: a JSON object is wanted, {\"label\":[\"key=value\"]}");
  for (const auto& [key, content] : document.items()) {
    auto values = values_of(key, content);
    if (!values) return fail(values.error());
    filters.set(key, std::move(*values));
  }
  return filters;
}

std::vector<std::string> Filters::get(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

bool Filters::has(std::string_view key, std::string_view value) const {
  const auto found = values_.find(key);
  return found != values_.end() && std::find(found->second.begin(), found->second.end(), value) != found->second.end();
}

void Filters::add(std::string_view key, std::string_view value) {
  if (!has(key, value)) values_[std::string(key)].emplace_back(value);
}

void Filters::set(std::string_view key, std::vector<std::string> values) {
  values_[std::string(key)] = std::move(values);
}

void Filters::remove(std::string_view key) {
  if (const auto found = values_.find(key); found != values_.end()) values_.erase(found);
}

std::string Filters::to_text() const {
  nlohmann::json document = nlohmann::json::object();
  for (const auto& [key, values] : values_) {
    auto& form = document[key] = nlohmann::json::object();
    for (const auto& value : values) form[value] = true;
  }
  return document.dump();
}

Result<void> refuse_reserved_labels(Filters& filters) {
  for (const auto& value : filters.get("label"))
    if (is_reserved_filter(value)) return invalid("invalid filter 'label': " + value + " is a reserved label");
  auto absent = filters.get("label!");
  if (std::erase_if(absent, is_reserved_filter) == 0) return {};
  if (absent.empty()) {
    filters.remove("label!");
  } else {
    filters.set("label!", std::move(absent));
  }
  return {};
}

void add_owner(Filters& filters, std::string_view server_id, std::string_view owner) {
  filters.add("label", std::string(label::kServer) + "=" + std::string(server_id));
  filters.add("label", std::string(label::kAgent) + "=" + std::string(owner));
}

void add_image_owner(Filters& filters, std::string_view image_owner) {
  filters.add("label", std::string(label::kImageAgent) + "=" + std::string(image_owner));
}

Result<void> resolve_container_filters(Filters& filters, const Resolve& resolve) {
  for (const auto* key : {"before", "since"}) {
    auto values = filters.get(key);
    for (auto& value : values) {
      auto resolved = resolve(Kind::kContainer, value);
      if (!resolved) return fail(resolved.error());
      value = std::move(*resolved);
    }
    if (!values.empty()) filters.set(key, std::move(values));
  }
  resolve_known(filters, "network", Kind::kNetwork, resolve);
  resolve_known(filters, "volume", Kind::kVolume, resolve);
  return {};
}

void resolve_event_filters(Filters& filters, const Resolve& resolve) {
  resolve_known(filters, "container", Kind::kContainer, resolve);
  resolve_known(filters, "network", Kind::kNetwork, resolve);
  resolve_known(filters, "volume", Kind::kVolume, resolve);
}

}  // namespace ebbtide::gateway
