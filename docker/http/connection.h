// Connection: a Stream with its read buffer and the movements of HTTP messages over it. Coroutines on one
// loop; not thread-safe. After any error the connection is of no further use: close it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "docker/http/chunk.h"
#include "docker/http/head.h"
#include "docker/http/stream.h"

namespace ebbtide::http {

// What a message's body is, as its head tells.
struct BodyFrame {
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;
};

// Where the reading of one body stands. Made for the body's frame, given to read_piece until it returns nothing.
struct BodyReader {
  explicit BodyReader(BodyFrame body_frame) : frame(body_frame) {}

  // What of the bytes at hand is framing and then data; sets ended.
  Result<ChunkWalker::Step> next(std::string_view bytes);

  BodyFrame frame;
  ChunkWalker chunks;
  std::uint64_t taken = 0;
  std::size_t to_consume = 0;  // of the piece that was given out last
  bool ended = false;
};

class Connection {
 public:
  explicit Connection(std::unique_ptr<Stream> stream);

  // Nothing at an end of the stream between messages. kInvalid, kTooLarge: answer it with 400 or 431, then
  // close. A stream that begins with the HTTP/2 preface is kInvalid.
  Task<Result<std::optional<RequestHead>>> read_request_head();
  // Every head in turn, 1xx among them.
  Task<Result<ResponseHead>> read_response_head(std::string_view request_method);
  // The whole body, unframed; kTooLarge over limit.
  Task<Result<std::string>> read_body(BodyFrame frame, std::size_t limit);
  // The next piece of a body, unframed, as soon as there is one; empty at its end. Valid until the next call on this
  // connection.
  Task<Result<std::string_view>> read_piece(BodyReader& reader);

  Task<Result<void>> write(std::string_view bytes);
  // One chunk of a chunked body; an empty one is not written. end_chunks writes the last.
  Task<Result<void>> write_chunk(std::string_view bytes);
  Task<Result<void>> end_chunks();

  Stream& stream() { return *stream_; }
  // Read but not yet taken.
  std::string_view buffered() const;
  void consume(std::size_t bytes);
  // Puts bytes that were read around the buffer (which must be empty) back in front of what comes.
  void unread(std::string_view bytes);
  // Reads more into the buffer; false at the end of the stream.
  Task<Result<bool>> fill();
  void close() { stream_->close(); }

  // Bytes over the stream since it was opened, heads and framing included.
  std::uint64_t received() const { return received_; }
  std::uint64_t sent() const { return sent_; }
  // For those who move bytes around the connection.
  void note_received(std::uint64_t bytes) { received_ += bytes; }
  void note_sent(std::uint64_t bytes) { sent_ += bytes; }

 private:
  Task<Result<std::size_t>> await_head();

  std::unique_ptr<Stream> stream_;
  std::string buffer_;
  std::size_t begin_ = 0;  // buffer_[begin_, size) is buffered()
  std::uint64_t received_ = 0;
  std::uint64_t sent_ = 0;
};

// Moves a body as it is framed, byte for byte (chunk extensions and trailers included), with back-pressure:
// nothing is read before what was read has been written. Every read is passed on at once; only a stream that
// already flows is gathered. Returns the bytes moved.
Task<Result<std::uint64_t>> relay_body(Connection& from, Connection& to, BodyFrame frame);

// Both directions until both have ended. The end of one side is passed on as a half-close, the other goes on.
// a_ended is called when all that a had sent has been passed on.
Task<void> tunnel(Connection& a, Connection& b, std::function<void()> a_ended);

}  // namespace ebbtide::http
