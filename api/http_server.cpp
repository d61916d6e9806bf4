#include "api/http_server.h"

#include <httplib.h>

#include <optional>
#include <thread>

#include "docker/base/log.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

constexpr std::size_t kMaxBody = 1 << 20;
constexpr std::time_t kReadLimitSeconds = 30;
constexpr std::time_t kWriteLimitSeconds = 10;

// What cpp-httplib itself adds as headers; a client that sends them would shadow the real ones.
bool shadows(const std::string& name) {
  return name == "remote_addr" || name == "remote_port" || name == "local_addr" || name == "local_port";
}

// False if the client sent a header that it may not send.
bool read_headers(const httplib::Request& from, HttpRequest& to) {
  for (const auto& [name, value] : from.headers) {
    const auto lower = to_lower(name);
    if (shadows(lower) && from.headers.count(name) > 1) return false;
    if (!shadows(lower)) to.headers[lower] = value;
  }
  return true;
}

void write(const HttpResponse& from, httplib::Response& to) {
  to.status = from.status;
  for (const auto& [name, value] : from.headers) to.set_header(name, value);
  if (!from.stream) {
    to.set_content(from.body, from.content_type);
    return;
  }
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

HttpResponse plain_error(int status, const std::string& message) {
  return {
      .status = status, .body = "{\"message\":\"" + message + "\"}\n", .headers = {}, .stream = {}, .stream_ended = {}};
}

}  // namespace

std::string HttpRequest::header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? std::string() : found->second;
}

class HttpServer::Impl {
 public:
  Impl(unsigned threads, Handler handler) : handler_(std::move(handler)) {
    server_.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    server_.set_payload_max_length(kMaxBody);
    server_.set_read_timeout(kReadLimitSeconds);
    server_.set_write_timeout(kWriteLimitSeconds);
    server_.set_keep_alive_max_count(1000);
    server_.set_tcp_nodelay(true);
    server_.Get(
        ".*", [this](const httplib::Request& request, httplib::Response& response) { answer(request, {}, response); });
    // Read by us: left alone, cpp-httplib waits for the end of the connection where no length is given, and reads
    // chunked bodies of any size.
    server_.Post(".*", [this](const httplib::Request& request, httplib::Response& response,
                              const httplib::ContentReader& reader) {
      if (auto body = read_body(request, reader))
        answer(request, std::move(*body), response);
      else
        write(plain_error(413, "the body is larger than 1 MiB, or broken"), response);
    });
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) write(plain_error(response.status, "the request could not be served"), response);
    });
  }

  ~Impl() { stop(); }

  Result<void> start(const std::string& host, std::uint16_t port) {
    const bool bound = port == 0 ? (port_ = static_cast<std::uint16_t>(server_.bind_to_any_port(host))) != 0
                                 : server_.bind_to_port(host, port);
    if (port != 0) port_ = port;
    if (!bound || port_ == 0xffff)
      return fail(Error::unavailable("can't listen on " + host + ":" + std::to_string(port) +
                                     ": the port is taken, or the address is not this machine's"));
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
  static std::optional<std::string> read_body(const httplib::Request& request, const httplib::ContentReader& reader) {
    std::string body;
    if (!request.has_header("Content-Length") && !request.has_header("Transfer-Encoding")) return body;
    const bool whole = reader([&body](const char* data, std::size_t size) {
      if (body.size() + size > kMaxBody) return false;
      body.append(data, size);
      return true;
    });
    return whole ? std::optional(std::move(body)) : std::nullopt;
  }

  void answer(const httplib::Request& from, std::string body, httplib::Response& to) {
    HttpRequest request{.method = from.method,
                        .path = from.path,
                        .query = {},
                        .headers = {},
                        .body = std::move(body),
                        .peer = from.remote_addr};
    for (const auto& [name, value] : from.params) request.query[name] = value;
    if (!read_headers(from, request)) {
      write(plain_error(400, "a reserved header was sent"), to);
      return;
    }
    try {
      write(handler_(request), to);
    } catch (const std::exception& fault) {
      log_error("a request failed: this is a fault of ebbtide", {{"path", request.path}, {"what", fault.what()}});
      write(plain_error(500, "an internal fault; see the log"), to);
    }
  }

  Handler handler_;
  httplib::Server server_;
  std::thread thread_;
  std::uint16_t port_ = 0;
};

HttpServer::HttpServer(unsigned threads, Handler handler)
    : impl_(std::make_unique<Impl>(threads, std::move(handler))) {}
HttpServer::~HttpServer() = default;
Result<void> HttpServer::start(const std::string& host, std::uint16_t port) { return impl_->start(host, port); }
std::uint16_t HttpServer::port() const { return impl_->port(); }
void HttpServer::stop() { impl_->stop(); }

}  // namespace ebbtide::api
