#include "docker/engine/event_feed.h"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "docker/base/log.h"
#include "docker/engine/curl_transport.h"
#include "docker/engine/engine_json.h"

namespace ebbtide {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{100};
constexpr milliseconds kLongestPause{5000};
constexpr std::size_t kMaxLine = 4 << 20;

// since= is read as seconds with nine decimals.
std::string since_query(std::int64_t nanos) {
  if (nanos == 0) return "/events";
  auto fraction = std::to_string(nanos % 1'000'000'000);
  fraction.insert(0, 9 - fraction.size(), '0');
  return "/events?since=" + std::to_string(nanos / 1'000'000'000) + "." + fraction;
}

milliseconds with_jitter(milliseconds pause) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  return pause + milliseconds(random() % static_cast<unsigned>(pause.count() / 4 + 1));
}

}  // namespace

class EventFeed::Impl {
 public:
  Impl(EngineAddress address, EventCallbacks callbacks)
      : address_(std::move(address)), callbacks_(std::move(callbacks)), multi_(curl_multi_init()) {
    thread_ = std::thread([this] { run(); });
  }

  ~Impl() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    curl_multi_wakeup(multi_);
    thread_.join();
    curl_multi_cleanup(multi_);
  }

 private:
  void run() {
    pthread_setname_np(pthread_self(), "events");
    auto pause = kFirstPause;
    while (!stopping_) {
      const auto why = stream_once();
      if (stopping_) return;
      // Only the first of a row of failures is a loss: the others never had a stream.
      if (connected_ || !told_lost_) {
        told_lost_ = true;
        if (callbacks_.lost) callbacks_.lost(why);
      }
      pause = connected_ ? kFirstPause : std::min(pause * 2, kLongestPause);
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, with_jitter(pause), [this] { return stopping_.load(); });
    }
  }

  // One connection from its begin to its end; why it ended.
  std::string stream_once() {
    connected_ = false;
    buffer_.clear();
    CURL* handle = curl_easy_init();
    if (!handle) return "libcurl gives no handle";
    std::string detail(CURL_ERROR_SIZE, '\0');
    prepare_handle(handle, address_, since_query(last_nano_));
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(handle, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail.data());
    curl_multi_add_handle(multi_, handle);
    const auto code = drive();
    curl_multi_remove_handle(multi_, handle);
    curl_easy_cleanup(handle);
    if (code == CURLE_OK) return "the engine ended the event stream of " + address_.text();
    return address_.text() + ": " + (detail[0] ? detail.c_str() : curl_easy_strerror(code));
  }

  CURLcode drive() {
    int running = 1;
    while (running > 0 && !stopping_) {
      if (curl_multi_perform(multi_, &running) != CURLM_OK) return CURLE_RECV_ERROR;
      if (running > 0) curl_multi_poll(multi_, nullptr, 0, 60'000, nullptr);
    }
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left))
      if (message->msg == CURLMSG_DONE) return message->data.result;
    return CURLE_ABORTED_BY_CALLBACK;
  }

  static std::size_t take_header(char* data, std::size_t, std::size_t size, void* self) {
    static_cast<Impl*>(self)->on_header({data, size});
    return size;
  }

  static std::size_t take_body(char* data, std::size_t, std::size_t size, void* self) {
    static_cast<Impl*>(self)->on_body({data, size});
    return size;
  }

  void on_header(std::string_view line) {
    if (line.starts_with("HTTP/")) good_ = line.find(" 200") != std::string_view::npos;
    const bool head_ended = line == "\r\n" || line == "\n";
    if (!head_ended || !good_ || connected_) return;
    connected_ = true;
    told_lost_ = false;
    if (callbacks_.connected) callbacks_.connected();
  }

  void on_body(std::string_view piece) {
    buffer_ += piece;
    std::size_t begin = 0;
    for (auto end = buffer_.find('\n'); end != std::string::npos && !stopping_; end = buffer_.find('\n', begin)) {
      on_line(std::string_view(buffer_).substr(begin, end - begin));
      begin = end + 1;
    }
    buffer_.erase(0, begin);
    if (buffer_.size() > kMaxLine) {
      log_warning("an event of the engine is too long and was passed over", {{"engine", address_.text()}});
      buffer_.clear();
    }
  }

  void on_line(std::string_view line) {
    const auto event = read_event(line);
    if (!event) return;
    last_nano_ = std::max(last_nano_, event->time_nano);
    if (callbacks_.event) callbacks_.event(*event);
  }

  const EngineAddress address_;
  const EventCallbacks callbacks_;
  CURLM* multi_;
  std::thread thread_;
  std::mutex mutex_;  // for wake_ only
  std::condition_variable wake_;
  std::atomic<bool> stopping_ = false;

  // The feed's thread only.
  bool connected_ = false;
  bool told_lost_ = false;
  bool good_ = false;
  std::string buffer_;
  std::int64_t last_nano_ = 0;
};

EventFeed::EventFeed(EngineAddress address, EventCallbacks callbacks)
    : impl_(std::make_unique<Impl>(std::move(address), std::move(callbacks))) {}

EventFeed::~EventFeed() = default;

}  // namespace ebbtide
