#include "docker/base/text.h"
#include "docker/gateway/exchange.h"

namespace ebbtide::gateway {
namespace {

bool succeeded(const http::SmallAnswer& answer) { return answer.head.status >= 200 && answer.head.status < 300; }

std::vector<std::string> texts_in(const Json& answer, const char* key) {
  std::vector<std::string> texts;
  const auto list = answer.find(key);
  if (list == answer.end() || !list->is_array()) return texts;
  for (const auto& each : *list)
    if (each.is_string()) texts.push_back(each.get<std::string>());
  return texts;
}

}  // namespace

Task<Exchange::Next> Exchange::update_container() {
  const auto container = co_await resolve(Kind::kContainer, match_.object);
  if (!container) co_return co_await answer_error(container.error());
  if (is_own_agent(*container)) co_return co_await refuse({"own-agent", "an agent can't change its own limits"});
  auto body = co_await read_model(ModelName::kContainerUpdate);
  if (!body) co_return co_await answer_error(body.error());
  if (const auto refusal = check_update(context_.spec.policy, *body)) co_return co_await refuse(*refusal);
  temper_update(context_.spec.policy, *body);
  put_limits(context_.spec.limits, context_.spec.cgroup_parent, false, *body);
  target_.path = "/containers/" + container->id + "/update";
  const auto answer = co_await call("POST", body->dump());
  if (!answer) co_return co_await answer_error(answer.error());
  co_return co_await forward(*answer);
}

// A new name no longer fits the check among the labels, which can't be changed: the store remembers, before the engine
// is asked.
Task<Exchange::Next> Exchange::rename_container() {
  const auto container = co_await resolve(Kind::kContainer, match_.object);
  if (!container) co_return co_await answer_error(container.error());
  if (is_own_agent(*container)) co_return co_await refuse({"own-agent", "an agent can't rename its own container"});
  auto name = std::string(target_.query.get("name").value_or(""));
  if (name.starts_with('/')) name.erase(0, 1);
  // The engine has words of its own for no name at all.
  if (!name.empty())
    if (const auto wrong = check_name(Kind::kContainer, name)) co_return co_await answer_error(*wrong);
  const auto real_name = context_.scope.real_name(Kind::kContainer, name);
  target_.query.set("name", real_name);
  const auto recorded = co_await off_loop(context_.disk, [this, id = container->id] {
    return context_.watch.store().record_rename(context_.upstream.address().text(), id, context_.spec.owner);
  });
  if (!recorded) co_return co_await answer_error(recorded.error());
  target_.path = "/containers/" + container->id + "/rename";
  const auto answer = co_await call("POST");
  if (!answer) co_return co_await answer_error(answer.error());
  if (succeeded(*answer)) context_.ledger().rename_container(container->id, real_name, name);
  co_return co_await forward(*answer);
}

Task<Exchange::Next> Exchange::remove() {
  const auto kind = *match_.route->kind;
  if (kind == Kind::kNetwork && is_predefined_network(match_.object))
    co_return co_await refuse({"shared-network", match_.object + " is a pre-defined network and cannot be removed"});
  if (shared_volume(kind, match_.object))
    co_return co_await refuse({"shared-volume", "the volume " + match_.object +
                                                    " is shared by agents and outlives them: an admin can remove it"});
  const auto object = co_await resolve(kind, match_.object);
  if (!object) {
    // As the engine: a volume that is not there is no error with force.
    if (kind == Kind::kVolume && target_.query.flag("force")) co_return co_await answer(204, "");
    co_return co_await answer_error(object.error());
  }
  if (is_own_agent(*object))
    co_return co_await refuse({"own-agent", "an agent can't remove its own " + std::string(to_string(kind))});
  const std::string folder = kind == Kind::kContainer ? "/containers/"
                             : kind == Kind::kNetwork ? "/networks/"
                                                      : "/volumes/";
  target_.path = folder + object->id;
  const auto answer = co_await call("DELETE");
  if (!answer) co_return co_await answer_error(answer.error());
  // The engine's event will say so too; the client's next request may come before it.
  if (succeeded(*answer)) context_.ledger().forget(kind, object->id);
  co_return co_await forward(*answer);
}

Task<Exchange::Next> Exchange::connect_network() {
  const bool connects = match_.route->action == "connect";
  auto body = co_await read_model(connects ? ModelName::kNetworkConnect : ModelName::kNetworkDisconnect);
  if (!body) co_return co_await answer_error(body.error());
  if (connects)
    if (const auto refusal = check_connect(context_.spec.policy, *body)) co_return co_await refuse(*refusal);
  auto network = match_.object;
  if (!is_predefined_network(network)) {
    const auto own = co_await resolve(Kind::kNetwork, network);
    if (!own) co_return co_await answer_error(own.error());
    network = own->id;
  }
  const auto as_given = *body;
  const auto resolved = co_await with_references([&](const Resolve& resolve) {
    *body = as_given;
    return resolve_network_references(*body, resolve);
  });
  if (!resolved) co_return co_await answer_error(resolved.error());
  if (connects && !is_predefined_network(network)) {
    const auto container = context_.ledger().find(Kind::kContainer, body->value("Container", std::string()));
    if (container && !is_own_agent(*container)) add_endpoint_alias(*body, container->name);
  }
  target_.path = "/networks/" + network + (connects ? "/connect" : "/disconnect");
  const auto answer = co_await call("POST", body->dump());
  if (!answer) co_return co_await answer_error(answer.error());
  co_return co_await forward(*answer);
}

Task<Exchange::Next> Exchange::prune() {
  const auto kind = *match_.route->kind;
  auto filters = Filters::parse(target_.query.get("filters").value_or(""));
  if (!filters) co_return co_await answer_error(filters.error());
  if (const auto fair = refuse_reserved_labels(*filters); !fair) co_return co_await answer_error(fair.error());
  if (kind == Kind::kImage)
    add_image_owner(*filters, image_owner());
  else
    add_owner(*filters, context_.server_id(), context_.spec.owner);
  target_.query.set("filters", filters->to_text());
  const auto answer = co_await call_in_turn("POST");
  if (!answer) co_return co_await answer_error(answer.error());
  const auto body = Json::parse(answer->body, nullptr, false);
  if (succeeded(*answer) && body.is_object()) settle_pruned(body);
  co_return co_await forward(*answer);
}

// What the engine says that it removed goes from the ledger, and into the audit.
void Exchange::settle_pruned(const Json& answer) {
  for (const auto& id : texts_in(answer, "ContainersDeleted")) settle_gone(Kind::kContainer, id);
  for (const auto& name : texts_in(answer, "VolumesDeleted")) settle_gone(Kind::kVolume, name);
  for (const auto& name : texts_in(answer, "NetworksDeleted")) {
    const auto gone = context_.ledger().resolve(context_.spec.owner, Kind::kNetwork, context_.scope.given_name(name));
    if (gone.outcome == Resolution::Outcome::kFound) settle_gone(Kind::kNetwork, gone.belonging.id);
  }
  if (answer.contains("ImagesDeleted")) note_removed_images(answer["ImagesDeleted"]);
}

void Exchange::settle_gone(Kind kind, const std::string& id) {
  const auto known = context_.ledger().find(kind, id);
  note_object(to_string(kind), id, known ? known->name : context_.scope.given_name(id));
  context_.ledger().forget(kind, id);
}

}  // namespace ebbtide::gateway
