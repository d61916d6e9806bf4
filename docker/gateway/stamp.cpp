#include "docker/gateway/stamp.h"

#include <algorithm>
#include <array>
#include <set>

#include "docker/base/text.h"

namespace ebbtide::gateway {

namespace {

constexpr std::string_view kContainerPrefix = "container:";

// The object's member of that name, made if it is missing; null where object is no object.
Json& inside(Json& object, std::string_view name) { return object[std::string(name)]; }

Json* find(Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

const Json* find(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string text(const Json& object, std::string_view name) {
  const auto* value = find(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

// The elements of a list member; none if it is missing.
template <class AnyJson>
std::vector<AnyJson*> elements(AnyJson& object, std::string_view name) {
  std::vector<AnyJson*> found;
  auto* list = find(object, name);
  if (list == nullptr || !list->is_array()) return found;
  for (auto& element : *list) found.push_back(&element);
  return found;
}

void drop_reserved(Json& labels) {
  Json kept = Json::object();
  for (const auto& [key, value] : labels.items())
    if (!is_reserved_label(key)) kept[key] = value;
  labels = std::move(kept);
}

void set_labels(Json& holder, const Labels& labels) {
  auto& target = inside(holder, "Labels");
  if (!target.is_object()) target = Json::object();
  drop_reserved(target);
  for (const auto& [key, value] : labels) target[key] = value;
}

// What an image made from a container must bear: its owner, and nothing that would make containers look owned.
Labels committed_labels(std::string_view image_owner) {
  Labels labels = {{label::kImageAgent, std::string(image_owner)}};
  for (const auto* key : {label::kServer, label::kAgent, label::kRole, label::kName, label::kCheck}) labels[key] = "";
  return labels;
}

}  // namespace

void put_labels(Json& body, const Labels& labels) { set_labels(body, labels); }

void put_commit_labels(Json& body, std::string_view image_owner) { set_labels(body, committed_labels(image_owner)); }

std::optional<std::string> clean_path(std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  std::vector<std::string> kept;
  for (auto& segment : split(path, '/')) {
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      kept.push_back(std::move(segment));
    } else if (!kept.empty()) {
      kept.pop_back();
    }
  }
  std::string cleaned;
  for (const auto& segment : kept) cleaned.append("/").append(segment);
  return cleaned.empty() ? "/" : cleaned;
}

std::optional<Bind> parse_bind(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() > 3 || std::any_of(parts.begin(), parts.end(), [](const auto& part) { return part.empty(); }))
    return std::nullopt;
  if (parts.size() == 1) return Bind{.source = {}, .target = parts[0], .mode = {}};
  return Bind{.source = parts[0], .target = parts[1], .mode = parts.size() == 3 ? parts[2] : ""};
}

std::string to_text(const Bind& bind) {
  std::string text = bind.source.empty() ? bind.target : bind.source + ":" + bind.target;
  if (!bind.mode.empty()) text.append(":").append(bind.mode);
  return text;
}

std::optional<std::string> gateway_source(std::string_view source, std::string_view directory) {
  auto path = clean_path(source);
  if (!path) return std::nullopt;
  if (path->starts_with("/var/run/")) path = path->substr(4);
  if (path == kAgentDirectory) return std::string(directory);
  const bool is_socket = path == "/run/docker.sock" || path == std::string(kAgentDirectory) + "/docker.sock";
  if (is_socket) return std::string(directory) + "/docker.sock";
  return std::nullopt;
}

std::size_t point_sockets_at(Json& container, std::string_view directory) {
  std::size_t count = 0;
  auto& host = inside(container, "HostConfig");
  for (auto* element : elements(host, "Binds")) {
    auto bind = parse_bind(element->get<std::string>());
    const auto source = bind ? gateway_source(bind->source, directory) : std::nullopt;
    if (!source) continue;
    bind->source = *source;
    *element = to_text(*bind);
    ++count;
  }
  for (auto* mount : elements(host, "Mounts")) {
    const auto source = gateway_source(text(*mount, "Source"), directory);
    if (text(*mount, "Type") != "bind" || !source) continue;
    inside(*mount, "Source") = *source;
    ++count;
  }
  return count;
}

std::vector<PathSource> path_sources(const Json& container) {
  std::vector<PathSource> sources;
  const auto add = [&](const std::optional<std::string>& path, bool made) {
    if (!path) return;
    const auto known = std::ranges::find(sources, *path, &PathSource::path);
    if (known == sources.end())
      sources.push_back({*path, made});
    else
      known->made_if_missing = known->made_if_missing || made;
  };
  const auto* host = find(container, "HostConfig");
  if (host == nullptr) return sources;
  for (const auto* element : elements(*host, "Binds"))
    if (const auto bind = parse_bind(element->get<std::string>())) add(clean_path(bind->source), true);
  for (const auto* mount : elements(*host, "Mounts")) {
    if (text(*mount, "Type") != "bind") continue;
    const auto* options = find(*mount, "BindOptions");
    add(clean_path(text(*mount, "Source")), options != nullptr && options->value("CreateMountpoint", false));
  }
  return sources;
}

namespace {

const Placed* place_of(const std::string& source, const std::map<std::string, Placed>& placed) {
  const auto path = clean_path(source);
  const auto found = path ? placed.find(*path) : placed.end();
  return found == placed.end() ? nullptr : &found->second;
}

std::string mode_of(const std::string& mode, bool read_only) {
  std::string words;
  for (auto& word : split(mode, ',')) {
    if (word.empty() || (read_only && (word == "rw" || word == "ro"))) continue;
    words += (words.empty() ? "" : ",") + (word == "Z" ? "z" : word);
  }
  if (read_only) words += words.empty() ? "ro" : ",ro";
  return words;
}

}  // namespace

void place_sources(Json& container, const std::map<std::string, Placed>& placed) {
  auto& host = inside(container, "HostConfig");
  for (auto* element : elements(host, "Binds")) {
    auto bind = parse_bind(element->get<std::string>());
    const auto* place = bind ? place_of(bind->source, placed) : nullptr;
    if (place == nullptr) continue;
    bind->source = place->source;
    bind->mode = mode_of(bind->mode, place->read_only);
    *element = to_text(*bind);
  }
  for (auto* mount : elements(host, "Mounts")) {
    const auto* place = text(*mount, "Type") == "bind" ? place_of(text(*mount, "Source"), placed) : nullptr;
    if (place == nullptr) continue;
    inside(*mount, "Source") = place->source;
    if (place->read_only) inside(*mount, "ReadOnly") = true;
    if (auto* options = find(*mount, "BindOptions")) options->erase("CreateMountpoint");
  }
}

std::vector<NamedVolume> named_volumes(const Json& container) {
  std::vector<NamedVolume> volumes;
  const auto add = [&](NamedVolume volume) {
    const bool known =
        std::any_of(volumes.begin(), volumes.end(), [&](const auto& other) { return other.name == volume.name; });
    if (!volume.name.empty() && !known) volumes.push_back(std::move(volume));
  };
  const auto* host = find(container, "HostConfig");
  if (host == nullptr) return volumes;
  for (const auto* element : elements(*host, "Binds")) {
    const auto bind = parse_bind(element->get<std::string>());
    if (bind && !bind->source.starts_with('/')) add({.name = bind->source, .driver = text(*host, "VolumeDriver")});
  }
  for (const auto* mount : elements(*host, "Mounts")) {
    if (text(*mount, "Type") != "volume") continue;
    NamedVolume volume{.name = text(*mount, "Source"), .driver = {}};
    if (const auto* options = find(*mount, "VolumeOptions")) {
      volume.labels = options->value("Labels", Json::object());
      const auto driver = options->value("DriverConfig", Json::object());
      volume.driver = text(driver, "Name");
      volume.driver_options = driver.value("Options", Json::object());
    }
    drop_reserved(volume.labels);
    add(std::move(volume));
  }
  return volumes;
}

namespace {

std::string cleaned(const std::string& path) { return clean_path(path).value_or(path); }

// Where something is mounted already. Takes anonymous Binds out and puts their targets into anonymous.
std::set<std::string> taken_targets(Json& host, std::vector<std::string>& anonymous) {
  std::set<std::string> taken;
  Json kept = Json::array();
  for (const auto* element : elements(host, "Binds")) {
    const auto bind = parse_bind(element->get<std::string>());
    if (bind && bind->source.empty()) {
      anonymous.push_back(bind->target);
      continue;
    }
    if (bind) taken.insert(cleaned(bind->target));
    kept.push_back(*element);
  }
  if (host.contains("Binds")) inside(host, "Binds") = std::move(kept);
  for (const auto* mount : elements(host, "Mounts")) taken.insert(cleaned(text(*mount, "Target")));
  if (const auto* tmpfs = find(host, "Tmpfs"))
    for (const auto& [target, options] : tmpfs->items()) taken.insert(cleaned(target));
  return taken;
}

// A relative key of Volumes is taken from the container's root, but an entry of Mounts does not stand for it. (Engine
// 20.10, tried.)
void make_absolute(Json& container) {
  auto* volumes = find(container, "Volumes");
  if (volumes == nullptr) return;
  Json absolute = Json::object();
  for (const auto& [target, nothing] : volumes->items())
    absolute[target.starts_with('/') ? target : "/" + target] = Json::object();
  *volumes = std::move(absolute);
}

// Labels of volumes that entries of Mounts name stay the job's: the volume is there already, with ours.
void label_mounts(Json& host, const Labels& labels) {
  for (auto* mount : elements(host, "Mounts")) {
    if (text(*mount, "Type") != "volume") continue;
    if (text(*mount, "Source").empty()) {
      set_labels(inside(*mount, "VolumeOptions"), labels);
    } else if (auto* options = find(*mount, "VolumeOptions")) {
      if (auto* own = find(*options, "Labels")) drop_reserved(*own);
    }
  }
}

}  // namespace

void label_anonymous_volumes(Json& container, const std::vector<std::string>& image_volumes, const Labels& labels,
                             const std::vector<std::string>& covered) {
  auto& host = inside(container, "HostConfig");
  std::vector<std::string> targets;
  auto taken = taken_targets(host, targets);
  for (const auto& target : covered) taken.insert(cleaned(target));
  make_absolute(container);
  if (const auto* volumes = find(container, "Volumes"))
    for (const auto& [target, nothing] : volumes->items()) targets.push_back(target);
  targets.insert(targets.end(), image_volumes.begin(), image_volumes.end());

  for (const auto& given : targets) {
    const auto target = clean_path(given);
    // A relative VOLUME of an image has no entry of Mounts that would stand for it.
    if (!target || !taken.insert(*target).second) continue;
    auto& mounts = inside(host, "Mounts");
    if (!mounts.is_array()) mounts = Json::array();
    mounts.push_back({{"Type", "volume"}, {"Target", *target}});
  }
  label_mounts(host, labels);
}

bool is_predefined_network(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {"", "default", "bridge", "host", "none", "nat"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

namespace {

// Replaces a reference by what resolve says of it.
Result<void> replace(std::string& reference, Kind kind, const Resolve& resolve) {
  // "/db" is "db" to the engine.
  auto plain = std::string_view(reference);
  if (kind == Kind::kContainer && plain.starts_with('/')) plain.remove_prefix(1);
  auto resolved = resolve(kind, plain);
  if (!resolved) return fail(resolved.error());
  reference = std::move(*resolved);
  return {};
}

// "container:db" or, for NetworkMode, a network.
Result<void> resolve_mode(std::string& mode, bool may_be_network, const Resolve& resolve) {
  if (mode.starts_with(kContainerPrefix)) {
    auto reference = mode.substr(kContainerPrefix.size());
    auto done = replace(reference, Kind::kContainer, resolve);
    mode = std::string(kContainerPrefix) + reference;
    return done;
  }
  if (!may_be_network || is_predefined_network(mode)) return {};
  return replace(mode, Kind::kNetwork, resolve);
}

Result<void> resolve_modes(Json& host, const Resolve& resolve) {
  for (const auto* name : {"NetworkMode", "IpcMode", "PidMode", "UTSMode", "UsernsMode", "CgroupnsMode", "Cgroup"}) {
    auto* member = find(host, name);
    if (member == nullptr) continue;
    auto mode = member->get<std::string>();
    if (auto done = resolve_mode(mode, name == std::string_view("NetworkMode"), resolve); !done) return done;
    *member = mode;
  }
  return {};
}

// "name[:rest]", as in VolumesFrom.
Result<void> resolve_volumes_from(Json& host, const Resolve& resolve) {
  for (auto* element : elements(host, "VolumesFrom")) {
    const auto given = element->get<std::string>();
    const auto colon = std::min(given.find(':'), given.size());
    auto reference = given.substr(0, colon);
    if (auto done = replace(reference, Kind::kContainer, resolve); !done) return done;
    *element = reference + given.substr(colon);
  }
  return {};
}

// "name[:alias]": without an alias, the name is it.
struct Link {
  std::string reference;
  std::string alias;
};

Link parse_link(const std::string& text) {
  const auto colon = std::min(text.find(':'), text.size());
  Link link{.reference = text.substr(0, colon), .alias = {}};
  link.alias = colon == text.size() ? link.reference : text.substr(colon + 1);
  if (link.alias.starts_with('/')) link.alias.erase(0, 1);
  return link;
}

Result<void> resolve_links(Json& host, const Resolve& resolve) {
  for (auto* element : elements(host, "Links")) {
    auto link = parse_link(element->get<std::string>());
    if (auto done = replace(link.reference, Kind::kContainer, resolve); !done) return done;
    *element = link.reference + ":" + link.alias;
  }
  return {};
}

// Links of an endpoint are names that the network's DNS looks up: it knows containers by their short ids, not by full
// ones, and also aliases, which stay as they are. (Engine 20.10, tried.)
Result<void> resolve_endpoint_links(Json& endpoint, const Resolve& resolve) {
  constexpr std::size_t kShortId = 12;
  for (auto* element : elements(endpoint, "Links")) {
    auto link = parse_link(element->get<std::string>());
    const auto done = replace(link.reference, Kind::kContainer, resolve);
    if (!done && done.error().kind != ErrorKind::kNotFound) return done;
    if (done) *element = link.reference.substr(0, kShortId) + ":" + link.alias;
  }
  return {};
}

Result<void> resolve_volumes(Json& host, const Resolve& resolve) {
  for (auto* element : elements(host, "Binds")) {
    auto bind = parse_bind(element->get<std::string>());
    if (!bind || bind->source.empty() || bind->source.starts_with('/')) continue;
    if (auto done = replace(bind->source, Kind::kVolume, resolve); !done) return done;
    *element = to_text(*bind);
  }
  for (auto* mount : elements(host, "Mounts")) {
    auto source = text(*mount, "Source");
    if (text(*mount, "Type") != "volume" || source.empty()) continue;
    if (auto done = replace(source, Kind::kVolume, resolve); !done) return done;
    inside(*mount, "Source") = source;
  }
  return {};
}

Result<void> resolve_endpoints(Json& container, const Resolve& resolve) {
  auto* networking = find(container, "NetworkingConfig");
  auto* endpoints = networking == nullptr ? nullptr : find(*networking, "EndpointsConfig");
  if (endpoints == nullptr) return {};
  Json resolved = Json::object();
  for (auto& [given, endpoint] : endpoints->items()) {
    auto network = given;
    if (!is_predefined_network(network)) {
      if (auto done = replace(network, Kind::kNetwork, resolve); !done) return done;
    }
    if (resolved.contains(network)) return fail(Error::invalid("the network " + given + " is given twice"));
    if (auto done = resolve_endpoint_links(endpoint, resolve); !done) return done;
    resolved[network] = std::move(endpoint);
  }
  *endpoints = std::move(resolved);
  return {};
}

}  // namespace

Result<void> resolve_references(Json& container, const Resolve& resolve) {
  auto& host = inside(container, "HostConfig");
  for (const auto step : {resolve_modes, resolve_volumes_from, resolve_links, resolve_volumes})
    if (auto done = step(host, resolve); !done) return done;
  return resolve_endpoints(container, resolve);
}

Result<void> resolve_network_references(Json& body, const Resolve& resolve) {
  if (auto* from = find(body, "ConfigFrom")) {
    auto network = text(*from, "Network");
    if (!network.empty()) {
      if (auto done = replace(network, Kind::kNetwork, resolve); !done) return done;
      inside(*from, "Network") = network;
    }
  }
  if (auto* member = find(body, "Container")) {
    auto container = member->get<std::string>();
    if (auto done = replace(container, Kind::kContainer, resolve); !done) return done;
    *member = container;
  }
  if (auto* endpoint = find(body, "EndpointConfig")) return resolve_endpoint_links(*endpoint, resolve);
  return {};
}

namespace {

void add_to_endpoint(Json& endpoint, std::string_view name) {
  if (!endpoint.is_object()) endpoint = Json::object();
  auto& aliases = inside(endpoint, "Aliases");
  if (!aliases.is_array()) aliases = Json::array();
  if (std::ranges::find(aliases, Json(name)) == aliases.end()) aliases.push_back(name);
}

}  // namespace

void add_alias(Json& container, std::string_view name) {
  auto& networking = inside(container, "NetworkingConfig");
  if (!networking.is_object()) networking = Json::object();
  auto& endpoints = inside(networking, "EndpointsConfig");
  if (!endpoints.is_object()) endpoints = Json::object();
  const auto mode = text(inside(container, "HostConfig"), "NetworkMode");
  if (!is_predefined_network(mode) && !mode.starts_with(kContainerPrefix)) inside(endpoints, mode);
  for (auto& [network, endpoint] : endpoints.items())
    if (!is_predefined_network(network)) add_to_endpoint(endpoint, name);
}

void add_endpoint_alias(Json& connect, std::string_view name) {
  add_to_endpoint(inside(connect, "EndpointConfig"), name);
}

Result<void> stamp_build(http::Query& query, std::string_view image_owner) {
  // Just one: the classic builder makes a step, and a container, of each (Engine 20.10, tried).
  Labels labels;
  if (!image_owner.empty()) labels[label::kImageAgent] = image_owner;
  if (const auto given = query.get("labels"); given && !given->empty()) {
    const auto parsed = nlohmann::json::parse(*given, nullptr, false);
    if (!parsed.is_object() && !parsed.is_null()) return fail(Error::invalid("labels must be a JSON object"));
    for (const auto& [key, value] : parsed.items()) {
      if (!value.is_string() && !value.is_null()) return fail(Error::invalid("the label " + key + " must be a string"));
      if (!is_reserved_label(key)) labels[key] = value.is_null() ? "" : value.get<std::string>();
    }
  }
  query.set("labels", nlohmann::json(labels).dump());
  query.set("rm", "1");
  query.set("forcerm", "1");
  return {};
}

Result<void> resolve_build_references(http::Query& query, const Resolve& resolve) {
  std::string mode(query.get("networkmode").value_or(""));
  if (mode.empty()) return {};
  auto done = resolve_mode(mode, true, resolve);
  if (done) query.set("networkmode", mode);
  return done;
}

Result<void> stamp_changes(http::Query& query, std::string_view image_owner) {
  std::string last = "LABEL";
  for (const auto& [key, value] : committed_labels(image_owner))
    last.append(" ").append(Json(key).dump()).append("=").append(Json(value).dump());
  auto changes = query.get_all("changes");
  query.remove("changes");
  for (auto& change : changes) {
    // The engine joins changes by line ends, so an open line would swallow the one that comes after it.
    const auto trimmed = trim(change);
    if (trimmed.ends_with('\\') || trimmed.ends_with('`'))
      return fail(Error::invalid("a change must not end in a line continuation: " + change));
    query.add("changes", std::move(change));
  }
  query.add("changes", std::move(last));
  return {};
}

}  // namespace ebbtide::gateway
