#include "docker/gateway/exchange.h"

namespace ebbtide::gateway {
namespace {

constexpr std::string_view kContainerMode = "container:";

}  // namespace

EngineDefaults Exchange::engine_defaults() const {
  const auto info = context_.watch.info();
  return {.log_driver = info ? info->log_driver : std::string()};
}

// A container that shares the agent's processes would be root among them, and in the agent's file system.
std::optional<Refusal> Exchange::check_agent_namespaces(const Json& body) const {
  if (context_.spec.policy.level == PolicyLevel::kTrusted) return std::nullopt;
  const auto host = body.value("HostConfig", Json::object());
  for (const auto* name : {"PidMode", "IpcMode"}) {
    const auto mode = host.value(name, std::string());
    if (!mode.starts_with(kContainerMode)) continue;
    const auto of = context_.ledger().resolve(context_.spec.owner, Kind::kContainer,
                                              std::string_view(mode).substr(kContainerMode.size()));
    if (of.outcome == Resolution::Outcome::kFound && is_own_agent(of.belonging))
      return Refusal{"own-agent", std::string(name) + " " + mode +
                                      " is not allowed: containers don't share the agent's own processes. Its network "
                                      "and volumes can be shared (--network container:…, --volumes-from)"};
  }
  return std::nullopt;
}

// Of endpoints at which the engine speaks to a registry by itself.
std::optional<Refusal> Exchange::check_registry_use() const {
  const auto action = match_.route->action;
  if (action == "search") return check_registry(context_.spec.policy, target_.query.get("term").value_or(""));
  if (action == "push" || action == "distribution") return check_registry(context_.spec.policy, match_.object);
  return std::nullopt;
}

}  // namespace ebbtide::gateway
