#include "docker/gateway/file_digests.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide::gateway {
namespace {

constexpr std::uint64_t kSmall = 1 << 20;  // configurations and manifests are far below
constexpr std::size_t kMostFiles = 10'000;

// A number of a header: octal, or binary where its first bit is set (POSIX ustar; GNU). Nothing if it is none.
std::optional<std::uint64_t> number(std::string_view field) {
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(field[0]) & 0x80U) != 0) {
    for (const char c : field.substr(field.size() - sizeof value)) value = value << 8U | static_cast<unsigned char>(c);
    return value;
  }
  const auto digits = trim(field.substr(0, field.find('\0')));
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

bool is_header(std::string_view block) {
  constexpr std::size_t kSum = 148;
  constexpr std::size_t kSumSize = 8;
  std::uint64_t sum = kSumSize * ' ';
  for (std::size_t i = 0; i < block.size(); ++i)
    if (i < kSum || i >= kSum + kSumSize) sum += static_cast<unsigned char>(block[i]);
  return number(block.substr(kSum, kSumSize)) == sum;
}

}  // namespace

void FileDigests::feed(std::string_view bytes) {
  while (part_ != Part::kEnd) {
    const auto skipped = std::min<std::uint64_t>(skip_, bytes.size());
    bytes.remove_prefix(skipped);
    skip_ -= skipped;
    const auto taken = bytes.substr(0, wanted_ - kept_.size());
    if (skip_ > 0 || (taken.empty() && kept_.size() < wanted_)) return;
    kept_ += taken;
    bytes.remove_prefix(taken.size());
    if (kept_.size() == wanted_) take();
  }
}

void FileDigests::take() {
  if (part_ == Part::kHeader) return take_header();
  digests_.insert("sha256:" + sha256_hex(kept_));
  skip_ = padding_;
  expect_header();
}

void FileDigests::take_header() {
  constexpr std::size_t kSize = 124;
  constexpr std::size_t kSizeSize = 12;
  constexpr std::size_t kType = 156;
  const auto size = number(std::string_view(kept_).substr(kSize, kSizeSize));
  const char type = kept_[kType];
  part_ = is_header(kept_) && size && digests_.size() < kMostFiles ? part_ : Part::kEnd;
  if (part_ == Part::kEnd) return;
  padding_ = (kBlock - *size % kBlock) % kBlock;
  const bool is_small_file = (type == '0' || type == '\0') && *size <= kSmall;
  kept_.clear();
  if (!is_small_file) {
    skip_ = *size + padding_;
    return;
  }
  part_ = Part::kFile;
  wanted_ = *size;
}

void FileDigests::expect_header() {
  part_ = Part::kHeader;
  kept_.clear();
  wanted_ = kBlock;
}

}  // namespace ebbtide::gateway
