#include "docker/http/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/this_coro.hpp>
#include <climits>

#include "docker/http/deadline.h"
#include "docker/http/socket.h"

namespace ebbtide::http {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, FreeSsl>;

int size_for_openssl(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

class TlsStream final : public Stream {
 public:
  TlsStream(tcp::socket socket, SslPtr ssl) : socket_(std::move(socket)), ssl_(std::move(ssl)) {}

  Task<Result<std::size_t>> handshake() {
    const auto shake = [ssl = ssl_.get()] { return SSL_do_handshake(ssl); };
    co_return co_await drive(shake);
  }

  std::string peer_name() const {
    const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
    if (!certificate) return {};
    std::array<char, 128> name{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name.data(), name.size());
    return name.data();
  }

  Task<Result<std::size_t>> read_some(asio::mutable_buffer into) override {
    const auto read = [ssl = ssl_.get(), into] { return SSL_read(ssl, into.data(), size_for_openssl(into.size())); };
    co_return co_await drive(read);
  }

  Task<Result<void>> write_all(asio::const_buffer bytes) override {
    while (bytes.size() > 0) {
      const auto write = [ssl = ssl_.get(), bytes] {
        return SSL_write(ssl, bytes.data(), size_for_openssl(bytes.size()));
      };
      const auto sent = co_await drive(write);
      if (!sent) co_return fail(sent.error());
      if (*sent == 0) co_return fail(Error::unavailable("the peer ended TLS"));
      bytes += *sent;
    }
    co_return Result<void>();
  }

  Task<void> shutdown_send() override {
    // Zero means sent, but not yet answered: that is all we want.
    const auto notify = [ssl = ssl_.get()] {
      const int result = SSL_shutdown(ssl);
      return result == 0 ? 1 : result;
    };
    co_await drive(notify);  // the peer may have gone
  }

  void close() override { close_socket(socket_); }
  Task<void> wait_gone() override { return wait_for_hang_up(socket_); }
  int plain_fd() const override { return -1; }
  Task<Result<void>> wait_readable() override { return wait_for(socket_, asio::socket_base::wait_read); }
  Task<Result<void>> wait_writable() override { return wait_for(socket_, asio::socket_base::wait_write); }
  bool quiet() override { return is_quiet(socket_); }

 private:
  // Repeats a call of OpenSSL's until it need not wait for the socket; its result, or zero at close_notify.
  template <class Call>
  Task<Result<std::size_t>> drive(Call call) {
    // A closed socket's descriptor may be another's by now.
    while (socket_.is_open()) {
      ERR_clear_error();
      const int result = call();
      if (result > 0) co_return static_cast<std::size_t>(result);
      const int why = SSL_get_error(ssl_.get(), result);
      if (why == SSL_ERROR_ZERO_RETURN) co_return 0;
      if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) co_return fail(tls_error());
      const auto what = why == SSL_ERROR_WANT_READ ? asio::socket_base::wait_read : asio::socket_base::wait_write;
      const auto waited = co_await wait_for(socket_, what);
      if (!waited) co_return fail(waited.error());
    }
    co_return fail(Error::cancelled("the connection was closed"));
  }

  Error tls_error() const {
    const auto verified = SSL_get_verify_result(ssl_.get());
    if (verified != X509_V_OK) return Error::unavailable(X509_verify_cert_error_string(verified));
    const auto* reason = ERR_reason_error_string(ERR_peek_last_error());
    return Error::unavailable(reason ? reason : "the connection broke");
  }

  tcp::socket socket_;
  SslPtr ssl_;
};

Result<void> use_pair(asio::ssl::context& context, const EngineTls& tls, const std::string& whose) {
  error_code code;
  context.use_certificate_chain(asio::buffer(tls.cert_pem), code);
  if (code) return fail(Error::invalid(whose + " certificate can't be read: " + code.message()));
  // Without this OpenSSL asks the terminal for an encrypted key's password.
  context.set_password_callback([](std::size_t, asio::ssl::context::password_purpose) { return std::string(); }, code);
  context.use_private_key(asio::buffer(tls.key_pem), asio::ssl::context::pem, code);
  if (code) return fail(Error::invalid(whose + " key can't be read: " + code.message()));
  return {};
}

Result<std::shared_ptr<asio::ssl::context>> make_context(const EngineTls& tls) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  error_code code;
  context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, code);
  context->set_verify_mode(asio::ssl::verify_peer, code);
  if (tls.ca_pem.empty()) context->set_default_verify_paths(code);
  if (!tls.ca_pem.empty()) context->add_certificate_authority(asio::buffer(tls.ca_pem), code);
  if (code) return fail(Error::invalid("the engine's CA certificate can't be read: " + code.message()));
  if (tls.cert_pem.empty()) return context;
  if (const auto used = use_pair(*context, tls, "the engine's client"); !used) return fail(used.error());
  return context;
}

void set_modes(SSL* ssl) {
  SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
}

Result<SslPtr> make_ssl(asio::ssl::context& context, int descriptor, const std::string& host) {
  SslPtr ssl(SSL_new(context.native_handle()));
  constexpr unsigned char kAlpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  if (!ssl || SSL_set_alpn_protos(ssl.get(), kAlpn, sizeof(kAlpn)) != 0 || !SSL_set1_host(ssl.get(), host.c_str()) ||
      !SSL_set_fd(ssl.get(), descriptor))
    return fail(Error::internal("OpenSSL can't make a connection"));
  error_code is_name;
  asio::ip::make_address(host, is_name);
  // Addresses are not sent as server names (RFC 6066, 3).
  if (is_name && !SSL_set_tlsext_host_name(ssl.get(), host.c_str()))
    return fail(Error::invalid("TLS can't use the host name " + host));
  SSL_set_connect_state(ssl.get());
  set_modes(ssl.get());
  return ssl;
}

Result<std::unique_ptr<TlsStream>> make_accepting(tcp::socket socket, asio::ssl::context& context) {
  error_code code;
  socket.non_blocking(true, code);
  if (code) return fail(error_of(code));
  SslPtr ssl(SSL_new(context.native_handle()));
  if (!ssl || !SSL_set_fd(ssl.get(), socket.native_handle()))
    return fail(Error::internal("OpenSSL can't make a connection"));
  SSL_set_accept_state(ssl.get());
  set_modes(ssl.get());
  return std::make_unique<TlsStream>(std::move(socket), std::move(ssl));
}

Task<Result<void>> shake_hands(TlsStream& stream, std::chrono::milliseconds limit) {
  const auto executor = co_await asio::this_coro::executor;
  const Deadline deadline(executor, limit, [&stream] { stream.close(); });
  const auto shaken = co_await stream.handshake();
  if (deadline.expired()) co_return fail(Error::unavailable("no TLS handshake in time"));
  if (!shaken) co_return fail(Error::unavailable("TLS: " + shaken.error().message));
  if (*shaken == 0) co_return fail(Error::unavailable("TLS: the peer ended the handshake"));
  co_return Result<void>();
}

}  // namespace

Task<Result<std::unique_ptr<Stream>>> make_tls_stream(tcp::socket socket, const std::string& host, const EngineTls& tls,
                                                      std::chrono::milliseconds limit) {
  const auto context = make_context(tls);
  if (!context) co_return fail(context.error());
  error_code code;
  socket.non_blocking(true, code);
  if (code) co_return fail(error_of(code));
  auto ssl = make_ssl(**context, socket.native_handle(), host);
  if (!ssl) co_return fail(ssl.error());
  auto stream = std::make_unique<TlsStream>(std::move(socket), std::move(*ssl));
  if (const auto shaken = co_await shake_hands(*stream, limit); !shaken) co_return fail(shaken.error());
  std::unique_ptr<Stream> made = std::move(stream);
  co_return made;
}

Result<TlsServer> make_tls_server(const EngineTls& own) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code code;
  context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, code);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(native, 0);
  context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, code);
  context->add_certificate_authority(asio::buffer(own.ca_pem), code);
  if (code) return fail(Error::invalid("the CA certificate for clients can't be read: " + code.message()));
  if (const auto used = use_pair(*context, own, "the server's"); !used) return fail(used.error());
  return context;
}

Task<Result<TlsClient>> accept_tls_stream(tcp::socket socket, const TlsServer& server,
                                          std::chrono::milliseconds limit) {
  auto stream = make_accepting(std::move(socket), *server);
  if (!stream) co_return fail(stream.error());
  if (const auto shaken = co_await shake_hands(**stream, limit); !shaken) co_return fail(shaken.error());
  TlsClient client{.stream = {}, .name = (*stream)->peer_name()};
  client.stream = std::move(*stream);
  co_return client;
}

}  // namespace ebbtide::http
