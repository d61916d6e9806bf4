#include "plugin/console.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::plugin {
namespace {

using testing::MatchesRegex;

constexpr TimePoint kNow{std::chrono::milliseconds(1'790'000'000'007)};

TEST(Console, MarksEachLineAsGocdsPageExpectsIt) {
  EXPECT_THAT(console_lines("created\nstarted", kNow),
              MatchesRegex("##\\|..:..:..\\.007 \\[go\\] created\n##\\|..:..:..\\.007 \\[go\\] started\n"));
}

TEST(Console, LeavesControlCharactersOut) {
  EXPECT_THAT(console_lines("a\x1b[31mb\r", kNow), testing::HasSubstr("] a[31mb\n"));
}

TEST(Console, CutsSecretsOutOfALog) {
  EXPECT_EQ(without_secrets("key=s3cret! and s3cret!", {"s3cret!", "", "an"}), "key=******** and ********");
}

}  // namespace
}  // namespace ebbtide::plugin
