// Mover: bytes from one connection to another, as fast as the sockets allow: through a pipe in the kernel (splice)
// where both are plain, else through a buffer that exists only while bytes flow. Every read is passed on before the
// next. A coroutine's local on one loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "docker/base/unique_fd.h"
#include "docker/http/connection.h"

namespace ebbtide::http {

class Mover {
 public:
  Mover(Connection& from, Connection& to) : from_(from), to_(to) {}

  // Exactly so many bytes; kUnavailable if the stream ends before.
  Task<Result<std::uint64_t>> move(std::uint64_t bytes);
  Task<Result<std::uint64_t>> move_until_end();
  // A chunked body with its framing, byte for byte.
  Task<Result<std::uint64_t>> move_chunks();

 private:
  // Up to limit bytes that are there now, or as soon as there are some; zero at the end of the stream.
  Task<Result<std::uint64_t>> move_some(std::uint64_t limit);
  Task<Result<std::uint64_t>> splice_some(std::uint64_t limit);
  Task<Result<std::uint64_t>> copy_some(std::uint64_t limit);
  // What the stream has, at most limit bytes, in our buffer; empty at its end.
  Task<Result<std::string_view>> read_some(std::uint64_t limit);
  Task<Result<void>> drain_pipe(std::size_t bytes);
  // Forwards whole steps of the walker from bytes; how many bytes were the body's.
  Task<Result<std::size_t>> forward_chunks(ChunkWalker& walker, std::string_view bytes);
  Task<void> let_others_run(std::uint64_t moved);
  bool can_splice();

  Connection& from_;
  Connection& to_;
  std::string buffer_;
  bool flows_ = false;  // reads have filled the buffer
  UniqueFd pipe_read_;
  UniqueFd pipe_write_;
  bool no_pipe_ = false;
  std::uint64_t since_yield_ = 0;
};

}  // namespace ebbtide::http
