// What plain and TLS streams do alike with their sockets. Private to docker/http.
#pragma once

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

#include "docker/http/stream.h"

namespace ebbtide::http {

inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

inline Error error_of(const boost::system::error_code& code) {
  if (code == asio::error::operation_aborted || code == asio::error::bad_descriptor)
    return Error::cancelled("the connection was closed");
  return Error::unavailable(code.message());
}

// Completes on a hang-up of the whole connection. On Linux asio tells it with wait_error, and a mere end of the peer's
// half does not (epoll: EPOLLHUP, not EPOLLRDHUP).
template <class Socket>
Task<void> wait_for_hang_up(Socket& socket) {
  const auto [code] = co_await socket.async_wait(Socket::wait_error, kTuple);
  static_cast<void>(code);  // an error is an end as well
}

template <class Socket>
Task<Result<void>> wait_for(Socket& socket, asio::socket_base::wait_type what) {
  const auto [code] = co_await socket.async_wait(what, kTuple);
  if (code) co_return fail(error_of(code));
  co_return Result<void>();
}

template <class Socket>
void close_socket(Socket& socket) {
  boost::system::error_code ignored;  // closed is what it shall be
  socket.shutdown(Socket::shutdown_both, ignored);
  socket.close(ignored);
}

// Neither a byte nor an end waits in the socket.
template <class Socket>
bool is_quiet(Socket& socket) {
  char byte = 0;
  return socket.is_open() && ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

}  // namespace ebbtide::http
