#include <algorithm>

#include "docker/base/secret.h"
#include "docker/base/text.h"
#include "docker/gateway/exchange.h"
#include "docker/gateway/remote.h"

namespace ebbtide::gateway {
namespace {

Json parse(const std::string& body) { return Json::parse(body, nullptr, false); }

std::string text_member(const Json& object, const char* name) {
  return object.is_object() ? object.value(name, std::string()) : std::string();
}

// The engine takes "/db" for "db".
std::string without_slash(std::string_view name) {
  if (name.starts_with('/')) name.remove_prefix(1);
  return std::string(name);
}

// The docker client takes a 404 of a create for a missing image, and would pull it: the engine says 400 of other
// containers that are not there.
Error as_create_error(Error error) {
  if (error.kind == ErrorKind::kNotFound) error.kind = ErrorKind::kInvalid;
  return error;
}

bool is_empty(const Json& options) { return options.is_null() || options.empty(); }

// Its own, and those that it mounts (API 1.48).
// Where a container names images.
std::vector<Json*> images_in(Json& container) {
  std::vector<Json*> images;
  if (!text_member(container, "Image").empty()) images.push_back(&container["Image"]);
  if (!container.contains("HostConfig") || !container["HostConfig"].is_object()) return images;
  auto& host = container["HostConfig"];
  if (!host.contains("Mounts") || !host["Mounts"].is_array()) return images;
  for (auto& mount : host["Mounts"])
    if (text_member(mount, "Type") == "image" && !text_member(mount, "Source").empty())
      images.push_back(&mount["Source"]);
  return images;
}

Error ending() { return Error::unavailable("this agent is ending: nothing new can be made"); }

}  // namespace

std::optional<Refusal> Exchange::check_count() const {
  const auto limit = context_.spec.max_belongings;
  if (limit == 0) return std::nullopt;
  const auto all = context_.ledger().of(context_.spec.owner);
  const auto count = std::ranges::count_if(all, [](const Belonging& belonging) {
    return belonging.role == Role::kBelonging && belonging.kind != Kind::kImage && belonging.kind != Kind::kExec;
  });
  if (static_cast<std::size_t>(count) < limit) return std::nullopt;
  return Refusal{"max-belongings", "this job has " + std::to_string(count) +
                                       " containers, networks and volumes, which is the profile's limit: remove some, "
                                       "or ask the operator for a higher MaxBelongings"};
}

// Answered only when the ledger knows it, so that the client's next request finds it.
Task<Exchange::Next> Exchange::claimed(const http::SmallAnswer& made, Belonging belonging) {
  if (made.head.status >= 200 && made.head.status < 300) {
    belonging.owner = context_.spec.owner;
    belonging.parent = parent();
    belonging.created = std::chrono::system_clock::now();
    note_object(to_string(belonging.kind), belonging.id, belonging.name);
    context_.ledger().claim(std::move(belonging));
  }
  return forward(made);
}

// What the policy says of the body, which then has what it lacked: placed paths, limits. Placing paths leaves traces,
// so all else is looked at before.
Task<Result<std::optional<Refusal>>> Exchange::admit_container(Json& body) {
  if (context_.spec.remote)
    if (auto refusal = check_remote_sources(context_.spec.policy, body)) co_return refusal;
  auto policy = context_.spec.policy;
  for (const auto& source : paths_to_place(body)) policy.host_paths.push_back(source.path);
  if (auto refusal = check_container(policy, body)) co_return refusal;
  if (auto refusal = check_agent_namespaces(body)) co_return refusal;
  if (auto refusal = check_count()) co_return refusal;
  policy = context_.spec.policy;
  const auto placed = co_await place_paths(body, policy);
  if (!placed && placed.error().kind == ErrorKind::kDenied) co_return Refusal{"host-path", placed.error().message};
  if (!placed) co_return fail(placed.error());
  if (auto refusal = check_container(policy, body)) co_return refusal;
  temper_container(context_.spec.policy, engine_defaults(), body);
  put_limits(context_.spec.limits, context_.spec.cgroup_parent, true, body["HostConfig"]);
  co_return std::nullopt;
}

Task<std::string> Exchange::pin_images(Json& container) {
  for (auto* named : images_in(container)) {
    auto reference = named->get<std::string>();
    const bool seen = co_await pin_image(reference);
    if (!seen) co_return reference;
    *named = std::move(reference);
  }
  co_return "";
}

Task<Exchange::Next> Exchange::create_container() {
  auto body = co_await read_model(ModelName::kContainerCreate);
  if (!body) co_return co_await answer_error(body.error());
  const auto create = context_.ledger().begin_create(context_.spec.owner);
  if (!create) co_return co_await answer_error(ending());
  if (const auto unseen = co_await pin_images(*body); !unseen.empty())
    co_return co_await not_found(Kind::kImage, unseen);
  // Always named: the check among the labels is over the name.
  const auto given_name = without_slash(target_.query.get("name").value_or(""));
  const auto name = given_name.empty() ? "job-" + random_hex(8) : given_name;
  if (const auto wrong = check_name(Kind::kContainer, name)) co_return co_await answer_error(*wrong);
  const auto refusal = co_await admit_container(*body);
  if (!refusal) co_return co_await answer_error(refusal.error());
  if (*refusal) co_return co_await refuse(**refusal);
  const auto real_name = context_.scope.real_name(Kind::kContainer, name);
  target_.query.set("name", real_name);
  const auto prepared = co_await prepare_container(*body, name);
  if (!prepared) {
    co_await remove_made_volumes();
    co_return co_await answer_error(as_create_error(prepared.error()));
  }
  const auto made = co_await call("POST", body->dump());
  if (!made) co_return co_await answer_error(made.error());
  if (made->head.status >= 300) co_await remove_made_volumes();
  Belonging belonging{.kind = Kind::kContainer,
                      .id = text_member(parse(made->body), "Id"),
                      .name = name,
                      .real_name = real_name,
                      .image = text_member(*body, "Image"),
                      .state = "created"};
  co_return co_await claimed(*made, std::move(belonging));
}

Task<Result<void>> Exchange::prepare_container(Json& body, const std::string& name) {
  point_sockets_at(body, context_.spec.directory);
  if (const auto made = co_await make_named_volumes(body); !made) co_return made;
  const auto as_given = body;
  const auto resolved = co_await with_references([&](const Resolve& resolve) {
    body = as_given;
    return resolve_references(body, resolve);
  });
  if (!resolved) co_return resolved;
  if (const auto labelled = co_await label_volumes(body); !labelled) co_return labelled;
  add_alias(body, name);
  put_labels(body, labels_for(Kind::kContainer, context_.scope.real_name(Kind::kContainer, name), name));
  co_return Result<void>();
}

Task<Result<void>> Exchange::make_named_volumes(const Json& body) {
  for (const auto& volume : named_volumes(body)) {
    const auto there = co_await make_named_volume(volume);
    if (!there) co_return there;
  }
  co_return Result<void>();
}

// Volumes that the engine would make by itself it would make without labels.
Task<Result<void>> Exchange::label_volumes(Json& body) {
  std::vector<std::string> image_volumes;
  const auto image = co_await ask("/images/" + percent_encode(text_member(body, "Image"), "/:@") + "/json");
  if (!image) co_return fail(image.error());
  if (image->head.status == 200) {
    const auto detail = parse(image->body);
    const auto config = detail.is_object() ? detail.value("Config", Json()) : Json();
    if (config.is_object() && config.contains("Volumes") && config["Volumes"].is_object())
      for (const auto& [target, unused] : config["Volumes"].items()) image_volumes.push_back(target);
  }
  const auto covered = co_await mounted_from(body);
  if (!covered) co_return fail(covered.error());
  label_anonymous_volumes(body, image_volumes, labels_for(Kind::kVolume, "", ""), *covered);
  co_return Result<void>();
}

// Where VolumesFrom mounts something. References are ids by now.
Task<Result<std::vector<std::string>>> Exchange::mounted_from(const Json& body) {
  std::vector<std::string> destinations;
  const auto sources = body.value("HostConfig", Json::object()).value("VolumesFrom", Json());
  if (!sources.is_array()) co_return destinations;
  for (const auto& source : sources) {
    const auto id = split(source.get<std::string>(), ':').front();
    const auto answer = co_await ask("/containers/" + percent_encode(id) + "/json");
    if (!answer) co_return fail(answer.error());
    const auto container = parse(answer->body);
    const auto mounts = container.is_object() ? container.value("Mounts", Json()) : Json();
    if (!mounts.is_array()) continue;
    for (const auto& mount : mounts) destinations.push_back(text_member(mount, "Destination"));
  }
  co_return destinations;
}

// Creating a volume that exists succeeds and changes nothing (Engine API 1.41, tried), so the answer's labels decide
// whose it is. Without this, any job could mount any volume whose name it knows.
Task<Result<void>> Exchange::make_named_volume(const NamedVolume& volume) {
  const auto real_name = context_.scope.real_name(Kind::kVolume, volume.name);
  if (!shared_volume(Kind::kVolume, volume.name)) {
    const auto known = co_await resolve(Kind::kVolume, volume.name);
    if (known) co_return Result<void>();
  }
  if (const auto wrong = check_name(Kind::kVolume, volume.name)) co_return fail(*wrong);
  Json body{{"Name", real_name}, {"DriverOpts", volume.driver_options}, {"Labels", volume.labels}};
  if (!volume.driver.empty()) body["Driver"] = volume.driver;
  put_labels(body, volume_labels(real_name, volume.name));
  std::string verb = "POST";
  auto target = in_version("/volumes/create");
  const auto made = co_await context_.upstream.call(std::move(verb), std::move(target), body.dump());
  if (!made) co_return fail(made.error());
  if (made->head.status != 201) co_return fail(Error::invalid(text_member(parse(made->body), "message")));
  const bool ours = co_await may_use_volume(real_name, volume.name);
  if (ours && !shared_volume(Kind::kVolume, volume.name)) made_volumes_.push_back(real_name);
  if (ours) co_return Result<void>();
  co_return fail(Error::conflict("the volume name " + volume.name +
                                 " is taken on this engine by somebody else: choose another name"));
}

// The engine makes no volume for a container that it does not make. One that is in use by now stays.
Task<void> Exchange::remove_made_volumes() {
  for (const auto& name : made_volumes_) {
    std::string verb = "DELETE";
    auto target = in_version("/volumes/" + name);
    const auto removed = co_await context_.upstream.call(std::move(verb), std::move(target), {});
    if (removed && removed->head.status == 204) context_.ledger().forget(Kind::kVolume, name);
  }
}

Task<bool> Exchange::may_use_volume(const std::string& real_name, const std::string& given_name) {
  if (!shared_volume(Kind::kVolume, given_name)) co_return co_await learn_real(Kind::kVolume, real_name);
  const auto answer = co_await ask("/volumes/" + percent_encode(real_name));
  if (!answer || answer->head.status != 200) co_return false;
  const auto volume = parse(answer->body);
  const auto labels = volume.is_object() ? volume.value("Labels", Json()) : Json();
  const auto owner = text_member(labels, label::kSharedVolume);
  // Without any where an admin removed it between our create and the container's: then the engine made it by itself.
  const bool bare = owner.empty() && is_empty(volume.value("Options", Json()));
  co_return owner == context_.server_id() || bare;
}

Labels Exchange::volume_labels(const std::string& real_name, const std::string& given_name) const {
  if (!shared_volume(Kind::kVolume, given_name)) return labels_for(Kind::kVolume, real_name, given_name);
  return {{label::kSharedVolume, context_.server_id()}, {label::kName, given_name}};
}

Task<Exchange::Next> Exchange::create_network() {
  auto body = co_await read_model(ModelName::kNetworkCreate);
  if (!body) co_return co_await answer_error(body.error());
  if (const auto refusal = check_network(context_.spec.policy, *body)) co_return co_await refuse(*refusal);
  if (const auto refusal = check_count()) co_return co_await refuse(*refusal);
  const auto create = context_.ledger().begin_create(context_.spec.owner);
  if (!create) co_return co_await answer_error(ending());
  const auto as_given = *body;
  const auto resolved = co_await with_references([&](const Resolve& resolve) {
    *body = as_given;
    return resolve_network_references(*body, resolve);
  });
  if (!resolved) co_return co_await answer_error(resolved.error());
  const auto name = text_member(*body, "Name");
  if (const auto wrong = check_name(Kind::kNetwork, name)) co_return co_await answer_error(*wrong);
  const auto real_name = context_.scope.real_name(Kind::kNetwork, name);
  (*body)["Name"] = real_name;
  put_labels(*body, labels_for(Kind::kNetwork, real_name, name));
  const auto made = co_await call("POST", body->dump());
  if (!made) co_return co_await answer_error(made.error());
  Belonging belonging{
      .kind = Kind::kNetwork, .id = text_member(parse(made->body), "Id"), .name = name, .real_name = real_name};
  co_return co_await claimed(*made, std::move(belonging));
}

Task<Exchange::Next> Exchange::create_volume() {
  auto body = co_await read_model(ModelName::kVolumeCreate);
  if (!body) co_return co_await answer_error(body.error());
  const auto create = context_.ledger().begin_create(context_.spec.owner);
  if (!create) co_return co_await answer_error(ending());
  if (const auto refusal = check_count()) co_return co_await refuse(*refusal);
  const bool shared = shared_volume(Kind::kVolume, text_member(*body, "Name")).has_value();
  const auto placed = shared ? Result<bool>(false) : co_await place_device(*body);
  if (!placed && placed.error().kind == ErrorKind::kDenied)
    co_return co_await refuse({"host-path", placed.error().message});
  if (!placed) co_return co_await answer_error(placed.error());
  if (!*placed)
    if (const auto refusal = check_volume(context_.spec.policy, *body)) co_return co_await refuse(*refusal);
  const auto given_name = text_member(*body, "Name");
  if (!given_name.empty())
    if (const auto wrong = check_name(Kind::kVolume, given_name)) co_return co_await answer_error(*wrong);
  // As the engine names anonymous ones.
  const auto name = given_name.empty() ? random_hex(32) : context_.scope.real_name(Kind::kVolume, given_name);
  (*body)["Name"] = name;
  put_labels(*body, volume_labels(name, given_name));
  auto made = co_await call("POST", body->dump());
  if (!made) co_return co_await answer_error(made.error());
  if (made->head.status != 201) co_return co_await forward(*made);
  const bool ours = co_await may_use_volume(name, given_name);
  if (!ours) {
    const auto taken = Error::conflict("the volume name " + name + " is taken on this engine: choose another name");
    co_return co_await answer_error(taken);
  }
  auto answer = parse(made->body);
  hide_labels(answer);
  co_return co_await forward(*made, answer.dump() + "\n");
}

Task<Exchange::Next> Exchange::create_exec() {
  const auto container = co_await resolve(Kind::kContainer, match_.object);
  if (!container) co_return co_await answer_error(container.error());
  if (is_own_agent(*container)) co_return co_await refuse({"own-agent", "an agent can't exec into its own container"});
  const auto body = co_await read_model(ModelName::kExecCreate);
  if (!body) co_return co_await answer_error(body.error());
  if (const auto refusal = check_exec(context_.spec.policy, *body)) co_return co_await refuse(*refusal);
  target_.path = "/containers/" + container->id + "/exec";
  const auto made = co_await call("POST", body->dump());
  if (!made) co_return co_await answer_error(made.error());
  Belonging belonging{
      .kind = Kind::kExec, .id = text_member(parse(made->body), "Id"), .name = {}, .container = container->id};
  co_return co_await claimed(*made, std::move(belonging));
}

}  // namespace ebbtide::gateway
