#include "docker/gateway/route.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

namespace ebbtide::gateway {

namespace {

constexpr std::string_view kNoSwarm =
    "swarm objects are not available to jobs: services run outside of the job. Use docker run or docker compose up";
constexpr std::string_view kNoPlugins =
    "engine plugins are not available to jobs: a plugin acts with the host's rights. Ask the operator to install it";
constexpr std::string_view kNoCheckpoints =
    "checkpoints are not available to jobs: they are files of the host. Use docker commit or docker export";
constexpr std::string_view kNoDebug = "the engine's debug endpoints are not available to jobs";
constexpr std::string_view kNoClusterVolumes = "cluster volumes are not available to jobs";

constexpr std::string_view kAttachKeys = "detachKeys logs stream stdin stdout stderr";
constexpr std::string_view kBuildKeys =
    "t* dockerfile remote extrahosts* q nocache cachefrom pull rm forcerm memory memswap cpushares cpusetcpus "
    "cpusetmems cpuperiod cpuquota buildargs shmsize squash labels networkmode cgroupparent platform target outputs "
    "version ulimits isolation securityopt session buildid";

constexpr auto kContainer = Kind::kContainer;
constexpr auto kNetwork = Kind::kNetwork;
constexpr auto kVolume = Kind::kVolume;
constexpr auto kImage = Kind::kImage;
constexpr auto kExec = Kind::kExec;

constexpr Route refused(std::string_view method, std::string_view pattern, std::string_view why) {
  return {.method = method,
          .pattern = pattern,
          .handling = Handling::kRefuse,
          .kind = {},
          .action = "refused",
          .refusal = why,
          .query = {}};
}

// A request without a body.
constexpr Route plain(std::string_view method, std::string_view pattern, Handling handling, std::optional<Kind> kind,
                      std::string_view action, std::string_view query = {}) {
  return {.method = method,
          .pattern = pattern,
          .handling = handling,
          .kind = kind,
          .action = action,
          .refusal = {},
          .query = query};
}

constexpr Route with_json(Route route) {
  route.json_body = true;
  return route;
}

constexpr Route with_stream(Route route) {
  route.stream_body = true;
  return route;
}

constexpr std::array kContainerRoutes = {
    plain("GET", "/containers/json", Handling::kListContainers, kContainer, "list", "all limit size filters"),
    with_json(plain("POST", "/containers/create", Handling::kCreateContainer, kContainer, "create", "name platform")),
    plain("POST", "/containers/prune", Handling::kPruneObjects, kContainer, "prune", "filters"),
    plain("GET", "/containers/{id}/json", Handling::kInspect, kContainer, "inspect", "size"),
    plain("GET", "/containers/{id}/top", Handling::kRelay, kContainer, "top", "ps_args"),
    plain("GET", "/containers/{id}/logs", Handling::kRelay, kContainer, "logs",
          "follow stdout stderr since until timestamps tail details"),
    plain("GET", "/containers/{id}/changes", Handling::kRelay, kContainer, "changes"),
    plain("GET", "/containers/{id}/export", Handling::kRelay, kContainer, "export"),
    plain("GET", "/containers/{id}/stats", Handling::kRelay, kContainer, "stats", "stream one-shot"),
    plain("POST", "/containers/{id}/resize", Handling::kRelay, kContainer, "resize", "h w"),
    // checkpoint and checkpoint-dir, a path of the host, are not among the keys.
    plain("POST", "/containers/{id}/start", Handling::kRelay, kContainer, "start", "detachKeys"),
    plain("POST", "/containers/{id}/stop", Handling::kRelay, kContainer, "stop", "t signal"),
    plain("POST", "/containers/{id}/restart", Handling::kRelay, kContainer, "restart", "t signal"),
    plain("POST", "/containers/{id}/kill", Handling::kRelay, kContainer, "kill", "signal"),
    with_json(plain("POST", "/containers/{id}/update", Handling::kUpdateContainer, kContainer, "update")),
    plain("POST", "/containers/{id}/rename", Handling::kRenameContainer, kContainer, "rename", "name"),
    plain("POST", "/containers/{id}/pause", Handling::kRelay, kContainer, "pause"),
    plain("POST", "/containers/{id}/unpause", Handling::kRelay, kContainer, "unpause"),
    with_stream(plain("POST", "/containers/{id}/attach", Handling::kUpgrade, kContainer, "attach", kAttachKeys)),
    plain("GET", "/containers/{id}/attach/ws", Handling::kUpgrade, kContainer, "attach", kAttachKeys),
    plain("POST", "/containers/{id}/wait", Handling::kRelay, kContainer, "wait", "condition"),
    // link, which would take "parent/alias" for a name, is not among the keys.
    plain("DELETE", "/containers/{id}", Handling::kRemove, kContainer, "remove", "v force"),
    plain("HEAD", "/containers/{id}/archive", Handling::kRelay, kContainer, "stat", "path"),
    plain("GET", "/containers/{id}/archive", Handling::kRelay, kContainer, "copy-out", "path"),
    with_stream(plain("PUT", "/containers/{id}/archive", Handling::kRelay, kContainer, "copy-in",
                      "path noOverwriteDirNonDir copyUIDGID")),
    refused("", "/containers/{id}/checkpoints", kNoCheckpoints),
    refused("", "/containers/{id}/checkpoints/{name}", kNoCheckpoints),
    with_json(plain("POST", "/containers/{id}/exec", Handling::kCreateExec, kContainer, "exec")),
    with_json(plain("POST", "/exec/{id}/start", Handling::kUpgrade, kExec, "start")),
    plain("POST", "/exec/{id}/resize", Handling::kRelay, kExec, "resize", "h w"),
    plain("GET", "/exec/{id}/json", Handling::kExecInspect, kExec, "inspect"),
};

constexpr std::array kImageRoutes = {
    plain("GET", "/images/json", Handling::kListImages, kImage, "list",
          "all filters digests shared-size manifests identity"),
    plain("GET", "/images/search", Handling::kRelayImage, kImage, "search", "term limit filters"),
    plain("GET", "/images/get", Handling::kRelayImage, kImage, "save", "names* platform*"),
    with_stream(plain("POST", "/images/create", Handling::kPullImage, kImage, "pull",
                      "fromImage fromSrc repo tag message changes* platform")),
    with_stream(plain("POST", "/images/load", Handling::kLoadImages, kImage, "load", "quiet platform*")),
    plain("POST", "/images/prune", Handling::kPruneObjects, kImage, "prune", "filters"),
    plain("GET", "/images/{name}/json", Handling::kInspect, kImage, "inspect", "platform manifests"),
    plain("GET", "/images/{name}/history", Handling::kInspect, kImage, "history", "platform"),
    plain("GET", "/images/{name}/attestations", Handling::kRelayImage, kImage, "attestations",
          "platform type* statement"),
    plain("GET", "/images/{name}/get", Handling::kRelayImage, kImage, "save", "platform*"),
    plain("POST", "/images/{name}/push", Handling::kRelayImage, kImage, "push", "tag platform"),
    plain("POST", "/images/{name}/tag", Handling::kTagImage, kImage, "tag", "repo tag"),
    plain("DELETE", "/images/{name}", Handling::kRemoveImage, kImage, "remove", "force noprune platforms*"),
    plain("GET", "/distribution/{name}/json", Handling::kRelayImage, kImage, "distribution"),
    with_stream(plain("POST", "/build", Handling::kBuild, kImage, "build", kBuildKeys)),
    plain("POST", "/build/prune", Handling::kPruneCache, {}, "prune",
          "keep-storage reserved-space max-used-space min-free-space all filters"),
    plain("POST", "/build/cancel", Handling::kCancelBuild, {}, "cancel", "id"),
    with_json(plain("POST", "/commit", Handling::kCommit, kImage, "commit",
                    "container repo tag comment author pause changes*")),
    plain("POST", "/session", Handling::kBuildSession, {}, "session"),
    plain("POST", "/grpc", Handling::kBuildControl, {}, "grpc"),
};

constexpr std::array kNetworkAndVolumeRoutes = {
    plain("GET", "/networks", Handling::kListNetworks, kNetwork, "list", "filters"),
    plain("GET", "/networks/", Handling::kListNetworks, kNetwork, "list", "filters"),
    with_json(plain("POST", "/networks/create", Handling::kCreateNetwork, kNetwork, "create")),
    plain("POST", "/networks/prune", Handling::kPruneObjects, kNetwork, "prune", "filters"),
    with_json(plain("POST", "/networks/{name}/connect", Handling::kConnectNetwork, kNetwork, "connect")),
    with_json(plain("POST", "/networks/{name}/disconnect", Handling::kConnectNetwork, kNetwork, "disconnect")),
    plain("GET", "/networks/{name}", Handling::kInspect, kNetwork, "inspect", "verbose scope"),
    plain("DELETE", "/networks/{name}", Handling::kRemove, kNetwork, "remove"),
    plain("GET", "/volumes", Handling::kListVolumes, kVolume, "list", "filters"),
    with_json(plain("POST", "/volumes/create", Handling::kCreateVolume, kVolume, "create")),
    plain("POST", "/volumes/prune", Handling::kPruneObjects, kVolume, "prune", "filters"),
    plain("GET", "/volumes/{id}", Handling::kInspect, kVolume, "inspect"),
    plain("DELETE", "/volumes/{id}", Handling::kRemove, kVolume, "remove", "force"),
    refused("PUT", "/volumes/{id}", kNoClusterVolumes),
};

constexpr std::array kSystemRoutes = {
    plain("GET", "/_ping", Handling::kPing, {}, "ping"),
    plain("HEAD", "/_ping", Handling::kPing, {}, "ping"),
    plain("GET", "/version", Handling::kVersion, {}, "version"),
    plain("GET", "/info", Handling::kVersion, {}, "info"),
    plain("GET", "/events", Handling::kEvents, {}, "events", "since until filters"),
    plain("GET", "/system/df", Handling::kDiskUsage, {}, "df", "type* verbose"),
    with_stream(plain("POST", "/auth", Handling::kRelay, {}, "login")),
    plain("OPTIONS", "/{name}", Handling::kOptions, {}, "options"),
    refused("", "/swarm", kNoSwarm),
    refused("", "/swarm/{name}", kNoSwarm),
    refused("", "/nodes", kNoSwarm),
    refused("", "/nodes/{name}", kNoSwarm),
    refused("", "/services", kNoSwarm),
    refused("", "/services/{name}", kNoSwarm),
    refused("", "/tasks", kNoSwarm),
    refused("", "/tasks/{name}", kNoSwarm),
    refused("", "/secrets", kNoSwarm),
    refused("", "/secrets/{name}", kNoSwarm),
    refused("", "/configs", kNoSwarm),
    refused("", "/configs/{name}", kNoSwarm),
    refused("", "/plugins", kNoPlugins),
    refused("", "/plugins/{name}", kNoPlugins),
    refused("", "/debug", kNoDebug),
    refused("", "/debug/{name}", kNoDebug),
};

// What stands for the pattern's placeholder in path; empty for a pattern without one. A pattern has at most two
// placeholders, the second at its end, and the first is the object.
std::optional<std::string_view> match_pattern(std::string_view pattern, std::string_view path) {
  const auto open = pattern.find('{');
  if (open == std::string_view::npos) return pattern == path ? std::optional(std::string_view()) : std::nullopt;
  if (!path.starts_with(pattern.substr(0, open))) return std::nullopt;
  path.remove_prefix(open);
  const auto close = pattern.find('}', open);
  const auto placeholder = pattern.substr(open, close + 1 - open);
  const auto suffix = pattern.substr(close + 1);

  if (placeholder == "{id}") {
    const auto object = path.substr(0, path.find('/'));
    if (object.empty() || !match_pattern(suffix, path.substr(object.size()))) return std::nullopt;
    return object;
  }
  // Greedy, as the engine's router: the suffix is the last of the path.
  if (path.size() <= suffix.size() || !path.ends_with(suffix)) return std::nullopt;
  return path.substr(0, path.size() - suffix.size());
}

std::optional<Match> match_in(std::span<const Route> routes, std::string_view method, std::string_view path) {
  for (const auto& route : routes) {
    if (!route.method.empty() && route.method != method) continue;
    if (const auto object = match_pattern(route.pattern, path)) return Match{&route, std::string(*object)};
  }
  return std::nullopt;
}

}  // namespace

void keep_known_keys(const Route& route, http::Query& query) {
  std::vector<std::string_view> keys;
  std::vector<std::string_view> repeatable;
  for (auto rest = route.query; !rest.empty();) {
    auto key = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), key.size() + 1));
    if (key.ends_with('*')) {
      key.remove_suffix(1);
      repeatable.push_back(key);
    }
    keys.push_back(key);
  }
  query.keep(keys, repeatable);
}

std::optional<Match> match_route(std::string_view method, std::string_view path) {
  for (const std::span<const Route> routes :
       {std::span<const Route>(kContainerRoutes), std::span<const Route>(kImageRoutes),
        std::span<const Route>(kNetworkAndVolumeRoutes), std::span<const Route>(kSystemRoutes)}) {
    if (auto match = match_in(routes, method, path)) return match;
  }
  return std::nullopt;
}

}  // namespace ebbtide::gateway
