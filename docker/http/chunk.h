// ChunkWalker: the framing of a chunked body (RFC 9112, 7.1), walked over bytes that come in pieces cut anywhere. It
// says which bytes are framing and which are data, and never copies either. Values; not thread-safe.
//
// Strict: sizes are hexadecimal digits only, CR LF after each size line and each chunk, size lines at most 4 KiB,
// trailers at most 16 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "docker/base/result.h"

namespace ebbtide::http {

class ChunkWalker {
 public:
  // What lies at the front of the bytes given.
  struct Step {
    std::size_t framing = 0;  // so many bytes of framing come first,
    std::size_t data = 0;     // then so many of data
  };

  // The next step in bytes; both zero: more bytes are needed (or the body has ended). Calls continue where the last
  // step ended.
  Result<Step> walk(std::string_view bytes);
  bool ended() const { return state_ == State::kEnded; }
  // Data of the present chunk that is still to come.
  std::uint64_t left_in_chunk() const { return left_; }
  // Passes over data that was moved without being looked at; at most left_in_chunk().
  void skip(std::uint64_t bytes);

 private:
  enum class State { kSize, kExtension, kSizeLf, kData, kDataCr, kDataLf, kTrailer, kTrailerLf, kEnded };
  Result<bool> framing_byte(char c);  // true while framing goes on
  Result<bool> size_byte(char c);
  Result<bool> trailer_byte(char c);

  State state_ = State::kSize;
  std::uint64_t left_ = 0;
  bool any_digit_ = false;
  std::size_t line_ = 0;      // bytes of the present size line
  std::size_t trailers_ = 0;  // bytes of all trailers
  std::size_t trailer_line_ = 0;
};

}  // namespace ebbtide::http
