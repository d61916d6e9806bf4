#include "docker/ledger/labels.h"

#include "docker/base/secret.h"

namespace ebbtide {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::kContainer:
      return "container";
    case Kind::kNetwork:
      return "network";
    case Kind::kVolume:
      return "volume";
    case Kind::kImage:
      return "image";
    case Kind::kExec:
      return "exec";
  }
  return "object";
}

std::string_view to_string(Role role) { return role == Role::kAgent ? "agent" : "belonging"; }

std::string check_value(std::string_view server_id, Kind kind, std::string_view real_name) {
  // Lines keep the three parts apart: a name can't hold one.
  std::string text(server_id);
  text.append("\n").append(to_string(kind)).append("\n").append(real_name);
  return sha256_hex(text).substr(0, 32);
}

Labels ownership_labels(std::string_view server_id, std::string_view owner, Role role, Kind kind,
                        std::string_view real_name, std::string_view given_name, std::string_view parent) {
  return {
      {label::kServer, std::string(server_id)},
      {label::kAgent, std::string(owner)},
      {label::kRole, std::string(to_string(role))},
      // Always set, so that an image's labels of these keys are never inherited.
      {label::kName, std::string(given_name)},
      {label::kParent, std::string(parent)},
      {label::kCheck, check_value(server_id, kind, real_name)},
  };
}

namespace {

std::string value_of(const Labels& labels, const char* key) {
  const auto found = labels.find(key);
  return found == labels.end() ? std::string() : found->second;
}

}  // namespace

std::optional<Ownership> claimed_ownership_of(std::string_view server_id, const Labels& labels) {
  Ownership ownership{
      .owner = value_of(labels, label::kAgent),
      .role = value_of(labels, label::kRole) == to_string(Role::kAgent) ? Role::kAgent : Role::kBelonging,
      .given_name = value_of(labels, label::kName),
      .parent = value_of(labels, label::kParent)};
  if (server_id.empty() || value_of(labels, label::kServer) != server_id || ownership.owner.empty())
    return std::nullopt;
  return ownership;
}

std::optional<Ownership> ownership_of(std::string_view server_id, Kind kind, std::string_view real_name,
                                      const Labels& labels) {
  const auto check = value_of(labels, label::kCheck);
  const bool anonymous = kind == Kind::kVolume && check == check_value(server_id, kind, "");
  if (!anonymous && check != check_value(server_id, kind, real_name)) return std::nullopt;
  return claimed_ownership_of(server_id, labels);
}

std::string name_scope(std::string_view server_id, std::string_view owner) {
  std::string text(server_id);
  text.append("\nscope\n").append(owner);
  return "eb-" + sha256_hex(text).substr(0, 12) + "-";
}

std::string without_scope(std::string_view scope, std::string_view real_name) {
  if (real_name.starts_with(scope)) real_name.remove_prefix(scope.size());
  return std::string(real_name);
}

std::string image_owner_value(std::string_view server_id, std::string_view owner) {
  return std::string(server_id) + "/" + std::string(owner);
}

std::optional<std::string> image_owner_of(std::string_view server_id, const Labels& labels) {
  const auto value = value_of(labels, label::kImageAgent);
  const auto prefix = image_owner_value(server_id, "");
  if (value.size() <= prefix.size() || !value.starts_with(prefix)) return std::nullopt;
  return value.substr(prefix.size());
}

bool is_reserved_label(std::string_view key) { return key.starts_with(label::kPrefix); }

}  // namespace ebbtide
