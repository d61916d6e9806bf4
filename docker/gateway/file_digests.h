// FileDigests: the digests of the small files of a plain tar, while its bytes pass. An image's id is the digest of its
// configuration (or of its manifest, as the engine's store has it): whoever sends a file of that digest had the image,
// or knew all that describes it. So it doesn't matter which of the files the engine takes for what, and an archive that
// can be read in two ways gains nothing. A compressed one has none, like one that can't be read. Not thread-safe.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace ebbtide::gateway {

class FileDigests {
 public:
  void feed(std::string_view bytes);
  // Of the files that have passed whole: "sha256:…".
  bool contains(const std::string& digest) const { return digests_.contains(digest); }
  const std::set<std::string>& all() const { return digests_; }

 private:
  enum class Part { kHeader, kFile, kEnd };

  void take();
  void take_header();
  void expect_header();

  static constexpr std::size_t kBlock = 512;

  Part part_ = Part::kHeader;
  std::string kept_;             // of the header or small file that is being read
  std::size_t wanted_ = kBlock;  // its bytes
  std::uint64_t skip_ = 0;       // bytes before it that aren't read
  std::uint64_t padding_ = 0;    // after the file that is being read
  std::set<std::string> digests_;
};

}  // namespace ebbtide::gateway
