// Certificate: what HTTPS is served with, from two PEM files, read again when they change. A pair that does not fit, or
// can't be read, is told in the log, and the old one stays in use. Any thread.
#pragma once

#include <memory>
#include <string>

#include "docker/base/result.h"

struct ssl_ctx_st;

namespace ebbtide::api {

class Certificate {
 public:
  // chain: the server's certificate, then those above it. kInvalid says what is wrong with which file.
  static Result<std::shared_ptr<const Certificate>> load(const std::string& chain, const std::string& key);
  ~Certificate();

  // Handshakes of this context show it; it must outlive the context. TLS 1.2 and later.
  void use_for(ssl_ctx_st* context) const;

 private:
  class Impl;
  explicit Certificate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ebbtide::api
