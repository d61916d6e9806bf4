// Stamp: what the gateway changes in a request before the engine sees it: ownership labels, the docker socket,
// volumes that would come into being without labels, and names that become ids. Pure functions over canonical
// bodies (model.h) and queries; any thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"
#include "docker/engine/engine.h"
#include "docker/gateway/model.h"
#include "docker/http/target.h"
#include "docker/ledger/labels.h"

namespace ebbtide::gateway {

// Turns what the job calls an object into what the engine is to be told (its full id; a volume's real name). An
// error is the answer to the job.
using Resolve = std::function<Result<std::string>(Kind kind, std::string_view reference)>;

// The Labels of a container, network or volume body: reserved ones that the client sent go, these come.
void put_labels(Json& body, const Labels& labels);
// The Labels of a commit body. The new image must not hand the container's ownership on to what is made from it, so
// its keys are blanked (a label can't be unset), and ebbtide.image-agent is set.
void put_commit_labels(Json& body, std::string_view image_owner);

// Where the gateway's own directory is inside an agent.
inline constexpr std::string_view kAgentDirectory = "/run/ebbtide";

// The path without empty and dot segments and without a slash at its end; nothing if it is not absolute.
std::optional<std::string> clean_path(std::string_view path);

// An element of Binds: "source:target[:mode]", or a target alone for an anonymous volume. An absolute source is a path
// of the host, any other a volume's name.
struct Bind {
  std::string source;
  std::string target;
  std::string mode;
};
// Nothing where the engine refuses it too: an empty part, or more than three.
std::optional<Bind> parse_bind(std::string_view text);
std::string to_text(const Bind& bind);

// What a bind source in the caller means on the host if it is the docker socket, or the gateway's directory or
// socket as the agent sees them; nothing otherwise. directory: the gateway's, on the host.
std::optional<std::string> gateway_source(std::string_view source, std::string_view directory);
// Puts that in place of such sources in Binds and Mounts. Returns how many there were. To be called after
// check_container, which lets exactly these pass.
std::size_t point_sockets_at(Json& container, std::string_view directory);

// The paths that a container body names as sources, in Binds and in Mounts of type bind, clean, each once.
struct PathSource {
  std::string path;
  bool made_if_missing = false;  // by the engine
};
std::vector<PathSource> path_sources(const Json& container);
// Puts another path, maybe for reading only, in the place of each that placed has. The engine is not to relabel
// (SELinux) what others mount too: Z becomes z.
struct Placed {
  std::string source;
  bool read_only = false;
};
void place_sources(Json& container, const std::map<std::string, Placed>& placed);

// The volumes that a container body names in Binds and Mounts, each once: they must be made, with labels, before
// the container, since the engine makes missing ones without.
struct NamedVolume {
  std::string name;
  std::string driver;  // empty: the default
  Json driver_options = Json::object();
  Json labels = Json::object();  // VolumeOptions.Labels
};
std::vector<NamedVolume> named_volumes(const Json& container);

// Makes every anonymous volume (Volumes, a Bind without a source, a Mount without one, and image_volumes: the VOLUMEs
// of the image) an entry of Mounts that bears the labels. Destinations that Binds, Mounts or Tmpfs already have are
// left alone, and so are covered ones: those that VolumesFrom brings, which an entry of Mounts would hide. Such volumes
// still go with `docker rm -v`. (Engine 20.10, tried.)
void label_anonymous_volumes(Json& container, const std::vector<std::string>& image_volumes, const Labels& labels,
                             const std::vector<std::string>& covered = {});

// Every reference to another container (NetworkMode, IpcMode, PidMode and the like "container:x", VolumesFrom, Links),
// to a network (NetworkMode, keys of EndpointsConfig) and to a volume (Binds, Mounts), replaced by what resolve says.
// The predefined modes and networks (default, bridge, host, none, nat, private, shareable) are not asked about. Links
// of endpoints become short ids; an unknown one stays, since it may be an alias in the network.
Result<void> resolve_references(Json& container, const Resolve& resolve);
// The same for a network create body's ConfigFrom, and for connect and disconnect bodies' Container.
Result<void> resolve_network_references(Json& body, const Resolve& resolve);

// The name that the job gave, as an alias in every network of the job's own that the container joins: their DNS knows
// containers by their real names and their aliases. Call after resolve_references.
void add_alias(Json& container, std::string_view name);
// The same for a connect body.
void add_endpoint_alias(Json& connect, std::string_view name);

// Whether a NetworkMode or an endpoint's key is one that every engine has.
bool is_predefined_network(std::string_view name);

// The labels of POST /build: the client's without reserved ones, and the image's owner, unless it is empty. rm and
// forcerm are set, so that no intermediate container stays. kInvalid: labels is no JSON object of strings.
Result<void> stamp_build(http::Query& query, std::string_view image_owner);
// The network of POST /build, replaced by what resolve says.
Result<void> resolve_build_references(http::Query& query, const Resolve& resolve);
// POST /images/create with fromSrc, and POST /commit beside put_commit_labels: the same labels as a last LABEL in
// `changes`, which wins over the body and over the job's own changes. kInvalid: a change ends in a line continuation.
Result<void> stamp_changes(http::Query& query, std::string_view image_owner);

}  // namespace ebbtide::gateway
