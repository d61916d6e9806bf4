#include "docker/http/target.h"

#include <gtest/gtest.h>

namespace ebbtide::http {
namespace {

TEST(Target, IsTakenApartAndWrittenCanonically) {
  const auto target = parse_target("/v1.41/containers/d%62/json?all=1&filters=%7B%22name%22%3A%5B%22a+b%22%5D%7D");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->version, "1.41");
  EXPECT_EQ(target->version_numbers(), std::pair(1, 41));
  EXPECT_EQ(target->path, "/containers/db/json");
  EXPECT_EQ(target->query.get("filters"), R"({"name":["a b"]})");
  EXPECT_EQ(target->to_text(), "/v1.41/containers/db/json?all=1&filters=%7B%22name%22%3A%5B%22a%20b%22%5D%7D");
}

TEST(Target, ImageNamesStayReadable) {
  EXPECT_EQ(parse_target("/images/host:5000/team/app:1/json")->to_text(), "/images/host:5000/team/app:1/json");
  EXPECT_EQ(parse_target("/images/app@sha256:abc/json")->to_text(), "/images/app@sha256:abc/json");
  EXPECT_EQ(parse_target("/networks/")->to_text(), "/networks/");
}

TEST(Target, WithoutAVersionItIsTheEnginesNewest) {
  EXPECT_EQ(parse_target("/_ping")->version, "");
  EXPECT_FALSE(parse_target("/_ping")->version_numbers());
  EXPECT_EQ(parse_target("/volumes/v1")->path, "/volumes/v1");
}

TEST(Target, WhatIsNotCanonicalIsRefused) {
  for (const auto* text : {"containers/json",
                           "http://docker/v1.41/info",
                           "*",
                           "//containers/json",
                           "/containers//json",
                           "/./info",
                           "/containers/../info",
                           "/containers/%2e%2e/info",
                           "/containers/a%2F%2Fb",
                           "/a%252e",
                           "/a%00b",
                           "/a%0ab",
                           "/a%zz",
                           "/a%2",
                           "/a%5cb",
                           "/info#x",
                           "/v1.041/info",
                           "/v1.41.0/info",
                           "/v1.4a/info",
                           "/v1./info",
                           "/v2.0/info",
                           "/v1.141/info",
                           "/v1.41",
                           "/info?a=%zz",
                           "/info?a=1;b=2"})
    EXPECT_FALSE(parse_target(text)) << text;
}

TEST(Query, TheFirstOfRepeatedKeysCountsAndOnlyItGoesOn) {
  auto target = parse_target("/containers/prune?filters=mine&filters=theirs&x=1&t=a&t=b");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->query.get("filters"), "mine");
  target->query.keep({"filters"}, {"t"});
  EXPECT_EQ(target->query.to_text(), "filters=mine&t=a&t=b");
}

TEST(Query, FlagsAreReadAsTheEngineReadsThem) {
  const auto query = parse_target("/x?a=1&b=true&c=yes&d=0&e=no&f=False&g=none&h=&i=%20")->query;
  for (const auto* set : {"a", "b", "c"}) EXPECT_TRUE(query.flag(set)) << set;
  for (const auto* unset : {"d", "e", "f", "g", "h", "i", "absent"}) EXPECT_FALSE(query.flag(unset)) << unset;
}

}  // namespace
}  // namespace ebbtide::http
