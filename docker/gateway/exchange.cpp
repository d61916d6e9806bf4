#include "docker/gateway/exchange.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "docker/base/log.h"
#include "docker/base/text.h"
#include "docker/engine/http_engine.h"
#include "docker/engine/pull.h"
#include "docker/gateway/image.h"

namespace ebbtide::gateway {
namespace {

constexpr std::size_t kMaxJsonBody = 16 << 20;
constexpr std::size_t kMaxSmallAnswer = 64 << 20;
constexpr std::size_t kMaxDiscarded = 1 << 20;
constexpr std::chrono::seconds kTurnLimit{60};
constexpr std::chrono::milliseconds kTurnPause{100};

// A prune, and up to Engine 20.10 a look at the disk's usage: one at a time, others are refused (tried).
bool another_is_served(const http::SmallAnswer& answer) {
  const auto says = [&](std::string_view text) { return answer.body.find(text) != std::string::npos; };
  return (answer.head.status == 409 && says("a prune operation is already running")) ||
         (answer.head.status == 500 && says("a disk usage operation is already running"));
}

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
      return 400;
    case ErrorKind::kDenied:
      return 403;
    case ErrorKind::kNotFound:
      return 404;
    case ErrorKind::kConflict:
      return 409;
    case ErrorKind::kTooLarge:
      return 413;
    case ErrorKind::kUnavailable:
    case ErrorKind::kCancelled:
      return 503;
    case ErrorKind::kTimeout:
      return 504;
    case ErrorKind::kInternal:
      return 500;
  }
  return 500;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 409:
      return "Conflict";
    case 413:
      return "Request Entity Too Large";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Internal Server Error";
  }
}

// A form in the body would override the query that was checked (Engine API 1.41, tried).
bool is_form(std::string_view content_type) {
  const auto type = to_lower(content_type);
  return type.starts_with("application/x-www-form-urlencoded") || type.starts_with("multipart/");
}

bool may_be_upgraded(Handling handling) {
  return handling == Handling::kUpgrade || handling == Handling::kBuildSession || handling == Handling::kBuildControl;
}

bool is_answer_with_body(std::string_view method, int status) {
  return method != "HEAD" && status != 204 && status != 304;
}

std::string capped_api(const std::string& version) {
  const auto minor = [](const std::string& text) {
    return parse_number(text.substr(std::min(text.find('.') + 1, text.size()))).value_or(0);
  };
  return minor(version) > minor(kNewestApi) ? kNewestApi : version;
}

}  // namespace

Exchange::Exchange(Context& context, http::Connection& client, ClientState& client_state, http::RequestHead head)
    : context_(context), client_(client), client_state_(client_state), head_(std::move(head)) {}

Task<bool> Exchange::run() {
  std::optional<AuditRecord> record;
  if (changes_something()) record = begin_audit(context_, client_, client_state_);
  const auto next = co_await serve();
  const auto pattern = match_.route ? match_.route->pattern : std::string_view("unknown");
  context_.counting.request(head_.method, pattern, status_);
  if (!rule_.empty()) context_.counting.refusal(rule_);
  const bool refused = !rule_.empty() || !fault_.empty();
  if (!record && refused) record = begin_audit(context_, client_, client_state_);
  if (record) audit(std::move(*record));
  client_state_.audited_in = client_.received() - client_.buffered().size();
  client_state_.audited_out = client_.sent();
  co_return next == Next::kNextRequest&& head_.keep_alive && !client_state_.gone;
}

std::optional<Error> Exchange::check_shape() const {
  if (head_.http_1_0) return Error::invalid("HTTP/1.0 is not spoken here: use HTTP/1.1");
  const bool has_body_route = match_.route->json_body || match_.route->stream_body;
  if (head_.framing != http::Framing::kNone && is_form(head_.fields.find("Content-Type").value_or("")))
    return Error::invalid("form bodies are not read here: give parameters in the query");
  if (head_.upgrade && !may_be_upgraded(match_.route->handling))
    return Error::invalid("this endpoint can't be upgraded");
  if (!has_body_route && head_.framing == http::Framing::kLength && head_.length > kMaxDiscarded)
    return Error::too_large("this endpoint takes no body");
  return std::nullopt;
}

Task<Exchange::Next> Exchange::serve() {
  auto target = http::parse_target(head_.target);
  if (!target) co_return co_await answer_error(target.error());
  target_ = std::move(*target);
  const auto match = match_route(head_.method, target_.path);
  if (!match) {
    const auto unknown = Error::not_found("page not found");
    note_request();
    co_return co_await answer_error(unknown);
  }
  match_ = *match;
  note_request();
  if (const auto wrong = check_shape()) co_return co_await answer_error(*wrong);
  if (context_.refusing) {
    const auto ending = Error::unavailable("this agent is ending: its gateway takes no new requests");
    co_return co_await answer_error(ending);
  }
  if (const auto refusal = check_query(match_.route->action, target_.query)) co_return co_await refuse(*refusal);
  keep_known_keys(*match_.route, target_.query);
  co_return co_await dispatch();
}

Task<Exchange::Next> Exchange::dispatch() {
  switch (match_.route->handling) {
    case Handling::kPing:
      return ping();
    case Handling::kVersion:
      return version();
    case Handling::kRelay:
      return relay_object();
    case Handling::kListContainers:
      return list_containers();
    case Handling::kListNetworks:
      return list_networks();
    case Handling::kListVolumes:
      return list_volumes();
    case Handling::kInspect:
      return inspect();
    case Handling::kCreateContainer:
      return create_container();
    case Handling::kCreateNetwork:
      return create_network();
    case Handling::kCreateVolume:
      return create_volume();
    case Handling::kCreateExec:
      return create_exec();
    case Handling::kUpdateContainer:
      return update_container();
    case Handling::kRenameContainer:
      return rename_container();
    case Handling::kRemove:
      return remove();
    case Handling::kConnectNetwork:
      return connect_network();
    case Handling::kUpgrade:
      return upgrade();
    case Handling::kExecInspect:
      return exec_inspect();
    case Handling::kPruneObjects:
      return prune();
    case Handling::kPruneCache:
      return answer(200, "{\"CachesDeleted\":null,\"SpaceReclaimed\":0}\n");
    case Handling::kEvents:
      return events();
    case Handling::kDiskUsage:
      return disk_usage();
    case Handling::kOptions:
      return answer(200, "");
    case Handling::kRefuse:
      return refuse_endpoint();
    default:
      return dispatch_image();
  }
}

Task<Exchange::Next> Exchange::dispatch_image() {
  switch (match_.route->handling) {
    case Handling::kRelayImage:
      return relay_image();
    case Handling::kListImages:
      return list_images();
    case Handling::kPullImage:
      return pull_image();
    case Handling::kBuild:
      return build();
    case Handling::kBuildSession:
      return build_session();
    case Handling::kBuildControl:
      return build_control();
    case Handling::kCancelBuild:
      return cancel_build();
    case Handling::kCommit:
      return commit();
    case Handling::kLoadImages:
      return load_images();
    case Handling::kTagImage:
      return tag_image();
    case Handling::kRemoveImage:
      return remove_image();
    default:
      return answer_error(Error::internal("no handler for this endpoint"));
  }
}

Task<Exchange::Next> Exchange::answer(int status, std::string body, std::string_view content_type) {
  status_ = status;
  http::ResponseHead head{.status = status, .reason = std::string(reason_of(status)), .fields = {}};
  if (const auto info = context_.watch.info()) {
    head.fields.add("Api-Version", capped_api(info->api_version));
    head.fields.add("Docker-Experimental", "false");
    head.fields.add("Ostype", "linux");
    head.fields.add("Server", "Docker/" + info->version + " (linux)");
  }
  const bool bodiless = !is_answer_with_body(head_.method, status);
  if (!bodiless || head_.method == "HEAD") head.fields.add("Content-Type", std::string(content_type));
  head.framing = bodiless ? http::Framing::kNone : http::Framing::kLength;
  head.length = body.size();
  head.fields.add("Content-Length", std::to_string(body.size()));
  // What is left of the request's body would be read as the next request.
  const bool spent = body_read_ || head_.framing == http::Framing::kNone;
  const bool discarded = spent || (co_await discard_body()).has_value();
  head.keep_alive = head_.keep_alive && discarded;
  auto bytes = to_bytes(head);
  if (!bodiless) bytes += body;
  const auto written = co_await client_.write(bytes);
  co_return written&& discarded ? Next::kNextRequest : Next::kClose;
}

Task<Exchange::Next> Exchange::answer_error(const Error& error) {
  note_fault(error);
  return answer(status_of(error.kind), error_body(context_.scope.in_job_words(error.message)));
}

Task<Exchange::Next> Exchange::refuse(const Refusal& refusal) {
  rule_ = refusal.rule;
  return answer(403, error_body(refusal.message + " (rule: " + refusal.rule + ")"));
}

Task<Exchange::Next> Exchange::refuse_endpoint() {
  // `docker inspect` of a name that is nothing else asks for a plugin last, and wants to hear that there is none.
  if (head_.method == "GET" && target_.path.starts_with("/plugins/") && target_.path.ends_with("/json"))
    return answer_error(Error::not_found("plugin \"" + split(target_.path, '/')[2] + "\" not found"));
  return refuse({"endpoint", std::string(match_.route->refusal)});
}

Task<Exchange::Next> Exchange::not_found(Kind kind, std::string_view reference) {
  note_fault(Error::not_found({}));
  return answer(404, error_body(not_found_message(kind, reference)));
}

Task<Exchange::Next> Exchange::forward(const http::SmallAnswer& from, std::string body) {
  status_ = from.head.status;
  body = status_ >= 400 ? explain_port_collision(context_.spec.policy, in_given_words(std::move(body)))
                        : context_.scope.in_job_words(std::move(body));
  http::ResponseHead head = from.head;
  const bool bodiless = !is_answer_with_body(head_.method, head.status);
  head.framing = bodiless ? http::Framing::kNone : http::Framing::kLength;
  head.length = body.size();
  if (!bodiless) head.fields.set("Content-Length", std::to_string(body.size()));
  head.keep_alive = head_.keep_alive;
  auto bytes = to_bytes(head);
  if (!bodiless) bytes += body;
  const auto written = co_await client_.write(bytes);
  co_return written ? Next::kNextRequest : Next::kClose;
}

Task<Result<void>> Exchange::invite_body() {
  if (!head_.expect_continue || head_.framing == http::Framing::kNone) co_return Result<void>();
  co_return co_await client_.write("HTTP/1.1 100 Continue\r\n\r\n");
}

Task<Result<std::string>> Exchange::read_body() {
  body_read_ = true;
  const auto invited = co_await invite_body();
  if (!invited) co_return fail(invited.error());
  const http::BodyFrame frame{head_.framing, head_.length};
  auto body = co_await client_.read_body(frame, kMaxJsonBody);
  // Too large a body is still there: the connection can't go on.
  if (!body) head_.keep_alive = false;
  co_return body;
}

Task<Result<Json>> Exchange::read_model(ModelName model) {
  const auto body = co_await read_body();
  if (!body) co_return fail(body.error());
  co_return decode(model, *body);
}

Task<Result<void>> Exchange::discard_body() {
  body_read_ = true;
  if (head_.expect_continue) co_return fail(Error::cancelled("the client still waits to send its body"));
  const http::BodyFrame frame{head_.framing, head_.length};
  const auto body = co_await client_.read_body(frame, kMaxDiscarded);
  if (!body) co_return fail(body.error());
  co_return Result<void>();
}

std::string Exchange::in_version(std::string_view path) const {
  return (target_.version.empty() ? "" : "/v" + target_.version) + std::string(path);
}

Task<Result<http::SmallAnswer>> Exchange::call(std::string_view method, std::string body) {
  std::string verb(method);
  auto target = target_.to_text();
  co_return co_await context_.upstream.call(std::move(verb), std::move(target), std::move(body), kMaxSmallAnswer);
}

Task<Result<http::SmallAnswer>> Exchange::call_in_turn(std::string_view method) {
  const auto executor = co_await http::asio::this_coro::executor;
  const auto end = std::chrono::steady_clock::now() + kTurnLimit;
  while (true) {
    auto answer = co_await call(method);
    const bool again = answer && another_is_served(*answer);
    if (!again || client_state_.gone || std::chrono::steady_clock::now() > end) co_return answer;
    http::asio::steady_timer pause(executor, kTurnPause);
    co_await pause.async_wait(http::asio::use_awaitable);
  }
}

Task<Result<http::SmallAnswer>> Exchange::ask(std::string_view path) {
  auto target = in_version(path);
  co_return co_await context_.upstream.call("GET", std::move(target), {}, kMaxSmallAnswer);
}

http::RequestHead Exchange::upstream_head(const std::optional<std::string>& body, bool relay_client_body) const {
  http::RequestHead head = head_;
  head.target = target_.to_text();
  head.keep_alive = true;
  head.fields.remove("Host");
  head.fields.remove("Accept-Encoding");  // the engine would compress archives, at a great cost
  head.upgrade = head_.upgrade;
  if (relay_client_body) return head;
  head.framing = body && !body->empty() ? http::Framing::kLength : http::Framing::kNone;
  head.length = body ? body->size() : 0;
  if (body) head.fields.set("Content-Type", "application/json");
  if (!body) head.fields.remove("Content-Type");
  if (head_.method == "POST") head.fields.set("Content-Length", std::to_string(head.length));
  return head;
}

Task<Result<Exchange::Upstream>> Exchange::send(const std::optional<std::string>& body, bool relay_client_body) {
  if (relay_client_body) {
    body_read_ = true;
    const auto invited = co_await invite_body();
    if (!invited) co_return fail(invited.error());
  }
  const auto head = to_bytes(upstream_head(body, relay_client_body));
  bool retry = false;
  auto sent = co_await send_once(head, body, relay_client_body, false, retry);
  if (!sent && retry) sent = co_await send_once(head, body, relay_client_body, true, retry);
  client_state_.upstream = sent ? sent->connection.get() : nullptr;
  co_return sent;
}

Task<Result<Exchange::Upstream>> Exchange::send_once(const std::string& head, const std::optional<std::string>& body,
                                                     bool relay_client_body, bool fresh, bool& retry) {
  auto lease = co_await context_.upstream.acquire(fresh);
  if (!lease) co_return fail(lease.error());
  auto& connection = *lease->connection;
  client_state_.upstream = &connection;
  // A connection that had been idle may have been closed by the engine; a relayed body can't be sent twice.
  retry = lease->reused && !relay_client_body;
  auto written = co_await connection.write(head);
  if (written && body && !body->empty()) written = co_await connection.write(*body);
  if (written && relay_client_body) {
    const http::BodyFrame frame{head_.framing, head_.length};
    const auto moved = co_await http::relay_body(client_, connection, frame);
    // The engine may answer before it has read all; its answer says why.
    if (!moved) head_.keep_alive = false;
  }
  auto answered = co_await read_answer({.connection = std::move(lease->connection), .head = {}});
  if (answered) retry = false;
  co_return answered;
}

Task<Result<Exchange::Upstream>> Exchange::read_answer(Upstream upstream) {
  do {
    auto answered = co_await upstream.connection->read_response_head(head_.method);
    if (!answered) {
      client_state_.upstream = nullptr;
      co_return fail(Error::unavailable("the engine ended the connection without an answer"));
    }
    upstream.head = std::move(*answered);
  } while (upstream.head.status < 200 && upstream.head.status != 101);
  co_return upstream;
}

std::string Exchange::in_given_words(std::string text) const {
  for (const auto& [id, reference] : given_words_) text = replace_all(std::move(text), id, reference);
  return context_.scope.in_job_words(std::move(text));
}

Task<Exchange::Next> Exchange::relay_error(Upstream upstream) {
  const http::BodyFrame frame{upstream.head.framing, upstream.head.length};
  auto body = co_await upstream.connection->read_body(frame, kMaxSmallAnswer);
  client_state_.upstream = nullptr;
  if (!body) co_return co_await answer_error(body.error());
  const http::SmallAnswer from{.head = std::move(upstream.head), .body = std::move(*body)};
  if (from.head.keep_alive) context_.upstream.release(std::move(upstream.connection));
  co_return co_await forward(from);
}

Task<Exchange::Next> Exchange::relay_answer(Upstream upstream) {
  // Errors name objects.
  if (upstream.head.status >= 400 && is_answer_with_body(head_.method, upstream.head.status))
    co_return co_await relay_error(std::move(upstream));
  status_ = upstream.head.status;
  const Counting::Open open(context_.counting.streams);
  const bool reusable = upstream.head.keep_alive;
  const bool ends_with_connection = upstream.head.framing == http::Framing::kUntilClose;
  upstream.head.keep_alive = head_.keep_alive && !ends_with_connection;
  const auto written = co_await client_.write(to_bytes(upstream.head));
  bool whole = written.has_value();
  if (whole) {
    const http::BodyFrame frame{upstream.head.framing, upstream.head.length};
    whole = (co_await http::relay_body(*upstream.connection, client_, frame)).has_value();
  }
  client_state_.upstream = nullptr;
  if (whole && reusable && !ends_with_connection) context_.upstream.release(std::move(upstream.connection));
  co_return whole && !ends_with_connection ? Next::kNextRequest : Next::kClose;
}

Task<Exchange::Next> Exchange::relay(bool client_body) {
  if (!client_body && head_.framing != http::Framing::kNone && !body_read_) {
    const auto discarded = co_await discard_body();
    if (!discarded) co_return Next::kClose;
  }
  const std::optional<std::string> no_body;
  auto upstream = co_await send(no_body, client_body);
  if (!upstream) co_return co_await answer_error(upstream.error());
  co_return co_await relay_answer(std::move(*upstream));
}

std::optional<Belonging> Exchange::shared_volume(Kind kind, std::string_view reference) const {
  if (kind != Kind::kVolume || !context_.scope.is_shared_volume(reference)) return std::nullopt;
  const auto real_name = context_.scope.real_name(kind, reference);
  return Belonging{.kind = kind, .id = real_name, .name = std::string(reference), .real_name = real_name};
}

Task<Result<Belonging>> Exchange::resolve(Kind kind, std::string reference) {
  if (auto shared = shared_volume(kind, reference)) co_return std::move(*shared);
  for (const bool first : {true, false}) {
    const auto found = context_.ledger().resolve(context_.spec.owner, kind, reference);
    if (found.outcome == Resolution::Outcome::kFound) {
      remember_given(found.belonging.id, reference);
      note_object(to_string(kind), found.belonging.id, found.belonging.name);
      co_return found.belonging;
    }
    if (found.outcome == Resolution::Outcome::kAmbiguous)
      co_return fail(Error::invalid("Multiple IDs found with provided prefix: " + reference));
    if (!first || !co_await learn(kind, reference)) break;
  }
  co_return fail(Error::not_found(not_found_message(kind, reference)));
}

// An object that came into being a moment ago may not be in the ledger yet: the engine's labels tell.
Task<bool> Exchange::learn(Kind kind, const std::string& reference) {
  if (kind == Kind::kImage || kind == Kind::kExec || reference.find('/') != std::string::npos) co_return false;
  const auto real_name = context_.scope.real_name(kind, reference);
  if (co_await learn_real(kind, real_name)) co_return true;
  const bool may_be_id = reference.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!may_be_id) co_return false;
  co_return co_await learn_real(kind, reference);
}

Task<bool> Exchange::learn_real(Kind kind, const std::string& reference) {
  const std::string folder = kind == Kind::kContainer ? "/containers/"
                             : kind == Kind::kNetwork ? "/networks/"
                                                      : "/volumes/";
  const auto path = folder + percent_encode(reference) + (kind == Kind::kContainer ? "/json" : "");
  const auto answer = co_await ask(path);
  if (!answer || answer->head.status != 200) co_return false;
  const auto object = Json::parse(answer->body, nullptr, false);
  if (!object.is_object()) co_return false;
  const auto& labelled = kind == Kind::kContainer && object.contains("Config") ? object["Config"] : object;
  Labels labels;
  if (labelled.contains("Labels") && labelled["Labels"].is_object())
    for (const auto& [key, value] : labelled["Labels"].items())
      if (value.is_string()) labels[key] = value.get<std::string>();
  auto real_name = object.value("Name", std::string());
  if (kind == Kind::kContainer && real_name.starts_with('/')) real_name.erase(0, 1);
  const auto ownership = ownership_of(context_.server_id(), kind, real_name, labels);
  if (!ownership || ownership->owner != context_.spec.owner) co_return false;
  context_.ledger().claim({.kind = kind,
                           .id = kind == Kind::kVolume ? real_name : object.value("Id", std::string()),
                           .name = ownership->given_name.empty() ? real_name : ownership->given_name,
                           .real_name = real_name,
                           .owner = ownership->owner,
                           .role = ownership->role,
                           .parent = ownership->parent,
                           .image = labelled.contains("Image") ? labelled.value("Image", std::string()) : "",
                           .created = std::chrono::system_clock::now()});
  co_return true;
}

Task<Result<void>> Exchange::with_references(std::function<Result<void>(const Resolve&)> work) {
  constexpr int kMostUnknown = 32;
  for (int i = 0; i < kMostUnknown; ++i) {
    std::optional<std::pair<Kind, std::string>> unknown;
    const auto done = work([&](Kind kind, std::string_view reference) -> Result<std::string> {
      if (const auto shared = shared_volume(kind, reference)) return shared->id;
      const auto found = context_.ledger().resolve(context_.spec.owner, kind, reference);
      if (found.outcome == Resolution::Outcome::kFound) {
        remember_given(found.belonging.id, reference);
        note_object(to_string(kind), found.belonging.id, found.belonging.name);
        return found.belonging.id;
      }
      unknown = {kind, std::string(reference)};
      return fail(Error::not_found(not_found_message(kind, reference)));
    });
    if (done || !unknown) co_return done;
    if (!co_await learn(unknown->first, unknown->second)) co_return done;
  }
  co_return fail(Error::invalid("too many references to other objects in one request"));
}

void Exchange::remember_given(const std::string& id, std::string_view reference) {
  if (id != reference) given_words_.emplace_back(id, reference);
}

bool Exchange::is_visible(Kind kind, std::string_view id) const {
  return context_.ledger().owned_lately(context_.spec.owner, kind, id);
}

// The belonging that asks; empty where it is the agent, or the kernel does not tell.
std::string Exchange::parent() const {
  const auto known = context_.ledger().find(Kind::kContainer, caller().container);
  const bool belonging = known && known->owner == context_.spec.owner && known->role == Role::kBelonging;
  return belonging ? known->id : std::string();
}

Labels Exchange::labels_for(Kind kind, std::string_view real_name, std::string_view given_name) const {
  auto labels = ownership_labels(context_.server_id(), context_.spec.owner, Role::kBelonging, kind, real_name,
                                 given_name, parent());
  labels.insert(context_.spec.extra_labels.begin(), context_.spec.extra_labels.end());
  return labels;
}

// Empty where images are shared: then a job's images are the host's, and only reserved labels are taken out.
std::string Exchange::image_owner() const {
  return owns_images() ? image_owner_value(context_.server_id(), context_.spec.owner) : std::string();
}

Task<Exchange::Next> Exchange::ping() {
  if (!context_.watch.state().connected) co_return co_await relay(false);
  co_return co_await answer(200, "OK", "text/plain; charset=utf-8");
}

OwnCounts Exchange::own_counts() const {
  OwnCounts counts;
  for (const auto& belonging : context_.ledger().of(context_.spec.owner)) {
    if (belonging.kind != Kind::kContainer || belonging.role == Role::kAgent) continue;
    auto& count = belonging.state == "running"  ? counts.running
                  : belonging.state == "paused" ? counts.paused
                                                : counts.stopped;
    ++count;
  }
  return counts;
}

Task<Exchange::Next> Exchange::version() {
  auto answer = co_await call("GET");
  if (!answer) co_return co_await answer_error(answer.error());
  auto body = Json::parse(answer->body, nullptr, false);
  if (answer->head.status != 200 || !body.is_object()) co_return co_await forward(*answer);
  if (body.contains("ApiVersion") && body["ApiVersion"].is_string())
    body["ApiVersion"] = capped_api(body["ApiVersion"].get<std::string>());
  if (match_.route->action == "info") {
    auto counts = own_counts();
    if (isolates_images()) counts.images = (co_await visible_images()).size();
    reduce_info(body, counts);
  }
  co_return co_await forward(*answer, body.dump() + "\n");
}

Task<Exchange::Next> Exchange::relay_object() {
  const auto& route = *match_.route;
  if (route.kind == Kind::kContainer) {
    const auto container = co_await resolve(Kind::kContainer, match_.object);
    if (!container) co_return co_await answer_error(container.error());
    if (is_own_agent(*container) && head_.method == "POST" && route.action != "wait")
      co_return co_await refuse({"own-agent", "an agent can't " + std::string(route.action) + " its own container"});
    target_.path = std::string(route.pattern).replace(route.pattern.find("{id}"), 4, container->id);
  } else if (route.kind == Kind::kExec) {
    const auto exec = co_await resolve_exec(match_.object);
    if (!exec) co_return co_await answer_error(exec.error());
  }
  // Each piece of statistics names the container.
  if (route.action == "stats") co_return co_await relay_lines();
  co_return co_await relay(route.stream_body);
}

Task<Exchange::Next> Exchange::relay_lines() {
  const std::optional<std::string> no_body;
  auto upstream = co_await send(no_body, false);
  if (!upstream) co_return co_await answer_error(upstream.error());
  if (upstream->head.status >= 400) co_return co_await relay_error(std::move(*upstream));
  ScopedLines lines(context_.scope);
  co_return co_await relay_watched(std::move(*upstream), [&](std::string_view piece) { return lines.feed(piece); });
}

std::optional<std::string> Exchange::name_of(Kind kind, std::string_view id) const {
  const auto known = context_.ledger().find(kind, id);
  if (!known || known->owner != context_.spec.owner) return std::nullopt;
  return known->name;
}

// To the engine a name without a tag means all tags of its repository.
Task<Exchange::Next> Exchange::save_own_images() {
  auto names = target_.query.get_all("names");
  if (!match_.object.empty()) names.push_back(match_.object);
  target_.path = "/images/get";
  target_.query.remove("names");
  for (auto& name : names) {
    const bool tagged = name.find_first_of(":@", name.rfind('/') + 1) != std::string::npos;
    auto tags = tagged ? std::vector<std::string>() : co_await own_tags(name);
    if (tags.empty()) {
      const bool seen = (tagged || may_mean_an_id(name)) && co_await pin_image(name);
      if (!seen) co_return co_await not_found(Kind::kImage, name);
      tags.push_back(name);
    }
    for (auto& tag : tags) target_.query.add("names", std::move(tag));
  }
  co_return co_await relay(false);
}

Task<Exchange::Next> Exchange::relay_image() {
  if (const auto refusal = check_registry_use()) co_return co_await refuse(*refusal);
  if (isolates_images() && match_.route->action == "save") co_return co_await save_own_images();
  if (isolates_images() && match_.route->action == "push") {
    const auto tag = std::string(target_.query.get("tag").value_or(""));
    const auto name = tag.empty() ? match_.object : split_reference(match_.object).repository + ":" + tag;
    if (tag.empty() && name.find(':', name.rfind('/') + 1) == std::string::npos)
      co_return co_await refuse({"shared-image", "others may have tags of " + name + ", too: push one tag at a time"});
    if (!co_await sees_image(name)) co_return co_await not_found(Kind::kImage, name);
  }
  if (match_.route->action == "attestations" && !co_await sees_image(match_.object))
    co_return co_await not_found(Kind::kImage, match_.object);
  co_return co_await relay(match_.route->stream_body);
}

}  // namespace ebbtide::gateway
