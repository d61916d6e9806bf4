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
Task<bool> Exchange::sees_image(std::string reference) {
  if (!isolates_images()) co_return true;
  const auto answer = co_await ask(image_path(reference));
  if (!answer || answer->head.status != 200) co_return true;  // the engine says what is wrong
  const auto own = co_await own_images();
  const auto image = Json::parse(answer->body, nullptr, false);
  co_return image.is_object() && is_own_image(image, labels_of_image(image), own);
}

Task<std::set<std::string>> Exchange::own_images() {
  auto own = co_await off_loop(context_.disk, [this] {
    std::set<std::string> ids;
    const auto engine = context_.upstream.address().text();
    // Where they can't be read: rather too little than too much.
    if (const auto seen = context_.watch.store().seen_images(engine, context_.spec.owner))
      ids.insert(seen->begin(), seen->end());
    if (const auto records = context_.watch.store().images_of(engine, context_.spec.owner))
      for (const auto& record : *records)
        if (is_id(record.reference) && !record.existed_before) ids.insert(record.reference);
    return ids;
  });
  co_return own;
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

// What the reference, or the id, means now is the job's own.
Task<void> Exchange::see_image(std::string reference) {
  if (!isolates_images()) co_return;
  const auto answer = co_await ask(image_path(reference));
  const auto image = answer ? Json::parse(answer->body, nullptr, false) : Json();
  const auto id = image.is_object() ? image.value("Id", std::string()) : std::string();
  if (!is_id(id)) co_return;
  context_.seen_images.insert(id);
  const auto recorded = co_await off_loop(context_.disk, [this, id] {
    return context_.watch.store().record_seen_image(context_.upstream.address().text(), context_.spec.owner, id);
  });
  if (!recorded) log_error("an image that a job sees could not be recorded", {{"error", recorded.error().message}});
}

Task<void> Exchange::see_pulled(std::string reference, std::vector<std::string> digests) {
  const auto repository = split_reference(familiar(reference)).repository;
  for (const auto& digest : digests) co_await see_image(split_reference(repository).repository + "@" + digest);
}

bool Exchange::reads_builds() const { return isolates_images() || limits_registries(context_.spec.policy); }

Task<std::optional<Refusal>> Exchange::admit_builds(std::vector<DockerfileBuild> builds,
                                                    std::map<std::string, Json> logins) {
  auto named = co_await off_loop(context_.archives, [&builds] { return read_builds(builds); });
  if (!named) co_return build_image(named.error().message);
  co_return co_await admit_images(std::move(*named), std::move(logins));
}

Task<std::optional<Refusal>> Exchange::admit_images(DockerfileImages named, std::map<std::string, Json> logins) {
  // Where the engine reads a Dockerfile in another way than we do, a stage of ours may be none of its.
  if (isolates_images())
    for (const auto& stage : named.stages)
      if (co_await hides_image(stage))
        co_return build_image("the stage " + stage +
                              " has the name of an image that is not this job's: give the stage another name");
  for (const auto& reference : named.images) {
    auto refusal = co_await admit_base(reference, logins);
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
Task<std::optional<Refusal>> Exchange::admit_base(std::string reference, const std::map<std::string, Json>& logins) {
  auto image = co_await admit_image(reference, logins);
  if (!image) co_return image.error();
  const auto text = std::string(kNoBase) + join(triggers_of(*image), "\n");
  const auto triggers = co_await off_loop(context_.archives, [&text] { return read_dockerfile(text, {}); });
  if (!triggers) co_return build_image("the image " + reference + ": " + triggers.error().message);
  for (const auto& taken : triggers->images) {
    const auto admitted = co_await admit_image(taken, logins);
    if (!admitted) co_return admitted.error();
  }
  co_return std::nullopt;
}

// As inspected; nothing where the builder is to fetch it.
Task<tl::expected<Json, Refusal>> Exchange::admit_image(std::string reference,
                                                        const std::map<std::string, Json>& logins) {
  const auto refused = [](Refusal refusal) { return tl::unexpected(std::move(refusal)); };
  for (bool pulled = false;; pulled = true) {
    const auto answer = co_await ask(image_path(reference));
    if (!answer) co_return refused(build_image(answer.error().message));
    auto image = answer->head.status == 200 ? Json::parse(answer->body, nullptr, false) : Json();
    if (bears(image, reference)) {
      if (!isolates_images()) co_return image;
      const auto own = co_await own_images();
      if (is_own_image(image, labels_of_image(image), own)) co_return image;
    }
    if (auto refusal = check_registry(context_.spec.policy, reference)) co_return refused(std::move(*refusal));
    if (!isolates_images()) co_return Json();
    const auto done = pulled ? fail(Error::not_found("it is not what was pulled")) : co_await pull(reference, logins);
    if (!done)
      co_return refused(build_image("the image " + reference +
                                    " is not this job's, and can't be pulled: " + done.error().message +
                                    ". Build it in this job, or docker pull it, with a docker login if it needs one"));
  }
}

// As the job's own docker pull.
Task<Result<void>> Exchange::pull(std::string reference, const std::map<std::string, Json>& logins) {
  auto recorded = co_await record_reference(reference);
  if (!recorded) co_return fail(recorded.error());
  auto digests = co_await pull_digests(reference, logins);
  co_await settle_reference(std::move(*recorded));
  if (!digests) co_return fail(digests.error());
  co_await see_pulled(std::move(reference), std::move(*digests));
  co_return Result<void>();
}

Task<Result<std::vector<std::string>>> Exchange::pull_digests(std::string reference,
                                                              const std::map<std::string, Json>& logins) {
  auto lease = co_await context_.upstream.acquire(true);
  if (!lease) co_return fail(lease.error());
  auto& connection = *lease->connection;
  client_state_.pulls.insert(&connection);
  if (client_state_.gone) connection.close();
  auto digests = co_await pull_over(connection, std::move(reference), logins);
  client_state_.pulls.erase(&connection);
  co_return digests;
}

Task<Result<std::vector<std::string>>> Exchange::pull_over(http::Connection& connection, std::string reference,
                                                           const std::map<std::string, Json>& logins) {
  http::RequestHead head{.method = "POST", .target = in_version(pull_target({.reference = reference, .platform = {}}))};
  head.fields.add("Content-Length", "0");
  if (const auto login = logins.find(registry_of(reference)); login != logins.end())
    head.fields.add("X-Registry-Auth", registry_auth(login->second));
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
