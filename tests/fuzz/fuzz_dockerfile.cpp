// Any bytes as a Dockerfile: an image that comes before them, or after what can't hide it, is named or all is refused.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "docker/gateway/dockerfile.h"

namespace {

using namespace ebbtide;
using namespace ebbtide::gateway;

void require_secret(const std::string& text) {
  const auto read = read_dockerfile(text, {{"A", "b"}, {"B", "$A"}});
  if (!read) return;
  const auto names = [](const auto& list) { return std::ranges::find(list, "secret") != list.end(); };
  if (!names(read->images) && !names(read->stages)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(read_dockerfile(text, {{"A", "b"}}));
  require_secret("FROM secret\n" + text);
  require_secret("FROM a\nCOPY --from=secret / /\n" + text);
  // Neither a continuation nor a heredoc is open there.
  if (text.find_first_of("\\`<") == std::string::npos) require_secret(text + "\nFROM secret\n");
  return 0;
}
