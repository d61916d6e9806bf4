#include "docker/gateway/image.h"

#include <gmock/gmock.h>

namespace ebbtide::gateway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kId = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string kDigest = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

Json image() {
  return {{"Id", kId},
          {"RepoTags", {"app:1", "registry:5000/team/app:latest"}},
          {"RepoDigests", {"app@" + kDigest}},
          {"Config", {{"OnBuild", {"COPY . /src", "RUN make"}}}}};
}

TEST(Image, BearsItsTagsAndDigestsHoweverTheyAreWritten) {
  for (const auto* reference : {"app:1", "docker.io/library/app:1", "registry:5000/team/app"})
    EXPECT_TRUE(bears(image(), reference)) << reference;
  for (const auto& reference : {"app@" + kDigest, "app:1@" + kDigest, "app:2@" + kDigest})
    EXPECT_TRUE(bears(image(), reference)) << reference;
  for (const auto& reference : {std::string("app"), std::string("app:2"), "other@" + kDigest, std::string()})
    EXPECT_FALSE(bears(image(), reference)) << reference;
}

TEST(Image, BearsItsIdOnlyWhereNoNameWouldLookLikeIt) {
  EXPECT_TRUE(bears(image(), kId));
  EXPECT_FALSE(bears(image(), "0123456789ab"));
  EXPECT_FALSE(bears(image(), "sha256:0123456789ab"));
}

TEST(Image, ANameOfDigitsMayMeanAnId) {
  for (const auto* reference : {"0b37", "deadBEEF", "sha256:0b37"}) EXPECT_TRUE(may_mean_an_id(reference)) << reference;
  for (const auto* reference : {"app", "0b37:1", "x/0b37", "0b37@sha256:1"})
    EXPECT_FALSE(may_mean_an_id(reference)) << reference;
}

TEST(Image, NothingIsBorneByWhatIsNone) {
  EXPECT_FALSE(bears(Json(), "app:1"));
  EXPECT_FALSE(bears(Json{{"RepoTags", nullptr}}, "app:1"));
  EXPECT_THAT(triggers_of(Json()), IsEmpty());
  EXPECT_THAT(triggers_of(Json{{"Config", {{"OnBuild", nullptr}}}}), IsEmpty());
}

TEST(Image, TellsItsTriggers) { EXPECT_THAT(triggers_of(image()), ElementsAre("COPY . /src", "RUN make")); }

}  // namespace
}  // namespace ebbtide::gateway
