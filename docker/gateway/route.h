// The table of the Engine API's endpoints: what each makes, names, lists or ends, and how the gateway treats
// it. What is not in the table is refused. Pure; any thread. Source: Docker Engine API 1.41 to 1.55.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "docker/http/target.h"
#include "docker/ledger/labels.h"

namespace ebbtide::gateway {

// How a request is worked; each has one handler in exchange.cpp.
enum class Handling {
  kPing,        // answered from memory while the engine is known to live
  kVersion,     // /version, /info: relayed, capped
  kRelay,       // to the engine with the object's id in place of its name
  kRelayImage,  // images are shared: relayed with the reference as given
  kListContainers,
  kListNetworks,
  kListVolumes,
  kListImages,
  kInspect,  // relayed with our labels taken out of the answer
  kCreateContainer,
  kCreateNetwork,
  kCreateVolume,
  kCreateExec,
  kUpdateContainer,
  kRenameContainer,
  kRemove,          // containers, networks, volumes
  kConnectNetwork,  // connect and disconnect
  kUpgrade,         // attach, exec start, attach/ws: may become a tunnel
  kExecInspect,
  kPruneObjects,  // containers, networks, volumes, images: with the owner's label forced
  kPruneCache,    // build cache has no owner: answered as if there were none
  kEvents,
  kDiskUsage,
  kPullImage,  // POST /images/create: pull or import
  kBuild,
  kBuildSession,  // POST /session: what BuildKit calls back to its client
  kBuildControl,  // POST /grpc: BuildKit's own API
  kCancelBuild,
  kCommit,
  kLoadImages,
  kTagImage,
  kRemoveImage,
  kOptions,  // OPTIONS of any path: 200 and nothing more, as the engine
  kRefuse,   // in the API, but not for jobs; Route::refusal says why
};

struct Route {
  std::string_view method;   // "HEAD" is served by a route of its own only; empty: every method
  std::string_view pattern;  // "/containers/{id}/json"; {id} is one segment, {name} one or more
  Handling handling;
  std::optional<Kind> kind;  // of the object in the path, or of what is listed, made or pruned
  std::string_view action;   // one word for the audit and the metrics: "create", "start", "inspect"
  bool json_body = false;    // the request's body is read, decoded and written anew
  bool stream_body = false;  // a tar or hijack body: relayed; else a body must be empty or JSON for a typed model
  std::string_view refusal;  // for kRefuse
  // The query keys that the endpoint knows, separated by blanks: only these go on. A '*' after one: it may repeat, and
  // each of its values counts.
  std::string_view query;
};

// Leaves the keys that the route knows, and of each but the repeatable ones the first value: what the engine reads.
void keep_known_keys(const Route& route, http::Query& query);

struct Match {
  const Route* route = nullptr;
  std::string object;  // what {id} or {name} stands for, decoded
};

// path as of http::Target. Nothing: no such endpoint (404 "page not found").
std::optional<Match> match_route(std::string_view method, std::string_view path);

}  // namespace ebbtide::gateway
