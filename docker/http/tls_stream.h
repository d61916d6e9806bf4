// TLS over TCP as a Stream, both sides. OpenSSL works on the socket itself and we wait for the socket: unlike
// asio's own TLS stream this can end our half (close_notify) and go on reading.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
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

// What a server shows (its certificate and key), and the CA whose clients it lets in. Without tickets: each connection
// is judged anew. kInvalid for PEM texts that can't be used.
using TlsServer = std::shared_ptr<asio::ssl::context>;
Result<TlsServer> make_tls_server(const EngineTls& own);

struct TlsClient {
  std::unique_ptr<Stream> stream;
  std::string name;  // the common name of its certificate
};
// The server's side of a handshake. kUnavailable if it fails, as without a certificate for clients of the server's CA
// that is valid now, or takes longer than limit.
Task<Result<TlsClient>> accept_tls_stream(asio::ip::tcp::socket socket, const TlsServer& server,
                                          std::chrono::milliseconds limit);

}  // namespace ebbtide::http
