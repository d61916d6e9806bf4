// Randomness, digests and comparisons that must not leak (OpenSSL). Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ebbtide {

// bytes random bytes as lower-case hex. Aborts the program if the system has no randomness.
std::string random_hex(std::size_t bytes);
// SHA-256 as lower-case hex.
std::string sha256_hex(std::string_view data);
// Compares in a time that depends on the lengths only.
bool equal_secret(std::string_view a, std::string_view b);

}  // namespace ebbtide
