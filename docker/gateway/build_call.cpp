#include "docker/gateway/build_call.h"

#include <algorithm>
#include <array>

#include "docker/base/log.h"
#include "docker/base/text.h"

namespace ebbtide::gateway {
namespace {

constexpr std::size_t kMaxMessage = 32 << 20;  // the engine itself takes 16 MiB
constexpr std::size_t kMostHeld = 64 << 20;    // of all calls of a connection
constexpr std::size_t kMaxPath = 200;          // more than any call's that there is, and short enough for the log
constexpr std::string_view kBuildId = "buildkit-controlapi-buildid";
constexpr std::string_view kSessionPrefix = "x-docker-expose-session-";
constexpr std::string_view kSessionId = "x-docker-expose-session-uuid";
constexpr std::string_view kSharedKey = "x-docker-expose-session-sharedkey";

// What goes on of a call's head.
bool is_known(std::string_view name) {
  constexpr std::array<std::string_view, 13> kKnown = {
      ":method",     ":scheme", ":path",      ":authority", "content-type",        "te", "user-agent", "grpc-timeout",
      "traceparent", kBuildId,  "tracestate", "baggage",    "grpc-accept-encoding"};
  return std::ranges::find(kKnown, name) != kKnown.end();
}

std::size_t count_of(const grpc::Headers& headers, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count(headers, name, &http::Field::name));
}

void set(grpc::Headers& headers, std::string_view name, std::string value) {
  std::erase_if(headers, [&](const http::Field& field) { return field.name == name; });
  headers.push_back({std::string(name), std::move(value)});
}

// For the counts and the log, which speak of HTTP.
int status_of(grpc::Code code) {
  switch (code) {
    case grpc::Code::kOk:
      return 200;
    case grpc::Code::kInvalidArgument:
      return 400;
    case grpc::Code::kPermissionDenied:
      return 403;
    case grpc::Code::kNotFound:
    case grpc::Code::kUnimplemented:
      return 404;
    case grpc::Code::kAlreadyExists:
      return 409;
    case grpc::Code::kResourceExhausted:
      return 413;
    case grpc::Code::kUnavailable:
      return 503;
    case grpc::Code::kInternal:
      return 500;
  }
  return 500;
}

bool changes(CallHandling handling) { return handling == CallHandling::kSolve || handling == CallHandling::kSession; }

}  // namespace

BuildCall::BuildCall(Exchange& exchange, std::shared_ptr<grpc::Stream> client, grpc::Http2& engine, std::size_t& held)
    : exchange_(exchange),
      context_(exchange.context_),
      client_(std::move(client)),
      engine_(engine),
      held_(held),
      path_(grpc::value_of(client_->head(), ":path").substr(0, kMaxPath)),
      route_(find_call(path_)) {}

Task<void> BuildCall::run() {
  auto record = begin_audit(context_, exchange_.client_, exchange_.client_state_);
  co_await dispatch();
  note(std::move(record));
}

void BuildCall::note(AuditRecord record) {
  const auto status = status_of(code_);
  context_.counting.request("POST", route_ == nullptr ? "/grpc" : "/grpc" + std::string(route_->path), status);
  if (!rule_.empty()) context_.counting.refusal(rule_);
  if (rule_.empty() && (route_ == nullptr || !changes(route_->handling))) return;
  record.method = "POST";
  record.path = "/grpc" + path_;
  if (!rule_.empty())
    log_info("docker request refused", {{"agent", context_.spec.owner},
                                        {"caller", record.caller},
                                        {"method", record.method},
                                        {"path", record.path},
                                        {"rule", rule_}});
  record.objects = std::move(images_);
  record.rule = rule_;
  record.status = status;
  const auto taken = std::chrono::system_clock::now() - record.time;
  record.duration = std::chrono::duration_cast<std::chrono::milliseconds>(taken);
  context_.watch.store().audit().add(std::move(record));
}

void BuildCall::fail_with(grpc::Code code, std::string_view message) {
  code_ = code;
  grpc::answer_error(*client_, code, message);
}

void BuildCall::refuse(const Refusal& refusal) {
  rule_ = refusal.rule;
  fail_with(grpc::Code::kPermissionDenied, refusal.message + " (rule: " + refusal.rule + ")");
}

Task<void> BuildCall::dispatch() {
  if (context_.refusing) {
    fail_with(grpc::Code::kUnavailable, "this agent is ending: its gateway takes no new requests");
  } else if (route_ == nullptr) {
    refuse({"endpoint", "the call " + path_ + " of BuildKit is not available to jobs"});
  } else if (!engine_head()) {
    fail_with(grpc::Code::kInvalidArgument, "the call must be of one build");
  } else {
    co_await dispatch_checked();
  }
}

Task<void> BuildCall::dispatch_checked() {
  switch (route_->handling) {
    case CallHandling::kPass:
      return pass();
    case CallHandling::kInspect:
    case CallHandling::kSolve:
      return inspect();
    case CallHandling::kSession:
      return session();
    case CallHandling::kEmptyMessage:
      return empty(false);
    case CallHandling::kEmptyStream:
      return empty(true);
  }
  return empty(true);
}

// The head as the engine gets it; nothing if it does not say which build it is of, or says so twice.
std::optional<grpc::Headers> BuildCall::engine_head() {
  grpc::Headers head;
  for (const auto& field : client_->head())
    if (is_known(field.name)) head.push_back(field);
  const auto ids = count_of(head, kBuildId);
  if (ids > 1 || (ids == 0 && is_of_a_build(path_))) return std::nullopt;
  if (ids == 1)
    set(head, kBuildId,
        own_build_id(context_.server_id(), context_.spec.owner, grpc::value_of(client_->head(), kBuildId)));
  return head;
}

std::shared_ptr<grpc::Stream> BuildCall::open_with(grpc::Headers head) {
  auto engine = engine_.open(head);
  // Also when the client has said all that it will: what is left then is its going.
  client_->when_closed([engine] { engine->reset(); });
  return engine;
}

Task<void> BuildCall::pass() {
  const auto engine = open_with(*engine_head());
  co_await grpc::relay(*client_, *engine);
}

Task<void> BuildCall::empty(bool stream) {
  const auto request = co_await read();
  if (!request) co_return client_->reset();
  co_await grpc::answer(*client_, stream ? std::string() : grpc::frame(""));
}

Task<Result<std::string>> BuildCall::read() {
  std::string all;
  while (true) {
    const auto bytes = co_await client_->read();
    if (!bytes) co_return fail(bytes.error());
    if (bytes->empty()) co_return all;
    if (all.size() + bytes->size() > kMaxMessage || held_ + bytes->size() > kMostHeld)
      co_return fail(Error::too_large("the call is too large, or too many are under way"));
    held_ += bytes->size();
    own_held_ += bytes->size();
    all += *bytes;
  }
}

Task<std::optional<CheckedMessage>> BuildCall::check() {
  const auto body = co_await read();
  if (!body) {
    if (body.error().kind == ErrorKind::kTooLarge) fail_with(grpc::Code::kResourceExhausted, body.error().message);
    co_return std::nullopt;
  }
  const auto message = grpc::unframe(*body);
  if (!message) {
    fail_with(grpc::Code::kUnimplemented, message.error().message);
    co_return std::nullopt;
  }
  const auto& spec = context_.spec;
  auto checked = route_->check({.policy = spec.policy,
                                .images = spec.images,
                                .server_id = context_.server_id(),
                                .owner = spec.owner,
                                .reads_builds = exchange_.reads_builds()},
                               *message);
  if (checked) co_return std::move(*checked);
  if (checked.error().refusal)
    refuse(*checked.error().refusal);
  else
    fail_with(grpc::Code::kInvalidArgument, checked.error().message);
  co_return std::nullopt;
}

Task<bool> BuildCall::are_own(std::vector<std::string> sessions) {
  for (const auto& id : sessions) {
    const auto own = co_await exchange_.await_session(id);
    if (own) continue;
    fail_with(grpc::Code::kNotFound, own.error().message);
    co_return false;
  }
  co_return true;
}

Task<std::shared_ptr<grpc::Stream>> BuildCall::send(std::string message) {
  auto engine = open_with(*engine_head());
  auto framed = grpc::frame(message);
  const auto written = co_await engine->write(std::move(framed));
  if (written) engine->finish();
  co_return engine;
}

Task<void> BuildCall::inspect() {
  auto checked = co_await check();
  if (!checked) co_return;
  const auto own = co_await are_own(checked->sessions);
  if (!own) co_return;
  if (exchange_.reads_builds()) {
    const auto refusal = co_await admit(*checked);
    if (refusal) co_return refuse(*refusal);
  }
  if (route_->handling == CallHandling::kSolve) co_return co_await solve(std::move(*checked));
  const auto engine = co_await send(std::move(checked->bytes));
  co_await grpc::relay_answer(*engine, *client_);
}

std::vector<std::shared_ptr<BuildReading>> BuildCall::readings_of(const std::set<std::string>& sessions) const {
  std::vector<std::shared_ptr<BuildReading>> readings;
  const auto& known = context_.readings.sessions;
  for (const auto& id : sessions)
    if (const auto found = known.find(session_name(id)); found != known.end()) readings.push_back(found->second);
  return readings;
}

// What the build takes must be the job's to see, now and when its Dockerfile comes.
Task<std::optional<Refusal>> BuildCall::admit(const CheckedMessage& checked) {
  std::set<std::string> sessions(checked.dockerfiles_from.begin(), checked.dockerfiles_from.end());
  if (is_of_a_build(path_))
    sessions.merge(context_.readings.sessions_of(std::string(grpc::value_of(*engine_head(), kBuildId))));
  auto logins = logins_of(readings_of(sessions));
  auto refusal = co_await exchange_.admit_images({.images = checked.images, .stages = {}, .has_frontend = false},
                                                 std::move(logins));
  if (refusal || !checked.arguments) co_return refusal;
  if (sessions.empty()) co_return Refusal{"build-image", "the build needs a session, from which its Dockerfile comes"};
  for (const auto& session : sessions) {
    refusal = co_await exchange_.admit_build(*checked.arguments, session);
    if (refusal) co_return refusal;
  }
  co_return std::nullopt;
}

Task<bool> BuildCall::record(std::vector<std::string> references) {
  for (const auto& reference : references) {
    images_.push_back({.kind = std::string(to_string(Kind::kImage)), .id = {}, .name = reference});
    const auto recorded = co_await exchange_.record_reference(reference, true);
    if (recorded) {
      recorded_.push_back(*recorded);
      continue;
    }
    const bool denied = recorded.error().kind == ErrorKind::kDenied;
    fail_with(denied ? grpc::Code::kPermissionDenied : grpc::Code::kUnavailable, recorded.error().message);
    co_return false;
  }
  co_return true;
}

// The ids of all images on the engine.
Task<std::optional<std::vector<std::string>>> BuildCall::present_images() {
  std::vector<std::string> ids;
  const auto answer = co_await exchange_.ask("/images/json?all=1");
  const auto images = answer ? Json::parse(answer->body, nullptr, false) : Json();
  if (!images.is_array()) co_return std::nullopt;
  for (const auto& image : images)
    if (image.is_object()) ids.push_back(image.value("Id", std::string()));
  co_return ids;
}

Task<void> BuildCall::solve(CheckedMessage checked) {
  const auto create = context_.ledger().begin_create(context_.spec.owner);
  if (!create) co_return fail_with(grpc::Code::kUnavailable, "this agent is ending: nothing new can be built");
  std::optional<std::vector<std::string>> before;
  if (checked.makes_image && exchange_.owns_images()) {
    const auto recorded = co_await record(checked.references);
    if (!recorded) co_return;
    before = co_await present_images();
    if (!before) co_return fail_with(grpc::Code::kUnavailable, "the engine can't be reached");
  }
  if (client_->closed()) co_return;
  const BuildUnderWay under_way(context_.readings, checked.build,
                                {checked.dockerfiles_from.begin(), checked.dockerfiles_from.end()});
  const auto engine = co_await send(std::move(checked.bytes));
  if (!before) co_return co_await grpc::relay_answer(*engine, *client_);
  co_await relay_result(*engine, std::move(*before));
  co_await exchange_.settle_references(std::move(recorded_));
}

Task<void> BuildCall::relay_result(grpc::Stream& engine, std::vector<std::string> before) {
  const auto head = co_await engine.wait_head();
  if (!head) co_return client_->reset();
  auto body = co_await grpc::read_all(engine, kMaxMessage);
  if (!body) co_return client_->reset();
  // An image bears our label unless its client went out of its way: whatever is new is the owner's.
  if (const auto message = grpc::unframe(*body))
    for (auto& id : images_of(*message)) {
      if (std::ranges::find(before, id) != before.end()) continue;
      const auto recorded = co_await exchange_.record_image({.engine = {}, .owner = {}, .reference = id});
      if (!recorded) log_error("a built image could not be recorded", {{"error", recorded.error().message}});
      co_await exchange_.see_image(id);
    }
  const bool no_body = body->empty() && engine.trailers().empty();
  client_->respond(engine.head(), no_body);
  if (no_body) co_return;
  if (!body->empty()) {
    const auto written = co_await client_->write(std::move(*body));
    if (!written) co_return;
  }
  client_->finish(engine.trailers());
}

// A session inside of the call, in place of POST /session.
Task<void> BuildCall::session() {
  if (exchange_.reads_builds())
    co_return refuse({"build-image", "Dockerfiles are read in sessions of POST /session: use docker or buildx"});
  const auto& given = client_->head();
  const std::string id(grpc::value_of(given, kSessionId));
  if (count_of(given, kSessionId) != 1 || id.empty() || id.find(':') != std::string::npos)
    co_return fail_with(grpc::Code::kInvalidArgument, "a session needs one id, without a colon");
  const auto open = context_.sessions.open(context_.spec.owner, id);
  if (!open) co_return fail_with(grpc::Code::kAlreadyExists, "there is a session " + id + " already");
  auto head = *engine_head();
  for (const auto& field : given)
    if (field.name.starts_with(kSessionPrefix)) head.push_back(field);
  set(head, kSharedKey, own_build_id(context_.server_id(), context_.spec.owner, grpc::value_of(given, kSharedKey)));
  const auto engine = open_with(std::move(head));
  co_await grpc::relay(*client_, *engine);
}

}  // namespace ebbtide::gateway
