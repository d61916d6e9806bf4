// HttpServer: HTTP/1.1 for plugin requests and pages, a thin wrap of cpp-httplib, whose types stay in http_server.cpp.
// Its weaknesses are fenced here: bodies are limited, forms, ranges and files are not served, the peer's address is the
// socket's, and headers that could shadow its own are refused. After a request whose end is in doubt the connection
// ends, so that nothing of it is taken for the next. It belongs on loopback or a private network, or behind a TLS
// proxy.
//
// Handlers run on its threads, many at once. A handler that throws is a fault of ours: 500, logged. cpp-httplib keeps a
// thread for each connection, also while a browser only holds it open: so threads are added as they are needed, up to a
// limit, and near it connections are ended after their answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "docker/base/result.h"

namespace ebbtide::api {

struct HttpRequest {
  std::string method;
  std::string path;    // decoded
  std::string target;  // as it was sent, with the query
  std::map<std::string, std::string> query;
  std::map<std::string, std::string> headers;  // names in lower case; the last of each
  std::string body;
  std::string peer;  // address

  std::string header(const std::string& lower_case_name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::map<std::string, std::string> headers = {};
  // If set, the body is a stream: called for each next piece, until it returns false or the client has gone. It may
  // block for some seconds. An empty piece is not sent.
  std::function<bool(std::string& piece)> stream = {};
  // The same the other way round, for what comes by itself: called once, and writes until it returns. write is false,
  // and wanted too, when the client has gone.
  std::function<void(const std::function<bool(std::string_view)>& write, const std::function<bool()>& wanted)> pour =
      {};
  // Called once when a stream has ended, for whatever reason.
  std::function<void()> stream_ended = {};
};

class Certificate;

struct HttpServerOptions {
  unsigned threads = 256;                               // at the most
  std::chrono::milliseconds read_limit{30'000};         // how long a client may leave us without its next byte
  std::shared_ptr<const Certificate> certificate = {};  // with one, HTTPS
};

class HttpServer {
 public:
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  HttpServer(HttpServerOptions options, Handler handler);
  ~HttpServer();  // stop()

  // Binds and serves; port 0 takes a free one. kUnavailable if the address can't be had. Only GET, HEAD and POST come
  // to the handler.
  Result<void> start(const std::string& host, std::uint16_t port);
  std::uint16_t port() const;
  // Streams see their next piece refused; returns when no handler runs any more.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide::api
