#include "docker/grpc/http2.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <cstring>

namespace ebbtide::grpc {
namespace {

constexpr std::uint32_t kMostStreams = 100;
constexpr std::uint32_t kStreamWindow = 256 << 10;
constexpr std::int32_t kConnectionWindow = 4 << 20;
constexpr std::uint32_t kMaxHead = 64 << 10;
constexpr std::size_t kMaxUnsent = 256 << 10;
constexpr std::size_t kWriteSize = 64 << 10;

Error reset_error() { return Error::cancelled("the stream was reset"); }

std::uint8_t* bytes_of(const std::string& text) {
  // nghttp2 only reads what it is given here.
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
}

std::vector<nghttp2_nv> to_nv(const Headers& headers) {
  std::vector<nghttp2_nv> list;
  for (const auto& [name, value] : headers)
    list.push_back({bytes_of(name), bytes_of(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  return list;
}

std::string text_of(const std::uint8_t* bytes, std::size_t size) {
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

}  // namespace

// What nghttp2 calls, always from within nghttp2_session_mem_recv and _mem_send.
struct Http2Callbacks {
  static Http2& self(void* user) { return *static_cast<Http2*>(user); }

  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& http2 = self(user);
    if (http2.side_ == Http2::Side::kServer && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
      http2.add(frame->hd.stream_id);
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
    auto* stream = self(user).find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    stream->head_bytes_ += name_size + value_size;
    if (stream->head_bytes_ > kMaxHead) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // resets the stream
    auto& list = stream->head_done_ ? stream->trailers_ : stream->head_;
    list.push_back({text_of(name, name_size), text_of(value, value_size)});
    return 0;
  }

  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& http2 = self(user);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    const auto found = http2.streams_.find(frame->hd.stream_id);
    if (found == http2.streams_.end()) return 0;
    auto& stream = *found->second;
    if (frame->hd.type == NGHTTP2_HEADERS && !std::exchange(stream.head_done_, true) &&
        http2.side_ == Http2::Side::kServer) {
      http2.waiting_.push_back(found->second);
      http2.accepted_.notify();
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) stream.in_ended_ = true;
    stream.changed_.notify();
    return 0;
  }

  static int data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* bytes, std::size_t size,
                  void* user) {
    // What is unread is bounded by each stream's own window.
    if (nghttp2_session_consume_connection(session, size) != 0) return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (auto* stream = self(user).find(id)) {
      stream->in_ += text_of(bytes, size);
      stream->changed_.notify();
    }
    return 0;
  }

  static int stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
    auto& http2 = self(user);
    if (const auto node = http2.streams_.extract(id)) node.mapped()->close();
    return 0;
  }

  // A server that has said all no longer listens.
  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    auto& http2 = self(user);
    const bool can_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (http2.side_ == Http2::Side::kClient || !can_end || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    if (auto* stream = http2.find(frame->hd.stream_id); stream != nullptr && !stream->in_ended_) stream->reset(false);
    return 0;
  }

  static int frame_not_sent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    auto& http2 = self(user);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (const auto node = http2.streams_.extract(frame->hd.stream_id)) node.mapped()->close();
    return 0;
  }

  static ssize_t read_data(nghttp2_session* session, std::int32_t id, std::uint8_t* into, std::size_t room,
                           std::uint32_t* flags, nghttp2_data_source*, void* user) {
    auto* stream = self(user).find(id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const auto size = std::min(room, stream->out_.size() - stream->out_sent_);
    std::memcpy(into, stream->out_.data() + stream->out_sent_, size);
    stream->out_sent_ += size;
    const bool all_sent = stream->out_sent_ == stream->out_.size();
    if (all_sent) {
      stream->out_.clear();
      stream->out_sent_ = 0;
    }
    stream->changed_.notify();
    if (!all_sent || !stream->out_ended_) return size > 0 ? static_cast<ssize_t>(size) : NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->out_trailers_.empty()) return static_cast<ssize_t>(size);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const auto list = to_nv(stream->out_trailers_);
    if (nghttp2_submit_trailer(session, id, list.data(), list.size()) != 0)
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return static_cast<ssize_t>(size);
  }

  static nghttp2_session* make(Http2& http2) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_option* option = nullptr;
    nghttp2_session* session = nullptr;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, frame_received);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closed);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, frame_not_sent);
    nghttp2_option_set_no_auto_window_update(option, 1);
    const bool server = http2.side_ == Http2::Side::kServer;
    const int failed = server ? nghttp2_session_server_new2(&session, callbacks, &http2, option)
                              : nghttp2_session_client_new2(&session, callbacks, &http2, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    if (failed != 0) throw std::bad_alloc();
    return session;
  }
};

std::string_view value_of(const Headers& headers, std::string_view name) {
  const auto found = std::ranges::find(headers, name, &http::Field::name);
  return found == headers.end() ? std::string_view() : std::string_view(found->value);
}

Stream::Stream(Http2& connection, const http::asio::any_io_executor& executor, std::int32_t id)
    : connection_(connection), id_(id), changed_(executor) {}

void Stream::close() {
  closed_ = true;
  changed_.notify();
  if (when_closed_) std::exchange(when_closed_, nullptr)();
}

Task<Result<void>> Stream::wait_head() {
  while (!head_done_) {
    if (closed_) co_return fail(reset_error());
    co_await changed_.wait();
  }
  co_return Result<void>();
}

Task<Result<std::string>> Stream::read() {
  while (in_.empty()) {
    if (in_ended_) co_return std::string();
    if (closed_) co_return fail(reset_error());
    co_await changed_.wait();
  }
  auto bytes = std::exchange(in_, {});
  if (may_act() && nghttp2_session_consume_stream(connection_.session_, id_, bytes.size()) == 0)
    connection_.to_send_.notify();
  co_return bytes;
}

void Stream::respond(const Headers& head, bool ends) {
  if (!may_act() || std::exchange(responded_, true)) return;
  const auto list = to_nv(head);
  nghttp2_data_provider provider{.source = {}, .read_callback = Http2Callbacks::read_data};
  out_ended_ = ends;
  if (nghttp2_submit_response(connection_.session_, id_, list.data(), list.size(), ends ? nullptr : &provider) != 0)
    return reset();
  connection_.to_send_.notify();
}

Task<Result<void>> Stream::write(std::string bytes) {
  while (may_act() && out_.size() - out_sent_ > kMaxUnsent) co_await changed_.wait();
  if (!may_act() || out_ended_) co_return fail(reset_error());
  out_ += bytes;
  nghttp2_session_resume_data(connection_.session_, id_);  // fails where it isn't deferred, which is as well
  connection_.to_send_.notify();
  co_return Result<void>();
}

void Stream::finish(Headers trailers) {
  if (!may_act() || std::exchange(out_ended_, true)) return;
  out_trailers_ = std::move(trailers);
  nghttp2_session_resume_data(connection_.session_, id_);
  connection_.to_send_.notify();
}

void Stream::reset(bool is_error) {
  if (!may_act()) return;
  const auto code = is_error ? NGHTTP2_CANCEL : NGHTTP2_NO_ERROR;
  if (nghttp2_submit_rst_stream(connection_.session_, NGHTTP2_FLAG_NONE, id_, code) == 0) connection_.to_send_.notify();
}

Http2::Http2(http::Connection& connection, const http::asio::any_io_executor& executor, Side side)
    : connection_(connection), executor_(executor), side_(side), to_send_(executor), accepted_(executor) {
  session_ = Http2Callbacks::make(*this);
  const std::array settings = {nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMostStreams},
                               nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
                               nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHead},
                               nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  if (nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) != 0 ||
      nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) != 0)
    throw std::bad_alloc();
}

Http2::~Http2() { nghttp2_session_del(session_); }

Stream* Http2::find(std::int32_t id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

std::shared_ptr<Stream> Http2::add(std::int32_t id) {
  auto stream = std::make_shared<Stream>(*this, executor_, id);
  streams_[id] = stream;
  return stream;
}

std::shared_ptr<Stream> Http2::open(const Headers& head) {
  const auto list = to_nv(head);
  nghttp2_data_provider provider{.source = {}, .read_callback = Http2Callbacks::read_data};
  const auto id = ended_ ? -1 : nghttp2_submit_request(session_, nullptr, list.data(), list.size(), &provider, nullptr);
  if (id < 0) {
    auto stream = std::make_shared<Stream>(*this, executor_, -1);
    stream->close();
    return stream;
  }
  to_send_.notify();
  return add(id);
}

Task<std::shared_ptr<Stream>> Http2::accept() {
  while (waiting_.empty() && !ended_) co_await accepted_.wait();
  if (ended_) co_return nullptr;
  auto stream = std::move(waiting_.front());
  waiting_.pop_front();
  co_return stream;
}

void Http2::end() {
  if (std::exchange(ended_, true)) return;
  connection_.close();
  for (const auto& [id, stream] : std::exchange(streams_, {})) stream->close();
  waiting_.clear();
  to_send_.notify();
  accepted_.notify();
}

Task<void> Http2::read_all() {
  while (!ended_) {
    if (connection_.buffered().empty()) {
      const auto more = co_await connection_.fill();
      if (!more || !*more) break;
    }
    const auto bytes = connection_.buffered();
    const auto taken =
        ended_ ? -1
               : nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    if (taken < 0) break;
    connection_.consume(static_cast<std::size_t>(taken));
    to_send_.notify();
  }
  end();
}

void Http2::collect(std::string& out) {
  while (out.size() < kWriteSize) {
    const std::uint8_t* bytes = nullptr;
    const auto size = nghttp2_session_mem_send(session_, &bytes);
    if (size <= 0) return;
    out += text_of(bytes, static_cast<std::size_t>(size));
  }
}

Task<void> Http2::write_all() {
  std::string out;
  while (!ended_) {
    out.clear();
    collect(out);
    if (out.empty()) {
      if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) break;
      co_await to_send_.wait();
      continue;
    }
    const auto written = co_await connection_.write(out);
    if (!written) break;
  }
  end();
}

Task<void> Http2::run() {
  using namespace http::asio::experimental::awaitable_operators;
  co_await (read_all() && write_all());
}

}  // namespace ebbtide::grpc
