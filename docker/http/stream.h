// Stream: one connected byte stream (unix socket, TCP, TLS over TCP), for coroutines on one loop. Not
// thread-safe: all calls come from the loop it was made on. One read and one write may be under way at a
// time; close() cancels both.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstddef>
#include <memory>

#include "docker/base/result.h"
#include "docker/engine/address.h"

namespace ebbtide::http {

namespace asio = boost::asio;

template <class T>
using Task = asio::awaitable<T>;

class Stream {
 public:
  virtual ~Stream() = default;

  // At least one byte; 0 at the end of what the peer sends.
  virtual Task<Result<std::size_t>> read_some(asio::mutable_buffer into) = 0;
  virtual Task<Result<void>> write_all(asio::const_buffer bytes) = 0;
  // Ends our half: the peer reads its end, we may still read. TLS: close_notify.
  virtual Task<void> shutdown_send() = 0;
  // Ends both halves at once; reads and writes under way return kCancelled. May be repeated.
  virtual void close() = 0;
  // Returns when the peer has gone for good (it closed both halves, or the connection broke), or at close().
  // A peer that ended only its own half has not gone.
  virtual Task<void> wait_gone() = 0;
  // The plain, non-blocking socket, where bytes may be moved without us (splice); -1 for TLS.
  virtual int plain_fd() const = 0;
  // Nothing waits to be read: neither a byte nor an end. Of an idle connection: it can be used again.
  virtual bool quiet() = 0;
  // For users of plain_fd.
  virtual Task<Result<void>> wait_readable() = 0;
  virtual Task<Result<void>> wait_writable() = 0;
};

std::unique_ptr<Stream> make_unix_stream(asio::local::stream_protocol::socket socket);

// A new connection to an engine; kUnavailable if there is none to be had within 10 s.
Task<Result<std::unique_ptr<Stream>>> connect(const EngineAddress& address);

}  // namespace ebbtide::http
