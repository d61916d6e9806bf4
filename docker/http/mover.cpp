#include "docker/http/mover.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

namespace ebbtide::http {
namespace {

// Many streams say little for hours (logs, events): only one that fills the first buffer gets the large one.
constexpr std::size_t kFirstBuffer = 16 * 1024;
constexpr std::size_t kBuffer = 256 * 1024;
constexpr int kPipe = 1 << 20;
// One fast stream must not hold its loop for long.
constexpr std::uint64_t kYieldAfter = 8 << 20;
// Below this a splice's extra system calls cost more than the copy.
constexpr std::uint64_t kWorthSplicing = 64 * 1024;

Error early_end() { return Error::unavailable("the connection ended in the middle of a body"); }
Error os_error() { return Error::unavailable(std::strerror(errno)); }

}  // namespace

Task<Result<std::uint64_t>> Mover::move(std::uint64_t bytes) {
  for (std::uint64_t left = bytes; left > 0;) {
    const auto moved = co_await move_some(left);
    if (!moved) co_return fail(moved.error());
    if (*moved == 0) co_return fail(early_end());
    left -= *moved;
  }
  co_return bytes;
}

Task<Result<std::uint64_t>> Mover::move_until_end() {
  std::uint64_t total = 0;
  while (true) {
    const auto moved = co_await move_some(UINT64_MAX);
    if (!moved) co_return fail(moved.error());
    if (*moved == 0) co_return total;
    total += *moved;
  }
}

Task<Result<std::uint64_t>> Mover::move_some(std::uint64_t limit) {
  if (const auto held = from_.buffered(); !held.empty()) {
    const auto piece = held.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(limit, held.size())));
    const auto written = co_await to_.write(piece);
    if (!written) co_return fail(written.error());
    const auto size = piece.size();
    from_.consume(size);
    co_return size;
  }
  const bool splice = limit >= kWorthSplicing && can_splice();
  auto moved = splice ? splice_some(limit) : copy_some(limit);
  const auto result = co_await std::move(moved);
  if (result) co_await let_others_run(*result);
  co_return result;
}

Task<Result<std::string_view>> Mover::read_some(std::uint64_t limit) {
  buffer_.resize(flows_ ? kBuffer : kFirstBuffer);
  const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(limit, buffer_.size()));
  const auto got = co_await from_.stream().read_some(asio::buffer(buffer_.data(), room));
  if (!got) co_return fail(got.error());
  from_.note_received(*got);
  flows_ = flows_ || *got == buffer_.size();
  co_return std::string_view(buffer_).substr(0, *got);
}

Task<Result<std::uint64_t>> Mover::copy_some(std::uint64_t limit) {
  const auto bytes = co_await read_some(limit);
  if (!bytes) co_return fail(bytes.error());
  const auto written = co_await to_.write(*bytes);
  if (!written) co_return fail(written.error());
  co_return bytes->size();
}

bool Mover::can_splice() {
  if (pipe_read_) return true;
  if (no_pipe_ || from_.stream().plain_fd() < 0 || to_.stream().plain_fd() < 0) return false;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    no_pipe_ = true;  // out of descriptors: copying still works
    return false;
  }
  pipe_read_ = UniqueFd(ends[0]);
  pipe_write_ = UniqueFd(ends[1]);
  ::fcntl(pipe_write_.get(), F_SETPIPE_SZ, kPipe);  // the default size is slower, no more
  return true;
}

Task<Result<std::uint64_t>> Mover::splice_some(std::uint64_t limit) {
  const auto room = static_cast<std::size_t>(std::min<std::uint64_t>(limit, kPipe));
  while (true) {
    const auto got = ::splice(from_.stream().plain_fd(), nullptr, pipe_write_.get(), nullptr, room,
                              SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (got == 0) co_return 0;
    if (got > 0) {
      const auto size = static_cast<std::size_t>(got);
      from_.note_received(size);
      const auto drained = co_await drain_pipe(size);
      if (!drained) co_return fail(drained.error());
      co_return size;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return fail(os_error());
    const auto readable = co_await from_.stream().wait_readable();
    if (!readable) co_return fail(readable.error());
  }
}

Task<Result<void>> Mover::drain_pipe(std::size_t bytes) {
  while (bytes > 0) {
    const auto sent =
        ::splice(pipe_read_.get(), nullptr, to_.stream().plain_fd(), nullptr, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (sent > 0) {
      bytes -= static_cast<std::size_t>(sent);
      to_.note_sent(static_cast<std::uint64_t>(sent));
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) co_return fail(os_error());
    const auto writable = co_await to_.stream().wait_writable();
    if (!writable) co_return fail(writable.error());
  }
  co_return Result<void>();
}

Task<void> Mover::let_others_run(std::uint64_t moved) {
  since_yield_ += moved;
  if (since_yield_ < kYieldAfter) co_return;
  since_yield_ = 0;
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
}

Task<Result<std::size_t>> Mover::forward_chunks(ChunkWalker& walker, std::string_view bytes) {
  std::size_t whole = 0;
  while (whole < bytes.size() && !walker.ended()) {
    const auto step = walker.walk(bytes.substr(whole));
    if (!step) co_return fail(step.error());
    whole += step->framing + step->data;
  }
  const auto written = co_await to_.write(bytes.substr(0, whole));
  if (!written) co_return fail(written.error());
  co_return whole;
}

Task<Result<std::uint64_t>> Mover::move_chunks() {
  ChunkWalker walker;
  std::uint64_t total = 0;
  if (!from_.buffered().empty()) {
    const auto forwarded = co_await forward_chunks(walker, from_.buffered());
    if (!forwarded) co_return fail(forwarded.error());
    from_.consume(*forwarded);
    total += *forwarded;
  }
  while (!walker.ended()) {
    if (walker.left_in_chunk() >= kBuffer) {
      const auto data = walker.left_in_chunk();
      const auto moved = co_await move(data);
      if (!moved) co_return fail(moved.error());
      walker.skip(data);
      total += data;
      continue;
    }
    const auto bytes = co_await read_some(UINT64_MAX);
    if (!bytes) co_return fail(bytes.error());
    if (bytes->empty()) co_return fail(early_end());
    const auto forwarded = co_await forward_chunks(walker, *bytes);
    if (!forwarded) co_return fail(forwarded.error());
    from_.unread(bytes->substr(*forwarded));
    total += *forwarded;
    co_await let_others_run(*forwarded);
  }
  co_return total;
}

namespace {

// One direction of a tunnel: until its end, which is passed on.
Task<bool> pump(Connection& from, Connection& to) {
  Mover mover(from, to);
  const auto moved = co_await mover.move_until_end();
  if (moved) {
    co_await to.stream().shutdown_send();
  } else {
    // A broken direction breaks the tunnel: nobody could tell the other side.
    from.close();
    to.close();
  }
  co_return moved.has_value();
}

Task<bool> pump_and_tell(Connection& from, Connection& to, const std::function<void()>& ended) {
  const bool whole = co_await pump(from, to);
  ended();
  co_return whole;
}

}  // namespace

Task<void> tunnel(Connection& a, Connection& b, std::function<void()> a_ended) {
  using namespace asio::experimental::awaitable_operators;
  co_await (pump_and_tell(a, b, a_ended) && pump(b, a));
}

}  // namespace ebbtide::http
