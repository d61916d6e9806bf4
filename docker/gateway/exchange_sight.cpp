#include <algorithm>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "docker/engine/pull.h"
#include "docker/gateway/exchange.h"
#include "docker/gateway/image.h"

namespace ebbtide::gateway {
namespace {

// Instructions of an image stand in no Dockerfile of their own.
constexpr std::string_view kNoBase = "FROM scratch\n";
constexpr std::size_t kMaxRefusal = 64 << 10;  // an engine's answer that says why it won't pull

Refusal build_image(std::string message) { return {"build-image", std::move(message)}; }

}  // namespace

// Images of the host and of others are there for every job but an isolated one, which sees what it made, loaded or
// pulled. Only what has come to pass counts: a tag that it wished to give, or pull, may be another's.
// One that is not there and one that is not the job's are alike.
Task<bool> Exchange::sees_image(std::string reference) {
  co_return !isolates_images() || !(co_await own_image_id(std::move(reference))).empty();
}

// Its full id; empty: none of the job's.
Task<std::string> Exchange::own_image_id(std::string reference) {
  const auto answer = co_await ask(image_path(reference));
  const auto image = answer && answer->head.status == 200 ? Json::parse(answer->body, nullptr, false) : Json();
  if (!image.is_object()) co_return "";
  const auto own = co_await own_images();
  co_return is_own_image(image, labels_of_image(image), own) ? image.value("Id", std::string()) : std::string();
}

// A name that could mean an id becomes that id: were the name taken away meanwhile, the engine would find another image
// by it.
Task<bool> Exchange::pin_image(std::string& reference) {
  if (!isolates_images()) co_return true;
  auto id = co_await own_image_id(reference);
  if (id.empty()) co_return false;
  if (may_mean_an_id(reference)) reference = std::move(id);
  co_return true;
}

// References of the job's images in a repository.
Task<std::vector<std::string>> Exchange::own_tags(std::string repository) {
  const auto prefix = split_reference(familiar(repository)).repository + ":";
  const auto answer = co_await ask("/images/json");
  const auto images = answer ? Json::parse(answer->body, nullptr, false) : Json();
  const auto own = co_await own_images();
  std::vector<std::string> tags;
  if (!images.is_array()) co_return tags;
  for (const auto& image : images)
    if (image.is_object() && is_own_image(image, labels_of(image), own) && image.value("RepoTags", Json()).is_array())
      for (const auto& tag : image["RepoTags"])
        if (tag.is_string() && tag.get<std::string>().starts_with(prefix)) tags.push_back(tag.get<std::string>());
  co_return tags;
}

// Where they can't be read: rather too little than too much.
Task<std::set<std::string>> Exchange::own_images() {
  const auto seen = co_await off_loop(context_.disk, [this] {
    return context_.watch.store().seen_images(context_.upstream.address().text(), context_.spec.owner);
  });
  co_return seen ? std::set<std::string>(seen->begin(), seen->end()) : std::set<std::string>();
}

// The ids of all that the job sees; not for one that sees all.
Task<std::set<std::string>> Exchange::visible_images() {
  const auto answer = co_await ask("/images/json?all=1");
  const auto images = answer ? Json::parse(answer->body, nullptr, false) : Json();
  const auto own = co_await own_images();
  std::set<std::string> ids;
  if (images.is_array())
    for (const auto& image : images)
      if (image.is_object() && is_own_image(image, labels_of(image), own)) ids.insert(image.value("Id", std::string()));
  co_return ids;
}

bool Exchange::is_own_image(const Json& image, const Labels& labels, const std::set<std::string>& own) const {
  return image_owner_of(context_.server_id(), labels) == context_.spec.owner || own.contains(image.value("Id", ""));
}

Task<std::string> Exchange::image_id(std::string reference) {
  const auto answer = co_await ask(image_path(reference));
  const auto image = answer ? Json::parse(answer->body, nullptr, false) : Json();
  co_return image.is_object() ? image.value("Id", std::string()) : std::string();
}

// The image is the job's own.
Task<void> Exchange::see_image(std::string id) {
  if (!isolates_images() || !is_id(id)) co_return;
  context_.seen_images.insert(id);
  const auto recorded = co_await off_loop(context_.disk, [this, id] {
    return context_.watch.store().record_seen_image(context_.upstream.address().text(), context_.spec.owner, id);
  });
  if (!recorded) log_error("an image that a job sees could not be recorded", {{"error", recorded.error().message}});
}

// The manifests by which each image is known, but for those that only a pull in doubt brought.
Task<Result<Pulls::Facts>> Exchange::known_manifests() {
  Pulls::Facts known;
  const auto doubted = co_await off_loop(
      context_.disk, [this] { return context_.watch.store().doubted_manifests(context_.upstream.address().text()); });
  const auto answer = co_await ask("/images/json?all=1&digests=1");
  const auto images = answer ? Json::parse(answer->body, nullptr, false) : Json();
  // Without them every image would look new.
  if (!doubted) co_return fail(doubted.error());
  if (!images.is_array()) co_return fail(Error::unavailable("the engine does not tell its images: try again"));
  for (const auto& image : images) {
    if (!image.is_object()) continue;
    auto& manifests = known[image.value("Id", std::string())];
    const auto digests = image.value("RepoDigests", Json());
    if (!digests.is_array()) continue;
    for (const auto& digest : digests)
      if (digest.is_string()) manifests.insert(split_reference(digest.get<std::string>()).tag);
    for (const auto& each : *doubted) manifests.erase(each);
  }
  co_return known;
}

// What was there before any pull under way, for see_pulled; nothing where it does not matter.
Task<Result<Pulls::Facts>> Exchange::begin_pull(std::optional<Pulls::Open>& under_way) {
  if (!isolates_images()) co_return Pulls::Facts();
  under_way.emplace(context_.pulls);
  auto known = co_await known_manifests();
  if (!known) co_return known;
  co_return under_way->before(*known);
}

// A registry of the job's own may say of an image that the engine has that it has it too, and the engine believes it
// without a look (moby distribution/pull_v2). One that was there before is the job's only where it is known by the very
// manifest that came.
Task<Result<void>> Exchange::see_pulled(std::string reference, std::vector<std::string> digests, Pulls::Facts before) {
  if (!isolates_images()) co_return Result<void>();
  // "app:1@sha256:…" is in the repository app.
  const auto repository = split_reference(split_reference(familiar(reference)).repository).repository;
  auto all = Result<void>();
  for (const auto& digest : digests) {
    auto id = co_await image_id(repository + "@" + digest);
    const auto known = before.find(id);
    if (known == before.end() || known->second.contains(digest)) {
      co_await see_image(std::move(id));
      continue;
    }
    const auto own = co_await own_image_id(id);
    if (!own.empty()) continue;
    const auto doubted = co_await off_loop(context_.disk, [this, &digest] {
      return context_.watch.store().doubt_manifest(context_.upstream.address().text(), context_.spec.owner, digest);
    });
    if (!doubted) log_error("a manifest in doubt could not be recorded", {{"error", doubted.error().message}});
    all = fail(Error::denied("the engine has the image " + reference +
                             " already, from elsewhere than this registry: whose it is can't be told, so that this job "
                             "doesn't see it"));
  }
  co_return all;
}

bool Exchange::reads_builds() const { return isolates_images() || limits_registries(context_.spec.policy); }

Task<std::optional<Refusal>> Exchange::admit_builds(std::vector<DockerfileBuild> builds, LoginFor login_for) {
  auto named = co_await off_loop(context_.archives, [&builds] { return read_builds(builds); });
  if (!named) co_return build_image(named.error().message);
  co_return co_await admit_images(std::move(*named), std::move(login_for));
}

Task<std::optional<Refusal>> Exchange::admit_images(DockerfileImages named, LoginFor login_for) {
  // Where the engine reads a Dockerfile in another way than we do, a stage of ours may be none of its.
  if (isolates_images())
    for (const auto& stage : named.stages)
      if (co_await hides_image(stage))
        co_return build_image("the stage " + stage +
                              " has the name of an image that is not this job's: give the stage another name");
  for (const auto& reference : named.images) {
    auto refusal = co_await admit_base(reference, login_for);
    if (refusal) co_return refusal;
  }
  co_return std::nullopt;
}

Task<bool> Exchange::hides_image(std::string reference) {
  const auto answer = co_await ask(image_path(reference));
  if (!answer || answer->head.status != 200) co_return !answer;
  const auto image = Json::parse(answer->body, nullptr, false);
  if (!bears(image, reference)) co_return false;
  const auto own = co_await own_images();
  co_return !is_own_image(image, labels_of_image(image), own);
}

// An image that a build stands upon, and what its own instructions take.
Task<std::optional<Refusal>> Exchange::admit_base(std::string reference, const LoginFor& login_for) {
  auto image = co_await admit_image(reference, login_for);
  if (!image) co_return image.error();
  // The engine reads each by itself.
  for (const auto& trigger : triggers_of(*image)) {
    const auto text = std::string(kNoBase) + trigger;
    const auto read = co_await off_loop(context_.archives, [&text] { return read_dockerfile(text, {}); });
    if (!read) co_return build_image("the image " + reference + ": " + read.error().message);
    for (const auto& taken : read->images) {
      const auto admitted = co_await admit_image(taken, login_for);
      if (!admitted) co_return admitted.error();
    }
  }
  co_return std::nullopt;
}

// As inspected; nothing where the builder is to fetch it.
Task<tl::expected<Json, Refusal>> Exchange::admit_image(std::string reference, const LoginFor& login_for) {
  const auto refused = [](Refusal refusal) { return tl::unexpected(std::move(refusal)); };
  if (isolates_images() && may_mean_an_id(reference) && !is_full_id(reference))
    co_return refused(build_image("the image " + reference +
                                  " could be meant by its name or by its id: name it with its tag, or by its full id"));
  for (bool pulled = false;; pulled = true) {
    const auto answer = co_await ask(image_path(reference));
    if (!answer) co_return refused(build_image(answer.error().message));
    auto image = answer->head.status == 200 ? Json::parse(answer->body, nullptr, false) : Json();
    const auto own = co_await own_images();
    const bool is_own = is_own_image(image.is_object() ? image : Json::object(), labels_of_image(image), own);
    if (bears(image, reference)) {
      // What the job gave a registry's name itself, the builder may all the same fetch from there.
      if (is_own && reference.find('/') != std::string::npos)
        if (auto refusal = check_registry(context_.spec.policy, reference)) co_return refused(std::move(*refusal));
      if (is_own || !isolates_images()) co_return image;
    }
    if (auto refusal = check_registry(context_.spec.policy, reference)) co_return refused(std::move(*refusal));
    // What the builder could fetch with its client's login and we can't, it may.
    if (!isolates_images() && (pulled || !co_await pull(reference, login_for))) co_return Json();
    if (!isolates_images()) continue;
    const auto done =
        pulled ? fail(Error::not_found("it is not what was pulled")) : co_await pull(reference, login_for);
    if (!done)
      co_return refused(build_image("the image " + reference +
                                    " is not this job's, and can't be pulled: " + done.error().message +
                                    ". Build it in this job, or docker login to its registry first"));
  }
}

// As the job's own docker pull.
Task<Result<void>> Exchange::pull(std::string reference, const LoginFor& login_for) {
  const auto login = co_await login_for(registry_of(reference));
  std::optional<Pulls::Open> under_way;
  auto before = co_await begin_pull(under_way);
  if (!before) co_return fail(before.error());
  auto recorded = co_await record_reference(reference);
  if (!recorded) co_return fail(recorded.error());
  auto digests = co_await pull_digests(reference, login);
  co_await settle_reference(std::move(*recorded), !digests);
  if (!digests) co_return fail(digests.error());
  co_return co_await see_pulled(std::move(reference), std::move(*digests), std::move(*before));
}

Task<Result<std::vector<std::string>>> Exchange::pull_digests(std::string reference, const Json& login) {
  auto lease = co_await context_.upstream.acquire(true);
  if (!lease) co_return fail(lease.error());
  auto& connection = *lease->connection;
  client_state_.pulls.insert(&connection);
  if (client_state_.gone) connection.close();
  auto digests = co_await pull_over(connection, std::move(reference), login);
  client_state_.pulls.erase(&connection);
  co_return digests;
}

Task<Result<std::vector<std::string>>> Exchange::pull_over(http::Connection& connection, std::string reference,
                                                           const Json& login) {
  http::RequestHead head{.method = "POST", .target = in_version(pull_target({.reference = reference, .platform = {}}))};
  head.fields.add("Content-Length", "0");
  if (!login.is_null()) head.fields.add("X-Registry-Auth", registry_auth(login));
  const auto written = co_await connection.write(to_bytes(head));
  if (!written) co_return fail(written.error());
  const auto answered = co_await connection.read_response_head("POST");
  if (!answered) co_return fail(answered.error());
  http::BodyReader body({answered->framing, answered->length});
  if (answered->status >= 400) {
    const auto why = co_await connection.read_body(body.frame, kMaxRefusal);
    const auto message = why ? Json::parse(*why, nullptr, false) : Json();
    co_return fail(
        Error::not_found(message.is_object() ? message.value("message", *why) : "the engine doesn't say why"));
  }
  PullReader reader;
  while (true) {
    const auto piece = co_await connection.read_piece(body);
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) break;
    reader.feed(*piece);
  }
  if (!reader.error().empty()) co_return fail(Error::not_found(reader.error()));
  co_return reader.digests();
}

}  // namespace ebbtide::gateway
