// Peers for tests of gRPC: a client, and an engine's side that a test scripts call by call. Each runs a loop of its own
// in the thread that uses it, over the socket of a Wire.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "docker/grpc/message.h"
#include "tests/support/scripted_server.h"

namespace ebbtide::test {

struct GrpcAnswer {
  grpc::Headers head;  // empty: the call was reset
  std::string body;
  grpc::Headers trailers;

  // Of the trailers, or of a head that is all there is.
  std::string_view status() const;
};

class GrpcClient {
 public:
  // wire: after its upgrade.
  explicit GrpcClient(Wire& wire);
  ~GrpcClient();

  // A call with one message, or with these bytes as its body.
  GrpcAnswer call(const std::string& path, const std::string& message, const grpc::Headers& more = {});
  GrpcAnswer call_raw(const std::string& path, const std::string& body, const grpc::Headers& more = {});
  // Begins a call, waits until begun says so, and resets it.
  void begin_and_reset(const std::string& path, const std::string& message, const std::function<bool()>& begun);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct GrpcCall {
  grpc::Headers head;
  std::string body;  // whole, as framed
  std::string_view path() const { return grpc::value_of(head, ":path"); }
};

// Serves calls on wire until its connection ends: answer gives the answer's body, as framed. Nothing for a call: it is
// left open, and ended is called when the client resets it.
void serve_grpc(Wire& wire, const std::function<std::optional<std::string>(const GrpcCall&)>& answer,
                const std::function<void()>& ended);

}  // namespace ebbtide::test
