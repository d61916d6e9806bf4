#include "plugin/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <span>

#include "plugin/keys.h"

namespace ebbtide::plugin {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

Properties cluster() {
  return {{"go_server_url", "https://gocd.example.com/go"},
          {"docker_uri", "unix:///var/run/docker.sock"},
          {"max_docker_containers", "20"},
          {"auto_register_timeout", "5"}};
}

Properties cluster_with(const std::string& key, const std::string& value) {
  auto properties = cluster();
  properties[key] = value;
  return properties;
}

Properties agent_with(const std::string& key, const std::string& value) {
  Properties properties{{"Image", "ci/agent:1"}};
  properties[key] = value;
  return properties;
}

// What is wrong with a value, for its own key; empty if it is sound.
template <class Profile>
std::string fault(const tl::expected<Profile, ProfileErrors>& read, const std::string& key) {
  if (read) return {};
  for (const auto& error : read.error().list)
    if (error.key == key) return error.message;
  ADD_FAILURE() << "another key is blamed: " << read.error().text();
  return {};
}

std::string cluster_fault(const std::string& key, const std::string& value) {
  return fault(read_cluster_profile(cluster_with(key, value)), key);
}
std::string agent_fault(const std::string& key, const std::string& value) {
  return fault(read_agent_profile(agent_with(key, value)), key);
}
AgentProfile agent(const std::string& key, const std::string& value) {
  const auto read = read_agent_profile(agent_with(key, value));
  EXPECT_TRUE(read) << read.error().text();
  return read.value_or(AgentProfile{});
}

// --- cluster profiles ---

TEST(ClusterProfile, HasDefaultsForAllButFourKeys) {
  auto properties = cluster();
  properties.erase("auto_register_timeout");
  const auto read = read_cluster_profile(properties);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->max_agents, 20U);
  EXPECT_EQ(read->auto_register_timeout, std::chrono::minutes(10));
  EXPECT_FALSE(read->pull_always);
  EXPECT_FALSE(read->registry_enabled);
  EXPECT_EQ(read->policy.level, gateway::Policy().level);
  EXPECT_THAT(read->environment, IsEmpty());
}

TEST(ClusterProfile, EveryKeyIsRead) {
  auto properties = cluster();
  properties["docker_uri"] = "tcp://engine:2376";
  properties["docker_ca_cert"] = "-----BEGIN CERTIFICATE-----\nca";
  properties["docker_client_cert"] = "-----BEGIN CERTIFICATE-----\ncert";
  properties["docker_client_key"] = "-----BEGIN PRIVATE KEY-----\nkey";
  properties["environment_variables"] = "A=b\r\n\r\n  C = d=e \r\n";
  properties["pull_on_container_create"] = "TRUE";
  properties["enable_private_registry_authentication"] = "true";
  properties["private_registry_custom_credentials"] = "true";
  properties["private_registry_server"] = "registry:5000";
  properties["private_registry_username"] = "ci";
  properties["private_registry_password"] = "secret";
  properties["docker_policy"] = "trusted";
  properties["docker_policy_allow"] =
      "privileged\r\nhost-network\nhost-path  /etc/localtime\ndevice /dev/kvm\ncapability CAP_SYS_PTRACE\n"
      "registry registry.example.com:5000\n";
  properties["docker_publish"] = "loopback";
  for (const auto& key : kClusterKeys) ASSERT_TRUE(properties.contains(std::string(key.name))) << key.name;
  const auto read = read_cluster_profile(properties);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->engine.kind, EngineAddress::Kind::kTls);
  EXPECT_THAT(read->engine.tls.key_pem, HasSubstr("key"));
  EXPECT_THAT(read->environment, ElementsAre(Pair("A", "b"), Pair("C", " d=e")));
  EXPECT_TRUE(read->pull_always && read->registry_enabled && read->registry_custom);
  EXPECT_EQ(read->registry.server, "registry:5000");
  EXPECT_EQ(read->registry.username, "ci");
  EXPECT_EQ(read->registry.password, "secret");
  EXPECT_EQ(read->policy.level, *gateway::policy_level("trusted"));
  EXPECT_TRUE(read->policy.privileged && read->policy.host_network);
  EXPECT_THAT(read->policy.host_paths, ElementsAre("/etc/localtime"));
  EXPECT_THAT(read->policy.devices, ElementsAre("/dev/kvm"));
  EXPECT_THAT(read->policy.capabilities, ElementsAre("SYS_PTRACE"));
  EXPECT_THAT(read->policy.registries, ElementsAre("registry.example.com:5000"));
  EXPECT_EQ(read->policy.publish, gateway::Publish::kLoopback);
}

TEST(ClusterProfile, GocdMustBeReachableFromContainers) {
  for (const auto* url : {"http://localhost:8153/go", "http://127.0.0.1/go", "http://LOCALHOST/go",
                          "https://127.1.2.3:8154/go", "http://[::1]:8153/go", "http:///go"})
    EXPECT_THAT(cluster_fault("go_server_url", url), HasSubstr("not localhost")) << url;
  EXPECT_THAT(cluster_fault("go_server_url", "gocd.example.com/go"), HasSubstr("must begin with http:// or https://"));
  EXPECT_THAT(cluster_fault("go_server_url", "https://gocd.example.com"), HasSubstr("must end in /go"));
  EXPECT_EQ(read_cluster_profile(cluster_with("go_server_url", "http://gocd:8153/go/"))->go_server_url,
            "http://gocd:8153/go");
}

TEST(ClusterProfile, EnginesAreNamedAsDockersClientDoes) {
  for (const auto* uri : {"unix:///run/docker.sock", "tcp://engine:2375", "tcp://[fd00::1]:2375", "http://engine:2375",
                          "https://engine:2376", "tcp://engine"})
    EXPECT_EQ(cluster_fault("docker_uri", uri), "") << uri;
  for (const auto* uri : {"docker.sock", "unix://relative", "npipe:////./pipe/docker_engine", "tcp://", "tcp://h:0",
                          "tcp://h:port", "ssh://h", "tcp://user:password@h:2375"}) {
    EXPECT_NE(cluster_fault("docker_uri", uri), "") << uri;
    EXPECT_THAT(cluster_fault("docker_uri", uri), Not(HasSubstr("password"))) << uri;
  }
  EXPECT_THAT(cluster_fault("docker_uri", "npipe:////./pipe/docker_engine"), HasSubstr("use unix://"));
}

TEST(ClusterProfile, AClientCertificateGoesWithItsKey) {
  auto properties = cluster_with("docker_uri", "https://engine:2376");
  properties["docker_client_cert"] = "-----BEGIN CERTIFICATE-----";
  EXPECT_THAT(fault(read_cluster_profile(properties), "docker_client_key"), HasSubstr("both or neither"));
  properties["docker_client_key"] = "a file's name";
  EXPECT_THAT(fault(read_cluster_profile(properties), "docker_client_key"), HasSubstr("must be PEM"));
}

TEST(ClusterProfile, CertificatesThatAreLeftDoNotSpoilASocket) {
  auto properties = cluster_with("docker_ca_cert", "-----BEGIN CERTIFICATE-----");
  const auto read = read_cluster_profile(properties);
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->engine.tls.any());
}

TEST(ClusterProfile, NumbersAreChecked) {
  for (const auto* value : {"0", "-1", "many", "1.5", "100001", "99999999999999999999", "2 3"}) {
    EXPECT_THAT(cluster_fault("max_docker_containers", value), HasSubstr("whole number from 1")) << value;
    EXPECT_THAT(cluster_fault("auto_register_timeout", value), HasSubstr("whole number from 1")) << value;
  }
  EXPECT_EQ(cluster_fault("max_docker_containers", " 7 "), "");
}

// The second line may be the rest of a password.
TEST(ClusterProfile, AFaultyLineOfTheEnvironmentIsNotRepeated) {
  const auto message = cluster_fault("environment_variables", "A=b\n\nhunter2\n");
  EXPECT_THAT(message, HasSubstr("line 3"));
  EXPECT_THAT(message, Not(HasSubstr("hunter2")));
}

TEST(ClusterProfile, TheLaterOfTwoLinesForOneNameWins) {
  EXPECT_THAT(read_cluster_profile(cluster_with("environment_variables", "A=1\nB=2\nA=3"))->environment,
              ElementsAre(Pair("A", "3"), Pair("B", "2")));
}

TEST(ClusterProfile, ARegistryNeedsItsServerAndItsOwnCredentialsOnlyIfCustom) {
  auto properties = cluster_with("enable_private_registry_authentication", "true");
  EXPECT_EQ(read_cluster_profile(properties).error().list.size(), 3U);
  properties["private_registry_server"] = "registry:5000";
  properties["private_registry_custom_credentials"] = "false";
  EXPECT_TRUE(read_cluster_profile(properties));
}

TEST(ClusterProfile, PortsArePublishedWhereItSays) {
  EXPECT_EQ(read_cluster_profile(cluster_with("docker_publish", "any"))->policy.publish, gateway::Publish::kAny);
  EXPECT_EQ(read_cluster_profile(cluster_with("docker_publish", ""))->policy.publish, gateway::Publish::kEphemeral);
  EXPECT_THAT(cluster_fault("docker_publish", "host"), HasSubstr("must be ephemeral, loopback or any"));
}

TEST(ClusterProfile, AllowancesAreWords) {
  for (const auto* line : {"everything", "privileged yes", "host-path etc", "device sda", "capability", "registry",
                           "registry https://r.example.com", "registry r.example.com/team"})
    EXPECT_THAT(cluster_fault("docker_policy_allow", line), HasSubstr(line));
}

TEST(ClusterProfile, AnUnknownKeyIsNamed) { EXPECT_EQ(cluster_fault("docker_url", "x"), "Is an unknown property"); }

TEST(ClusterProfile, AllFaultsAreToldAtOnceWithoutValuesOfSecureKeys) {
  const auto read = read_cluster_profile({{"docker_client_key", "hunter2"}, {"private_registry_password", "hunter3"}});
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().text(), HasSubstr("go_server_url must not be blank; docker_uri must not be blank"));
  EXPECT_THAT(read.error().text(), Not(HasSubstr("hunter")));
}

// --- elastic agent profiles ---

TEST(AgentProfile, HasDefaultsForAllButTheImage) {
  const auto profile = agent("Image", "ci/agent:1");
  EXPECT_EQ(profile.image, "ci/agent:1");
  EXPECT_EQ(profile.access, DockerAccess::kTracked);
  EXPECT_EQ(profile.images, ImageMode::kClean);
  EXPECT_FALSE(profile.privileged);
  EXPECT_EQ(profile.max_belongings, 0U);
  EXPECT_EQ(agent_fault("Image", ""), "must not be blank");
}

TEST(AgentProfile, EveryKeyIsRead) {
  Properties properties{
      {"Image", "ci/agent"},       {"Command", "sh\r\n-c\r\n\r\necho  a b\r\n"},
      {"Environment", "A=b"},      {"ReservedMemory", "64M"},
      {"MaxMemory", "1.5G"},       {"Cpus", "0.5"},
      {"Mounts", "/srv:/srv:ro"},  {"Networks", "first\nsecond"},
      {"Hosts", "10.0.0.5 db"},    {"Privileged", "true"},
      {"DockerAccess", "Tracked"}, {"Images", "isolated"},
      {"Volumes", "scoped"},       {"MaxBelongings", "50"},
      {"KeepOnFailure", "30"},     {"MaxPids", "500"},
  };
  // Those of container_options_test.cpp.
  for (const auto& key : kAgentKeys) properties.emplace(key.name, key.example);
  const auto read = read_agent_profile(properties);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->image, "ci/agent:latest");
  EXPECT_THAT(read->command, ElementsAre("sh", "-c", "echo  a b"));
  EXPECT_THAT(read->environment, ElementsAre(Pair("A", "b")));
  EXPECT_EQ(read->reserved_memory_bytes, 64LL << 20);
  EXPECT_EQ(read->max_memory_bytes, 3LL << 29);
  EXPECT_EQ(read->max_pids, 500U);
  EXPECT_EQ(read->cpus, 0.5);
  ASSERT_EQ(read->mounts.size(), 1U);
  EXPECT_TRUE(read->mounts[0].read_only);
  EXPECT_THAT(read->networks, ElementsAre("first", "second"));
  EXPECT_THAT(read->extra_hosts, ElementsAre("db:10.0.0.5"));
  EXPECT_TRUE(read->privileged);
  EXPECT_EQ(read->images, ImageMode::kIsolated);
  EXPECT_EQ(read->max_belongings, 50U);
  EXPECT_EQ(read->keep_on_failure, std::chrono::minutes(30));
  EXPECT_EQ(read->pull, PullPolicy::kIfNotPresent);
}

TEST(AgentProfile, VolumesAreScopedOrSharedByTheirNames) {
  EXPECT_THAT(agent("Volumes", "").shared_volumes, IsEmpty());
  EXPECT_THAT(agent("Volumes", "Scoped").shared_volumes, IsEmpty());
  EXPECT_THAT(agent("Volumes", "shared:m2-*\r\nshared: npm").shared_volumes, ElementsAre("m2-*", "npm"));
  for (const auto* value : {"all", "shared", "shared:", "shared:a b", "shared:../x", "m2-*"})
    EXPECT_THAT(agent_fault("Volumes", value), HasSubstr("as in shared:m2-*; this one is not: ")) << value;
  EXPECT_THAT(agent_fault("Volumes", "scoped\nshared:m2"), HasSubstr("take the line scoped out"));
}

TEST(AgentProfile, AnImageWithoutATagIsTheLatest) {
  EXPECT_EQ(with_tag("gocd/agent"), "gocd/agent:latest");
  EXPECT_EQ(with_tag("gocd/agent:v1"), "gocd/agent:v1");
  EXPECT_EQ(with_tag("host:5000/x"), "host:5000/x:latest");
  EXPECT_EQ(with_tag("host:5000/x:1"), "host:5000/x:1");
  EXPECT_EQ(with_tag("x@sha256:abc"), "x@sha256:abc");
  EXPECT_EQ(with_tag("host:5000/x:1@sha256:abc"), "host:5000/x:1@sha256:abc");
}

TEST(AgentProfile, AnImageIsOneReference) {
  for (const auto* image : {"a b", "a\tb", "a\nb", "a\r\nb"})
    EXPECT_EQ(agent_fault("Image", image), "must be one image reference");
}

TEST(AgentProfile, MemoryIsANumberAndAUnit) {
  EXPECT_EQ(agent("MaxMemory", "4M").max_memory_bytes, 4LL << 20);
  EXPECT_EQ(agent("MaxMemory", "2g").max_memory_bytes, 2LL << 30);
  EXPECT_EQ(agent("ReservedMemory", "0.5T").reserved_memory_bytes, 1LL << 39);
  for (const auto* value : {"512", "M", "1.2.3G", "-1G", "1e3G", "1GB", "G1", ".M", "9999999999T", "0x10M"})
    EXPECT_THAT(agent_fault("MaxMemory", value), HasSubstr("units M, G or T")) << value;
  EXPECT_EQ(agent_fault("MaxMemory", "3M"), "must be 4M or more");
}

TEST(AgentProfile, TheMemoryLimitIsNotBelowTheReservation) {
  auto properties = agent_with("MaxMemory", "1G");
  properties["ReservedMemory"] = "2G";
  EXPECT_EQ(fault(read_agent_profile(properties), "MaxMemory"), "must not be less than ReservedMemory");
}

TEST(AgentProfile, CpusAreANumberAboveZero) {
  EXPECT_EQ(agent("Cpus", "2").cpus, 2);
  for (const auto* value : {"0", "-1", "abc", "1e9", "nan", "inf", "5000", "1,5"})
    EXPECT_THAT(agent_fault("Cpus", value), HasSubstr("number above 0")) << value;
}

TEST(AgentProfile, MountsAreSourceTargetAndMode) {
  const auto profile = agent("Mounts", "/srv:/srv\r\ncache:/cache:ro\n/x:/y:rw");
  ASSERT_EQ(profile.mounts.size(), 3U);
  EXPECT_EQ(profile.mounts[1].source, "cache");
  EXPECT_EQ(profile.mounts[1].target, "/cache");
  EXPECT_TRUE(profile.mounts[1].read_only);
  EXPECT_FALSE(profile.mounts[2].read_only);
  for (const auto* line : {"/srv", ":/x", "/srv:relative", "/srv:/srv:rx", "/a:/b:ro:x"})
    EXPECT_THAT(agent_fault("Mounts", line), HasSubstr(line));
}

TEST(AgentProfile, TheHostsSocketIsReplacedByTheGateway) {
  const auto profile = agent("Mounts", "/var/run/docker.sock:/var/run/docker.sock\n/srv:/srv");
  EXPECT_TRUE(profile.mounts_docker_socket);
  EXPECT_EQ(profile.mounts.size(), 1U);
  for (const auto* access : {"none", "dind"}) {
    auto properties = agent_with("Mounts", "/var/run/docker.sock:/var/run/docker.sock");
    properties["DockerAccess"] = access;
    EXPECT_THAT(fault(read_agent_profile(properties), "Mounts"), HasSubstr("set DockerAccess to tracked"));
  }
}

TEST(AgentProfile, AHostsLineMayHaveManyNames) {
  EXPECT_THAT(agent("Hosts", "10.0.0.5 db  db.local\nfd00::1\tv6").extra_hosts,
              ElementsAre("db:10.0.0.5", "db.local:10.0.0.5", "v6:fd00::1"));
  for (const auto* line : {"10.0.0.5", "db 10.0.0.5", "10.0.0.500 db"})
    EXPECT_THAT(agent_fault("Hosts", line), HasSubstr(line));
}

TEST(AgentProfile, AnEngineOfItsOwnIsPrivileged) {
  EXPECT_TRUE(agent("DockerAccess", "dind").privileged);
  EXPECT_FALSE(agent("DockerAccess", "host").privileged);
  EXPECT_EQ(agent_fault("Privileged", "yes"), "must be true or false");
}

TEST(AgentProfile, ChoicesAreNamed) {
  EXPECT_EQ(agent_fault("DockerAccess", "full"), "must be one of tracked, none, host, dind");
  EXPECT_EQ(agent_fault("Images", "kept"), "must be one of clean, shared, isolated");
  EXPECT_EQ(agent_fault("PullPolicy", "sometimes"), "must be one of always, if-not-present, never");
}

TEST(AgentProfile, AnUnknownKeyIsNamed) { EXPECT_EQ(agent_fault("image", "x"), "Is an unknown property"); }

// --- both ---

Properties examples(std::span<const ProfileKey> keys) {
  Properties properties;
  for (const auto& key : keys) properties.emplace(key.name, key.example);
  return properties;
}

TEST(ProfileKeys, TheExamplesOfAllKeysTogetherAreSound) {
  const auto cluster = read_cluster_profile(examples(kClusterKeys));
  EXPECT_TRUE(cluster) << cluster.error().text();
  const auto agent = read_agent_profile(examples(kAgentKeys));
  EXPECT_TRUE(agent) << agent.error().text();
}

// Whatever a person types wrong, the error is under its field and says what would be right.
TEST(ProfileKeys, AFaultyValueIsToldWithItsKeyAndTheRemedy) {
  const std::set<std::string_view> take_anything{"Command", "Networks", "private_registry_server",
                                                 "private_registry_username", "private_registry_password"};
  const std::string faulty = "{{1+1}} <b>";
  for (const auto& key : kClusterKeys) {
    const std::string name(key.name);
    if (!take_anything.contains(name))
      EXPECT_THAT(cluster_fault(name, faulty), AnyOf(HasSubstr("must be"), HasSubstr("use unix:"))) << name;
  }
  for (const auto& key : kAgentKeys) {
    const std::string name(key.name);
    if (!take_anything.contains(name))
      EXPECT_THAT(agent_fault(name, faulty), AnyOf(HasSubstr("must be"), HasSubstr("use unix:"))) << name;
  }
}

TEST(Environment, TheProfilesLineGoesOverTheClusters) {
  EXPECT_THAT(merge_environment({{"A", "1"}, {"B", "2"}}, {{"B", "3"}, {"C", "4"}}),
              ElementsAre(Pair("A", "1"), Pair("B", "3"), Pair("C", "4")));
}

TEST(Environment, AValueMayBeEmptyAndHoldEqualSigns) {
  EXPECT_THAT(agent("Environment", "EMPTY=\nURL=a=b&c={{d}}\nUML=größe").environment,
              ElementsAre(Pair("EMPTY", ""), Pair("URL", "a=b&c={{d}}"), Pair("UML", "größe")));
}

}  // namespace
}  // namespace ebbtide::plugin
