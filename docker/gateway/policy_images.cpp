// The policy on registries, and small parts of it that are about no body.
#include <algorithm>

#include "docker/base/text.h"
#include "docker/gateway/policy.h"

namespace ebbtide::gateway {
namespace {

constexpr std::string_view kHub = "docker.io";

// The names under which clients and engines know Docker Hub.
std::string canonical(std::string_view registry) {
  auto name = to_lower(registry);
  const bool hub = name == "index.docker.io" || name == "registry-1.docker.io" || name == "registry.hub.docker.com";
  return hub ? std::string(kHub) : name;
}

}  // namespace

std::string_view to_string(Publish publish) {
  switch (publish) {
    case Publish::kEphemeral:
      return "ephemeral";
    case Publish::kLoopback:
      return "loopback";
    case Publish::kAny:
      return "any";
  }
  return "ephemeral";
}

std::optional<Publish> publish_named(std::string_view text) {
  for (const auto publish : {Publish::kEphemeral, Publish::kLoopback, Publish::kAny})
    if (to_string(publish) == text) return publish;
  return std::nullopt;
}

// As the engine tells a host from the first part of a name (distribution's reference grammar).
std::string registry_of(std::string_view reference) {
  const auto slash = reference.find('/');
  const auto first = reference.substr(0, slash);
  const bool is_host =
      slash != std::string_view::npos && (first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
                                          std::ranges::any_of(first, [](char c) { return c >= 'A' && c <= 'Z'; }));
  return is_host ? canonical(first) : std::string(kHub);
}

bool limits_registries(const Policy& policy) {
  return policy.level == PolicyLevel::kStrict || (policy.level != PolicyLevel::kTrusted && !policy.registries.empty());
}

std::optional<Refusal> check_registry(const Policy& policy, std::string_view reference) {
  if (!limits_registries(policy)) return std::nullopt;
  const auto registry = registry_of(reference);
  const bool listed = std::ranges::any_of(policy.registries,
                                          [&](const std::string& allowed) { return canonical(allowed) == registry; });
  if (listed) return std::nullopt;
  const auto all = join(policy.registries);
  return Refusal{"registry",
                 "the registry " + registry + " is not allowed: " +
                     (all.empty() ? "no registry is. Use the images that are there" : "use images of " + all) +
                     ", or ask the operator to allow it for this cluster"};
}

std::optional<Refusal> check_query(std::string_view action, const http::Query& query) {
  const auto given = [&](std::string_view key) { return !query.get(key).value_or("").empty(); };
  if (action == "start" && (given("checkpoint") || given("checkpoint-dir")))
    return Refusal{"endpoint",
                   "checkpoints are not available to jobs: they are files of the host. Use docker commit or docker "
                   "export"};
  if (action == "remove" && query.flag("link"))
    return Refusal{"endpoint", "links are not removed by themselves: remove the container"};
  return std::nullopt;
}

}  // namespace ebbtide::gateway
