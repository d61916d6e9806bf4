// What a profile's keys make of the body with which the engine makes an agent's container.
#include "plugin/container_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/agent_container.h"

namespace ebbtide::plugin {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json body_of(const Properties& given) {
  auto properties = given;
  properties.emplace("Image", "ci/agent:1");
  const auto profile = read_agent_profile(properties);
  EXPECT_TRUE(profile) << profile.error().text();
  const Agent agent{.id = "ebbtide-1",
                    .job = {.pipeline_name = "build", .stage_name = "test", .job_name = "unit"},
                    .image = "ci/agent:1"};
  const AgentPlan plan{.server_id = "server-1", .gateway_directory = "/run/e/agents/ebbtide-1", .group = 999};
  return profile ? container_body(agent, {}, *profile, plan) : json();
}
json host_of(const std::string& key, const std::string& value) { return body_of({{key, value}}).at("HostConfig"); }

std::string fault_of(const std::string& key, const std::string& value) {
  const auto read = read_agent_profile({{"Image", "ci/agent:1"}, {key, value}});
  if (read) return {};
  EXPECT_EQ(read.error().list.front().key, key);
  return read.error().list.front().message;
}

TEST(ContainerOptions, APlainProfileAsksForNothingOfThem) {
  const auto body = body_of({});
  for (const auto* name : {"CapAdd", "CapDrop", "Tmpfs", "ShmSize", "Ulimits", "Init", "Dns", "DnsSearch", "DnsOptions",
                           "Devices", "DeviceRequests", "Runtime", "PidsLimit"})
    EXPECT_FALSE(body.at("HostConfig").contains(name)) << name;
  EXPECT_FALSE(body.contains("User"));
  EXPECT_FALSE(body.contains("StopTimeout"));
}

TEST(ContainerOptions, CapabilitiesAreThoseOfLinuxInAnySpelling) {
  EXPECT_EQ(host_of("CapAdd", "CAP_NET_ADMIN\r\nsys_ptrace\nALL").at("CapAdd"),
            (json{"NET_ADMIN", "SYS_PTRACE", "ALL"}));
  EXPECT_EQ(host_of("CapDrop", "NET_RAW").at("CapDrop"), (json{"NET_RAW"}));
  for (const auto* name : {"NET_ADMIM", "NET ADMIN", "NET_ADMIN,SYS_PTRACE", "CAP_"})
    EXPECT_THAT(fault_of("CapAdd", name), HasSubstr(name)) << name;
}

TEST(ContainerOptions, TmpfsTakesMountOptions) {
  EXPECT_EQ(host_of("Tmpfs", "/tmp:size=512m,mode=1777\n/run").at("Tmpfs"),
            (json{{"/tmp", "size=512m,mode=1777"}, {"/run", ""}}));
  for (const auto* line : {"tmp", "/", "/tmp:", "/tmp:size=1m:x", "/a b"})
    EXPECT_THAT(fault_of("Tmpfs", line), HasSubstr("as in /tmp:size=512m,mode=1777")) << line;
}

// An image's VOLUME at the same place would be a second mount there.
TEST(ContainerOptions, ATmpfsTakesThePlaceOfAVolume) {
  AgentProfile profile;
  profile.options.tmpfs["/godata"] = "";
  EXPECT_TRUE(agent_volumes("ebbtide-1", profile, {"/godata"}).empty());
}

TEST(ContainerOptions, SharedMemoryIsANumberAndAUnit) {
  EXPECT_EQ(host_of("ShmSize", "256M").at("ShmSize"), 256 << 20);
  EXPECT_THAT(fault_of("ShmSize", "256"), HasSubstr("units M, G or T"));
}

TEST(ContainerOptions, UlimitsHaveASoftAndAHardValue) {
  EXPECT_EQ(host_of("Ulimits", "nofile=4096:65536\ncore=0\nmemlock=unlimited").at("Ulimits"),
            (json{{{"Name", "nofile"}, {"Soft", 4096}, {"Hard", 65536}},
                  {{"Name", "core"}, {"Soft", 0}, {"Hard", 0}},
                  {{"Name", "memlock"}, {"Soft", -1}, {"Hard", -1}}}));
  for (const auto* line : {"nofile", "nofile=", "nofile=2:1", "nofile=-1:5", "nofiles=1", "nofile=1:2:3", "nofile=x",
                           "nofile=99999999999999999999"})
    EXPECT_THAT(fault_of("Ulimits", line), HasSubstr(line)) << line;
}

TEST(ContainerOptions, NamesAreResolvedAsTheProfileSays) {
  const auto host = body_of({{"Dns", "10.0.0.2\nfd00::2"}, {"DnsSearch", "ci.example.com"}, {"DnsOptions", "ndots:1"}})
                        .at("HostConfig");
  EXPECT_EQ(host.at("Dns"), (json{"10.0.0.2", "fd00::2"}));
  EXPECT_EQ(host.at("DnsSearch"), (json{"ci.example.com"}));
  EXPECT_EQ(host.at("DnsOptions"), (json{"ndots:1"}));
  EXPECT_THAT(fault_of("Dns", "dns.example.com"), HasSubstr("IP address"));
  EXPECT_THAT(fault_of("DnsSearch", "a b"), HasSubstr("must be a domain"));
  EXPECT_THAT(fault_of("DnsOptions", "ndots 1"), HasSubstr("as in ndots:1"));
}

TEST(ContainerOptions, GroupsJoinThatOfTheSocket) {
  const auto body = body_of({{"User", "go:root"}, {"Groups", "docker\n1001"}});
  EXPECT_EQ(body.at("User"), "go:root");
  EXPECT_EQ(body.at("HostConfig").at("GroupAdd"), (json{"999", "docker", "1001"}));
  for (const auto* user : {"a:b:c", "a b", ":", "a:"})
    EXPECT_THAT(fault_of("User", user), HasSubstr("as in go")) << user;
  EXPECT_THAT(fault_of("Groups", "a:b"), HasSubstr("a group's name or number"));
}

TEST(ContainerOptions, DevicesMayGetAnotherNameAndFewerRights) {
  EXPECT_EQ(host_of("Devices", "/dev/kvm\n/dev/fuse:r\n/dev/ttyUSB0:/dev/modem:rw").at("Devices"),
            (json{{{"PathOnHost", "/dev/kvm"}, {"PathInContainer", "/dev/kvm"}, {"CgroupPermissions", "rwm"}},
                  {{"PathOnHost", "/dev/fuse"}, {"PathInContainer", "/dev/fuse"}, {"CgroupPermissions", "r"}},
                  {{"PathOnHost", "/dev/ttyUSB0"}, {"PathInContainer", "/dev/modem"}, {"CgroupPermissions", "rw"}}}));
  for (const auto* line : {"kvm", "/dev/", "/etc/passwd", "/dev/../etc", "/dev/kvm:modem", "/dev/a:/dev/b:rwx"})
    EXPECT_THAT(fault_of("Devices", line), HasSubstr(line)) << line;
}

TEST(ContainerOptions, GpusAreAllOrSoManyOrThese) {
  const json capabilities = json::array({json::array({"gpu"})});
  EXPECT_EQ(host_of("Gpus", "all").at("DeviceRequests"),
            json::array({{{"Driver", ""}, {"Count", -1}, {"Capabilities", capabilities}}}));
  EXPECT_EQ(host_of("Gpus", "2").at("DeviceRequests").at(0).at("Count"), 2);
  EXPECT_EQ(host_of("Gpus", "device=0,GPU-3a").at("DeviceRequests").at(0).at("DeviceIDs"), (json{"0", "GPU-3a"}));
  for (const auto* value : {"0", "65", "-1", "device=", "some", "device=a b"})
    EXPECT_THAT(fault_of("Gpus", value), HasSubstr("must be all, a number from 1 to 64")) << value;
}

TEST(ContainerOptions, NobodySetsALabelOfOurs) {
  const auto labels = body_of({{"Labels", "team=payments\nempty="}}).at("Labels");
  EXPECT_EQ(labels.at("team"), "payments");
  EXPECT_EQ(labels.at("empty"), "");
  for (const auto* line : {"ebbtide.agent=other", "Ebbtide.server=x", "ebbtide.anything=1"})
    EXPECT_THAT(fault_of("Labels", line), HasSubstr("must not begin with ebbtide.")) << line;
  EXPECT_THAT(fault_of("Labels", "team"), HasSubstr("line 1 is not"));
}

TEST(ContainerOptions, WordsAndNumbersGoWhereTheEngineWantsThem) {
  const auto body = body_of({{"Runtime", "nvidia"}, {"Init", "true"}, {"StopTimeout", "20"}});
  EXPECT_EQ(body.at("HostConfig").at("Runtime"), "nvidia");
  EXPECT_EQ(body.at("HostConfig").at("Init"), true);
  EXPECT_EQ(body.at("StopTimeout"), 20);
  EXPECT_THAT(fault_of("Runtime", "a b"), HasSubstr("name of a runtime"));
  EXPECT_THAT(fault_of("StopTimeout", "301"), HasSubstr("whole number from 0 to 300"));
  EXPECT_EQ(fault_of("Init", "yes"), "must be true or false");
  for (const auto* platform : {"linux", "linux/", "a/b/c/d", "linux/a b"})
    EXPECT_THAT(fault_of("Platform", platform), HasSubstr("as in linux/amd64")) << platform;
}

TEST(ContainerOptions, TheStopTimeOutlivesTheServer) {
  ContainerSummary container{.id = "c1", .name = "ebbtide-1"};
  container.labels = body_of({{"StopTimeout", "20"}}).at("Labels").get<Labels>();
  const auto record = read_labels(container);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->profile.options.stop_seconds, 20U);
}

}  // namespace
}  // namespace ebbtide::plugin
