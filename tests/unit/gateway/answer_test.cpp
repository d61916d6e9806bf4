#include "docker/gateway/answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::gateway {
namespace {

using testing::ElementsAre;

bool visible(Kind, std::string_view id) { return id.starts_with("own"); }

TEST(Answer, HidesReservedLabelsEverywhere) {
  auto answer = Json::parse(R"([{"Id":"1","Labels":{"a":"b","ebbtide.agent":"x"},
      "Config":{"Labels":{"ebbtide.server":"s"}},
      "HostConfig":{"Mounts":[{"VolumeOptions":{"Labels":{"ebbtide.role":"r"}}}]},"Other":{"Labels":null}}])");
  hide_labels(answer);
  EXPECT_EQ(answer.dump(), R"([{"Id":"1","Labels":{"a":"b"},"Config":{"Labels":{}},)"
                           R"("HostConfig":{"Mounts":[{"VolumeOptions":{"Labels":{}}}]},"Other":{"Labels":null}}])");
}

TEST(Answer, HidesTheLabelStepOfABuild) {
  auto history = Json::parse(R"([{"CreatedBy":"/bin/sh -c #(nop)  LABEL ebbtide.image-agent=s/o"},
      {"CreatedBy":"/bin/sh -c #(nop)  LABEL foo=b"}])");
  hide_labels(history);
  EXPECT_EQ(history[0]["CreatedBy"], "/bin/sh -c #(nop)  LABEL");
  EXPECT_EQ(history[1]["CreatedBy"], "/bin/sh -c #(nop)  LABEL foo=b");
  auto image = Json::parse(R"({"ContainerConfig":{"Cmd":["/bin/sh","-c","#(nop) ","LABEL ebbtide.image-agent=s"]}})");
  hide_labels(image);
  EXPECT_EQ(image["ContainerConfig"]["Cmd"][3], "LABEL");
}

TEST(Answer, ListsShowWhatIsVisible) {
  auto networks = Json::parse(R"([{"Name":"bridge","Id":"1"},{"Name":"ci","Id":"own-2"},{"Name":"x","Id":"3"}])");
  keep_visible(networks, Kind::kNetwork, visible);
  ASSERT_EQ(networks.size(), 2U);
  EXPECT_EQ(networks[1]["Name"], "ci");

  auto volumes = Json::parse(R"({"Volumes":[{"Name":"own-v"},{"Name":"other"}],"Warnings":null})");
  keep_visible(volumes, Kind::kVolume, visible);
  EXPECT_EQ(volumes.dump(), R"({"Volumes":[{"Name":"own-v"}],"Warnings":null})");

  auto none = Json::parse(R"({"Volumes":null,"Warnings":null})");
  keep_visible(none, Kind::kVolume, visible);
  EXPECT_EQ(none.dump(), R"({"Volumes":null,"Warnings":null})");
}

TEST(Answer, ANetworkShowsTheOwnersEndpointsOnly) {
  auto network = Json::parse(R"({"Name":"bridge","Containers":{"own-1":{"Name":"db"},"other":{"Name":"x"}}})");
  keep_visible_endpoints(network, visible);
  EXPECT_EQ(network.dump(), R"({"Name":"bridge","Containers":{"own-1":{"Name":"db"}}})");
}

TEST(Answer, DiskUsageLeaksNothingOfOthers) {
  auto usage = Json::parse(R"({"LayersSize":5,"Images":[{"Id":"i"}],"Containers":[{"Id":"own-1"},{"Id":"other"}],
      "Volumes":[{"Name":"own-v"},{"Name":"other"}],"BuildCache":[{"ID":"x"}],"BuilderSize":9})");
  reduce_disk_usage(usage, visible);
  EXPECT_EQ(usage.dump(), R"({"LayersSize":5,"Images":[{"Id":"i"}],"Containers":[{"Id":"own-1"}],)"
                          R"("Volumes":[{"Name":"own-v"}],"BuildCache":[],"BuilderSize":0})");
}

TEST(Answer, DiskUsageLeaksNothingOfOthersInItsNewForm) {
  auto usage = Json::parse(R"({"ImageUsage":{"TotalCount":3},"ContainerUsage":{"TotalCount":7,"TotalSize":9,
      "Items":[{"Id":"own-1"},{"Id":"other"}]},"VolumeUsage":{"TotalCount":8},"BuildCacheUsage":{"TotalCount":2}})");
  reduce_disk_usage(usage, visible);
  EXPECT_EQ(usage.dump(),
            R"({"ImageUsage":{"TotalCount":3},"ContainerUsage":{"TotalCount":1,"Items":[{"Id":"own-1"}]}})");
}

TEST(Answer, DiskUsageShowsTheImagesThatAreSeen) {
  auto usage = Json::parse(R"({"LayersSize":50,"Images":[{"Id":"own-1","Size":5},{"Id":"other","Size":7}],
      "ImageUsage":{"TotalCount":3}})");
  reduce_image_usage(usage, visible);
  EXPECT_EQ(usage.dump(), R"({"LayersSize":5,"Images":[{"Id":"own-1","Size":5}]})");
}

TEST(Answer, EventsOfImagesAreOfThoseThatAreSeenOrBearTheOwnersLabel) {
  const auto of = [](const std::string& id, const std::string& owner) {
    return R"({"Type":"image","Action":"tag","Actor":{"ID":")" + id + R"(","Attributes":{"ebbtide.image-agent":")" +
           owner + R"("}}})";
  };
  EXPECT_TRUE(event_for_owner(of("own-1", ""), visible, "s1/a1"));
  EXPECT_TRUE(event_for_owner(of("other", "s1/a1"), visible, "s1/a1"));
  EXPECT_FALSE(event_for_owner(of("other", "s1/a2"), visible, "s1/a1"));
  EXPECT_FALSE(event_for_owner(of("other", ""), visible, ""));
}

TEST(Answer, InfoCountsTheImagesThatAreSeen) {
  auto info = Json::parse(R"({"Containers":9,"Images":4})");
  reduce_info(info, {.images = 1});
  EXPECT_EQ(info["Images"], 1);
}

TEST(Answer, InfoCountsTheOwnersContainers) {
  auto info =
      Json::parse(R"({"Containers":9,"ContainersRunning":8,"ContainersPaused":0,"ContainersStopped":1,"Images":4,
      "Swarm":{"NodeID":"n","LocalNodeState":"active","ControlAvailable":true},"Labels":["rack=7"]})");
  reduce_info(info, {.running = 2, .stopped = 1});
  EXPECT_EQ(info.dump(),
            R"({"Containers":3,"ContainersRunning":2,"ContainersPaused":0,"ContainersStopped":1,"Images":4,)"
            R"("Swarm":{"LocalNodeState":"inactive","ControlAvailable":false},"Labels":[]})");
}

struct EventCase {
  std::string_view line;
  bool shown;
};
class Event : public testing::TestWithParam<EventCase> {};

TEST_P(Event, IsShownToItsOwnerOnly) {
  EXPECT_EQ(event_for_owner(GetParam().line, visible).has_value(), GetParam().shown) << GetParam().line;
}

INSTANTIATE_TEST_SUITE_P(
    Answer, Event,
    testing::Values(
        EventCase{R"({"Type":"container","Action":"start","Actor":{"ID":"own-1"}})", true},
        EventCase{R"({"Type":"container","Action":"exec_create: ls","Actor":{"ID":"own-1"}})", true},
        EventCase{R"({"Type":"container","Action":"start","Actor":{"ID":"other"}})", false},
        EventCase{R"({"Type":"image","Action":"pull","Actor":{"ID":"busybox"}})", false},
        EventCase{R"({"Type":"image","Action":"pull","Actor":{"ID":"own-image"}})", true},
        EventCase{R"({"Type":"network","Action":"create","Actor":{"ID":"own-n"}})", true},
        EventCase{R"({"Type":"network","Action":"create","Actor":{"ID":"other"}})", false},
        EventCase{R"({"Type":"network","Action":"connect","Actor":{"ID":"b","Attributes":{"container":"own-1"}}})",
                  true},
        EventCase{R"({"Type":"network","Action":"connect","Actor":{"ID":"b","Attributes":{"container":"other"}}})",
                  false},
        EventCase{R"({"Type":"volume","Action":"create","Actor":{"ID":"own-v"}})", true},
        EventCase{R"({"Type":"volume","Action":"mount","Actor":{"ID":"3f2a","Attributes":{"container":"own-1"}}})",
                  true},
        EventCase{R"({"Type":"volume","Action":"destroy","Actor":{"ID":"other"}})", false},
        EventCase{R"({"Type":"daemon","Action":"reload","Actor":{"ID":"own"}})", false},
        EventCase{R"({"Type":"plugin","Actor":{"ID":"own"}})", false}, EventCase{R"({"Type":"container"})", false},
        EventCase{R"({"Type":"container","Actor":null})", false}, EventCase{"not json", false},
        EventCase{"[]", false}));

TEST(Answer, EventsLoseReservedAttributes) {
  const auto line = event_for_owner(
      R"({"Type":"container","Actor":{"ID":"own-1","Attributes":{"name":"db","ebbtide.agent":"eb-1"}},"time":1})",
      visible);
  EXPECT_EQ(line, R"({"Type":"container","Actor":{"ID":"own-1","Attributes":{"name":"db"}},"time":1})");
}

TEST(Answer, EventsKeepTheirRecordSeparator) {
  EXPECT_EQ(event_for_owner("\x1e{\"Actor\":{\"ID\":\"own-1\"},\"Type\":\"image\"}", visible),
            "\x1e{\"Actor\":{\"ID\":\"own-1\"},\"Type\":\"image\"}");
}

TEST(Answer, ForeignObjectsAreUnknownInTheEnginesWords) {
  EXPECT_EQ(not_found_message(Kind::kContainer, "x"), "No such container: x");
  EXPECT_EQ(not_found_message(Kind::kVolume, "x"), "get x: no such volume");
  EXPECT_EQ(not_found_message(Kind::kNetwork, "x"), "network x not found");
  EXPECT_EQ(not_found_message(Kind::kImage, "x"), "No such image: x");
  EXPECT_EQ(not_found_message(Kind::kExec, "x"), "No such exec instance: x");
  EXPECT_EQ(error_body("a \"b\""), "{\"message\":\"a \\\"b\\\"\"}\n");
}

// As Engine 20.10 wrote it, with a cached step.
constexpr std::string_view kBuild =
    R"({"stream":"Step 1/4 : FROM ebbtide-test/busybox:1"}
{"stream":"\n"}
{"stream":" ---\u003e fd8313beb583\n"}
{"stream":"Step 2/4 : ENV A=1"}
{"stream":"\n"}
{"stream":" ---\u003e Using cache\n"}
{"stream":" ---\u003e 646b73ce2b9e\n"}
{"stream":"Step 3/4 : RUN echo hi"}
{"stream":"\n"}
{"stream":" ---\u003e Running in e18f01b10073\n"}
{"stream":"hi\n"}
{"stream":"Removing intermediate container e18f01b10073\n"}
{"stream":" ---\u003e 7315dc7fff25\n"}
{"stream":"Step 4/4 : LABEL a=b"}
{"stream":" ---\u003e Running in b3c5dc16ce33\n"}
{"stream":" ---\u003e 15019c5b7d57\n"}
{"aux":{"ID":"sha256:15019c5b7d5780c96f8b19b7f6410ea434e0f7caf16514ddac8753f63a538d76"}}
{"stream":"Successfully built 15019c5b7d57\n"})";

TEST(BuildLines, FindTheResultAndItsStepsWhereverTheBytesAreCut) {
  for (std::size_t cut = 0; cut <= kBuild.size(); ++cut) {
    BuildLines lines;
    lines.feed(kBuild.substr(0, cut));
    lines.feed(kBuild.substr(cut));
    lines.finish();
    EXPECT_THAT(lines.take_steps(), ElementsAre("7315dc7fff25", "15019c5b7d57"));
    EXPECT_EQ(lines.result(), "sha256:15019c5b7d5780c96f8b19b7f6410ea434e0f7caf16514ddac8753f63a538d76");
    EXPECT_TRUE(lines.take_steps().empty());
  }
}

TEST(BuildLines, TakeNoResultFromWhatARunPrints) {
  BuildLines lines;
  lines.feed("{\"stream\":\"sha256:15019c5b7d5780c96f8b19b7f6410ea434e0f7caf16514ddac8753f63a538d76\\n\"}\n");
  lines.feed("{\"stream\":\"Successfully built 15019c5b7d57\\n\"}\n");
  lines.feed("{\"stream\":\"{\\\"aux\\\":{\\\"ID\\\":\\\"sha256:1\\\"}}\\n\"}\n");
  EXPECT_FALSE(lines.result());
  EXPECT_TRUE(lines.take_steps().empty());
}

TEST(BuildLines, ReadTheAnswerOfAQuietBuild) {
  BuildLines lines(true);
  lines.feed("{\"stream\":\"sha256:15019c5b7d5780c96f8b19b7f6410ea434e0f7caf16514ddac8753f63a538d76\\n\"}\n");
  EXPECT_EQ(lines.result(), "sha256:15019c5b7d5780c96f8b19b7f6410ea434e0f7caf16514ddac8753f63a538d76");
}

TEST(BuildLines, PassOverLinesThatAreTooLong) {
  BuildLines lines;
  lines.feed("{\"stream\":\"");
  for (int i = 0; i < 100; ++i) lines.feed(std::string(4096, 'x'));
  lines.feed("\"}\n{\"stream\":\" ---\\u003e 7315dc7fff25\\n\"}\n");
  EXPECT_THAT(lines.take_steps(), ElementsAre("7315dc7fff25"));
}

std::string viewed(std::string_view progress, std::size_t cut) {
  BuildView view;
  return view.feed(progress.substr(0, cut)) + view.feed(progress.substr(cut)) + view.finish();
}

// As Engine 20.10 wrote it: labels of the query come as steps, in the order of their names.
TEST(BuildView, HidesTheStepOfOurLabelWhereverTheBytesAreCut) {
  constexpr std::string_view kGiven =
      R"({"stream":"Step 1/3 : FROM a"}
{"stream":"\n"}
{"stream":" ---\u003e fd8313beb583\n"}
{"stream":"Step 2/3 : LABEL ebbtide.image-agent=server/agent"}
{"stream":"\n"}
{"stream":" ---\u003e Running in f3eb69348208\n"}
{"stream":"Removing intermediate container f3eb69348208\n"}
{"stream":" ---\u003e f77ea01e38ba\n"}
{"stream":"Step 3/3 : LABEL z=w"}
{"stream":"\n"}
{"stream":" ---\u003e 19794df6bcd2\n"}
{"stream":"Successfully built 19794df6bcd2\n"})";
  constexpr std::string_view kShown =
      "{\"stream\":\"Step 1/2 : FROM a\"}\r\n"
      R"({"stream":"\n"}
{"stream":" ---\u003e fd8313beb583\n"}
)"
      "{\"stream\":\"Step 2/2 : LABEL z=w\"}\r\n"
      R"({"stream":"\n"}
{"stream":" ---\u003e 19794df6bcd2\n"}
{"stream":"Successfully built 19794df6bcd2\n"})";
  for (std::size_t cut = 0; cut <= kGiven.size(); ++cut) ASSERT_EQ(viewed(kGiven, cut), kShown) << cut;
}

TEST(BuildView, ShowsWhatFollowsOurStepWhenItIsTheLast) {
  constexpr std::string_view kEnd = "{\"aux\":{\"ID\":\"sha256:1\"}}\n{\"stream\":\"Successfully built 1\\n\"}\n";
  const std::string given =
      "{\"stream\":\"Step 2/2 : LABEL ebbtide.image-agent=s/a\"}\n{\"stream\":\" ---\\u003e f77e\\n\"}\n";
  EXPECT_EQ(viewed(given + std::string(kEnd), 10), kEnd);
}

TEST(BuildView, LosesNothingOfOtherLinesHoweverLong) {
  const auto line = "{\"stream\":\"" + std::string(300'000, 'x') + "\"}\r\n{\"errorDetail\":{}}\r\nno json";
  for (const std::size_t cut : {0UL, 1UL, 70'000UL, 299'999UL, line.size()}) EXPECT_EQ(viewed(line, cut), line);
}

TEST(Answer, HistoryLosesTheLayerOfOurLabel) {
  auto history =
      Json::parse(R"([{"CreatedBy":"/bin/sh -c #(nop)  LABEL ebbtide.image-agent=s/a"},{"CreatedBy":"RUN x"}])");
  hide_label_layers(history);
  EXPECT_EQ(history, Json::parse(R"([{"CreatedBy":"RUN x"}])"));
}

TEST(Answer, TheLayerBeforeAHiddenOneStandsForTheImage) {
  auto history = Json::parse(R"([{"Id":"sha256:2","CreatedBy":"LABEL ebbtide.image-agent=a1","Tags":["app:1"]},
                                 {"Id":"sha256:1","CreatedBy":"RUN x","Tags":null}])");
  hide_label_layers(history);
  EXPECT_EQ(history, Json::parse(R"([{"Id":"sha256:2","CreatedBy":"RUN x","Tags":["app:1"]}])"));
}

TEST(LoadLines, FindReferencesAndIdsWhereverTheBytesAreCut) {
  constexpr std::string_view kLoad =
      "{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":1}}\r\n"
      "{\"stream\":\"Loaded image: team/app:1\\n\"}\r\n"
      "{\"stream\":\"Loaded image ID: sha256:15019c\\n\"}\r\n";
  for (std::size_t cut = 0; cut <= kLoad.size(); ++cut) {
    LoadLines lines;
    lines.feed(kLoad.substr(0, cut));
    lines.feed(kLoad.substr(cut));
    lines.finish();
    EXPECT_THAT(lines.take(), ElementsAre("team/app:1", "sha256:15019c"));
  }
}

}  // namespace
}  // namespace ebbtide::gateway
