// A TLS server in a thread, with a CA and certificates made for the test: raw OpenSSL, so that what we say on the wire
// is judged by another's code.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace ebbtide::http::test {

struct Certificate {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> certificate;
  std::string certificate_pem() const;
  std::string key_pem() const;
};

// For the host name; signed by issuer, or by itself.
Certificate make_certificate(const std::string& host, const Certificate* issuer = nullptr);

class TlsPeer {
 public:
  // Takes one connection at 127.0.0.1, asks for a certificate of ca, and gives it to talk (null: no handshake).
  TlsPeer(const Certificate& ca, const Certificate& own, std::function<void(SSL*)> talk);
  ~TlsPeer();
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  std::uint16_t port() const { return port_; }
  // Waits for the end of the talk.
  void join() { thread_.join(); }

 private:
  void serve();

  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::shared_ptr<SSL_CTX> context_;
  std::function<void(SSL*)> talk_;
  std::thread thread_;
};

}  // namespace ebbtide::http::test
