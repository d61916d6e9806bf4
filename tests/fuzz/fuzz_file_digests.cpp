// Headers with any sizes and types, and any bytes after each, as an archive of images: what is found in it does not
// depend on the pieces that it comes in.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "docker/gateway/file_digests.h"
#include "tests/support/tar.h"

namespace {

using namespace ebbtide;
using namespace ebbtide::gateway;

FileDigests read(std::string_view archive, std::size_t size) {
  FileDigests files;
  for (; !archive.empty(); archive.remove_prefix(std::min(size, archive.size()))) files.feed(archive.substr(0, size));
  return files;
}

std::string to_archive(std::string_view bytes) {
  const auto take = [&](std::size_t size) {
    const auto taken = bytes.substr(0, size);
    bytes.remove_prefix(taken.size());
    return std::string(taken);
  };
  std::string archive;
  while (!bytes.empty()) {
    auto header = test::tar_entry("f", "");
    const auto size = take(12);
    header.replace(124, size.size(), size);
    const auto type = take(1);
    header.replace(156, type.size(), type);
    const auto content = take(1);
    archive += test::with_checksum(std::move(header));
    if (!content.empty()) archive += take(std::size_t{8} * static_cast<unsigned char>(content[0]));
  }
  return archive;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto archive = to_archive({reinterpret_cast<const char*>(data), size});
  const auto whole = read(archive, archive.size()).all();
  if (whole != read(archive, data[0] + 1U).all() || whole != read(archive, 1).all()) std::abort();
  return 0;
}
