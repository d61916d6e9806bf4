#include "docker/base/text.h"
#include "docker/gateway/exchange.h"

namespace ebbtide::gateway {
namespace {

// The engine took the connection over: by the protocol's word, or (for clients that did not ask to upgrade) by a raw
// stream until the end of the connection. (Engine API 1.41, tried.)
bool is_hijacked(const http::ResponseHead& head) {
  if (head.status == 101) return true;
  const auto type = head.fields.find("Content-Type").value_or("");
  return head.status == 200 && head.framing == http::Framing::kUntilClose &&
         type.starts_with("application/vnd.docker.");
}

}  // namespace

Task<Result<Belonging>> Exchange::resolve_exec(std::string id) {
  if (const auto known = context_.ledger().find(Kind::kExec, id); known && known->owner == context_.spec.owner)
    co_return *known;
  const auto unknown = Error::not_found(not_found_message(Kind::kExec, id));
  const auto answer = co_await ask("/exec/" + percent_encode(id) + "/json");
  if (!answer) co_return fail(answer.error());
  const auto exec = Json::parse(answer->body, nullptr, false);
  if (answer->head.status != 200 || !exec.is_object()) co_return fail(unknown);
  const auto full_id = exec.value("ID", std::string());
  const auto container = exec.value("ContainerID", std::string());
  const auto owned = co_await resolve(Kind::kContainer, container);
  if (!owned || is_own_agent(*owned) || owned->id != container || full_id != id) co_return fail(unknown);
  Belonging belonging{.kind = Kind::kExec, .id = id, .name = {}, .owner = context_.spec.owner, .container = container};
  context_.ledger().claim(belonging);
  co_return belonging;
}

Task<Exchange::Next> Exchange::exec_inspect() {
  const auto exec = co_await resolve_exec(match_.object);
  if (!exec) co_return co_await answer_error(exec.error());
  const auto answer = co_await call("GET");
  if (!answer) co_return co_await answer_error(answer.error());
  co_return co_await forward(*answer);
}

Task<Exchange::Next> Exchange::upgrade() {
  std::optional<std::string> body;
  if (match_.route->kind == Kind::kExec) {
    const auto exec = co_await resolve_exec(match_.object);
    if (!exec) co_return co_await answer_error(exec.error());
    const auto model = co_await read_model(ModelName::kExecStart);
    if (!model) co_return co_await answer_error(model.error());
    body = model->dump();
  } else {
    const auto container = co_await resolve(Kind::kContainer, match_.object);
    if (!container) co_return co_await answer_error(container.error());
    if (is_own_agent(*container))
      co_return co_await refuse({"own-agent", "an agent can't attach to its own container"});
    target_.path = std::string(match_.route->pattern).replace(match_.route->pattern.find("{id}"), 4, container->id);
    // Bytes that come with the request are the stream's, not a body: some clients frame an empty one.
    if (head_.framing != http::Framing::kNone) {
      const auto discarded = co_await discard_body();
      if (!discarded) co_return Next::kClose;
    }
  }
  auto upstream = co_await send(body, false);
  if (!upstream) co_return co_await answer_error(upstream.error());
  if (!is_hijacked(upstream->head)) co_return co_await relay_answer(std::move(*upstream));
  co_return co_await upgraded(std::move(*upstream));
}

// Client bytes go upstream only from here on: what reaches the engine together with the request is lost there.
Task<Exchange::Next> Exchange::upgraded(Upstream upstream) {
  status_ = upstream.head.status;
  const Counting::Open open(context_.counting.streams);
  const auto written = co_await client_.write(to_bytes(upstream.head));
  if (written) {
    client_state_.tunnelling = true;
    const auto all_passed_on = [this] {
      client_state_.tunnelling = false;
      if (client_state_.gone && client_state_.upstream) client_state_.upstream->close();
    };
    co_await http::tunnel(client_, *upstream.connection, all_passed_on);
  }
  client_state_.upstream = nullptr;
  co_return Next::kClose;
}

}  // namespace ebbtide::gateway
