// ScriptedServer: an HTTP/1.1 peer of which a test says, byte by byte, what it does with each request; in place of an
// engine where a real one would be too well behaved. It owns an accept thread and one for each connection; the handler
// runs on those, several at once, and until the destructor has ended them all: what it captures must live so long.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "docker/base/unique_fd.h"

namespace ebbtide::test {

// A blocking end of a connection. One thread.
class Wire {
 public:
  explicit Wire(UniqueFd socket);
  // To a unix socket; fails the test if nobody listens.
  static Wire connect(const std::string& path);

  // False: the other side is gone.
  bool write(std::string_view bytes);
  // Until text has come; what came up to its end. What is there at the end of the stream, or after 10 s, if it doesn't.
  std::string read_until(std::string_view text);
  std::string read_exactly(std::size_t size);
  // Up to the other side's end.
  std::string read_to_end();
  // An answer or request with Content-Length or chunked body, as it came.
  std::string read_message();
  // What was read beyond what was asked for; it is not given again.
  std::string take_kept() { return std::exchange(kept_, {}); }
  void shutdown_send();
  void close();
  int fd() const { return socket_.get(); }

 private:
  bool fill();  // more into kept_; false at the end or after 10 s

  UniqueFd socket_;
  std::string kept_;
};

class ScriptedServer {
 public:
  struct Request {
    std::string method;
    std::string target;
    std::string head;  // whole, with its empty line
  };
  // The body, if there is one, is still to be read from the wire. False: close the connection.
  using Handler = std::function<bool(Wire&, const Request&)>;

  explicit ScriptedServer(Handler handler);
  ~ScriptedServer();

  const std::string& path() const { return path_; }
  // "GET /v1.41/info", in the order of their coming.
  std::vector<std::string> requests() const;
  std::size_t connections() const;

 private:
  void accept();
  void serve(Wire& wire);

  Handler handler_;
  std::string folder_;
  std::string path_;
  UniqueFd listener_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::string> requests_;
  std::vector<std::shared_ptr<Wire>> wires_;
  std::vector<std::thread> threads_;
  bool ending_ = false;
  std::thread acceptor_;
};

// A canned answer with Content-Length.
std::string answer_text(int status, std::string_view body, std::string_view more_headers = "");

}  // namespace ebbtide::test
