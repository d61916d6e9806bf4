#include "api/certificate.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "docker/base/log.h"
#include "docker/base/release.h"

namespace ebbtide::api {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kLook{5};  // between two looks at the files, at handshakes

using Bio = std::unique_ptr<BIO, Release<BIO_free>>;
using X509Pointer = std::unique_ptr<X509, Release<X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using StackPointer = std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)>;

struct Pair {
  X509Pointer leaf;
  StackPointer chain{nullptr, [](STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }};
  KeyPointer key;
};

Result<std::shared_ptr<const Pair>> read_pair(const std::string& chain_file, const std::string& key_file) {
  auto pair = std::make_shared<Pair>();
  const Bio chain(BIO_new_file(chain_file.c_str(), "r"));
  if (chain) pair->leaf.reset(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  if (!pair->leaf) return fail(Error::invalid("tls_cert can't be read, or holds no certificate in PEM: " + chain_file));
  pair->chain.reset(sk_X509_new_null());
  while (X509* above = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr))
    sk_X509_push(pair->chain.get(), above);
  const Bio key(BIO_new_file(key_file.c_str(), "r"));
  char no_password[] = "";
  if (key) pair->key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, no_password));
  if (!pair->key)
    return fail(
        Error::invalid("tls_key can't be read, or holds no private key in PEM without a password: " + key_file));
  if (X509_check_private_key(pair->leaf.get(), pair->key.get()) != 1)
    return fail(Error::invalid("tls_key is not the key of the certificate in " + chain_file + ": " + key_file));
  return std::shared_ptr<const Pair>(std::move(pair));
}

// Another after each change to the file; renewals often swap a link.
std::pair<timespec, ino_t> stamp_of(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return {};
  return {status.st_mtim, status.st_ino};
}

bool same(const std::pair<timespec, ino_t>& a, const std::pair<timespec, ino_t>& b) {
  return a.second == b.second && a.first.tv_sec == b.first.tv_sec && a.first.tv_nsec == b.first.tv_nsec;
}

}  // namespace

class Certificate::Impl {
 public:
  Impl(std::string chain_file, std::string key_file)
      : chain_file_(std::move(chain_file)), key_file_(std::move(key_file)) {}

  Result<void> read() {
    chain_stamp_ = stamp_of(chain_file_);
    key_stamp_ = stamp_of(key_file_);
    looked_ = steady_clock::now();
    auto pair = read_pair(chain_file_, key_file_);
    if (!pair) return fail(pair.error());
    pair_ = std::move(*pair);
    return {};
  }

  std::shared_ptr<const Pair> current() {
    const std::scoped_lock lock(mutex_);
    if (steady_clock::now() - looked_ < kLook) return pair_;
    looked_ = steady_clock::now();
    if (same(chain_stamp_, stamp_of(chain_file_)) && same(key_stamp_, stamp_of(key_file_))) return pair_;
    if (const auto done = read())
      log_info("the TLS certificate was read anew", {{"file", chain_file_}});
    else
      log_error("the TLS certificate was changed, and can't be used: the old one stays",
                {{"error", done.error().message}});
    return pair_;
  }

  static int choose(SSL* connection, void* user) {
    const auto pair = static_cast<Impl*>(user)->current();
    return SSL_use_cert_and_key(connection, pair->leaf.get(), pair->key.get(), pair->chain.get(), 1);
  }

 private:
  const std::string chain_file_;
  const std::string key_file_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<const Pair> pair_;
  std::pair<timespec, ino_t> chain_stamp_{};
  std::pair<timespec, ino_t> key_stamp_{};
  steady_clock::time_point looked_;
};

Certificate::Certificate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Certificate::~Certificate() = default;

Result<std::shared_ptr<const Certificate>> Certificate::load(const std::string& chain, const std::string& key) {
  auto impl = std::make_unique<Impl>(chain, key);
  if (const auto read = impl->read(); !read) return fail(read.error());
  return std::shared_ptr<const Certificate>(new Certificate(std::move(impl)));
}

void Certificate::use_for(ssl_ctx_st* context) const {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_cert_cb(context, Impl::choose, impl_.get());
}

}  // namespace ebbtide::api
