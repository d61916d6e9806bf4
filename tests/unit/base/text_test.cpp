#include "docker/base/text.h"

#include <gtest/gtest.h>

#include "docker/base/secret.h"

namespace ebbtide {
namespace {

TEST(Text, LinesAreTrimmedAndBlankOnesLeftOut) {
  EXPECT_EQ(lines_of(" a=1 \r\n\r\n  b = 2\n"), (std::vector<std::string>{"a=1", "b = 2"}));
}

TEST(Text, NumbersAreDecimalDigitsOnly) {
  EXPECT_EQ(parse_number("18446744073709551615"), 18446744073709551615U);
  for (const auto* bad : {"", "-1", "+1", " 1", "0x1", "18446744073709551616", "1 "})
    EXPECT_FALSE(parse_number(bad)) << bad;
}

TEST(Text, PercentCodingGoesThereAndBack) {
  EXPECT_EQ(percent_encode("a b/ü", "/"), "a%20b/%C3%BC");
  EXPECT_EQ(percent_decode("a%20b%2F%c3%bc"), "a b/ü");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
  for (const auto* bad : {"%", "%1", "%zz", "a%2"}) EXPECT_FALSE(percent_decode(bad)) << bad;
}

TEST(Text, Base64GoesThereAndBack) {
  for (const std::string text : {"", "f", "fo", "foo", "\xff\xfe\xfd"})
    EXPECT_EQ(base64_decode(base64_encode(text)), text);
  EXPECT_EQ(base64_encode("fo"), "Zm8=");
  EXPECT_EQ(base64_decode("__79"), "\xff\xfe\xfd");
  EXPECT_FALSE(base64_decode("Z"));
  EXPECT_FALSE(base64_decode("Zm*8"));
}

TEST(Text, TimesAreReadAsTheEngineWritesThem) {
  const auto time = parse_rfc3339("2026-11-24T10:15:02.120999999Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(to_rfc3339(*time), "2026-11-24T10:15:02.120Z");
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-11-24T12:15:02+02:00")), "2026-11-24T10:15:02.000Z");
  for (const auto* bad : {"", "2026-11-24", "2026-11-24T10:15:02", "yesterday at ten o'clock"})
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
}

TEST(Secret, DigestsAndComparisonsAreRight) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(equal_secret("token", "token"));
  EXPECT_FALSE(equal_secret("token", "tokem"));
  EXPECT_FALSE(equal_secret("token", "tokens"));
  EXPECT_EQ(random_hex(8).size(), 16U);
  EXPECT_NE(random_hex(8), random_hex(8));
}

}  // namespace
}  // namespace ebbtide
