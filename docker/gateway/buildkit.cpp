#include "docker/gateway/buildkit.h"

#include <algorithm>
#include <array>

#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide::gateway {
namespace {

constexpr std::string_view kUpload = "upload-request:";

Error wrong_outputs() { return Error::invalid(R"(outputs must be a list of {"Type":"…","Attrs":{…}})"); }

Result<BuildOutput> parse_output(const Json& given) {
  if (!given.is_object()) return fail(wrong_outputs());
  BuildOutput output;
  for (const auto& [key, value] : given.items()) {
    if (key == "Type" && value.is_string()) {
      output.type = value.get<std::string>();
    } else if (key == "Attrs" && (value.is_object() || value.is_null())) {
      for (const auto& [name, attribute] : value.items()) {
        if (!attribute.is_string()) return fail(wrong_outputs());
        if (!name.starts_with("containerimage.")) output.attributes[name] = attribute.get<std::string>();
      }
    } else {
      return fail(wrong_outputs());
    }
  }
  return output;
}

}  // namespace

bool is_image(std::string_view type) { return type == "moby" || type == "image" || type == "docker"; }

Result<std::vector<BuildOutput>> parse_build_outputs(std::string_view text) {
  std::vector<BuildOutput> outputs;
  if (text.empty()) return outputs;
  const auto list = Json::parse(text, nullptr, false);
  if (!list.is_array() && !list.is_null()) return fail(wrong_outputs());
  for (const auto& given : list) {
    auto output = parse_output(given);
    if (!output) return fail(output.error());
    outputs.push_back(std::move(*output));
  }
  return outputs;
}

std::string to_text(const std::vector<BuildOutput>& outputs) {
  auto list = Json::array();
  for (const auto& output : outputs) list.push_back({{"Type", output.type}, {"Attrs", output.attributes}});
  return list.dump();
}

std::optional<Refusal> check_output(const Policy& policy, const BuildOutput& output) {
  // These go to the client, over its session.
  constexpr std::array<std::string_view, 4> kStreamed = {"local", "tar", "oci", "cacheonly"};
  if (policy.level == PolicyLevel::kTrusted || is_image(output.type) || output.type.empty() ||
      std::ranges::find(kStreamed, output.type) != kStreamed.end())
    return std::nullopt;
  return Refusal{"build-output", "the build output " + output.type +
                                     " is not allowed: use --output type=image, docker, local, tar or oci"};
}

std::vector<std::string> names_of(const BuildOutput& output) {
  std::vector<std::string> names;
  const auto given = output.attributes.find("name");
  if (!is_image(output.type) || given == output.attributes.end()) return names;
  for (const auto& name : split(given->second, ','))
    if (const auto trimmed = trim(name); !trimmed.empty()) names.emplace_back(trimmed);
  return names;
}

Result<void> isolate_cache(http::Query& query, std::string_view cache_namespace) {
  auto arguments = Json::object();
  if (const auto given = query.get("buildargs"); given && !given->empty()) {
    arguments = Json::parse(*given, nullptr, false);
    if (arguments.is_null()) arguments = Json::object();
    if (!arguments.is_object()) return fail(Error::invalid("buildargs must be a JSON object"));
  }
  arguments[std::string(kCacheNamespace.substr(kCacheNamespace.find(':') + 1))] = cache_namespace;
  query.set("buildargs", arguments.dump(-1, ' ', false, Json::error_handler_t::replace));
  return {};
}

Result<std::map<std::string, std::string>> parse_build_arguments(std::string_view text) {
  std::map<std::string, std::string> arguments;
  if (text.empty()) return arguments;
  const auto given = Json::parse(text, nullptr, false);
  const auto wrong = Error::invalid("buildargs must be a JSON object of texts");
  if (given.is_null()) return arguments;
  if (!given.is_object()) return fail(wrong);
  for (const auto& [name, value] : given.items()) {
    if (value.is_null()) continue;
    if (!value.is_string()) return fail(wrong);
    arguments[name] = value.get<std::string>();
  }
  return arguments;
}

std::optional<Refusal> check_dockerfile_name(std::string_view name) {
  // Wherever in it: a path may end in other ways that mean the same.
  if (name.find(".dockerignore") == std::string_view::npos) return std::nullopt;
  return Refusal{"build-image", "a Dockerfile can't be named " + std::string(name) + ": give it another name"};
}

std::string own_build_id(std::string_view server_id, std::string_view owner, std::string_view id) {
  std::string front;
  if (id.starts_with(kUpload)) {
    front = kUpload;
    id.remove_prefix(kUpload.size());
  }
  return front + sha256_hex(image_owner_value(server_id, owner)).substr(0, 16) + "-" + std::string(id);
}

}  // namespace ebbtide::gateway
