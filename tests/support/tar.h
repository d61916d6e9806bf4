// Entries of ustar archives, for tests. Pure.
#pragma once

#include <array>
#include <cstdio>
#include <string>

namespace ebbtide::test {

// entry with the right sum in its header.
inline std::string with_checksum(std::string entry) {
  constexpr std::size_t kBlock = 512;
  constexpr std::size_t kSum = 148;
  entry.replace(kSum, 8, "        ");
  unsigned sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(entry[i]);
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%06o", sum);
  return entry.replace(kSum, text.size(), text.data(), text.size());
}

// One file; an archive ends with two empty blocks.
inline std::string tar_entry(const std::string& name, const std::string& content) {
  std::string head(512, '\0');
  const auto put = [&](std::size_t at, const std::string& value) { head.replace(at, value.size(), value); };
  std::array<char, 13> size{};
  std::snprintf(size.data(), size.size(), "%011zo", content.size());
  put(0, name);
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, size.data());
  put(136, "00000000000");
  put(156, "0");
  put(257, std::string("ustar\00000", 8));
  return with_checksum(std::move(head)) + content + std::string((512 - content.size() % 512) % 512, '\0');
}

}  // namespace ebbtide::test
