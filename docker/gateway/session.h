// Session: one connection of a client to a gateway: its requests, one after the other. Lives on the gateway's loop,
// held by its own coroutines; stop() ends it.
#pragma once

#include <memory>

#include "docker/gateway/exchange.h"

namespace ebbtide::gateway {

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<Context> context, std::unique_ptr<http::Stream> stream);

  // Until the client or stop() ends it.
  Task<void> run();
  // Ends what the engine does for a client as soon as the client has gone for good.
  Task<void> watch_client();
  void stop();

 private:
  Task<bool> serve_one();
  Task<void> refuse_head(const Error& error);

  std::shared_ptr<Context> context_;
  http::Connection client_;
  ClientState state_;
  Counting::Open open_;
};

}  // namespace ebbtide::gateway
