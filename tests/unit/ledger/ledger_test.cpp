#include "docker/ledger/ledger.h"

#include <gtest/gtest.h>

#include <future>

namespace ebbtide {
namespace {

using enum Resolution::Outcome;

Belonging container(std::string id, std::string name, std::string owner = "a1") {
  return {.kind = Kind::kContainer,
          .id = std::move(id),
          .name = name,
          .real_name = name,
          .owner = std::move(owner),
          .state = "running"};
}

TEST(Ledger, ResolvesAFullIdBeforeANameAndANameBeforeAPrefix) {
  Ledger ledger;
  ledger.claim(container("abc111", "db"));
  ledger.claim(container("def222", "abc111"));  // named like another's id
  ledger.claim(container("fed333", "ab"));      // named like another's prefix
  const auto id_of = [&](std::string_view reference) {
    return ledger.resolve("a1", Kind::kContainer, reference).belonging.id;
  };
  EXPECT_EQ(id_of("abc111"), "abc111");
  EXPECT_EQ(id_of("ab"), "fed333");
  EXPECT_EQ(id_of("abc"), "abc111");
  EXPECT_EQ(id_of("/db"), "abc111");
  EXPECT_EQ(ledger.resolve("a1", Kind::kContainer, "").outcome, kNotFound);
  EXPECT_EQ(ledger.resolve("a1", Kind::kContainer, "zz").outcome, kNotFound);
}

TEST(Ledger, APrefixOfTwoIdsIsAmbiguous) {
  Ledger ledger;
  ledger.claim(container("abc1", "x"));
  ledger.claim(container("abc2", "y"));
  EXPECT_EQ(ledger.resolve("a1", Kind::kContainer, "abc").outcome, kAmbiguous);
}

TEST(Ledger, VolumesAreKnownByNameOnly) {
  Ledger ledger;
  ledger.claim({.kind = Kind::kVolume, .id = "cache", .name = "cache", .real_name = "cache", .owner = "a1"});
  EXPECT_EQ(ledger.resolve("a1", Kind::kVolume, "cache").outcome, kFound);
  EXPECT_EQ(ledger.resolve("a1", Kind::kVolume, "cac").outcome, kNotFound);
}

TEST(Ledger, ShowsNoOneWhatIsAnothers) {
  Ledger ledger;
  ledger.claim(container("abc111", "db", "a1"));
  EXPECT_EQ(ledger.resolve("a2", Kind::kContainer, "abc111").outcome, kNotFound);
  EXPECT_FALSE(ledger.owns("a2", Kind::kContainer, "abc111"));
  EXPECT_TRUE(ledger.of("a2").empty());
}

TEST(Ledger, RemembersWhoseThingsWereThatWent) {
  Ledger ledger;
  ledger.claim(container("abc111", "db"));
  ledger.forget(Kind::kContainer, "abc111");
  EXPECT_TRUE(ledger.owned_lately("a1", Kind::kContainer, "abc111"));
  EXPECT_FALSE(ledger.owned_lately("a2", Kind::kContainer, "abc111"));
  EXPECT_FALSE(ledger.owns("a1", Kind::kContainer, "abc111"));
  EXPECT_TRUE(ledger.owners().empty());
}

TEST(Ledger, AListingDropsWhatItDoesNotShowAndAddsWhatItShows) {
  Ledger ledger;
  ledger.claim(container("old", "old"));
  Listing listing{.belongings = {container("new", "new")}, .began = ledger.mark()};
  ledger.resync(listing);
  EXPECT_FALSE(ledger.find(Kind::kContainer, "old"));
  EXPECT_TRUE(ledger.find(Kind::kContainer, "new"));
}

TEST(Ledger, AListingChangesNothingThatHappenedSinceItBegan) {
  Ledger ledger;
  ledger.claim(container("gone", "gone"));
  Listing listing{.belongings = {container("gone", "gone"), container("run", "run")}, .began = ledger.mark()};
  listing.belongings[1].state = "created";
  ledger.forget(Kind::kContainer, "gone");    // removed while the listing was under way
  ledger.claim(container("fresh", "fresh"));  // made while it was
  ledger.claim(container("run", "run"));      // started while it was
  ledger.resync(listing);
  EXPECT_FALSE(ledger.find(Kind::kContainer, "gone"));
  EXPECT_TRUE(ledger.find(Kind::kContainer, "fresh"));
  EXPECT_EQ(ledger.find(Kind::kContainer, "run")->state, "running");
}

TEST(Ledger, AListingLeavesExecsAlone) {
  Ledger ledger;
  ledger.claim({.kind = Kind::kExec, .id = "e1", .owner = "a1", .container = "abc"});
  ledger.resync({.belongings = {}, .began = ledger.mark()});
  EXPECT_TRUE(ledger.owns("a1", Kind::kExec, "e1"));
  ledger.forget_owner("a1");
  EXPECT_FALSE(ledger.owns("a1", Kind::kExec, "e1"));
}

TEST(Ledger, WaitsForCreatesInFlightAndRefusesNewOnesWhenClosed) {
  Ledger ledger;
  auto create = ledger.begin_create("a1");
  ASSERT_TRUE(create);
  ledger.close("a1");
  EXPECT_FALSE(ledger.begin_create("a1"));
  EXPECT_TRUE(ledger.begin_create("a2"));
  EXPECT_FALSE(ledger.wait_for_creates("a1", std::chrono::milliseconds(1)));
  auto waited = std::async(std::launch::async, [&] { return ledger.wait_for_creates("a1", std::chrono::seconds(30)); });
  create = {};
  EXPECT_TRUE(waited.get());
  ledger.reopen("a1");
  EXPECT_TRUE(ledger.begin_create("a1"));
}

TEST(Labels, OnlyACheckThatFitsTheNameMakesAnObjectOurs) {
  const auto labels = ownership_labels("s1", "a1", Role::kBelonging, Kind::kContainer, "db", "db");
  const auto ownership = ownership_of("s1", Kind::kContainer, "db", labels);
  ASSERT_TRUE(ownership);
  EXPECT_EQ(ownership->owner, "a1");
  EXPECT_EQ(ownership->role, Role::kBelonging);
  EXPECT_FALSE(ownership_of("s1", Kind::kContainer, "operators", labels)) << "inherited from an image";
  EXPECT_FALSE(ownership_of("s2", Kind::kContainer, "db", labels)) << "another server's";
  EXPECT_FALSE(ownership_of("s1", Kind::kNetwork, "db", labels)) << "of another kind";
  EXPECT_FALSE(ownership_of("s1", Kind::kContainer, "db", {})) << "unlabelled";
}

TEST(Labels, SayWhichContainerAskedAndInheritThatFromNoImage) {
  const auto below = ownership_labels("s1", "a1", Role::kBelonging, Kind::kContainer, "db", "db", "c0ffee");
  EXPECT_EQ(ownership_of("s1", Kind::kContainer, "db", below)->parent, "c0ffee");
  auto agents = below;  // as of an image
  for (const auto& [key, value] : ownership_labels("s1", "a1", Role::kBelonging, Kind::kContainer, "db", "db"))
    agents[key] = value;
  EXPECT_EQ(ownership_of("s1", Kind::kContainer, "db", agents)->parent, "");
}

TEST(Labels, AnAnonymousVolumeIsOursUnderAnyName) {
  const auto labels = ownership_labels("s1", "a1", Role::kBelonging, Kind::kVolume, "", "");
  EXPECT_TRUE(ownership_of("s1", Kind::kVolume, "0f3a", labels));
  EXPECT_FALSE(ownership_of("s1", Kind::kContainer, "0f3a", labels));
}

TEST(Labels, ImagesHaveAKeyOfTheirOwn) {
  const Labels labels{{label::kImageAgent, image_owner_value("s1", "a1")}};
  EXPECT_EQ(image_owner_of("s1", labels), "a1");
  EXPECT_FALSE(image_owner_of("s", labels));
  EXPECT_FALSE(ownership_of("s1", Kind::kContainer, "x", labels));
  EXPECT_TRUE(is_reserved_label("ebbtide.server"));
  EXPECT_FALSE(is_reserved_label("com.example.ebbtide.server"));
}

TEST(Ledger, AChangeToWhatAnOwnerHasIsToldAndNumbered) {
  Ledger ledger;
  const auto changes = std::make_shared<Changes>();
  ledger.report_to(changes);
  const Belonging db{.kind = Kind::kContainer, .id = "c1", .name = "db", .owner = "a", .state = "created"};
  EXPECT_EQ(ledger.revision("a"), 0U);
  auto seen = changes->count();
  auto revision = ledger.revision("a");
  const auto moved = [&] {
    const bool told = std::exchange(seen, changes->count()) != changes->count();
    const bool numbered = std::exchange(revision, ledger.revision("a")) != ledger.revision("a");
    EXPECT_EQ(told, numbered);
    return told;
  };
  ledger.claim(db);
  EXPECT_TRUE(moved());
  ledger.claim(db);
  EXPECT_FALSE(moved()) << "a listing shows what was known";
  ledger.set_container_state("c1", "running");
  EXPECT_TRUE(moved());
  ledger.forget(Kind::kContainer, "c1");
  EXPECT_TRUE(moved());
}

}  // namespace
}  // namespace ebbtide
