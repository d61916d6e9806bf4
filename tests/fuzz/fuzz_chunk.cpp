// Any bytes as a chunked body: however it is cut, the walker takes the same bytes, finds the same data and ends at the
// same place, or refuses it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "docker/http/chunk.h"

namespace {

using ebbtide::http::ChunkWalker;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Walked {
  std::string data;
  std::size_t bytes = 0;
  bool ended = false;
  bool failed = false;
  bool operator==(const Walked&) const = default;
};

// True while the walk goes on.
bool walk_piece(ChunkWalker& walker, std::string_view piece, Walked& walked) {
  while (!piece.empty() && !walker.ended()) {
    const auto step = walker.walk(piece);
    walked.failed = !step;
    if (walked.failed) return false;
    const auto taken = step->framing + step->data;
    require(taken > 0 && taken <= piece.size());
    require(step->data == 0 || !walker.ended());
    walked.data += piece.substr(step->framing, step->data);
    walked.bytes += taken;
    piece.remove_prefix(taken);
  }
  return !walker.ended();
}

// cuts: sizes of the pieces, taken in turn.
Walked walk(std::string_view body, std::string_view cuts) {
  ChunkWalker walker;
  Walked walked;
  for (std::size_t i = 0; !body.empty(); ++i) {
    const auto cut =
        cuts.empty() ? body.size() : static_cast<std::size_t>(static_cast<unsigned char>(cuts[i % cuts.size()]));
    const auto piece = body.substr(0, std::max<std::size_t>(1, cut));
    if (!walk_piece(walker, piece, walked)) break;
    body.remove_prefix(piece.size());
  }
  walked.ended = walker.ended();
  if (walked.failed) walked = Walked{.failed = true};  // where it was noticed depends on the cuts
  return walked;
}

}  // namespace

// The first byte tells how many of the next are cuts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto cuts = bytes.substr(0, data[0] % 8);
  const auto body = bytes.substr(cuts.size());
  const auto whole = walk(body, {});
  require(walk(body, cuts) == whole);
  require(walk(body, std::string_view("\1", 1)) == whole);
  // What was taken as a body stands alone, whatever follows.
  if (whole.ended) require(walk(body.substr(0, whole.bytes), cuts) == whole);
  return 0;
}
