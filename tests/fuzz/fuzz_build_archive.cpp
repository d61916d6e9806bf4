// Any bytes as a build context: what is passed on is an archive with the same Dockerfile, and begins with a name of
// ours.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "docker/gateway/build_archive.h"

namespace {

using ebbtide::gateway::BuildArchive;

void require(bool holds) {
  if (!holds) std::abort();
}

bool read(BuildArchive& archive, std::string_view bytes) {
  require(archive.write(bytes).has_value());
  while (true) {
    const auto all = archive.scan();
    if (!all) return false;
    if (*all) return true;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto archive = BuildArchive::create("/tmp", "Dockerfile", 1 << 20);
  require(archive.has_value());
  if (!read(*archive, {reinterpret_cast<const char*>(data), size})) return 0;
  std::string sent;
  while (true) {
    const auto piece = archive->next();
    require(piece.has_value());  // what can't be written was refused
    if (piece->empty()) break;
    sent += *piece;
  }
  require(sent.starts_with("PaxHeader/currentdir"));
  auto again = BuildArchive::create("/tmp", "Dockerfile", 1 << 26);
  require(again.has_value() && read(*again, sent));
  require(again->dockerfile() == archive->dockerfile());
  return 0;
}
