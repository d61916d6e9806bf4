#include "docker/gateway/session.h"

namespace ebbtide::gateway {

Session::Session(std::shared_ptr<Context> context, std::unique_ptr<http::Stream> stream)
    : context_(std::move(context)), client_(std::move(stream)), open_(context_->counting.connections) {
  // The peer is this process itself (front.h).
  if (context_->spec.remote) state_.caller = Caller{};
}

void Session::stop() {
  state_.gone = true;
  client_.close();
  if (state_.upstream) state_.upstream->close();
  for (auto* pull : state_.pulls) pull->close();
}

Task<void> Session::watch_client() {
  const auto self = shared_from_this();
  co_await client_.stream().wait_gone();
  state_.gone = true;
  if (!state_.tunnelling) stop();
}

Task<void> Session::run() {
  const auto self = shared_from_this();
  while (co_await serve_one()) {
  }
  stop();
}

Task<bool> Session::serve_one() {
  auto head = co_await client_.read_request_head();
  if (!head) {
    co_await refuse_head(head.error());
    co_return false;
  }
  if (!*head) co_return false;
  Exchange exchange(*context_, client_, state_, std::move(**head));
  co_return co_await exchange.run();
}

// What can't be parsed gets a reason, and then the end: where the next request would begin is unknown.
Task<void> Session::refuse_head(const Error& error) {
  const bool too_large = error.kind == ErrorKind::kTooLarge;
  if (!too_large && error.kind != ErrorKind::kInvalid) co_return;
  const auto body = error_body(error.message);
  http::ResponseHead head{.status = too_large ? 431 : 400,
                          .reason = too_large ? "Request Header Fields Too Large" : "Bad Request",
                          .fields = {},
                          .framing = http::Framing::kLength,
                          .length = body.size(),
                          .keep_alive = false};
  head.fields.add("Content-Type", "application/json");
  context_->counting.refusal("malformed");
  auto record = begin_audit(*context_, client_, state_);
  record.rule = "malformed";
  record.status = head.status;
  const auto bytes = to_bytes(head) + body;
  const auto written = co_await client_.write(bytes);
  end_audit(*context_, client_, state_, std::move(record));
  if (written) co_await client_.stream().shutdown_send();
}

}  // namespace ebbtide::gateway
