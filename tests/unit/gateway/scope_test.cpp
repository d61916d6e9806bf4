// The job's names and paths, and what they are on the engine.
#include "docker/gateway/scope.h"

#include <gtest/gtest.h>

namespace ebbtide::gateway {
namespace {

const Scope kScope(name_scope("s1", "a1"), {.patterns = {"cache-*", "m2"}, .scope = "eb-shared-"}, "/run/e/agents/a1",
                   "/run/e/mounts/a1/");

TEST(Scope, EachOwnerOfEachServerHasItsOwn) {
  EXPECT_NE(name_scope("s1", "a1"), name_scope("s1", "a2"));
  EXPECT_NE(name_scope("s1", "a1"), name_scope("s2", "a1"));
  EXPECT_EQ(name_scope("s1", "a1").size(), 16U);
}

TEST(Scope, ANameComesBackAsItWasGiven) {
  for (const auto kind : {Kind::kContainer, Kind::kNetwork, Kind::kVolume})
    EXPECT_EQ(kScope.given_name(kScope.real_name(kind, "db")), "db");
  EXPECT_EQ(kScope.real_name(Kind::kContainer, ""), "");
  EXPECT_EQ(kScope.given_name("somebody-elses"), "somebody-elses");
}

TEST(Scope, OnlyVolumesAreShared) {
  EXPECT_EQ(kScope.real_name(Kind::kVolume, "cache-npm"), "eb-shared-cache-npm");
  EXPECT_EQ(kScope.real_name(Kind::kVolume, "m2"), "eb-shared-m2");
  EXPECT_EQ(kScope.real_name(Kind::kContainer, "m2"), name_scope("s1", "a1") + "m2");
  for (const auto* other : {"cache", "xcache-npm", "m22", "m"}) EXPECT_FALSE(kScope.is_shared_volume(other)) << other;
}

TEST(Scope, AnswersAreInTheJobsWords) {
  const auto scope = name_scope("s1", "a1");
  EXPECT_EQ(kScope.in_job_words(R"({"Names":["/)" + scope + R"(db","/)" + scope + "web/" + scope + R"(db"]})"),
            R"({"Names":["/db","/web/db"]})");
  EXPECT_EQ(kScope.in_job_words(R"(["/run/e/mounts/a1/3f2a9c01/go/src:/src","/run/e/mounts/a1/3f2a9c01:/x:ro"])"),
            R"(["/go/src:/src","/:/x:ro"])");
  EXPECT_EQ(kScope.in_job_words(R"({"Source":"/run/e/mounts/a1/3f2a9c01"})"), R"({"Source":"/"})");
  EXPECT_EQ(kScope.in_job_words(R"(["/run/e/agents/a1/docker.sock:/s","/run/e/agents/a1:/d"])"),
            R"(["/var/run/docker.sock:/s","/run/ebbtide:/d"])");
  EXPECT_EQ(kScope.in_job_words("eb-shared-m2 " + name_scope("s1", "a2") + "db"),
            "m2 " + name_scope("s1", "a2") + "db");
}

TEST(Scope, LinesThatComeInPiecesAreSeenWhole) {
  const auto scope = name_scope("s1", "a1");
  const auto line = R"({"name":"/)" + scope + "db\"}\n";
  for (std::size_t cut = 0; cut <= line.size(); ++cut) {
    ScopedLines lines(kScope);
    const auto shown = lines.feed(line.substr(0, cut)) + lines.feed(line.substr(cut)) + lines.feed("");
    EXPECT_EQ(shown, "{\"name\":\"/db\"}\n") << cut;
  }
  ScopedLines open_end(kScope);
  EXPECT_EQ(open_end.feed(scope + "x"), "");
  EXPECT_EQ(open_end.feed(""), "x");
}

TEST(Scope, NamesThatTheEngineWouldRefuseAreRefusedInItsWords) {
  EXPECT_FALSE(check_name(Kind::kContainer, "db_1.x-y"));
  for (const auto* wrong : {"x", "-db", "a b", "a/b", "ä"}) EXPECT_TRUE(check_name(Kind::kContainer, wrong)) << wrong;
  EXPECT_EQ(check_name(Kind::kVolume, "x")->message,
            "volume name is too short, names should be at least two alphanumeric characters");
  EXPECT_EQ(check_name(Kind::kNetwork, "bridge")->kind, ErrorKind::kDenied);
  EXPECT_FALSE(check_name(Kind::kNetwork, "any thing: goes"));
}

TEST(Scope, NameFiltersAreRegularExpressions) {
  const auto matches = [](const char* value, const char* name) {
    return matches_name(Kind::kContainer, {value}, name);
  };
  for (const auto* value : {"db", "^db$", "^/db$", "/d", "d.*", "b$"}) EXPECT_TRUE(matches(value, "db")) << value;
  for (const auto* value : {"DB", "^d$", "dbx", "//db", "("}) EXPECT_FALSE(matches(value, "db")) << value;
  EXPECT_TRUE(matches_name(Kind::kVolume, {}, "any"));
  EXPECT_FALSE(matches_name(Kind::kVolume, {"^/db"}, "db"));
  EXPECT_TRUE(matches_name(Kind::kNetwork, {"a", "b"}, "b"));
}

}  // namespace
}  // namespace ebbtide::gateway
