#include "docker/gateway/exchange.h"

namespace ebbtide::gateway {

std::string Exchange::own_agent() const {
  for (const auto& own : context_.ledger().of(context_.spec.owner))
    if (own.kind == Kind::kContainer && own.role == Role::kAgent) return own.id;
  return {};
}

// Not what the operator allows: that means the host's.
std::vector<PathSource> Exchange::paths_to_place(const Json& body) const {
  auto sources = path_sources(body);
  std::erase_if(sources, [&](const auto& source) { return is_allowed_source(context_.spec.policy, source.path); });
  return sources;
}

Task<Result<void>> Exchange::place_paths(Json& body, Policy& policy) {
  const auto sources = paths_to_place(body);
  if (sources.empty()) co_return Result<void>();
  const auto caller = co_await caller_files();
  if (!caller) co_return fail(caller.error());
  std::map<std::string, Placed> placed;
  for (const auto& source : sources) {
    auto staged = co_await stage_path(*caller, source);
    if (staged) {
      policy.host_paths.push_back(staged->source);
      placed[source.path] = {.source = std::move(staged->source), .read_only = staged->read_only};
      continue;
    }
    // Whoever is trusted may mean the host's.
    if (policy.level == PolicyLevel::kTrusted && staged.error().kind != ErrorKind::kUnavailable) continue;
    if (staged.error().kind == ErrorKind::kNotFound)
      co_return fail(Error::invalid("invalid mount config for type \"bind\": " + staged.error().message));
    co_return fail(staged.error());
  }
  place_sources(body, placed);
  co_return Result<void>();
}

Task<Result<CallerFiles>> Exchange::caller_files() {
  const auto answer = co_await ask("/containers/" + own_agent() + "/json");
  if (!answer) co_return fail(answer.error());
  auto caller = read_caller(parse(answer->body));
  if (!caller)
    co_return fail(
        Error::denied("paths of this agent can't be mounted into other containers: the engine says no place "
                      "for its file system. Use a volume (docker volume create) and docker cp"));
  co_return std::move(*caller);
}

Task<Result<Staged>> Exchange::stage_path(const CallerFiles& caller, const PathSource& source) {
  // Trusted jobs may name what is only on the host: nothing is made for them in their own container.
  const bool make = source.made_if_missing && context_.spec.policy.level != PolicyLevel::kTrusted;
  co_return co_await off_loop(context_.disk, [&] {
    return stage({.caller = caller,
                  .path = source.path,
                  .make_missing = make,
                  .staging = context_.spec.staging,
                  .engine = context_.upstream.address()});
  });
}

}  // namespace ebbtide::gateway
