#include "docker/base/text.h"
#include "docker/gateway/exchange.h"

namespace ebbtide::gateway {
namespace {

// A volume that only stands for a directory, as compose writes it: type=none, o=bind, device=/path.
std::optional<std::string> device_of_bind(const Json& volume) {
  const auto text = [](const Json& object, const char* name) {
    return object.is_object() ? object.value(name, std::string()) : std::string();
  };
  const auto driver = text(volume, "Driver");
  const auto options = volume.value("DriverOpts", Json::object());
  if ((!driver.empty() && driver != "local") || (text(options, "type") != "none" && !text(options, "type").empty()))
    return std::nullopt;
  bool binds = false;
  for (const auto& word : split(text(options, "o"), ',')) {
    if (word != "bind" && word != "rbind" && word != "ro" && word != "rw") return std::nullopt;
    binds = binds || word.ends_with("bind");
  }
  return binds && options.size() <= 3 ? clean_path(text(options, "device")) : std::nullopt;
}

Error as_mount_error(Error error) {
  if (error.kind != ErrorKind::kNotFound) return error;
  return Error::invalid("invalid mount config for type \"bind\": " + error.message);
}

}  // namespace

// A child that has the socket means its own paths, any other client the agent's.
std::string Exchange::caller_container() {
  if (context_.spec.staging.empty()) return {};
  if (!client_state_.caller) client_state_.caller = caller_of(client_.stream().plain_fd());
  const auto& id = client_state_.caller->container;
  if (!id.empty() && context_.ledger().owns(context_.spec.owner, Kind::kContainer, id)) return id;
  for (const auto& own : context_.ledger().of(context_.spec.owner))
    if (own.kind == Kind::kContainer && own.role == Role::kAgent) return own.id;
  return {};
}

// Not what the operator allows: that means the host's.
std::vector<PathSource> Exchange::paths_to_place(const Json& body) {
  if (caller_container().empty()) return {};
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
    co_return fail(as_mount_error(staged.error()));
  }
  place_sources(body, placed);
  co_return Result<void>();
}

Task<Result<bool>> Exchange::place_device(Json& volume) {
  const auto path = device_of_bind(volume);
  if (!path || is_allowed_source(context_.spec.policy, *path) || caller_container().empty()) co_return false;
  const auto caller = co_await caller_files();
  if (!caller) co_return fail(caller.error());
  const PathSource source{.path = *path, .made_if_missing = false};
  const auto staged = co_await stage_path(*caller, source);
  if (!staged) co_return fail(as_mount_error(staged.error()));
  auto& options = volume["DriverOpts"];
  options["device"] = staged->source;
  if (staged->read_only) options["o"] = options.value("o", std::string()) + ",ro";
  co_return true;
}

Task<Result<CallerFiles>> Exchange::caller_files() {
  const auto answer = co_await ask("/containers/" + caller_container() + "/json");
  if (!answer) co_return fail(answer.error());
  auto caller = read_caller(Json::parse(answer->body, nullptr, false));
  if (!caller)
    co_return fail(
        Error::denied("paths of this agent can't be mounted into other containers: it does not run any more"));
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
