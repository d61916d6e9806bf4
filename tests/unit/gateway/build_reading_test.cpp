#include "docker/gateway/build_reading.h"

#include <gmock/gmock.h>

namespace ebbtide::gateway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kFromBase = "ARG BASE=a\nFROM $BASE\n";

BuildArguments with(std::map<std::string, std::string> values) {
  return {.values = std::move(values), .own_frontend = true};
}

// What the builds take; "refused" if they are.
std::vector<std::string> taken(const Result<std::vector<DockerfileBuild>>& builds) {
  const auto read = builds ? read_builds(*builds) : fail(builds.error());
  return read ? read->images : std::vector<std::string>{"refused"};
}

TEST(BuildReading, HoldsADockerfileAgainstTheArgumentsOfEveryBuildOfItsSession) {
  BuildReading reading;
  EXPECT_THAT(taken(reading.add_arguments(with({{"BASE", "b"}}))), IsEmpty());
  EXPECT_THAT(taken(reading.add_dockerfile(kFromBase)), ElementsAre("b"));
  EXPECT_THAT(taken(reading.add_arguments(with({{"BASE", "c"}}))), ElementsAre("c")) << "sent before, not sent again";
  EXPECT_THAT(taken(reading.add_dockerfile("FROM d\n")), ElementsAre("d"));
  EXPECT_THAT(taken(reading.add_arguments(with({}))), ElementsAre("a", "d"));
}

TEST(BuildReading, TellsAgainWhatWasToldBefore) {
  BuildReading reading;
  ASSERT_TRUE(reading.add_arguments(with({})));
  for (int twice = 0; twice < 2; ++twice) EXPECT_THAT(taken(reading.add_dockerfile("FROM a\n")), ElementsAre("a"));
}

TEST(BuildReading, ADockerfileOfNoKnownBuildIsRefused) {
  BuildReading reading;
  EXPECT_FALSE(reading.add_dockerfile("FROM a\n"));
}

TEST(BuildReading, AFrontendReadsADockerfileInItsOwnWayUnlessTheEngineIsToldNotToAskIt) {
  const std::string text = "# syntax=docker/dockerfile:1\nFROM a\n";
  EXPECT_FALSE(read_builds({{text, {}}}));
  EXPECT_THAT(read_builds({{text, with({})}})->images, ElementsAre("a"));
}

TEST(BuildReading, ASessionIsBounded) {
  BuildReading reading;
  bool refused = false;
  for (int i = 0; i < 100 && !refused; ++i) refused = !reading.add_arguments(with({{"A", std::to_string(i)}}));
  EXPECT_TRUE(refused);
}

TEST(BuildReadings, KnowTheSessionsOfEachBuildUnderWay) {
  BuildReadings readings;
  {
    const BuildUnderWay one(readings, "b", {"s1"});
    const BuildUnderWay same(readings, "b", {"s2"});
    EXPECT_THAT(readings.sessions_of("b"), ElementsAre("s1", "s2"));
    EXPECT_THAT(readings.sessions_of("c"), IsEmpty());
  }
  EXPECT_THAT(readings.sessions_of("b"), IsEmpty());
}

TEST(BuildReading, DockerfilesTogetherAreBounded) {
  const std::string text = "FROM a\n" + std::string(200 << 10, '\n');
  EXPECT_TRUE(read_builds({10, {text, with({})}}));
  EXPECT_FALSE(read_builds({30, {text, with({})}}));
}

}  // namespace
}  // namespace ebbtide::gateway
