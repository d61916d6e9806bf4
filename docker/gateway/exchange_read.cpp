#include <algorithm>

#include "docker/base/text.h"
#include "docker/gateway/exchange.h"

namespace ebbtide::gateway {
namespace {

std::string text_member(const Json& item, const char* name) {
  const auto found = item.find(name);
  return found != item.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

// An answer of the engine, parsed, changed and sent on; one that is not 200 or no JSON as it is.
Task<Exchange::Next> Exchange::rewritten(std::function<void(Json&)> rewrite) {
  const auto answer = co_await call_in_turn("GET");
  if (!answer) co_return co_await answer_error(answer.error());
  auto body = Json::parse(answer->body, nullptr, false);
  if (answer->head.status != 200 || body.is_discarded()) co_return co_await forward(*answer);
  rewrite(body);
  hide_labels(body);
  co_return co_await forward(*answer, body.dump() + "\n");
}

Task<Result<Filters>> Exchange::owner_filters() {
  auto filters = Filters::parse(target_.query.get("filters").value_or(""));
  if (!filters) co_return fail(filters.error());
  if (const auto fair = refuse_reserved_labels(*filters); !fair) co_return fail(fair.error());
  const auto as_given = *filters;
  const auto resolved = co_await with_references([&](const Resolve& resolve) {
    *filters = as_given;
    return resolve_container_filters(*filters, resolve);
  });
  if (!resolved) co_return fail(resolved.error());
  co_return filters;
}

// The engine filtered by label; what bears the label but not the right check inherited it from an image.
void Exchange::keep_own(Json& list, Kind kind) const {
  if (!list.is_array()) return;
  Json kept = Json::array();
  for (auto& item : list) {
    const auto id = text_member(item, kind == Kind::kVolume ? "Name" : "Id");
    const auto known = context_.ledger().find(kind, id);
    bool own = known && known->owner == context_.spec.owner && known->role == Role::kBelonging;
    if (!known && kind != Kind::kContainer) {
      const auto ownership = ownership_of(context_.server_id(), kind, text_member(item, "Name"), labels_of(item));
      own = ownership && ownership->owner == context_.spec.owner && ownership->role == Role::kBelonging;
    }
    if (own) kept.push_back(std::move(item));
  }
  list = std::move(kept);
}

// The engine would match real names. Its filter `id` takes exact ids too; values of one key are alternatives.
bool Exchange::filter_by_id(Filters& filters) const {
  const auto names = filters.get("name");
  if (names.empty()) return true;
  const auto ids = filters.get("id");
  std::vector<std::string> matching;
  for (const auto& own : context_.ledger().of(context_.spec.owner)) {
    const bool wanted = ids.empty() || std::ranges::any_of(ids, [&](const auto& id) { return own.id.starts_with(id); });
    if (own.kind == Kind::kContainer && wanted && matches_name(own.kind, names, own.name)) matching.push_back(own.id);
  }
  filters.remove("name");
  if (matching.empty()) return false;
  filters.set("id", std::move(matching));
  return true;
}

Task<Exchange::Next> Exchange::list_containers() {
  auto filters = co_await owner_filters();
  if (!filters) co_return co_await answer_error(filters.error());
  if (!filter_by_id(*filters)) co_return co_await answer(200, "[]\n");
  add_owner(*filters, context_.server_id(), context_.spec.owner);
  // Without the agent itself: `docker rm -f $(docker ps -aq)` is a habit of jobs.
  filters->add("label", std::string(label::kRole) + "=" + std::string(to_string(Role::kBelonging)));
  target_.query.set("filters", filters->to_text());
  co_return co_await rewritten([this](Json& list) {
    keep_own(list, Kind::kContainer);
    name_references(list, [this](Kind kind, std::string_view id) { return name_of(kind, id); });
  });
}

Task<Exchange::Next> Exchange::list_networks() {
  auto filters = Filters::parse(target_.query.get("filters").value_or(""));
  if (!filters) co_return co_await answer_error(filters.error());
  if (const auto fair = refuse_reserved_labels(*filters); !fair) co_return co_await answer_error(fair.error());
  const auto names = filters->get("name");
  filters->remove("name");
  if (filters->empty())
    target_.query.remove("filters");
  else
    target_.query.set("filters", filters->to_text());
  co_return co_await rewritten([this, names](Json& list) {
    if (!list.is_array()) return;
    Json kept = Json::array();
    for (auto& network : list) {
      if (!matches_name(Kind::kNetwork, names, context_.scope.given_name(text_member(network, "Name")))) continue;
      Json one = Json::array({network});
      keep_own(one, Kind::kNetwork);
      if (one.empty() && !is_predefined_network(text_member(network, "Name"))) continue;
      keep_visible_endpoints(network, [this](Kind kind, std::string_view id) { return is_visible(kind, id); });
      kept.push_back(std::move(network));
    }
    list = std::move(kept);
  });
}

Task<Exchange::Next> Exchange::list_volumes() {
  auto filters = co_await owner_filters();
  if (!filters) co_return co_await answer_error(filters.error());
  auto shared = co_await shared_volumes();
  if (!shared) co_return co_await answer_error(shared.error());
  const auto names = filters->get("name");
  filters->remove("name");
  const bool with_shared = filters->empty();
  add_owner(*filters, context_.server_id(), context_.spec.owner);
  target_.query.set("filters", filters->to_text());
  co_return co_await rewritten([&](Json& answer) {
    if (!answer.is_object() || !answer.contains("Volumes")) return;
    auto& volumes = answer["Volumes"];
    keep_own(volumes, Kind::kVolume);
    if (!volumes.is_array()) volumes = Json::array();
    if (with_shared) volumes.insert(volumes.end(), shared->begin(), shared->end());
    Json kept = Json::array();
    for (auto& volume : volumes)
      if (matches_name(Kind::kVolume, names, in_given_words(text_member(volume, "Name"))))
        kept.push_back(std::move(volume));
    volumes = std::move(kept);
  });
}

// Those of this GoCD server that the profile names.
Task<Result<Json>> Exchange::shared_volumes() {
  const auto& shared = context_.scope.shared();
  Json list = Json::array();
  if (shared.patterns.empty()) co_return list;
  Filters filters;
  filters.add("label", std::string(label::kSharedVolume) + "=" + context_.server_id());
  const auto answer = co_await ask("/volumes?filters=" + percent_encode(filters.to_text()));
  if (!answer) co_return fail(answer.error());
  const auto body = Json::parse(answer->body, nullptr, false);
  if (!body.is_object() || !body.contains("Volumes") || !body["Volumes"].is_array()) co_return list;
  for (const auto& volume : body["Volumes"]) {
    const auto name = text_member(volume, "Name");
    if (name.starts_with(shared.scope) && shared.matches(name.substr(shared.scope.size()))) list.push_back(volume);
  }
  co_return list;
}

// Images are shared: all are shown, but to jobs that are isolated.
Task<Exchange::Next> Exchange::list_images() {
  auto filters = Filters::parse(target_.query.get("filters").value_or(""));
  if (!filters) co_return co_await answer_error(filters.error());
  if (const auto fair = refuse_reserved_labels(*filters); !fair) co_return co_await answer_error(fair.error());
  if (!filters->empty()) target_.query.set("filters", filters->to_text());
  const bool isolated = context_.spec.images == ImageMode::kIsolated;
  const auto own = isolated ? co_await own_images() : std::set<std::string>();
  co_return co_await rewritten([&](Json& list) {
    if (!isolated || !list.is_array()) return;
    Json kept = Json::array();
    for (auto& image : list)
      if (is_own_image(image, labels_of(image), own)) kept.push_back(std::move(image));
    list = std::move(kept);
  });
}

Task<Exchange::Next> Exchange::inspect() {
  const auto kind = *match_.route->kind;
  if (kind == Kind::kImage && !co_await sees_image(match_.object))
    co_return co_await not_found(Kind::kImage, match_.object);
  if (kind == Kind::kImage)
    co_return co_await rewritten([history = match_.route->action == "history"](Json& image) {
      if (history) hide_label_layers(image);
    });
  if (kind == Kind::kNetwork && is_predefined_network(match_.object))
    co_return co_await rewritten([this](Json& network) {
      keep_visible_endpoints(network, [this](Kind each, std::string_view id) { return is_visible(each, id); });
    });
  const auto object = co_await resolve(kind, match_.object);
  if (!object) co_return co_await answer_error(object.error());
  const auto pattern = match_.route->pattern;
  const auto open = pattern.find('{');
  target_.path = std::string(pattern).replace(open, pattern.find('}') + 1 - open, object->id);
  co_return co_await rewritten([this, kind](Json& body) {
    if (kind == Kind::kContainer)
      name_references(body, [this](Kind each, std::string_view id) { return name_of(each, id); });
    if (kind == Kind::kNetwork)
      keep_visible_endpoints(body, [this](Kind each, std::string_view id) { return is_visible(each, id); });
    if (kind == Kind::kContainer) hide_cgroup_parent(body, context_.spec.cgroup_parent);
  });
}

Task<Exchange::Next> Exchange::disk_usage() {
  const auto images = isolates_images() ? co_await visible_images() : std::set<std::string>();
  co_return co_await rewritten([&](Json& usage) {
    const auto visible = [&](Kind kind, std::string_view id) {
      if (kind == Kind::kImage) return images.contains(std::string(id));
      const auto known = context_.ledger().find(kind, id);
      return known && known->owner == context_.spec.owner && known->role == Role::kBelonging;
    };
    reduce_disk_usage(usage, visible);
    if (isolates_images()) reduce_image_usage(usage, visible);
  });
}

Task<Exchange::Next> Exchange::events() {
  auto filters = Filters::parse(target_.query.get("filters").value_or(""));
  if (!filters) co_return co_await answer_error(filters.error());
  if (const auto fair = refuse_reserved_labels(*filters); !fair) co_return co_await answer_error(fair.error());
  // What is gone is known to the engine's past by its real name.
  for (const auto& [key, kind] : {std::pair("container", Kind::kContainer), std::pair("network", Kind::kNetwork),
                                  std::pair("volume", Kind::kVolume)})
    for (const auto& value : filters->get(key)) filters->add(key, context_.scope.real_name(kind, value));
  resolve_event_filters(*filters, [this](Kind kind, std::string_view reference) -> Result<std::string> {
    const auto found = context_.ledger().resolve(context_.spec.owner, kind, reference);
    if (found.outcome == Resolution::Outcome::kFound) return found.belonging.id;
    return fail(Error::not_found(not_found_message(kind, reference)));
  });
  if (!filters->empty()) target_.query.set("filters", filters->to_text());
  if (isolates_images()) context_.seen_images.merge(co_await own_images());
  const std::optional<std::string> no_body;
  auto upstream = co_await send(no_body, false);
  if (!upstream) co_return co_await answer_error(upstream.error());
  if (upstream->head.status != 200) co_return co_await relay_answer(std::move(*upstream));
  co_return co_await stream_events(std::move(*upstream));
}

Task<Exchange::Next> Exchange::stream_events(Upstream upstream) {
  status_ = 200;
  const Counting::Open open(context_.counting.streams);
  http::BodyReader reader({upstream.head.framing, upstream.head.length});
  upstream.head.framing = http::Framing::kChunked;
  upstream.head.keep_alive = head_.keep_alive;
  auto written = co_await client_.write(to_bytes(upstream.head));
  Lines lines;
  const auto visible = [this](Kind kind, std::string_view id) {
    if (kind != Kind::kImage) return is_visible(kind, id);
    return !isolates_images() || context_.seen_images.contains(std::string(id));
  };
  while (written) {
    const auto piece = co_await upstream.connection->read_piece(reader);
    if (!piece || piece->empty()) break;
    std::string own;
    lines.feed(*piece, [&](std::string_view line) {
      const auto event = event_for_owner(line, visible, image_owner());
      if (event) own.append(*event).append("\n");
    });
    own = context_.scope.in_job_words(std::move(own));
    written = co_await client_.write_chunk(own);
  }
  client_state_.upstream = nullptr;
  if (written) written = co_await client_.end_chunks();
  co_return written ? Next::kNextRequest : Next::kClose;
}

}  // namespace ebbtide::gateway
