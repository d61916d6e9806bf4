#include "docker/http/chunk.h"

#include <algorithm>

namespace ebbtide::http {
namespace {

constexpr std::size_t kMaxSizeLine = 4096;
constexpr std::size_t kMaxTrailers = 16 * 1024;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

tl::unexpected<Error> malformed() { return fail(Error::invalid("a malformed chunked body")); }

}  // namespace

void ChunkWalker::skip(std::uint64_t bytes) {
  left_ -= bytes;
  if (left_ == 0) state_ = State::kDataCr;
}

Result<ChunkWalker::Step> ChunkWalker::walk(std::string_view bytes) {
  Step step;
  while (step.framing < bytes.size() && state_ != State::kData && state_ != State::kEnded) {
    const auto read = framing_byte(bytes[step.framing]);
    if (!read) return fail(read.error());
    ++step.framing;
  }
  if (state_ != State::kData) return step;
  step.data = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - step.framing));
  skip(step.data);
  return step;
}

Result<bool> ChunkWalker::framing_byte(char c) {
  switch (state_) {
    case State::kSize:
    case State::kExtension:
      return size_byte(c);
    case State::kSizeLf:
      if (c != '\n') return malformed();
      state_ = left_ > 0 ? State::kData : State::kTrailer;
      any_digit_ = false;
      line_ = 0;
      return true;
    case State::kDataCr:
      if (c != '\r') return malformed();
      state_ = State::kDataLf;
      return true;
    case State::kDataLf:
      if (c != '\n') return malformed();
      state_ = State::kSize;
      return true;
    case State::kTrailer:
    case State::kTrailerLf:
      return trailer_byte(c);
    case State::kData:
    case State::kEnded:
      return false;
  }
  return false;
}

Result<bool> ChunkWalker::size_byte(char c) {
  if (++line_ > kMaxSizeLine) return malformed();
  if (c == '\r') {
    if (!any_digit_) return malformed();
    state_ = State::kSizeLf;
    return true;
  }
  if (state_ == State::kExtension) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && c != '\t') return malformed();
    return true;
  }
  if (c == ';' && any_digit_) {
    state_ = State::kExtension;
    return true;
  }
  const int digit = hex_value(c);
  if (digit < 0 || left_ > (UINT64_MAX >> 5)) return malformed();
  left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
  any_digit_ = true;
  return true;
}

Result<bool> ChunkWalker::trailer_byte(char c) {
  if (++trailers_ > kMaxTrailers) return malformed();
  if (state_ == State::kTrailerLf) {
    if (c != '\n') return malformed();
    state_ = trailer_line_ == 0 ? State::kEnded : State::kTrailer;
    trailer_line_ = 0;
  } else if (c == '\r') {
    state_ = State::kTrailerLf;
  } else if (c == '\n') {
    return malformed();
  } else {
    ++trailer_line_;
  }
  return true;
}

}  // namespace ebbtide::http
