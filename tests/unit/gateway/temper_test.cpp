#include "docker/gateway/temper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::gateway {
namespace {

using testing::HasSubstr;

Json tempered(std::string_view host_config, const Policy& policy = {}, const EngineDefaults& engine = {"json-file"}) {
  auto body = *decode(ModelName::kContainerCreate, R"({"Image":"a","HostConfig":)" + std::string(host_config) + "}");
  temper_container(policy, engine, body);
  return body["HostConfig"];
}

std::string ports(std::string_view bindings, Publish publish) {
  const auto host = tempered(R"({"PortBindings":{"80/tcp":)" + std::string(bindings) + "}}", {.publish = publish});
  return host["PortBindings"]["80/tcp"].dump();
}

TEST(Temper, AFixedPortBecomesOneOfTheEnginesChoice) {
  EXPECT_EQ(ports(R"([{"HostIp":"127.0.0.1","HostPort":"8080"}])", Publish::kEphemeral),
            R"([{"HostIp":"127.0.0.1","HostPort":""}])");
  EXPECT_EQ(ports(R"([{"HostPort":"8000-8010"}])", Publish::kEphemeral), R"([{"HostPort":""}])");
}

TEST(Temper, OnLoopbackThePortStays) {
  EXPECT_EQ(ports(R"([{"HostIp":"","HostPort":"8080"}])", Publish::kLoopback),
            R"([{"HostIp":"127.0.0.1","HostPort":"8080"}])");
  EXPECT_EQ(ports(R"([{"HostIp":"127.0.0.9","HostPort":"1"}])", Publish::kLoopback),
            R"([{"HostIp":"127.0.0.9","HostPort":"1"}])");
  EXPECT_EQ(ports(R"([{"HostIp":"0.0.0.0","HostPort":"1"},{"HostIp":"::","HostPort":"1"}])", Publish::kLoopback),
            R"([{"HostIp":"127.0.0.1","HostPort":"1"}])");
}

TEST(Temper, ElsewhereNothingIsChanged) {
  EXPECT_EQ(ports(R"([{"HostIp":"10.0.0.5","HostPort":"80"}])", Publish::kAny),
            R"([{"HostIp":"10.0.0.5","HostPort":"80"}])");
  const auto* asked = R"({"PortBindings":{"80/tcp":[{"HostPort":"80"}]},"Runtime":"runc"})";
  EXPECT_EQ(tempered(asked, {.level = PolicyLevel::kTrusted}), Json::parse(asked));
}

std::string log_of(std::string_view log, const std::string& engine = "json-file") {
  const auto host = tempered(R"({"LogConfig":)" + std::string(log) + "}", {}, {engine});
  return host.value("LogConfig", Json()).dump();
}

TEST(Temper, LogsInFilesAreBounded) {
  EXPECT_EQ(log_of("null"), R"({"Config":{"max-size":"100m"}})");
  EXPECT_EQ(log_of(R"({"Type":"local"})"), R"({"Type":"local","Config":{"max-size":"100m"}})");
  for (const auto* size : {"-1", "101m", "1g", "99999999999999999999", "104857601", "k", "0"})
    EXPECT_THAT(log_of(Json({{"Config", {{"max-size", size}}}}).dump()), HasSubstr(R"("max-size":"100m")")) << size;
  for (const auto* size : {"10m", "100M", "512k", "1024", "5mb"})
    EXPECT_THAT(log_of(Json({{"Config", {{"max-size", size}}}}).dump()), HasSubstr(std::string(size) + "\"")) << size;
  EXPECT_THAT(log_of(R"({"Config":{"max-file":"1000"}})"), HasSubstr(R"("max-file":"10")"));
  EXPECT_THAT(log_of(R"({"Config":{"max-file":"3"}})"), HasSubstr(R"("max-file":"3")"));
}

TEST(Temper, LogsElsewhereAreLeftAlone) {
  EXPECT_EQ(log_of("null", "journald"), "null");
  EXPECT_EQ(log_of("null", ""), "null");
  EXPECT_EQ(log_of(R"({"Type":"none"})"), R"({"Type":"none"})");
}

TEST(Temper, AStopIsBounded) {
  const auto stop = [](const char* timeout) {
    auto body = *decode(ModelName::kContainerCreate, std::string(R"({"Image":"a","StopTimeout":)") + timeout + "}");
    temper_container({}, {}, body);
    return body["StopTimeout"].dump();
  };
  EXPECT_EQ(stop("-1"), "300");
  EXPECT_EQ(stop("301"), "300");
  EXPECT_EQ(stop("10"), "10");
}

TEST(Temper, StrictKeepsPrivilegesAndRestartsAway) {
  const Policy strict{.level = PolicyLevel::kStrict};
  const auto host = tempered(R"({"RestartPolicy":{"Name":"always"}})", strict);
  EXPECT_EQ(host["SecurityOpt"].dump(), R"(["no-new-privileges"])");
  EXPECT_FALSE(host.contains("RestartPolicy"));
  auto update = *decode(ModelName::kContainerUpdate, R"({"RestartPolicy":{"Name":"always"},"Memory":1})");
  temper_update(strict, update);
  EXPECT_EQ(update.dump(), R"({"Memory":1})");
  EXPECT_EQ(tempered(R"({"RestartPolicy":{"Name":"always"}})")["RestartPolicy"]["Name"], "always");
}

constexpr OwnerLimits kLimits{.memory_bytes = 1000, .cpus = 1.5, .pids = 50};

Json limited(std::string_view resources, bool creates, const std::string& parent = "") {
  auto body = Json::parse(resources);
  put_limits(kLimits, parent, creates, body);
  return body;
}

TEST(Limits, WithAParentOnlyMoreCpusThanItHasAreCut) {
  EXPECT_EQ(limited(R"({"Memory":5000,"NanoCpus":4000000000})", true, "/p"),
            Json::parse(R"({"Memory":5000,"NanoCpus":1500000000,"CgroupParent":"/p"})"));
  EXPECT_EQ(limited("{}", true, "/p"), Json::parse(R"({"CgroupParent":"/p"})"));
  EXPECT_EQ(limited(R"({"CpuQuota":900000,"CpuPeriod":200000})", false, "/p"),
            Json::parse(R"({"CpuQuota":300000,"CpuPeriod":200000})"));
  EXPECT_EQ(limited(R"({"NanoCpus":1000000000})", false, "/p"), Json::parse(R"({"NanoCpus":1000000000})"));
}

TEST(Limits, WithoutOneEachContainerIsHeldToThem) {
  const auto all = Json::parse(R"({"NanoCpus":1500000000,"Memory":1000,"PidsLimit":50})");
  EXPECT_EQ(limited("{}", true), all);
  EXPECT_EQ(limited(R"({"NanoCpus":9000000000,"Memory":2000,"PidsLimit":-1})", true), all);
  EXPECT_EQ(limited(R"({"Memory":400,"MemorySwap":-1})", true)["MemorySwap"], 2000);
  const auto less = Json::parse(R"({"NanoCpus":1,"Memory":400,"PidsLimit":5})");
  EXPECT_EQ(limited(less.dump(), true), less);
}

TEST(Limits, AnUpdateThatIsSilentChangesNothing) {
  EXPECT_EQ(limited("{}", false), Json::object());
  EXPECT_EQ(limited(R"({"Memory":2000})", false), Json::parse(R"({"Memory":1000})"));
}

TEST(Limits, BuildsHaveThemToo) {
  const auto build = [](const std::string& memory, const std::string& parent) {
    http::Query query;
    if (!memory.empty()) query.add("memory", memory);
    query.add("memswap", "-1");
    put_build_limits(kLimits, parent, query);
    return query.to_text();
  };
  EXPECT_EQ(build("", ""), "memory=1000");
  EXPECT_EQ(build("5000", ""), "memory=1000");
  EXPECT_EQ(build("500", ""), "memory=500&memswap=-1");
  EXPECT_EQ(build("", "/p"), "memswap=-1&cgroupparent=%2Fp");
}

TEST(Temper, ExplainsATakenPort) {
  const std::string error = R"({"message":"driver failed: Bind for 0.0.0.0:8080 failed: port is already allocated"})";
  const auto told = explain_port_collision({.publish = Publish::kAny}, error);
  EXPECT_THAT(told, HasSubstr("-p 80 in place of"));
  EXPECT_THAT(told, HasSubstr("docker_publish ephemeral"));
  EXPECT_TRUE(Json::accept(told));
  for (const auto* other : {R"({"message":"no such container"})", "port is already allocated", ""})
    EXPECT_EQ(explain_port_collision({}, other), other);
}

}  // namespace
}  // namespace ebbtide::gateway
