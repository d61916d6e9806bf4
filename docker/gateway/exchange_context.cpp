#include <boost/asio/steady_timer.hpp>
#include <filesystem>

#include "docker/base/text.h"
#include "docker/gateway/buildkit.h"
#include "docker/gateway/exchange.h"

namespace ebbtide::gateway {
namespace {

constexpr std::uint64_t kMaxContext = 8ULL << 30;
constexpr std::size_t kMostContexts = 4;  // of one owner at once
constexpr std::chrono::milliseconds kContextPause{50};

// X-Registry-Config: a client's logins by registry, as base64 of a JSON object. What can't be read is none.
LoginFor logins_in(std::string_view header) {
  std::map<std::string, Json> logins;
  const auto decoded = base64_decode(header);
  const auto given = decoded ? Json::parse(*decoded, nullptr, false) : Json();
  if (!given.is_object()) return no_logins();
  for (const auto& [server, login] : given.items()) {
    auto name = std::string_view(server);
    for (const std::string_view scheme : {"https://", "http://"})
      if (name.starts_with(scheme)) name.remove_prefix(scheme.size());
    logins[registry_of(std::string(name.substr(0, name.find('/'))) + "/x")] = login;
  }
  return [logins = std::move(logins)](std::string registry) -> Task<Json> {
    const auto found = logins.find(registry);
    co_return found == logins.end() ? Json() : found->second;
  };
}

}  // namespace

Task<Result<std::optional<Refusal>>> Exchange::admit_context(std::optional<KeptContext>& context) {
  using Answer = Result<std::optional<Refusal>>;
  Turn turn(context_.contexts);
  if (!target_.query.get("remote").value_or("").empty())
    co_return Answer(
        Refusal{"build-image", "the Dockerfile can't be read: check the sources out and build from there"});
  auto arguments = parse_build_arguments(target_.query.get("buildargs").value_or(""));
  if (!arguments) co_return fail(arguments.error());
  const std::filesystem::path folder = context_.spec.contexts;
  auto archive = BuildArchive::create(folder.empty() ? std::filesystem::temp_directory_path() : folder,
                                      target_.query.get("dockerfile").value_or(""), kMaxContext);
  if (!archive) co_return fail(archive.error());
  const auto taken = co_await take_context(*archive);
  if (!taken && taken.error().kind == ErrorKind::kInvalid)
    co_return Answer(Refusal{"build-image", taken.error().message});
  if (!taken) co_return fail(taken.error());
  if (limits_registries(context_.spec.policy)) target_.query.remove("pull");
  target_.query.remove("cachefrom");
  // The classic builder knows no frontends.
  std::vector<DockerfileBuild> builds;
  builds.push_back({archive->dockerfile(), {.values = std::move(*arguments), .own_frontend = true}});
  auto refusal =
      co_await admit_builds(std::move(builds), logins_in(head_.fields.find("X-Registry-Config").value_or("")));
  if (!refusal) context.emplace(KeptContext{std::move(turn), std::move(*archive)});
  co_return refusal;
}

Task<Result<void>> Exchange::take_context(BuildArchive& context) {
  body_read_ = true;
  const auto invited = co_await invite_body();
  if (!invited) co_return fail(invited.error());
  http::BodyReader body({head_.framing, head_.length});
  while (true) {
    const auto piece = co_await client_.read_piece(body);
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) break;
    const auto kept = co_await off_loop(context_.archives, [&] { return context.write(*piece); });
    if (kept) continue;
    head_.keep_alive = false;  // the rest of it is still to come
    co_return fail(kept.error());
  }
  while (!client_state_.gone) {
    const auto done = co_await off_loop(context_.archives, [&] { return context.scan(); });
    if (!done) co_return fail(done.error());
    if (*done) co_return Result<void>();
  }
  co_return fail(Error::cancelled("the client has gone"));
}

Task<Result<Exchange::Upstream>> Exchange::send_context(BuildArchive& context) {
  co_return co_await send_pieces([this, &context]() -> Task<Result<std::string>> {
    co_return co_await off_loop(context_.archives, [&context] { return context.next(); });
  });
}

Task<Result<Exchange::Upstream>> Exchange::send_seen(std::function<void(std::string_view)> see) {
  body_read_ = true;
  const auto invited = co_await invite_body();
  if (!invited) co_return fail(invited.error());
  http::BodyReader body({head_.framing, head_.length});
  bool whole = false;
  auto sent = co_await send_pieces([&]() -> Task<Result<std::string>> {
    const auto piece = co_await client_.read_piece(body);
    if (!piece) co_return fail(piece.error());
    see(*piece);
    whole = piece->empty();
    co_return std::string(*piece);
  });
  if (!whole) head_.keep_alive = false;
  co_return sent;
}

Task<Result<Exchange::Upstream>> Exchange::send_pieces(NextPiece next) {
  auto sent = co_await send_pieces_once(std::move(next));
  client_state_.upstream = sent ? sent->connection.get() : nullptr;
  co_return sent;
}

// Where it can't be sent whole the connection is dropped: a part of it might pass for an archive of its own.
Task<Result<Exchange::Upstream>> Exchange::send_pieces_once(NextPiece next) {
  auto lease = co_await context_.upstream.acquire(true);
  if (!lease) co_return fail(lease.error());
  auto& connection = *lease->connection;
  client_state_.upstream = &connection;
  auto head = upstream_head(std::nullopt, true);
  for (const auto* name : {"Content-Length", "Content-Encoding", "Expect"}) head.fields.remove(name);
  head.fields.set("Transfer-Encoding", "chunked");
  head.framing = http::Framing::kChunked;
  auto written = co_await connection.write(to_bytes(head));
  while (written) {
    const auto piece = co_await next();
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) break;
    written = co_await connection.write_chunk(*piece);
  }
  // The engine may answer before it has read all; its answer says why.
  if (written) written = co_await connection.end_chunks();
  co_return co_await read_answer({.connection = std::move(lease->connection), .head = {}});
}

// So many at once, each of which may be large; the others wait.
Task<bool> Exchange::await_turn() {
  const auto executor = co_await http::asio::this_coro::executor;
  while (context_.contexts >= kMostContexts && !client_state_.gone) {
    http::asio::steady_timer pause(executor, kContextPause);
    co_await pause.async_wait(http::asio::use_awaitable);
  }
  co_return !client_state_.gone;
}

}  // namespace ebbtide::gateway
