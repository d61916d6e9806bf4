#include <gtest/gtest.h>

#include "docker/engine/engine_json.h"

namespace ebbtide {
namespace {

std::string frame(const std::string& text) {
  std::string head{"\1\0\0\0\0\0\0", 7};
  head += static_cast<char>(text.size());
  return head + text;
}

TEST(FrameReader, ReadsPiecesCutAnywhere) {
  const auto log = frame("one\n") + frame("") + frame("two\n");
  for (std::size_t cut = 0; cut <= log.size(); ++cut) {
    FrameReader frames;
    auto text = frames.feed(std::string_view(log).substr(0, cut));
    text += frames.feed(std::string_view(log).substr(cut));
    EXPECT_EQ(text, "one\ntwo\n") << cut;
  }
}

TEST(Usage, LeavesOutThePageCacheThatCanGo) {
  const auto version2 = read_usage(read_json(
      R"({"cpu_stats":{"cpu_usage":{"total_usage":7}},"memory_stats":{"usage":100,"limit":1000,"stats":{"inactive_file":30}}})"));
  EXPECT_EQ(version2.cpu_ns, 7U);
  EXPECT_EQ(version2.memory_bytes, 70U);
  EXPECT_EQ(version2.memory_limit_bytes, 1000U);
  const auto version1 = read_usage(read_json(R"({"memory_stats":{"usage":100,"stats":{"total_inactive_file":40}}})"));
  EXPECT_EQ(version1.memory_bytes, 60U);
}

TEST(Usage, OfAContainerThatEndedIsNone) {
  for (const auto* text : {"{}", "null", "[]", R"({"memory_stats":{},"cpu_stats":null})"})
    EXPECT_EQ(read_usage(read_json(text)).memory_bytes, 0U) << text;
}

}  // namespace
}  // namespace ebbtide
