#include "docker/grpc/message.h"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "docker/base/text.h"

namespace ebbtide::grpc {
namespace {

constexpr std::size_t kPrefix = 5;  // a flag and four bytes of length

Error not_one_message() { return Error::invalid("the call must hold one message, not compressed"); }

Headers status_of(Code code, std::string_view message) {
  constexpr std::string_view kKept = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}";
  return {{"grpc-status", std::to_string(static_cast<int>(code))}, {"grpc-message", percent_encode(message, kKept)}};
}

std::size_t size_in(std::string_view prefix) {
  std::size_t size = 0;
  for (std::size_t i = 1; i < kPrefix; ++i) size = size << 8 | static_cast<unsigned char>(prefix[i]);
  return size;
}

}  // namespace

std::string frame(std::string_view message) {
  std::string framed(1, '\0');
  for (const int shift : {24, 16, 8, 0}) framed += static_cast<char>((message.size() >> shift) & 0xff);
  return framed.append(message);
}

Result<std::string> unframe(std::string_view body) {
  if (body.size() < kPrefix || body[0] != '\0') return fail(not_one_message());
  if (body.size() - kPrefix != size_in(body)) return fail(not_one_message());
  return std::string(body.substr(kPrefix));
}

Result<std::vector<std::string>> MessageReader::feed(std::string_view bytes) {
  kept_ += bytes;
  std::vector<std::string> messages;
  std::size_t begin = 0;
  while (kept_.size() - begin >= kPrefix) {
    const auto rest = std::string_view(kept_).substr(begin);
    if (rest[0] != '\0') return fail(not_one_message());
    const auto size = size_in(rest);
    if (size > limit_) return fail(Error::too_large("the message is too large"));
    if (rest.size() - kPrefix < size) break;
    messages.emplace_back(rest.substr(kPrefix, size));
    begin += kPrefix + size;
  }
  kept_.erase(0, begin);
  return messages;
}

Task<Result<std::string>> read_all(Stream& stream, std::size_t limit) {
  std::string all;
  while (true) {
    const auto bytes = co_await stream.read();
    if (!bytes) co_return fail(bytes.error());
    if (bytes->empty()) co_return all;
    if (all.size() + bytes->size() > limit) co_return fail(Error::too_large("the message is too large"));
    all += *bytes;
  }
}

Task<void> answer(Stream& stream, std::string body) {
  stream.respond({{":status", "200"}, {"content-type", "application/grpc"}}, false);
  if (!body.empty()) {
    const auto written = co_await stream.write(std::move(body));
    if (!written) co_return;
  }
  stream.finish({{"grpc-status", "0"}});
}

void answer_error(Stream& stream, Code code, std::string_view message) {
  Headers head{{":status", "200"}, {"content-type", "application/grpc"}};
  for (auto& field : status_of(code, message)) head.push_back(std::move(field));
  stream.respond(head, true);
}

void end_with_error(Stream& stream, Code code, std::string_view message) { stream.finish(status_of(code, message)); }

Task<void> relay_request(Stream& from, Stream& to) {
  while (true) {
    auto bytes = co_await from.read();
    if (!bytes) co_return to.reset();
    if (bytes->empty()) co_return to.finish();
    const auto written = co_await to.write(std::move(*bytes));
    if (!written) co_return;
  }
}

Task<void> relay_answer(Stream& engine, Stream& client) {
  const auto head = co_await engine.wait_head();
  if (!head) co_return client.reset();
  const bool no_body = engine.at_end() && engine.trailers().empty();
  client.respond(engine.head(), no_body);
  while (!no_body) {
    auto bytes = co_await engine.read();
    if (!bytes) co_return client.reset();
    if (bytes->empty()) co_return client.finish(engine.trailers());
    const auto written = co_await client.write(std::move(*bytes));
    if (!written) co_return engine.reset();
  }
}

Task<void> relay(Stream& client, Stream& engine) {
  using namespace http::asio::experimental::awaitable_operators;
  co_await (relay_request(client, engine) && relay_answer(engine, client));
}

}  // namespace ebbtide::grpc
