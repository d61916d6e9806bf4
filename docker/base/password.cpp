#include "docker/base/password.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide {
namespace {

constexpr std::uint64_t kLogCost = 15;
constexpr std::uint32_t kBlock = 8;
constexpr std::uint32_t kParallel = 1;
constexpr std::uint64_t kMostLogCost = 20;
constexpr std::uint64_t kMemory = std::uint64_t{2} << 30;
constexpr std::size_t kHashBytes = 32;

struct KdfDeleter {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

std::string scrypt(std::string_view password, std::string_view salt, std::uint64_t log_cost) {
  const std::unique_ptr<EVP_KDF, KdfDeleter> kdf(EVP_KDF_fetch(nullptr, "SCRYPT", nullptr));
  const std::unique_ptr<EVP_KDF_CTX, KdfDeleter> context(EVP_KDF_CTX_new(kdf.get()));
  auto cost = std::uint64_t{1} << log_cost;
  auto block = kBlock;
  auto parallel = kParallel;
  auto memory = kMemory;
  // OpenSSL wants pointers that are not const, and changes nothing behind them.
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, const_cast<char*>(password.data()), password.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, const_cast<char*>(salt.data()), salt.size()),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &cost),
      OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &block),
      OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &parallel),
      OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
      OSSL_PARAM_construct_end()};
  unsigned char hash[kHashBytes];
  if (!context || EVP_KDF_derive(context.get(), hash, sizeof hash, parameters) != 1) return {};
  return {reinterpret_cast<const char*>(hash), sizeof hash};
}

std::string without_padding(std::string base64) {
  while (base64.ends_with('=')) base64.pop_back();
  return base64;
}

}  // namespace

std::string hash_password(std::string_view password) {
  const auto salt = random_hex(16);
  return "$scrypt$ln=" + std::to_string(kLogCost) + ",r=8,p=1$" + without_padding(base64_encode(salt)) + "$" +
         without_padding(base64_encode(scrypt(password, salt, kLogCost)));
}

bool is_password(std::string_view password, std::string_view hash) {
  const auto parts = split(hash, '$');
  if (parts.size() != 5 || parts[1] != "scrypt" || !parts[2].starts_with("ln=") || !parts[2].ends_with(",r=8,p=1"))
    return false;
  const auto log_cost = parse_number(std::string_view(parts[2]).substr(3, parts[2].find(',') - 3));
  const auto salt = base64_decode(parts[3]);
  const auto wanted = base64_decode(parts[4]);
  if (!log_cost || *log_cost < 1 || *log_cost > kMostLogCost || !salt || !wanted || wanted->empty()) return false;
  return equal_secret(scrypt(password, *salt, *log_cost), *wanted);
}

}  // namespace ebbtide
