#include "docker/gateway/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::gateway {
namespace {

using testing::HasSubstr;

std::string decoded(ModelName model, std::string_view body) {
  const auto result = decode(model, body);
  return result ? result->dump() : "error: " + result.error().message;
}

std::string container(std::string_view body) { return decoded(ModelName::kContainerCreate, body); }

TEST(Model, BringsNamesToTheirSpelling) {
  EXPECT_EQ(container(R"({"image":"a","hostconfig":{"PRIVILEGED":true}})"),
            R"({"Image":"a","HostConfig":{"Privileged":true}})");
}

TEST(Model, FoldsTheTwoLettersThatGoFolds) {
  EXPECT_EQ(container(R"({"Ho\u017ftConfig":{"Privileged":true}})"), R"({"HostConfig":{"Privileged":true}})");
  EXPECT_EQ(container("{\"HostConfig\":{\"Lin\xE2\x84\xAAs\":[\"a\"]}}"), R"({"HostConfig":{"Links":["a"]}})");
}

TEST(Model, RefusesMembersThatFoldToOneName) {
  EXPECT_THAT(container(R"({"HostConfig":{},"HOSTCONFIG":{"Privileged":true}})"),
              HasSubstr("HostConfig is there twice"));
}

TEST(Model, RefusesMembersThatAreThereTwiceAtAnyDepth) {
  EXPECT_THAT(container(R"({"Image":"a","Image":"b"})"), HasSubstr("the member Image twice"));
  EXPECT_THAT(container(R"({"Labels":{"a":"1","a":"2"}})"), HasSubstr("the member a twice"));
}

TEST(Model, RefusesUnknownMembersByName) {
  EXPECT_THAT(container(R"({"HostConfig":{"FutureThing":{"x":1}}})"), HasSubstr("HostConfig.FutureThing is not known"));
}

TEST(Model, DropsUnknownMembersThatHoldNothing) {
  EXPECT_EQ(container(R"({"A":null,"B":false,"C":0,"D":"","E":[],"F":{},"G":0.0})"), R"({"HostConfig":{}})");
}

TEST(Model, RefusesHostConfigMembersAtTheTopLevel) {
  EXPECT_THAT(container(R"({"Image":"a","Privileged":true})"), HasSubstr("Privileged is not known"));
}

TEST(Model, AlwaysWritesAHostConfig) {
  EXPECT_EQ(container(R"({"Image":"a"})"), R"({"Image":"a","HostConfig":{}})");
  EXPECT_EQ(container(R"({"Image":"a","HostConfig":null})"), R"({"Image":"a","HostConfig":{}})");
}

TEST(Model, KeepsEmptyListsApartFromMissingOnes) {
  EXPECT_EQ(container(R"({"HostConfig":{"MaskedPaths":[],"ReadonlyPaths":null}})"),
            R"({"HostConfig":{"MaskedPaths":[]}})");
}

TEST(Model, KeepsKeysOfMapsAsTheyAre) {
  EXPECT_EQ(container(R"({"Labels":{"LABELS":"x","labels":"y","\u017f":null},"ExposedPorts":{"80/tcp":{}}})"),
            "{\"Labels\":{\"LABELS\":\"x\",\"labels\":\"y\",\"\xC5\xBF\":\"\"},\"ExposedPorts\":{\"80/tcp\":{}},"
            "\"HostConfig\":{}}");
}

TEST(Model, DecodesMembersInsideMaps) {
  EXPECT_EQ(container(R"({"networkingconfig":{"endpointsconfig":{"CI":{"aliases":["db"]},"x":null}}})"),
            R"({"NetworkingConfig":{"EndpointsConfig":{"CI":{"Aliases":["db"]},"x":{}}},"HostConfig":{}})");
  EXPECT_EQ(container(R"({"HostConfig":{"PortBindings":{"80/tcp":[{"hostport":"8080"}],"81/tcp":null}}})"),
            R"({"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"8080"}],"81/tcp":[]}}})");
}

TEST(Model, TakesACommandAsStringOrList) {
  EXPECT_EQ(container(R"({"Cmd":"ls","Entrypoint":["sh","-c"]})"),
            R"({"Cmd":["ls"],"Entrypoint":["sh","-c"],"HostConfig":{}})");
}

TEST(Model, KeepsIntegersOfAnySize) {
  EXPECT_EQ(container(R"({"HostConfig":{"Memory":9223372036854775807,"MemorySwap":-1}})"),
            R"({"HostConfig":{"Memory":9223372036854775807,"MemorySwap":-1}})");
  EXPECT_EQ(container(R"({"HostConfig":{"BlkioDeviceReadBps":[{"Path":"/d","Rate":18446744073709551615}]}})"),
            R"({"HostConfig":{"BlkioDeviceReadBps":[{"Path":"/d","Rate":18446744073709551615}]}})");
}

struct Wrong {
  std::string_view body;
  std::string_view message;
};
class WrongType : public testing::TestWithParam<Wrong> {};

TEST_P(WrongType, IsRefusedNamingTheMember) { EXPECT_THAT(container(GetParam().body), HasSubstr(GetParam().message)); }

INSTANTIATE_TEST_SUITE_P(
    Model, WrongType,
    testing::Values(Wrong{R"({"HostConfig":{"Privileged":"true"}})", "HostConfig.Privileged must be true or false"},
                    Wrong{R"({"HostConfig":{"Memory":1.0}})", "HostConfig.Memory must be an integer"},
                    Wrong{R"({"HostConfig":{"Memory":9223372036854775808}})", "HostConfig.Memory must be an integer"},
                    Wrong{R"({"HostConfig":{"BlkioWeight":-1}})", "HostConfig.BlkioWeight must be an integer, not"},
                    Wrong{R"({"HostConfig":[]})", "HostConfig must be an object"},
                    Wrong{R"({"HostConfig":{"Binds":"a:/b"}})", "HostConfig.Binds must be a list of strings"},
                    Wrong{R"({"HostConfig":{"Binds":[1]}})", "HostConfig.Binds must be a list of strings"},
                    Wrong{R"({"HostConfig":{"Mounts":{}}})", "HostConfig.Mounts must be a list of objects"},
                    Wrong{R"({"HostConfig":{"Mounts":[null]}})", "HostConfig.Mounts must be an object"},
                    Wrong{R"({"Labels":{"a":1}})", "Labels.a must be a string"},
                    Wrong{R"({"Image":{}})", "Image must be a string"}, Wrong{"[]", "the body must be an object"},
                    Wrong{"null", "the body must be an object"}));

TEST(Model, RefusesBytesAfterTheDocument) {
  EXPECT_THAT(container(R"({"Image":"a"} {})"), HasSubstr("not valid JSON"));
}

TEST(Model, RefusesInvalidUtf8WithoutQuotingIt) {
  const auto answer = container("{\"Image\":\"\xff\"}");
  EXPECT_THAT(answer, HasSubstr("not valid JSON, at byte 11"));
}

TEST(Model, RefusesNumbersThatNothingHolds) {
  EXPECT_THAT(container(R"({"StopTimeout":1e999})"), HasSubstr("a number in the body is out of range"));
}

TEST(Model, RefusesDepthAndSizeThatCostTime) {
  EXPECT_THAT(container(std::string(100000, '[')), HasSubstr("nested too deeply"));
  std::string labels;
  for (int i = 0; i < 20000; ++i) labels += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":\"\"";
  EXPECT_THAT(container("{\"Labels\":{" + labels + "}}"), HasSubstr("too many members"));
}

TEST(Model, TakesAnEmptyBodyWhereTheEngineDoes) {
  for (const auto model : {ModelName::kExecStart, ModelName::kCommit, ModelName::kVolumeCreate}) {
    EXPECT_EQ(decoded(model, ""), "{}");
    EXPECT_EQ(decoded(model, " null\n"), "{}");
  }
  for (const auto model : {ModelName::kContainerCreate, ModelName::kNetworkCreate, ModelName::kExecCreate,
                           ModelName::kNetworkConnect, ModelName::kContainerUpdate})
    EXPECT_THAT(decoded(model, ""), HasSubstr("the body is empty"));
}

TEST(Model, KnowsTheOtherBodies) {
  EXPECT_EQ(decoded(ModelName::kContainerUpdate, R"({"memory":1,"RestartPolicy":{"name":"always"}})"),
            R"({"Memory":1,"RestartPolicy":{"Name":"always"}})");
  EXPECT_EQ(
      decoded(ModelName::kNetworkCreate, R"({"name":"ci","CheckDuplicate":true,"IPAM":{"Config":[{"Subnet":"s"}]}})"),
      R"({"Name":"ci","CheckDuplicate":true,"IPAM":{"Config":[{"Subnet":"s"}]}})");
  EXPECT_EQ(decoded(ModelName::kNetworkConnect, R"({"Container":"c","EndpointConfig":{"Aliases":["a"]}})"),
            R"({"Container":"c","EndpointConfig":{"Aliases":["a"]}})");
  EXPECT_EQ(decoded(ModelName::kNetworkDisconnect, R"({"Container":"c","force":true})"),
            R"({"Container":"c","Force":true})");
  EXPECT_EQ(decoded(ModelName::kVolumeCreate, R"({"Name":"v","driveropts":{"o":"bind"}})"),
            R"({"Name":"v","DriverOpts":{"o":"bind"}})");
  EXPECT_EQ(decoded(ModelName::kExecCreate, R"({"Cmd":["ls"],"ConsoleSize":[24,80]})"),
            R"({"Cmd":["ls"],"ConsoleSize":[24,80]})");
  EXPECT_THAT(decoded(ModelName::kVolumeCreate, R"({"ClusterVolumeSpec":{"Group":"g"}})"), HasSubstr("not known"));
}

TEST(Model, DropsWhatTheEngineDoesNotReadEither) {
  EXPECT_EQ(decoded(ModelName::kExecCreate, R"({"Container":"db","Cmd":["ls"]})"), R"({"Cmd":["ls"]})");
}

// What docker CLI 28 sends for `docker run -d`, shortened to its kinds of members.
TEST(Model, TakesWhatTheCommandLineClientSends) {
  const auto body = container(
      R"({"Hostname":"","Env":null,"Cmd":null,"Image":"a","Volumes":{},"OnBuild":null,"Labels":{},
          "HostConfig":{"Binds":null,"ConsoleSize":[0,0],"BlkioWeightDevice":[],"Devices":[],"MaskedPaths":null,
          "RestartPolicy":{"Name":"no","MaximumRetryCount":0},"PidsLimit":0,"OomKillDisable":false},
          "NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"GwPriority":0,"DNSNames":null}}}})");
  EXPECT_EQ(body,
            R"({"Hostname":"","Image":"a","Volumes":{},"Labels":{},"HostConfig":{"ConsoleSize":[0,0],)"
            R"("BlkioWeightDevice":[],"Devices":[],"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"PidsLimit":0,)"
            R"("OomKillDisable":false},"NetworkingConfig":{"EndpointsConfig":{"default":{"GwPriority":0}}}})");
}

}  // namespace
}  // namespace ebbtide::gateway
