#include "api/http_server.h"

#include <httplib.h>

#include <algorithm>
#include <deque>
#include <thread>

#include "api/certificate.h"
#include "docker/base/log.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

constexpr std::size_t kMaxBody = 1 << 20;
constexpr std::time_t kWriteLimitSeconds = 10;
constexpr const char* kTooLarge = "the body is larger than 1 MiB";

// What cpp-httplib itself adds as headers; a client that sends them would shadow the real ones.
bool shadows(const std::string& name) {
  return name == "remote_addr" || name == "remote_port" || name == "local_addr" || name == "local_port";
}

std::map<std::string, std::string> headers_of(const httplib::Request& request) {
  std::map<std::string, std::string> headers;
  for (const auto& [name, value] : request.headers)
    if (const auto lower = to_lower(name); !shadows(lower)) headers[lower] = value;
  return headers;
}

// By a provider: cpp-httplib would compress a plain body, slowly, as the best brotli can.
void write_body(HttpResponse& from, httplib::Response& to) {
  if (from.body.empty()) return to.set_content("", from.content_type);
  const auto body = std::make_shared<const std::string>(std::move(from.body));
  to.set_content_provider(body->size(), from.content_type,
                          [body](std::size_t offset, std::size_t length, httplib::DataSink& sink) {
                            return sink.write(body->data() + offset, length);
                          });
}

void pour(const HttpResponse& from, httplib::Response& to) {
  to.set_chunked_content_provider(
      from.content_type,
      [all = from.pour](std::size_t, httplib::DataSink& sink) {
        all([&sink](std::string_view piece) { return piece.empty() || sink.write(piece.data(), piece.size()); },
            [&sink] { return sink.is_writable(); });
        sink.done();
        return true;
      },
      [ended = from.stream_ended](bool) {
        if (ended) ended();
      });
}

void write(HttpResponse from, httplib::Response& to) {
  to.status = from.status;
  to.set_header("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : from.headers) to.set_header(name, value);
  if (from.pour) return pour(from, to);
  if (!from.stream) return write_body(from, to);
  to.set_chunked_content_provider(
      from.content_type,
      [next = from.stream](std::size_t, httplib::DataSink& sink) {
        std::string piece;
        if (!sink.is_writable() || !next(piece)) {
          sink.done();
          return true;
        }
        return piece.empty() || sink.write(piece.data(), piece.size());
      },
      [ended = from.stream_ended](bool) {
        if (ended) ended();
      });
}

std::string error_body(const char* message) { return std::string("{\"message\":\"") + message + "\"}\n"; }

// Answers and ends the connection, whatever of the request is still to come. cpp-httplib has no call for it: but it
// ends a connection whose content provider fails, and this one does when all is sent.
void refuse(int status, const char* message, httplib::Response& to) {
  auto body = error_body(message);
  to.status = status;
  to.set_header("X-Content-Type-Options", "nosniff");
  to.set_header("Connection", "close");
  const auto size = body.size();
  to.set_content_provider(size, "application/json",
                          [body = std::move(body)](std::size_t, std::size_t, httplib::DataSink& sink) {
                            sink.write(body.data(), body.size());
                            return false;
                          });
}

// False, and refused, if a request is not to be routed.
bool check_head(const httplib::Request& request, httplib::Response& response) {
  const bool get = request.method == "GET" || request.method == "HEAD";
  const bool sized = request.has_header("Content-Length");
  const bool chunked = request.has_header("Transfer-Encoding");
  if (!get && request.method != "POST") {
    response.set_header("Allow", "GET, HEAD, POST");
    refuse(405, "only GET, HEAD and POST are served", response);
  } else if ((get && (chunked || (sized && request.get_header_value("Content-Length") != "0"))) || (sized && chunked) ||
             request.get_header_value_count("Content-Length") > 1) {
    refuse(400, "a GET has no body, and a POST says its length in one way", response);
  } else if (request.is_multipart_form_data()) {
    refuse(415, "forms are not read: send JSON", response);
  } else if (std::ranges::any_of(request.headers, [&](const auto& header) {
               return shadows(to_lower(header.first)) && request.get_header_value_count(header.first) > 1;
             })) {
    refuse(400, "a reserved header was sent", response);
  } else if (!request.ranges.empty()) {
    response.status = 416;  // without a body, which cpp-httplib would cut to the range
  } else {
    return true;
  }
  return false;
}

Result<std::string> read_body(const httplib::Request& request, const httplib::ContentReader& reader) {
  std::string body;
  if (!request.has_header("Content-Length") && !request.has_header("Transfer-Encoding")) return body;
  bool too_large = parse_number(request.get_header_value("Content-Length")).value_or(0) > kMaxBody;
  const bool whole = reader([&](const char* data, std::size_t size) {
    too_large = too_large || body.size() + size > kMaxBody;
    if (!too_large) body.append(data, size);
    return !too_large;
  });
  if (too_large) return fail(Error::too_large(kTooLarge));
  if (!whole) return fail(Error::timeout("the body did not come whole"));
  return body;
}

// Threads as they are needed. It is cpp-httplib's to destroy.
class GrowingPool final : public httplib::TaskQueue {
 public:
  GrowingPool(unsigned most, std::atomic<unsigned>& busy) : most_(most), busy_(busy) {}

  void enqueue(std::function<void()> task) override {
    {
      const std::scoped_lock lock(mutex_);
      tasks_.push_back(std::move(task));
      if (idle_ < tasks_.size() && threads_.size() < most_) threads_.emplace_back([this] { work(); });
    }
    wake_.notify_one();
  }

  void shutdown() override {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      --idle_;
      if (tasks_.empty()) return;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      ++busy_;
      task();
      --busy_;
      lock.lock();
    }
  }

  const unsigned most_;
  std::atomic<unsigned>& busy_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;  // grows only
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

std::unique_ptr<httplib::Server> make_server(const std::shared_ptr<const Certificate>& certificate) {
  if (!certificate) return std::make_unique<httplib::Server>();
  return std::make_unique<httplib::SSLServer>([certificate](SSL_CTX& context) {
    certificate->use_for(&context);
    return true;
  });
}

}  // namespace

std::string HttpRequest::header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? std::string() : found->second;
}

class HttpServer::Impl {
 public:
  Impl(HttpServerOptions options, Handler handler)
      : handler_(std::move(handler)), threads_(options.threads), made_(make_server(options.certificate)) {
    server_.new_task_queue = [this] { return new GrowingPool(threads_, busy_); };
    server_.set_payload_max_length(kMaxBody);
    server_.set_read_timeout(options.read_limit);
    server_.set_write_timeout(kWriteLimitSeconds);
    server_.set_keep_alive_max_count(1000);
    server_.set_tcp_nodelay(true);
    // cpp-httplib's own choice, SO_REUSEPORT, would let two servers share a port unawares.
    server_.set_socket_options([](int socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    route();
  }

  ~Impl() { stop(); }

  Result<void> start(const std::string& host, std::uint16_t port) {
    const int bound = port == 0 ? server_.bind_to_any_port(host) : server_.bind_to_port(host, port) ? port : -1;
    if (bound <= 0)
      return fail(Error::unavailable("can't listen on " + host + ":" + std::to_string(port) +
                                     ": the port is taken, or the address is not this machine's"));
    port_ = static_cast<std::uint16_t>(bound);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
    return {};
  }

  std::uint16_t port() const { return port_; }

  void stop() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

 private:
  void route() {
    using Routing = httplib::Server::HandlerResponse;
    server_.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
      return check_head(request, response) ? Routing::Unhandled : Routing::Handled;
    });
    server_.Get(
        ".*", [this](const httplib::Request& request, httplib::Response& response) { answer(request, {}, response); });
    // Read by us: left alone, cpp-httplib waits for the end of the connection where no length is given, and reads
    // chunked bodies of any size.
    server_.Post(".*", [this](const httplib::Request& request, httplib::Response& response,
                              const httplib::ContentReader& reader) {
      if (auto body = read_body(request, reader))
        answer(request, std::move(*body), response);
      else
        refuse(body.error().kind == ErrorKind::kTooLarge ? 413 : 408, body.error().message.c_str(), response);
    });
    // What cpp-httplib itself refuses, before any of ours has seen it.
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (!response.has_header("Content-Type") && response.status != 416)
        refuse(response.status, "the request could not be read", response);
    });
  }

  void answer(const httplib::Request& from, std::string body, httplib::Response& to) {
    HttpRequest request{.method = from.method,
                        .path = from.path,
                        .target = from.target,
                        .query = {},
                        .headers = headers_of(from),
                        .body = std::move(body),
                        .peer = from.remote_addr};
    for (const auto& [name, value] : from.params) request.query[name] = value;
    if (busy_ > threads_ / 4 * 3) to.set_header("Connection", "close");
    try {
      write(handler_(request), to);
    } catch (const std::exception& fault) {
      log_error("a request failed: this is a fault of ebbtide", {{"path", request.path}, {"what", fault.what()}});
      refuse(500, "an internal fault; see the log", to);
    }
  }

  const Handler handler_;
  const unsigned threads_;
  std::atomic<unsigned> busy_ = 0;  // of the threads
  std::unique_ptr<httplib::Server> made_;
  httplib::Server& server_ = *made_;
  std::thread thread_;
  std::uint16_t port_ = 0;
};

HttpServer::HttpServer(HttpServerOptions options, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handler))) {}
HttpServer::~HttpServer() = default;
Result<void> HttpServer::start(const std::string& host, std::uint16_t port) { return impl_->start(host, port); }
std::uint16_t HttpServer::port() const { return impl_->port(); }
void HttpServer::stop() { impl_->stop(); }

}  // namespace ebbtide::api
