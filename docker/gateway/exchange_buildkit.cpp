#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>

#include "docker/base/log.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"
#include "docker/gateway/build_call.h"
#include "docker/gateway/buildkit.h"
#include "docker/gateway/exchange.h"
#include "docker/gateway/session_call.h"

namespace ebbtide::gateway {
namespace {

constexpr std::string_view kSessionPrefix = "X-Docker-Expose-Session-";
constexpr std::string_view kSessionId = "X-Docker-Expose-Session-Uuid";
constexpr std::string_view kSharedKey = "X-Docker-Expose-Session-Sharedkey";
constexpr std::size_t kMostSessions = 64;         // that are read, of one owner
constexpr std::size_t kMostCalls = 128;           // of one client at once, those that it has given up included
constexpr std::chrono::seconds kSessionLimit{5};  // as long as the engine waits itself
constexpr std::chrono::milliseconds kSessionPause{10};

}  // namespace

// What both endpoints of BuildKit want to see; an answer if it isn't there.
std::optional<Error> Exchange::check_http2_upgrade() const {
  if (head_.upgrade && head_.fields.count("Upgrade") == 1 && equal_fold(*head_.fields.find("Upgrade"), "h2c"))
    return std::nullopt;
  return Error::invalid("this endpoint is for BuildKit's clients: it must be upgraded to h2c");
}

// The client's own services, which the engine calls: whose they are is checked; what goes through is read only where
// builds are.
Task<Exchange::Next> Exchange::build_session() {
  if (const auto wrong = check_http2_upgrade()) co_return co_await answer_error(*wrong);
  const auto id = std::string(head_.fields.find(kSessionId).value_or(""));
  if (head_.fields.count(kSessionId) != 1 || id.empty() || id.find(':') != std::string::npos)
    co_return co_await answer_error(Error::invalid("a session needs one id, without a colon"));
  if (context_.readings.sessions.size() >= kMostSessions)
    co_return co_await answer_error(Error::conflict("this job has too many sessions of builds open: end one"));
  const auto session = context_.sessions.open(context_.spec.owner, id);
  if (!session) co_return co_await answer_error(Error::conflict("there is a session " + id + " already"));
  http::Fields fields;
  for (const auto& field : head_.fields.list())
    if (to_lower(field.name).starts_with(to_lower(kSessionPrefix))) fields.add(field.name, field.value);
  // The engine keeps sent files under this key, for the next session that has it: that must be the same owner's. Where
  // they are read, all must be sent.
  std::optional<SessionReading> reading;  // before the engine knows of the session, which a build may await
  if (reads_builds()) reading.emplace(context_.readings, id);
  const auto key = reading ? random_hex(16) : std::string(head_.fields.find(kSharedKey).value_or(""));
  fields.set(kSharedKey, own_build_id(context_.server_id(), context_.spec.owner, key));
  fields.add("Upgrade", "h2c");
  head_.fields = std::move(fields);
  auto upstream = co_await upgrade_to_http2();
  if (!upstream) co_return co_await answer_error(upstream.error());
  if (upstream->head.status != 101) co_return co_await relay_answer(std::move(*upstream));
  if (reading) co_return co_await read_session(std::move(*upstream), reading->get());
  co_return co_await upgraded(std::move(*upstream));
}

// HTTP/2 ends here on both sides; the engine is the one that calls.
Task<Exchange::Next> Exchange::read_session(Upstream upstream, std::shared_ptr<BuildReading> reading) {
  const auto executor = co_await http::asio::this_coro::executor;
  status_ = upstream.head.status;
  const Counting::Open open(context_.counting.streams);
  const auto written = co_await client_.write(to_bytes(upstream.head));
  if (written) {
    grpc::Http2 engine(*upstream.connection, executor, grpc::Http2::Side::kServer);
    grpc::Http2 client(client_, executor, grpc::Http2::Side::kClient);
    const auto logins = std::make_shared<SessionLogins>(client, executor);
    reading->logins = logins;
    co_await serve_calls(engine, client, [&](std::shared_ptr<grpc::Stream> call, grpc::Http2& to) -> Task<void> {
      SessionCall session_call(*this, std::move(call), to, reading);
      co_await session_call.run();
    });
    reading->logins = nullptr;
    co_await logins->end();
  }
  client_state_.upstream = nullptr;
  co_return Next::kClose;
}

// BuildKit's own API: HTTP/2 ends here on both sides, and every call is a BuildCall.
Task<Exchange::Next> Exchange::build_control() {
  if (const auto wrong = check_http2_upgrade()) co_return co_await answer_error(*wrong);
  auto upstream = co_await upgrade_to_http2();
  if (!upstream) co_return co_await answer_error(upstream.error());
  if (upstream->head.status != 101) co_return co_await relay_answer(std::move(*upstream));
  status_ = 101;
  const Counting::Open open(context_.counting.streams);
  const auto written = co_await client_.write(to_bytes(upstream->head));
  if (written) {
    const auto executor = co_await http::asio::this_coro::executor;
    grpc::Http2 client(client_, executor, grpc::Http2::Side::kServer);
    grpc::Http2 engine(*upstream->connection, executor, grpc::Http2::Side::kClient);
    std::size_t held = 0;
    co_await serve_calls(client, engine, [&](std::shared_ptr<grpc::Stream> stream, grpc::Http2& to) -> Task<void> {
      BuildCall call(*this, std::move(stream), to, held);
      co_await call.run();
    });
  }
  client_state_.upstream = nullptr;
  co_return Next::kClose;
}

Task<void> Exchange::serve_calls(grpc::Http2& from, grpc::Http2& to, Serve serve) {
  using namespace http::asio::experimental::awaitable_operators;
  const auto executor = co_await http::asio::this_coro::executor;
  const auto run = [](grpc::Http2& one, grpc::Http2& other) -> Task<void> {
    co_await one.run();
    other.end();
  };
  const auto accept = [&]() -> Task<void> {
    std::size_t running = 0;
    grpc::Event one_ended(executor);
    while (auto call = co_await from.accept()) {
      while (running >= kMostCalls) co_await one_ended.wait();
      ++running;
      http::asio::co_spawn(executor, serve(std::move(call), to), [&](std::exception_ptr fault) {
        if (fault) log_error("a call of BuildKit failed: this is a fault of ebbtide", {{"agent", context_.spec.owner}});
        --running;
        one_ended.notify();
      });
    }
    while (running > 0) co_await one_ended.wait();
  };
  co_await (run(from, to) && run(to, from) && accept());
}

Task<Result<Exchange::Upstream>> Exchange::upgrade_to_http2() {
  if (head_.framing != http::Framing::kNone) {
    const auto discarded = co_await discard_body();
    if (!discarded) co_return fail(discarded.error());
  }
  const std::optional<std::string> no_body;
  co_return co_await send(no_body, false);
}

// A client opens its session and begins its build at the same time.
Task<Result<void>> Exchange::await_session(std::string id) {
  const auto executor = co_await http::asio::this_coro::executor;
  const auto end = std::chrono::steady_clock::now() + kSessionLimit;
  while (true) {
    const auto owner = context_.sessions.owner_of(id);
    if (owner == context_.spec.owner) co_return Result<void>();
    if (owner || client_state_.gone || std::chrono::steady_clock::now() > end)
      co_return fail(Error::not_found("no active session for " + id));
    http::asio::steady_timer pause(executor, kSessionPause);
    co_await pause.async_wait(http::asio::use_awaitable);
  }
}

// What a build with BuildKit by way of POST /build has besides.
Task<Result<void>> Exchange::prepare_buildkit_build() {
  auto outputs = parse_build_outputs(target_.query.get("outputs").value_or(""));
  if (!outputs) co_return fail(outputs.error());
  if (!outputs->empty()) target_.query.set("outputs", to_text(*outputs));
  for (const auto& output : *outputs)
    for (const auto& name : names_of(output)) {
      const auto recorded = co_await record_reference(name, true);
      if (!recorded) co_return fail(recorded.error());
    }
  if (isolates_images()) {
    const auto isolated = isolate_cache(target_.query, own_build_id(context_.server_id(), context_.spec.owner, ""));
    if (!isolated) co_return isolated;
  }
  if (const auto id = target_.query.get("buildid").value_or(""); !id.empty())
    target_.query.set("buildid", own_build_id(context_.server_id(), context_.spec.owner, id));
  const auto session = std::string(target_.query.get("session").value_or(""));
  if (session.empty()) co_return Result<void>();
  co_return co_await await_session(session);
}

// POST /build with BuildKit, where builds are read: by way of the session, and of nothing else.
Task<std::optional<Refusal>> Exchange::admit_buildkit_build() {
  if (target_.query.get("remote") != "client-session")
    co_return Refusal{"build-image",
                      "the Dockerfile can't be read: build from a folder, not from an archive on the standard input"};
  auto arguments = parse_build_arguments(target_.query.get("buildargs").value_or(""));
  if (!arguments) co_return Refusal{"build-image", arguments.error().message};
  for (const auto& [name, value] : *arguments)
    if (to_lower(name).starts_with(to_lower(kAttestArgument)))
      co_return Refusal{"build-image", name + " takes an image of its own: leave it out"};
  target_.query.remove("cachefrom");
  if (arguments->contains(std::string(kSyntaxArgument)))
    co_return Refusal{"build-image",
                      "frontends of one's own are not for this job: leave out --build-arg BUILDKIT_SYNTAX"};
  if (const auto refusal = check_dockerfile_name(target_.query.get("dockerfile").value_or(""))) co_return refusal;
  if (limits_registries(context_.spec.policy)) target_.query.remove("pull");
  co_return co_await admit_build({.values = std::move(*arguments)},
                                 std::string(target_.query.get("session").value_or("")));
}

// What the session's Dockerfiles take with these arguments; those that it sends later are held against them.
Task<std::optional<Refusal>> Exchange::admit_build(BuildArguments arguments, std::string session) {
  const auto found = context_.readings.sessions.find(session_name(session));
  if (found == context_.readings.sessions.end())
    co_return Refusal{"build-image", "the build needs a session of POST /session, from which its Dockerfile comes"};
  auto builds = found->second->add_arguments(std::move(arguments));
  if (!builds) co_return Refusal{"build-image", builds.error().message};
  co_return co_await admit_builds(std::move(*builds), logins_of({found->second}));
}

Task<Exchange::Next> Exchange::cancel_build() {
  const auto id = target_.query.get("id").value_or("");
  target_.query.set("id", own_build_id(context_.server_id(), context_.spec.owner, id));
  co_return co_await relay(false);
}

}  // namespace ebbtide::gateway
