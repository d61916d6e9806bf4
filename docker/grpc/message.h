// gRPC over HTTP/2: how messages are framed, and how a call ends. Pure but for the coroutines, which are of the
// streams' loop.
#pragma once

#include <string>
#include <string_view>

#include "docker/grpc/http2.h"

namespace ebbtide::grpc {

// grpc-status.
enum class Code {
  kOk = 0,
  kInvalidArgument = 3,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
};

std::string frame(std::string_view message);
// The one message that is all of body. kInvalid: none, several, a compressed or an incomplete one.
Result<std::string> unframe(std::string_view body);

// The messages in what a peer sends, as its pieces come. Not thread-safe.
class MessageReader {
 public:
  explicit MessageReader(std::size_t limit) : limit_(limit) {}
  // Those that are whole now. kInvalid: a compressed one; kTooLarge: one over the limit.
  Result<std::vector<std::string>> feed(std::string_view bytes);

 private:
  std::size_t limit_;
  std::string kept_;
};

// The whole of what the peer sends; kTooLarge over limit.
Task<Result<std::string>> read_all(Stream& stream, std::size_t limit);
// An answer of one message, or of none: a stream of messages that is empty.
Task<void> answer(Stream& stream, std::string body);
void answer_error(Stream& stream, Code code, std::string_view message);
// The same where the answer's head has gone.
void end_with_error(Stream& stream, Code code, std::string_view message);

// Both directions until both have ended; a reset of one side resets the other.
Task<void> relay(Stream& client, Stream& engine);
// One direction alone: what from sends after its head; engine's answer.
Task<void> relay_request(Stream& from, Stream& to);
Task<void> relay_answer(Stream& engine, Stream& client);

}  // namespace ebbtide::grpc
