// Listener: one gateway's unix socket and its sessions, on one loop. All calls come from the loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "docker/gateway/session.h"

namespace ebbtide::gateway {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(http::asio::io_context& loop, std::shared_ptr<Context> context);

  // Makes the directory and the socket. A client always finds either the former socket or this one: it is bound under
  // another name and renamed into place.
  Result<void> open();
  // Ends the sessions; calls ended when the last of their coroutines has.
  void close(std::function<void()> ended);
  Context& context() { return *context_; }

 private:
  Task<void> accept_all();
  void start(http::asio::local::stream_protocol::socket socket);
  template <class Work>
  void spawn(Work work);
  void one_ended();

  http::asio::io_context& loop_;
  std::shared_ptr<Context> context_;
  http::asio::local::stream_protocol::acceptor acceptor_;
  http::asio::steady_timer pause_;
  std::set<std::shared_ptr<Session>> sessions_;
  std::size_t running_ = 0;  // coroutines
  bool closing_ = false;
  std::function<void()> ended_;
};

}  // namespace ebbtide::gateway
