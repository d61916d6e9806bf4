// Http2: one end of an HTTP/2 connection over an http::Connection that both sides know to be HTTP/2, and its Streams.
// Coroutines on one loop; not thread-safe. Frames, header compression and flow control are nghttp2's.
//
// Bounded: a peer may have 100 streams, 256 KiB each that nobody has read yet, heads of 64 KiB; a writer waits while
// 256 KiB of its stream are unsent.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "docker/grpc/event.h"
#include "docker/http/connection.h"

struct nghttp2_session;

namespace ebbtide::grpc {

using http::Task;
using Headers = std::vector<http::Field>;  // names in lower case; those with a colon first

// The first of that name; empty if there is none.
std::string_view value_of(const Headers& headers, std::string_view name);

class Http2;

class Stream {
 public:
  Stream(Http2& connection, const http::asio::any_io_executor& executor, std::int32_t id);

  // What the peer sent: a server's stream has it from the start, a client's after wait_head.
  const Headers& head() const { return head_; }
  const Headers& trailers() const { return trailers_; }
  Task<Result<void>> wait_head();
  // What has come, as soon as something has; empty at the peer's end. kCancelled: the stream was reset.
  Task<Result<std::string>> read();
  // The peer has sent its last, and all of it was read.
  bool at_end() const { return in_ended_ && in_.empty(); }

  // Server: the answer's head; ends: and nothing after it.
  void respond(const Headers& head, bool ends);
  Task<Result<void>> write(std::string bytes);
  // Ends our half; may be repeated.
  void finish(Headers trailers = {});
  // Ends both halves at once. No error: what was sent is whole, and no more is wanted.
  void reset(bool is_error = true);
  bool closed() const { return closed_; }
  // Called once, when the stream has ended both ways or was reset.
  void when_closed(std::function<void()> act) { when_closed_ = std::move(act); }

 private:
  friend class Http2;
  friend struct Http2Callbacks;
  void close();
  bool may_act() const { return !closed_ && id_ >= 0; }

  Http2& connection_;
  std::int32_t id_;
  Event changed_;
  Headers head_;
  Headers trailers_;
  std::size_t head_bytes_ = 0;
  bool head_done_ = false;
  std::string in_;
  bool in_ended_ = false;
  std::string out_;
  std::size_t out_sent_ = 0;  // of out_
  bool out_ended_ = false;
  Headers out_trailers_;
  bool responded_ = false;
  bool closed_ = false;
  std::function<void()> when_closed_;
};

class Http2 {
 public:
  enum class Side { kServer, kClient };
  // connection must outlive this; every stream's user must have let it go before this ends.
  Http2(http::Connection& connection, const http::asio::any_io_executor& executor, Side side);
  ~Http2();
  Http2(const Http2&) = delete;
  Http2& operator=(const Http2&) = delete;

  // Moves bytes until the connection ends, or end() is called; closes the connection and every stream.
  Task<void> run();
  void end();
  // Server: the next stream of the peer's, its head complete; none after the end.
  Task<std::shared_ptr<Stream>> accept();
  // Client. A stream that can't be opened is closed already.
  std::shared_ptr<Stream> open(const Headers& head);

 private:
  friend class Stream;
  friend struct Http2Callbacks;
  Task<void> read_all();
  Task<void> write_all();
  void collect(std::string& out);
  std::shared_ptr<Stream> add(std::int32_t id);
  Stream* find(std::int32_t id);

  http::Connection& connection_;
  http::asio::any_io_executor executor_;
  Side side_;
  nghttp2_session* session_ = nullptr;
  Event to_send_;
  Event accepted_;
  std::map<std::int32_t, std::shared_ptr<Stream>> streams_;
  std::deque<std::shared_ptr<Stream>> waiting_;  // to be accepted
  bool ended_ = false;
};

}  // namespace ebbtide::grpc
