#include "docker/gateway/authority.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "docker/base/release.h"
#include "docker/base/secret.h"
#include "docker/base/unique_fd.h"

namespace ebbtide::gateway {
namespace {

using std::chrono::seconds;

constexpr std::chrono::hours kAuthorityLife{20 * 365 * 24};
constexpr seconds kSkew{3600};  // clocks of other machines may be behind ours
constexpr int kSerialBits = 159;

using Bio = std::unique_ptr<BIO, Release<BIO_free>>;
using Number = std::unique_ptr<BIGNUM, Release<BN_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Release<X509_EXTENSION_free>>;
using CertificatePointer = std::unique_ptr<X509, Release<X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;

Error openssl_failed() { return Error::internal("OpenSSL can't make a certificate"); }

struct ExtensionText {
  int kind;
  std::string value;
};

struct Wish {
  std::string name;
  seconds life;
  std::vector<ExtensionText> extensions;
};

bool add_extensions(X509* certificate, X509* issuer, const std::vector<ExtensionText>& extensions) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const auto& [kind, value] : extensions) {
    const Extension made(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
    if (!made || !X509_add_ext(certificate, made.get(), -1)) return false;
  }
  return true;
}

// A serial number of its own, without a count of what was made.
bool set_serial(X509* certificate) {
  const Number number(BN_new());
  return number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
}

// issuer: null where it signs itself, with its own key.
CertificatePointer make_certificate(const Wish& wish, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
  CertificatePointer made(X509_new());
  X509* certificate = made.get();
  if (!certificate || !X509_set_version(certificate, X509_VERSION_3) || !set_serial(certificate)) return nullptr;
  X509_NAME* name = X509_get_subject_name(certificate);
  const auto* text = reinterpret_cast<const unsigned char*>(wish.name.c_str());
  const bool filled = X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0) &&
                      X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : name) &&
                      X509_gmtime_adj(X509_getm_notBefore(certificate), -kSkew.count()) &&
                      X509_gmtime_adj(X509_getm_notAfter(certificate), wish.life.count()) &&
                      X509_set_pubkey(certificate, key) &&
                      add_extensions(certificate, issuer ? issuer : certificate, wish.extensions) &&
                      X509_sign(certificate, issuer_key, EVP_sha256());
  return filled ? std::move(made) : nullptr;
}

std::string text_of(BIO* bio) {
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(bio, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  return bio && PEM_write_bio_X509(bio.get(), certificate) ? text_of(bio.get()) : "";
}

std::string pem_of(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  const bool written = bio && PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return written ? text_of(bio.get()) : "";
}

KeyPointer make_key() { return KeyPointer(EVP_EC_gen("P-256")); }

// The whole file or none: a crash leaves no half of it.
Result<void> write_file(const std::string& path, const std::string& text) {
  const auto failed = [&] {
    return fail(Error::unavailable("can't write " + path + ": is there space, and is the folder the server's own?"));
  };
  const auto temporary = path + "." + random_hex(4);
  const UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return failed();
  const bool written =
      ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file.get()) == 0;
  if (written && std::rename(temporary.c_str(), path.c_str()) == 0) return {};
  ::unlink(temporary.c_str());
  return failed();
}

}  // namespace

struct Authority::Pair {
  KeyPointer key;
  CertificatePointer certificate;

  static std::unique_ptr<Pair> make();
  static std::unique_ptr<Pair> read(const std::string& text);
  Result<EngineTls> sign(Wish wish) const;
};

std::unique_ptr<Authority::Pair> Authority::Pair::make() {
  auto pair = std::make_unique<Pair>();
  pair->key = make_key();
  if (!pair->key) return nullptr;
  const Wish wish{.name = "Ebbtide gateways " + random_hex(4),
                  .life = kAuthorityLife,
                  .extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                 {NID_key_usage, "critical,keyCertSign"},
                                 {NID_subject_key_identifier, "hash"}}};
  pair->certificate = make_certificate(wish, pair->key.get(), nullptr, pair->key.get());
  return pair->certificate ? std::move(pair) : nullptr;
}

std::unique_ptr<Authority::Pair> Authority::Pair::read(const std::string& text) {
  auto pair = std::make_unique<Pair>();
  const auto size = static_cast<int>(text.size());
  const Bio key(BIO_new_mem_buf(text.data(), size));
  const Bio certificate(BIO_new_mem_buf(text.data(), size));
  char no_password[] = "";
  pair->key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, no_password));
  pair->certificate.reset(PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr));
  const bool fits = pair->key && pair->certificate && X509_check_private_key(pair->certificate.get(), pair->key.get());
  return fits ? std::move(pair) : nullptr;
}

Result<EngineTls> Authority::Pair::sign(Wish wish) const {
  wish.extensions.insert(wish.extensions.end(), {{NID_basic_constraints, "critical,CA:FALSE"},
                                                 {NID_key_usage, "critical,digitalSignature"},
                                                 {NID_authority_key_identifier, "keyid"}});
  const auto own = make_key();
  if (!own) return fail(openssl_failed());
  const auto signed_one = make_certificate(wish, own.get(), certificate.get(), key.get());
  if (!signed_one) return fail(openssl_failed());
  EngineTls made{
      .ca_pem = pem_of(certificate.get()), .cert_pem = pem_of(signed_one.get()), .key_pem = pem_of(own.get())};
  if (made.ca_pem.empty() || made.cert_pem.empty() || made.key_pem.empty()) return fail(openssl_failed());
  return made;
}

Authority::Authority(std::unique_ptr<Pair> pair) : pair_(std::move(pair)) {}
Authority::~Authority() = default;

Result<std::shared_ptr<const Authority>> Authority::open(const std::string& file) {
  std::unique_ptr<Pair> pair;
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0) {
    std::ifstream stream(file);
    pair = Pair::read(std::string((std::istreambuf_iterator<char>(stream)), {}));
    if (!pair)
      return fail(Error::invalid("the gateways' authority in " + file +
                                 " can't be read. Without that file a new one is made, and agents that live on lose "
                                 "their Docker"));
    return std::shared_ptr<const Authority>(new Authority(std::move(pair)));
  }
  pair = Pair::make();
  if (!pair) return fail(openssl_failed());
  const auto text = pem_of(pair->key.get()) + pem_of(pair->certificate.get());
  if (const auto written = write_file(file, text); !written) return fail(written.error());
  return std::shared_ptr<const Authority>(new Authority(std::move(pair)));
}

Result<EngineTls> Authority::for_server(const std::string& host) const {
  boost::system::error_code is_name;
  boost::asio::ip::make_address(host, is_name);
  return pair_->sign(
      {.name = "Ebbtide gateways",
       .life = kAuthorityLife,
       .extensions = {{NID_subject_alt_name, (is_name ? "DNS:" : "IP:") + host}, {NID_ext_key_usage, "serverAuth"}}});
}

Result<EngineTls> Authority::for_agent(const std::string& id, seconds life) const {
  return pair_->sign({.name = id, .life = life, .extensions = {{NID_ext_key_usage, "clientAuth"}}});
}

}  // namespace ebbtide::gateway
