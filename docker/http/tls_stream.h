// TLS over TCP as a Stream; the client's side. OpenSSL works on the socket itself and we wait for the socket: unlike
// asio's own TLS stream this can end our half (close_notify) and go on reading.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "docker/http/stream.h"

namespace ebbtide::http {

// Shakes hands over a connected socket. The peer must show a certificate for host from tls's CA (the system's without
// one); only HTTP/1.1 is offered. kInvalid for PEM texts that can't be used, kUnavailable if the handshake fails or
// takes longer than limit.
Task<Result<std::unique_ptr<Stream>>> make_tls_stream(asio::ip::tcp::socket socket, const std::string& host,
                                                      const EngineTls& tls, std::chrono::milliseconds limit);

}  // namespace ebbtide::http
