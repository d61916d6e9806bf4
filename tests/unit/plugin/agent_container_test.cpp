#include "plugin/agent_container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "docker/ledger/labels.h"

namespace ebbtide::plugin {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class AgentContainer : public testing::Test {
 protected:
  std::vector<std::string> env() const { return body().at("Env").get<std::vector<std::string>>(); }
  std::vector<std::string> binds() const { return body().at("HostConfig").at("Binds").get<std::vector<std::string>>(); }
  nlohmann::json body() const { return container_body(agent, cluster, profile, plan); }

  Agent agent{.id = "ebbtide-1",
              .gocd = "gocd-1",
              .cluster = "gocd-1|unix:///x",
              .job = {.pipeline_name = "build",
                      .pipeline_label = "17",
                      .pipeline_counter = 17,
                      .stage_name = "test",
                      .stage_counter = "1",
                      .job_name = "unit",
                      .job_id = 9},
              .environment = "prod",
              .image = "ci/agent:1"};
  ClusterProfile cluster{.go_server_url = "http://gocd:8153/go", .environment = {{"A", "cluster"}, {"B", "b"}}};
  AgentProfile profile{.image = "ci/agent:1", .environment = {{"A", "profile"}}};
  AgentPlan plan{.server_id = "server-1",
                 .plugin_id = "ebbtide.elastic-agent",
                 .auto_register_key = "secret-key",
                 .gateway_directory = "/run/e/agents/ebbtide-1",
                 .host_socket = "/var/run/docker.sock"};
};

TEST_F(AgentContainer, RegistersAsGocdsImagesExpectIt) {
  EXPECT_THAT(env(), Contains("GO_EA_AUTO_REGISTER_ENVIRONMENT=prod"));
  EXPECT_THAT(env(), Not(Contains(StartsWith("DOCKER_BUILDKIT="))));
  EXPECT_THAT(env(), Contains("GO_EA_AUTO_REGISTER_ELASTIC_PLUGIN_ID=ebbtide.elastic-agent"));
  agent.environment.clear();
  EXPECT_THAT(env(), Not(Contains(StartsWith("GO_EA_AUTO_REGISTER_ENVIRONMENT"))));
}

TEST_F(AgentContainer, StandsInTheControlGroupOfItsGateway) {
  EXPECT_FALSE(body().at("HostConfig").contains("CgroupParent"));
  plan.cgroup_parent = "/ebbtide-server-1/ebbtide-1";
  profile.max_pids = 300;
  EXPECT_EQ(body().at("HostConfig").at("CgroupParent"), "/ebbtide-server-1/ebbtide-1");
  EXPECT_EQ(body().at("HostConfig").at("PidsLimit"), 300);
}

TEST_F(AgentContainer, ItsLimitsAndPolicySurviveARestart) {
  profile.max_memory_bytes = 64 << 20;
  profile.cpus = 0.5;
  profile.max_pids = 300;
  cluster.policy = {
      .level = gateway::PolicyLevel::kStrict, .publish = gateway::Publish::kLoopback, .registries = {"r.example:5000"}};
  const ContainerSummary container{.name = "ebbtide-1", .labels = body().at("Labels").get<Labels>()};
  const auto record = read_labels(container);
  ASSERT_TRUE(record && record->policy);
  EXPECT_EQ(record->profile.limits(), profile.limits());
  EXPECT_EQ(record->policy->level, gateway::PolicyLevel::kStrict);
  EXPECT_EQ(record->policy->publish, gateway::Publish::kLoopback);
  EXPECT_THAT(record->policy->registries, ElementsAre("r.example:5000"));
}

TEST_F(AgentContainer, TheProfilesEnvironmentGoesOverTheClusters) {
  EXPECT_THAT(env(), Contains("A=profile"));
  EXPECT_THAT(env(), Not(Contains("A=cluster")));
  EXPECT_THAT(env(), Contains("B=b"));
}

TEST_F(AgentContainer, AnOperatorsDockerHostStays) {
  profile.environment.emplace_back("DOCKER_HOST", "tcp://elsewhere:2375");
  EXPECT_THAT(env(), Contains("DOCKER_HOST=tcp://elsewhere:2375"));
  EXPECT_THAT(env(), Not(Contains("DOCKER_HOST=unix:///run/ebbtide/docker.sock")));
}

TEST_F(AgentContainer, EachAccessMountsItsOwn) {
  EXPECT_THAT(binds(), ElementsAre("/run/e/agents/ebbtide-1:/run/ebbtide:ro"));
  profile.access = DockerAccess::kNone;
  EXPECT_THAT(binds(), IsEmpty());
  profile.access = DockerAccess::kHost;
  EXPECT_THAT(binds(), ElementsAre("/var/run/docker.sock:/var/run/docker.sock"));
}

TEST_F(AgentContainer, LimitsBecomeTheEngines) {
  profile.max_memory_bytes = 4 << 20;
  profile.cpus = 1.5;
  profile.networks = {"first", "second"};
  const auto host = body().at("HostConfig");
  EXPECT_EQ(host.at("Memory"), 4 << 20);
  EXPECT_EQ(host.at("NanoCpus"), 1'500'000'000);
  EXPECT_EQ(host.at("NetworkMode"), "first");
  EXPECT_FALSE(host.contains("MemoryReservation"));
}

TEST_F(AgentContainer, ItsLabelsTellAllAfterARestartAndNoSecret) {
  profile.images = ImageMode::kIsolated;
  profile.max_belongings = 50;
  profile.keep_on_failure = std::chrono::minutes(7);
  ContainerSummary container{.id = "c1", .name = agent.id, .image = "ci/agent:1"};
  container.labels = body().at("Labels").get<Labels>();
  EXPECT_TRUE(ownership_of("server-1", Kind::kContainer, agent.id, container.labels));
  for (const auto& [key, value] : container.labels) EXPECT_EQ(value.find("secret-key"), std::string::npos) << key;
  const auto record = read_labels(container);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->agent.id, agent.id);
  EXPECT_EQ(record->agent.gocd, agent.gocd);
  EXPECT_EQ(record->agent.cluster, agent.cluster);
  EXPECT_EQ(record->agent.job, agent.job);
  EXPECT_EQ(record->agent.environment, "prod");
  EXPECT_EQ(record->agent.images, ImageMode::kIsolated);
  EXPECT_EQ(record->profile.max_belongings, 50U);
  EXPECT_EQ(record->profile.keep_on_failure, std::chrono::minutes(7));
}

// Another profile of the same engine may allow more.
TEST_F(AgentContainer, ItsPolicyOutlivesTheServer) {
  cluster.policy = {.level = gateway::PolicyLevel::kTrusted,
                    .privileged = true,
                    .host_network = true,
                    .host_paths = {"/etc/localtime"},
                    .capabilities = {"SYS_PTRACE"},
                    .devices = {"/dev/kvm"}};
  ContainerSummary container{.id = "c1", .name = agent.id};
  container.labels = body().at("Labels").get<Labels>();
  const auto record = read_labels(container);
  ASSERT_TRUE(record && record->policy);
  EXPECT_EQ(record->policy->level, gateway::PolicyLevel::kTrusted);
  EXPECT_TRUE(record->policy->privileged && record->policy->host_network);
  EXPECT_THAT(record->policy->host_paths, ElementsAre("/etc/localtime"));
  EXPECT_THAT(record->policy->capabilities, ElementsAre("SYS_PTRACE"));
  EXPECT_THAT(record->policy->devices, ElementsAre("/dev/kvm"));
  container.labels["ebbtide.cluster"] = R"({"key":"g|e"})";
  EXPECT_FALSE(read_labels(container)->policy);
}

TEST_F(AgentContainer, LabelsThatCanNotBeReadAreNoAgent) {
  EXPECT_FALSE(read_labels({.id = "c1", .labels = {{"ebbtide.agent", "x"}}}));
  ContainerSummary container{.id = "c1", .name = agent.id};
  container.labels = body().at("Labels").get<Labels>();
  container.labels["ebbtide.profile"] = R"({"image":5})";
  EXPECT_FALSE(read_labels(container));
}

TEST_F(AgentContainer, EachVolumeOfTheImageIsTracked) {
  profile.mounts = {{.source = "/srv", .target = "/godata"}};
  const auto volumes = agent_volumes("ebbtide-1", profile, {"/go-working-dir", "/godata"});
  ASSERT_EQ(volumes.size(), 1U);
  EXPECT_EQ(volumes[0].name, "ebbtide-1-go-working-dir");
  EXPECT_TRUE(
      ownership_of("server-1", Kind::kVolume, volumes[0].name, volume_labels("server-1", "ebbtide-1", volumes[0])));
  profile.access = DockerAccess::kDind;
  EXPECT_EQ(agent_volumes("ebbtide-1", profile, {}).at(0).target, "/var/lib/docker");
}

TEST_F(AgentContainer, TheLinkIsAWholeTar) {
  const auto tar = socket_link_tar("var/run");
  ASSERT_EQ(tar.size() % 512, 0U);
  ASSERT_EQ(tar.size(), 5U * 512);  // two folders, the link, two blocks of nothing
  EXPECT_STREQ(tar.c_str(), "var/");
  EXPECT_STREQ(tar.c_str() + 512, "var/run/");
  EXPECT_STREQ(tar.c_str() + 1024, "var/run/docker.sock");
  EXPECT_EQ(tar[1024 + 156], '2');
  EXPECT_STREQ(tar.c_str() + 1024 + 157, "/run/ebbtide/docker.sock");
}

TEST_F(AgentContainer, FindsWhatALogMustNotShow) {
  EXPECT_THAT(secrets_of({{"NPM_TOKEN", "t0ken"}, {"LANG", "C"}}, "k"), ElementsAre("k", "t0ken"));
}

}  // namespace
}  // namespace ebbtide::plugin
