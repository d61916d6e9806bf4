#include "docker/gateway/file_digests.h"

#include <gtest/gtest.h>

#include "docker/base/secret.h"
#include "tests/support/tar.h"

namespace ebbtide::gateway::test {
namespace {

using ebbtide::test::tar_entry;

const std::string kEnd(1024, '\0');

std::string digest(const std::string& content) { return "sha256:" + sha256_hex(content); }

// In pieces of that size.
FileDigests read(const std::string& archive, std::size_t size) {
  FileDigests files;
  for (std::size_t at = 0; at < archive.size(); at += size) files.feed(std::string_view(archive).substr(at, size));
  return files;
}

TEST(FileDigests, OfSmallFilesInPiecesOfAnySize) {
  const std::string large((1 << 20) + 1, 'l');
  const std::string block(512, 'b');
  const auto archive = tar_entry("a.json", "{}") + tar_entry("layer.tar", large) + tar_entry("empty", "") +
                       tar_entry("block", block) + tar_entry("last", "z") + kEnd;
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{511}, std::size_t{512}, std::size_t{70'000}, archive.size()}) {
    const auto files = read(archive, size);
    for (const auto& content : {std::string("{}"), std::string(), block, std::string("z")})
      EXPECT_TRUE(files.contains(digest(content))) << size;
    EXPECT_FALSE(files.contains(digest(large)));
  }
}

TEST(FileDigests, OfWholeFilesOnly) {
  const auto archive = tar_entry("a", "half");
  EXPECT_FALSE(read(archive.substr(0, 514), 100).contains(digest("half")));
  EXPECT_FALSE(read(archive.substr(0, 514), 100).contains(digest("ha")));
}

TEST(FileDigests, NothingIsReadBeyondWhatIsNoHeader) {
  auto broken = tar_entry("b", "b");
  broken[0] = 'x';  // its sum is wrong
  const auto files = read(tar_entry("a", "a") + broken + tar_entry("c", "c") + kEnd + tar_entry("d", "d"), 512);
  EXPECT_TRUE(files.contains(digest("a")));
  for (const auto* content : {"b", "c", "d"}) EXPECT_FALSE(files.contains(digest(content)));
  EXPECT_FALSE(read("\x1f\x8b" + tar_entry("a", "a"), 512).contains(digest("a"))) << "as compressed";
}

TEST(FileDigests, ASizeMayBeBinary) {
  auto archive = tar_entry("a", "a");
  archive.replace(124, 12, std::string("\x80\0\0\0\0\0\0\0\0\0\0\1", 12));
  archive = ebbtide::test::with_checksum(std::move(archive));
  EXPECT_TRUE(read(archive + tar_entry("b", "b"), 512).contains(digest("b")));
}

}  // namespace
}  // namespace ebbtide::gateway::test
