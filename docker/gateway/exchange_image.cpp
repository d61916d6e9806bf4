#include <algorithm>
#include <map>
#include <set>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "docker/engine/pull.h"
#include "docker/gateway/exchange.h"
#include "docker/gateway/image.h"

namespace ebbtide::gateway {
namespace {

std::string repo_and_tag(const http::Query& query) {
  const auto repo = std::string(query.get("repo").value_or(""));
  const auto tag = std::string(query.get("tag").value_or(""));
  return repo.empty() || tag.empty() ? repo : repo + ":" + tag;
}

}  // namespace

Task<Result<bool>> Exchange::record_image(ImageRecord record) {
  record.engine = context_.upstream.address().text();
  record.owner = context_.spec.owner;
  Belonging belonging{.kind = Kind::kImage,
                      .id = record.reference,
                      .name = record.reference,
                      .real_name = record.reference,
                      .owner = record.owner,
                      .created = std::chrono::system_clock::now()};
  const bool is_new = !record.existed_before;
  const auto recorded = co_await off_loop(
      context_.disk, [this, record = std::move(record)] { return context_.watch.store().record_image(record); });
  if (recorded && is_new) context_.ledger().claim(std::move(belonging));
  co_return recorded;
}

// Images that were there before any job, as the host's base images, aren't a job's to replace: others build upon them.
Task<Result<void>> Exchange::check_replaced(const ImageRecord& record, const Json& image) {
  const bool trusted = context_.spec.policy.level == PolicyLevel::kTrusted;
  if (trusted || !record.existed_before) co_return Result<void>();
  const auto labels = labels_of_image(image);
  const auto owner = labels.find(label::kImageAgent);
  if (owner != labels.end() && !owner->second.empty()) co_return Result<void>();
  const auto jobs = co_await off_loop(context_.disk, [this, reference = record.reference] {
    return context_.watch.store().image_is_a_jobs(context_.upstream.address().text(), reference);
  });
  if (!jobs) co_return fail(jobs.error());
  if (*jobs) co_return Result<void>();
  co_return fail(Error::denied("the image " + record.reference +
                               " was on the engine before this job, and others may build upon it: give what you make "
                               "another name or tag"));
}

Task<Exchange::Next> Exchange::answer_image_error(const Error& error) {
  if (error.kind == ErrorKind::kDenied) return refuse({"protected-image", error.message});
  return answer_error(error);
}

Task<Result<Exchange::Claim>> Exchange::record_reference(std::string reference, bool replaces) {
  // No name begins like an id.
  if (!owns_images() || reference.empty() || is_id(familiar(reference))) co_return Claim();
  reference = familiar(reference);
  const auto present = co_await ask(image_path(reference));
  if (!present) co_return fail(present.error());
  // No image can have it; the engine says so.
  if (present->head.status == 400) co_return Claim();
  ImageRecord record{.engine = {}, .owner = {}, .reference = reference, .existed_before = present->head.status == 200};
  if (record.existed_before) {
    const auto image = Json::parse(present->body, nullptr, false);
    if (image.is_object()) record.previous_image_id = image.value("Id", std::string());
    const auto allowed = replaces ? co_await check_replaced(record, image) : Result<void>();
    if (!allowed) co_return fail(allowed.error());
  }
  const auto recorded = co_await record_image(record);
  if (!recorded) co_return fail(recorded.error());
  if (isolates_images()) context_.seen_images.insert(record.reference);
  co_return Claim{.record = std::move(record), .first = *recorded};
}

// A reference that has come to mean nothing is nobody's: whoever gives it later must not lose it with this job. One
// that means what it did before a request that failed is not this job's either: whose it is could not remove it. One
// that means something is recorded again: another request for it may have failed meanwhile.
Task<void> Exchange::settle_reference(Claim claim, bool failed) {
  auto& record = claim.record;
  if (record.reference.empty() || (record.existed_before && !(failed && claim.first))) co_return;
  const auto present = co_await ask(image_path(record.reference));
  if (!present || (present->head.status != 404 && present->head.status != 200)) co_return;
  const auto image = Json::parse(present->body, nullptr, false);
  const auto id = present->head.status == 200 && image.is_object() ? image.value("Id", std::string()) : std::string();
  if (!id.empty() && id != record.previous_image_id) {
    const auto recorded = co_await record_image(record);
    if (!recorded) log_error("an image could not be recorded again", {{"error", recorded.error().message}});
    co_return;
  }
  const auto forgotten = co_await off_loop(context_.disk, [this, reference = record.reference] {
    return context_.watch.store().forget_image(context_.upstream.address().text(), context_.spec.owner, reference);
  });
  context_.ledger().forget(Kind::kImage, record.reference);
  context_.seen_images.erase(record.reference);
  if (!forgotten) log_error("the record of an image could not be forgotten", {{"error", forgotten.error().message}});
}

Task<void> Exchange::settle_references(std::vector<Claim> claims) {
  for (auto& claim : claims) co_await settle_reference(std::move(claim));
}

Task<Exchange::Next> Exchange::relay_watched(Upstream upstream, std::function<std::string(std::string_view)> watch,
                                             std::function<Task<void>()> finish) {
  status_ = upstream.head.status;
  const Counting::Open open(context_.counting.streams);
  http::BodyReader reader({upstream.head.framing, upstream.head.length});
  if (upstream.head.framing != http::Framing::kNone) upstream.head.framing = http::Framing::kChunked;
  upstream.head.keep_alive = head_.keep_alive;
  auto written = co_await client_.write(to_bytes(upstream.head));
  const bool has_body = upstream.head.framing == http::Framing::kChunked;
  while (written && has_body) {
    const auto piece = co_await upstream.connection->read_piece(reader);
    if (!piece) {
      written = fail(piece.error());
      break;
    }
    const bool last = piece->empty();
    if (last) co_await finish();
    const auto shown = watch(*piece);
    written = co_await client_.write_chunk(shown);
    if (last) break;
  }
  client_state_.upstream = nullptr;
  if (written && has_body) written = co_await client_.end_chunks();
  co_return written ? Next::kNextRequest : Next::kClose;
}

Task<Exchange::Next> Exchange::pull_image() {
  if (const auto refusal = check_pull(context_.spec.policy, target_.query)) co_return co_await refuse(*refusal);
  const auto create = context_.ledger().begin_create(context_.spec.owner);
  if (!create) co_return co_await answer_error(Error::unavailable("this agent is ending: nothing new can be pulled"));
  if (target_.query.get("fromSrc")) co_return co_await import_image();
  auto reference = std::string(target_.query.get("fromImage").value_or(""));
  const auto tag = target_.query.get("tag").value_or("");
  if (!tag.empty()) reference += (tag.find(':') == std::string_view::npos ? ":" : "@") + std::string(tag);
  std::optional<Pulls::Open> under_way;
  auto before = co_await begin_pull(under_way);
  if (!before) co_return co_await answer_error(before.error());
  auto recorded = co_await record_reference(reference);
  if (!recorded) co_return co_await answer_error(recorded.error());
  if (!owns_images()) co_return co_await relay(false);
  const std::optional<std::string> no_body;
  auto upstream = co_await send(no_body, false);
  if (!upstream) co_return co_await answer_error(upstream.error());
  if (upstream->head.status >= 400) {
    co_await settle_reference(std::move(*recorded), true);
    co_return co_await relay_error(std::move(*upstream));
  }
  PullReader lines;
  std::string refusal;
  const auto watch = [&](std::string_view piece) {
    if (isolates_images()) lines.feed(piece);
    return piece.empty() ? refusal : std::string(piece);
  };
  // The client may run it as soon as it has heard of the end.
  const auto finish = [&]() -> Task<void> {
    co_await settle_reference(*recorded, !lines.error().empty());
    const auto seen = co_await see_pulled(reference, lines.digests(), std::move(*before));
    if (!seen) refusal = error_line(seen.error().message);
  };
  co_return co_await relay_watched(std::move(*upstream), watch, finish);
}

Task<Exchange::Next> Exchange::import_image() {
  if (const auto stamped = stamp_changes(target_.query, image_owner()); !stamped)
    co_return co_await answer_error(stamped.error());
  auto recorded = co_await record_reference(repo_and_tag(target_.query), true);
  if (!recorded) co_return co_await answer_image_error(recorded.error());
  const auto next = co_await relay(true);
  co_await settle_reference(std::move(*recorded));
  co_return next;
}

Task<Exchange::Next> Exchange::build() {
  if (const auto refusal = check_build(context_.spec.policy, target_.query)) co_return co_await refuse(*refusal);
  const auto create = context_.ledger().begin_create(context_.spec.owner);
  if (!create) co_return co_await answer_error(Error::unavailable("this agent is ending: nothing new can be built"));
  const auto as_given = target_.query;
  const auto resolved = co_await with_references([&](const Resolve& resolve) {
    target_.query = as_given;
    return resolve_build_references(target_.query, resolve);
  });
  if (!resolved) co_return co_await answer_error(resolved.error());
  if (const auto stamped = stamp_build(target_.query, image_owner()); !stamped)
    co_return co_await answer_error(stamped.error());
  if (isolates_images()) target_.query.set("nocache", "1");
  put_build_limits(context_.spec.limits, context_.spec.cgroup_parent, target_.query);
  const bool buildkit = is_buildkit_build();
  if (buildkit) {
    const auto prepared = co_await prepare_buildkit_build();
    if (!prepared) co_return co_await answer_error(prepared.error());
  }
  if (!reads_builds()) co_return co_await build_from(std::nullopt);
  if (buildkit) {
    const auto refusal = co_await admit_buildkit_build();
    co_return refusal ? co_await refuse(*refusal) : co_await build_from(std::nullopt);
  }
  co_return co_await await_turn() ? co_await read_and_build() : Next::kClose;
}

Task<Exchange::Next> Exchange::read_and_build() {
  std::optional<KeptContext> context;
  const auto refusal = co_await admit_context(context);
  if (!refusal) co_return co_await answer_error(refusal.error());
  if (*refusal) co_return co_await refuse(**refusal);
  co_return co_await build_from(std::move(context));
}

// context: in place of the client's body.
Task<Exchange::Next> Exchange::build_from(std::optional<KeptContext> context) {
  std::vector<Claim> recorded;
  for (const auto& tag : target_.query.get_all("t")) {
    auto record = co_await record_reference(tag, true);
    if (!record) co_return co_await answer_image_error(record.error());
    recorded.push_back(std::move(*record));
  }
  const auto next = co_await relay_build(context);
  co_await settle_references(std::move(recorded));
  co_return next;
}

Task<Exchange::Next> Exchange::relay_build(std::optional<KeptContext>& context) {
  const bool buildkit = is_buildkit_build();
  const auto began = std::chrono::system_clock::now();
  const std::optional<std::string> no_body;
  auto upstream = context ? co_await send_context(context->archive) : co_await send(no_body, true);
  context.reset();  // another's turn
  if (!upstream) co_return co_await answer_error(upstream.error());
  if (upstream->head.status >= 400) co_return co_await relay_error(std::move(*upstream));
  BuildLines lines(target_.query.flag("q"));
  BuildView view;
  std::vector<std::string> steps;
  const auto next = co_await relay_watched(std::move(*upstream), [&](std::string_view piece) {
    lines.feed(piece);
    for (auto& id : lines.take_steps()) steps.push_back(std::move(id));
    if (!owns_images() || buildkit) return std::string(piece);
    return piece.empty() ? view.finish() : view.feed(piece);
  });
  lines.finish();
  // A finished image bears our label, and takes its steps with it; those of a failed or broken build go by their ids.
  if (!lines.result() && owns_images()) co_await record_steps(std::move(steps), began);
  co_return next;
}

// The ids come from text that a RUN could have printed: only images made since the build began are believed, and none
// that somebody gave a name or a label. They go with the job, but are no more its own to see for it.
Task<void> Exchange::record_steps(std::vector<std::string> ids, TimePoint began) {
  constexpr std::size_t kMostSteps = 200;
  if (ids.size() > kMostSteps) ids.resize(kMostSteps);
  for (const auto& id : ids) {
    const auto answer = co_await ask("/images/" + percent_encode(id) + "/json");
    if (!answer || answer->head.status != 200) continue;
    const auto image = Json::parse(answer->body, nullptr, false);
    if (!image.is_object()) continue;
    const auto created = parse_rfc3339(image.value("Created", std::string()));
    if (!created || *created < began) continue;
    const auto owner = image_owner_of(context_.server_id(), labels_of_image(image));
    if ((owner && owner != context_.spec.owner) || !image.value("RepoTags", Json::array()).empty()) continue;
    ImageRecord record{.engine = {}, .owner = {}, .reference = image.value("Id", std::string())};
    if (const auto recorded = co_await record_image(std::move(record)); !recorded)
      log_error("an image of a failed build could not be recorded", {{"error", recorded.error().message}});
  }
}

Task<Exchange::Next> Exchange::commit() {
  const auto container = co_await resolve(Kind::kContainer, std::string(target_.query.get("container").value_or("")));
  if (!container) co_return co_await answer_error(container.error());
  auto body = co_await read_model(ModelName::kCommit);
  if (!body) co_return co_await answer_error(body.error());
  const auto create = context_.ledger().begin_create(context_.spec.owner);
  if (!create) co_return co_await answer_error(Error::unavailable("this agent is ending: nothing new can be made"));
  target_.query.set("container", container->id);
  // The engine takes the container's whole config only where it is given none, and labels are one.
  if (body->empty()) {
    const auto inspected = co_await ask("/containers/" + container->id + "/json");
    if (!inspected) co_return co_await answer_error(inspected.error());
    const auto detail = Json::parse(inspected->body, nullptr, false);
    if (detail.is_object() && detail.contains("Config") && detail["Config"].is_object()) body = detail["Config"];
  }
  // Always: the container's own labels would make what is started from the image look owned.
  put_commit_labels(*body, image_owner());
  if (const auto stamped = stamp_changes(target_.query, image_owner()); !stamped)
    co_return co_await answer_error(stamped.error());
  auto recorded = co_await record_reference(repo_and_tag(target_.query), true);
  if (!recorded) co_return co_await answer_image_error(recorded.error());
  const auto answer = co_await call("POST", body->dump());
  if (answer && answer->head.status >= 400) co_await settle_reference(std::move(*recorded));
  if (!answer) co_return co_await answer_error(answer.error());
  co_return co_await forward(*answer);
}

Task<Exchange::Next> Exchange::load_images() {
  const auto create = context_.ledger().begin_create(context_.spec.owner);
  if (!create) co_return co_await answer_error(Error::unavailable("this agent is ending: nothing new can be loaded"));
  // What an archive holds is known only when it has been loaded: so what was there before is asked first.
  Loads::Open under_way(context_.loads);
  Loads::Facts before;
  const auto images = co_await ask("/images/json");
  if (!images) co_return co_await answer_error(images.error());
  for (const auto& image : Json::parse(images->body, nullptr, false)) {
    if (!image.is_object()) continue;
    const auto id = image.value("Id", std::string());
    before[id] = id;
    if (image.contains("RepoTags") && image["RepoTags"].is_array())
      for (const auto& tag : image["RepoTags"]) before[tag.get<std::string>()] = id;
  }
  before = under_way.before(before);
  FileDigests files;
  auto upstream = co_await send_archive(files);
  if (!upstream) co_return co_await answer_error(upstream.error());
  if (upstream->head.status >= 400) co_return co_await relay_error(std::move(*upstream));
  LoadLines lines;
  std::string refusals;
  LoadView view;
  const auto watch = [&](std::string_view piece) {
    lines.feed(piece);
    if (!isolates_images()) return piece.empty() ? refusals : std::string(piece);
    return piece.empty() ? view.finish() + refusals : view.feed(piece);
  };
  const auto finish = [&]() -> Task<void> {
    lines.finish();
    for (const auto& each : lines.take()) {
      co_await record_loaded(each, before);
      co_await see_loaded(each, before, files);
      if (const auto refused = co_await put_back(each, before); !refused.empty()) refusals += error_line(refused);
    }
  };
  co_return co_await relay_watched(std::move(*upstream), watch, finish);
}

// Only an isolated job's is looked into.
Task<Result<Exchange::Upstream>> Exchange::send_archive(FileDigests& files) {
  const std::optional<std::string> no_body;
  if (!isolates_images()) co_return co_await send(no_body, true);
  co_return co_await send_seen([&files](std::string_view piece) { files.feed(piece); });
}

// By the name that it was loaded under. Where others' loads take and give back the same name meanwhile (put_back), it
// may mean an image that was there before: then it is the job's where its own archive has it.
Task<void> Exchange::see_loaded(std::string reference, const std::map<std::string, std::string>& before,
                                const FileDigests& sent) {
  if (!isolates_images()) co_return;
  auto id = co_await image_id(reference);
  const bool is_new = is_id(reference) || !before.contains(reference) || !before.contains(id);
  if (is_new || sent.contains(id)) co_await see_image(std::move(id));
}

// What a load has replaced though no job may; why, or nothing.
Task<std::string> Exchange::put_back(std::string reference, const std::map<std::string, std::string>& before) {
  const auto known = before.find(reference);
  if (!owns_images() || is_id(reference) || known == before.end()) co_return "";
  const auto now = co_await ask(image_path(reference));
  const auto meant = now ? Json::parse(now->body, nullptr, false) : Json();
  if (meant.is_object() && meant.value("Id", std::string()) == known->second) co_return "";
  const auto was = co_await ask(image_path(known->second));
  const auto image = was ? Json::parse(was->body, nullptr, false) : Json();
  const ImageRecord record{.engine = {}, .owner = {}, .reference = familiar(reference), .existed_before = true};
  const auto allowed = co_await check_replaced(record, image);
  if (allowed || allowed.error().kind != ErrorKind::kDenied) co_return "";
  const auto name = split_reference(reference);
  auto target = in_version("/images/" + percent_encode(known->second, ":") +
                           "/tag?repo=" + percent_encode(name.repository) + "&tag=" + percent_encode(name.tag));
  const auto tagged = co_await context_.upstream.call("POST", std::move(target));
  if (!tagged || tagged->head.status >= 400)
    log_error("a tag that a load has replaced could not be put back", {{"image", reference}});
  rule_ = "protected-image";
  co_return allowed.error().message + " (rule: protected-image)";
}

// What a reference means now is recorded too where it meant something else before, so that the reaper can tell.
Task<void> Exchange::record_loaded(std::string reference, const std::map<std::string, std::string>& before) {
  if (!owns_images()) co_return;
  const auto known = before.find(reference);
  std::vector<ImageRecord> records;
  if (known != before.end() && !is_id(reference)) {
    const auto answer = co_await ask(image_path(reference));
    const auto image = answer ? Json::parse(answer->body, nullptr, false) : Json();
    const auto now = image.is_object() ? image.value("Id", std::string()) : std::string();
    if (!now.empty() && now != known->second)
      records.push_back({.engine = {}, .owner = {}, .reference = now, .existed_before = before.contains(now)});
  }
  records.push_back({.engine = {},
                     .owner = {},
                     .reference = is_id(reference) ? reference : familiar(reference),
                     .existed_before = known != before.end(),
                     .previous_image_id = known != before.end() ? known->second : ""});
  for (auto& record : records)
    if (const auto recorded = co_await record_image(std::move(record)); !recorded)
      log_error("a loaded image could not be recorded", {{"error", recorded.error().message}});
}

Task<Exchange::Next> Exchange::tag_image() {
  const auto create = context_.ledger().begin_create(context_.spec.owner);
  if (!create) co_return co_await answer_error(Error::unavailable("this agent is ending: nothing new can be made"));
  auto source = match_.object;
  if (!co_await pin_image(source)) co_return co_await not_found(Kind::kImage, match_.object);
  if (source != match_.object) target_.path = "/images/" + source + "/tag";
  auto recorded = co_await record_reference(repo_and_tag(target_.query), true);
  if (!recorded) co_return co_await answer_image_error(recorded.error());
  const auto next = co_await relay(false);
  if (status_ >= 400) co_await settle_reference(std::move(*recorded));
  co_return next;
}

Task<Result<bool>> Exchange::may_remove_image(const std::string& reference) {
  const auto records = co_await off_loop(context_.disk, [this] {
    return context_.watch.store().images_of(context_.upstream.address().text(), context_.spec.owner);
  });
  if (!records) co_return fail(records.error());
  const auto wanted = is_id(reference) ? reference : familiar(reference);
  for (const auto& record : *records)
    if (!record.existed_before && record.reference == wanted)
      co_return co_await off_loop(context_.disk, [this, wanted]() -> Result<bool> {
        const auto others = context_.watch.store().image_wanted_by_others(context_.upstream.address().text(),
                                                                          context_.spec.owner, wanted);
        return others ? Result<bool>(!*others) : fail(others.error());
      });
  const auto answer = co_await ask(image_path(reference));
  if (!answer) co_return fail(answer.error());
  const auto image = Json::parse(answer->body, nullptr, false);
  if (answer->head.status != 200 || !image.is_object()) co_return true;  // the engine says that there is none
  if (image_owner_of(context_.server_id(), labels_of_image(image)) != context_.spec.owner) {
    // By id: also where every reference is the owner's, as after docker pull.
    if (!image.contains("RepoTags") || !image["RepoTags"].is_array() || image["RepoTags"].empty()) co_return false;
    for (const auto& tag : image["RepoTags"]) {
      const auto own = std::ranges::any_of(*records, [&](const ImageRecord& record) {
        return !record.existed_before && record.reference == tag.get<std::string>();
      });
      if (!own) co_return false;
    }
  }
  co_return true;
}

Task<Exchange::Next> Exchange::remove_image() {
  if (!co_await sees_image(match_.object)) co_return co_await not_found(Kind::kImage, match_.object);
  const auto allowed = co_await may_remove_image(match_.object);
  if (!allowed) co_return co_await answer_error(allowed.error());
  if (!*allowed)
    co_return co_await refuse({"shared-image", "the image " + match_.object +
                                                   " was on the engine before this job, or is another's: it can't be "
                                                   "removed from here"});
  const auto answer = co_await call("DELETE");
  if (!answer) co_return co_await answer_error(answer.error());
  if (answer->head.status == 200) note_removed_images(Json::parse(answer->body, nullptr, false));
  co_return co_await forward(*answer);
}

}  // namespace ebbtide::gateway
