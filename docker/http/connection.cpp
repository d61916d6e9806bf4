#include "docker/http/connection.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "docker/http/mover.h"

namespace ebbtide::http {
namespace {

constexpr std::size_t kFirstRead = 16 * 1024;
constexpr std::size_t kMaxChunkedSlack = 64 * 1024;

Error early_end() { return Error::unavailable("the connection ended in the middle of a message"); }

}  // namespace

Connection::Connection(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

std::string_view Connection::buffered() const { return std::string_view(buffer_).substr(begin_); }

void Connection::consume(std::size_t bytes) {
  begin_ += bytes;
  if (begin_ < buffer_.size()) return;
  begin_ = 0;
  buffer_.clear();
  if (buffer_.capacity() > kMaxChunkedSlack) buffer_.shrink_to_fit();  // an idle connection holds no large buffer
}

void Connection::unread(std::string_view bytes) { buffer_.insert(begin_, bytes); }

Task<Result<bool>> Connection::fill() {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  const auto had = buffer_.size();
  buffer_.resize(had + kFirstRead);
  const auto got = co_await stream_->read_some(asio::buffer(buffer_.data() + had, kFirstRead));
  buffer_.resize(had + (got ? *got : 0));
  if (!got) co_return fail(got.error());
  note_received(*got);
  co_return *got > 0;
}

// The bytes of the next head in the buffer, or zero at a clean end of the stream.
Task<Result<std::size_t>> Connection::await_head() {
  std::size_t looked_at = 0;
  while (true) {
    const auto bytes = buffered();
    if (bytes.size() >= kHttp2Preface.size() && bytes.starts_with(kHttp2Preface))
      co_return fail(Error::invalid("HTTP/2 is not spoken here: use HTTP/1.1"));
    const auto from = looked_at > 3 ? looked_at - 3 : 0;
    if (const auto size = head_size(bytes.substr(from))) co_return from + *size;
    if (bytes.size() > kMaxHeadBytes) co_return fail(Error::too_large("the message's head is too large"));
    looked_at = bytes.size();
    const auto more = co_await fill();
    if (!more) co_return fail(more.error());
    if (*more) continue;
    if (looked_at == 0) co_return 0;
    co_return fail(early_end());
  }
}

Task<Result<std::optional<RequestHead>>> Connection::read_request_head() {
  // A client may send empty lines between requests (RFC 9112, 2.2).
  while (buffered().empty() || std::string_view("\r\n").starts_with(buffered().substr(0, 2))) {
    if (buffered().size() >= 2) {
      consume(2);
      continue;
    }
    const auto more = co_await fill();
    if (!more) co_return fail(more.error());
    if (!*more && buffered().empty()) co_return std::optional<RequestHead>();
    if (!*more) co_return fail(early_end());
  }
  const auto size = co_await await_head();
  if (!size) co_return fail(size.error());
  auto head = parse_request_head(buffered().substr(0, *size));
  consume(*size);
  if (!head) co_return fail(head.error());
  co_return std::optional<RequestHead>(std::move(*head));
}

Task<Result<ResponseHead>> Connection::read_response_head(std::string_view request_method) {
  const std::string method(request_method);  // the caller's text may end before we do
  const auto size = co_await await_head();
  if (!size) co_return fail(size.error());
  if (*size == 0) co_return fail(early_end());
  auto head = parse_response_head(buffered().substr(0, *size), method);
  consume(*size);
  co_return head;
}

Task<Result<std::string_view>> Connection::read_piece(BodyReader& reader) {
  consume(std::exchange(reader.to_consume, 0));
  while (!reader.ended) {
    const auto step = reader.next(buffered());
    if (!step) co_return fail(step.error());
    consume(step->framing);
    if (step->data > 0) {
      reader.to_consume = step->data;
      co_return buffered().substr(0, step->data);
    }
    if (reader.ended) break;
    const auto more = co_await fill();
    if (!more) co_return fail(more.error());
    if (*more) continue;
    if (reader.frame.framing != Framing::kUntilClose) co_return fail(early_end());
    reader.ended = true;
  }
  co_return std::string_view();
}

Result<ChunkWalker::Step> BodyReader::next(std::string_view bytes) {
  switch (frame.framing) {
    case Framing::kNone:
      ended = true;
      return ChunkWalker::Step{};
    case Framing::kUntilClose:
      return ChunkWalker::Step{.framing = 0, .data = bytes.size()};
    case Framing::kLength: {
      const auto data = static_cast<std::size_t>(std::min<std::uint64_t>(frame.length - taken, bytes.size()));
      taken += data;
      ended = taken == frame.length && data == 0;
      return ChunkWalker::Step{.framing = 0, .data = data};
    }
    case Framing::kChunked:
      break;
  }
  auto step = chunks.walk(bytes);
  if (step) ended = chunks.ended();
  return step;
}

Task<Result<std::string>> Connection::read_body(BodyFrame frame, std::size_t limit) {
  if (frame.framing == Framing::kLength && frame.length > limit)
    co_return fail(Error::too_large("the body is larger than " + std::to_string(limit) + " bytes"));
  BodyReader reader(frame);
  std::string body;
  while (true) {
    const auto piece = co_await read_piece(reader);
    if (!piece) co_return fail(piece.error());
    if (piece->empty()) co_return body;
    if (body.size() + piece->size() > limit)
      co_return fail(Error::too_large("the body is larger than " + std::to_string(limit) + " bytes"));
    body += *piece;
  }
}

Task<Result<void>> Connection::write(std::string_view bytes) {
  note_sent(bytes.size());
  return stream_->write_all(asio::buffer(bytes.data(), bytes.size()));
}

Task<Result<void>> Connection::write_chunk(std::string_view bytes) {
  if (bytes.empty()) co_return Result<void>();
  std::array<char, 20> size{};
  const int length = std::snprintf(size.data(), size.size(), "%zx\r\n", bytes.size());
  std::string chunk(size.data(), static_cast<std::size_t>(length));
  chunk.append(bytes).append("\r\n");
  co_return co_await write(chunk);
}

Task<Result<void>> Connection::end_chunks() { return write("0\r\n\r\n"); }

Task<Result<std::uint64_t>> relay_body(Connection& from, Connection& to, BodyFrame frame) {
  Mover mover(from, to);
  switch (frame.framing) {
    case Framing::kNone:
      co_return 0;
    case Framing::kLength:
      co_return co_await mover.move(frame.length);
    case Framing::kUntilClose:
      co_return co_await mover.move_until_end();
    case Framing::kChunked:
      co_return co_await mover.move_chunks();
  }
  co_return 0;
}

}  // namespace ebbtide::http
