#include "docker/gateway/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ebbtide::gateway {
namespace {

// The rule that refuses a HostConfig; empty if none does.
std::string rule_of(std::string_view host_config, const Policy& policy = {}) {
  const auto body =
      decode(ModelName::kContainerCreate, R"({"Image":"a","HostConfig":)" + std::string(host_config) + "}");
  if (!body) return "invalid: " + body.error().message;
  const auto refusal = check_container(policy, *body);
  if (refusal) EXPECT_GT(refusal->message.size(), 20U);
  return refusal ? refusal->rule : "";
}

struct Case {
  std::string_view host_config;
  std::string_view rule;
};

class Refused : public testing::TestWithParam<Case> {};

TEST_P(Refused, ByItsRule) { EXPECT_EQ(rule_of(GetParam().host_config), GetParam().rule); }

TEST_P(Refused, OnlyWhereJobsAreNotTrusted) {
  EXPECT_EQ(rule_of(GetParam().host_config, {.level = PolicyLevel::kTrusted}), "");
}

INSTANTIATE_TEST_SUITE_P(
    Policy, Refused,
    testing::Values(Case{R"({"Privileged":true})", "privileged"}, Case{R"({"privileged":true})", "privileged"},
                    Case{R"({"CapAdd":["SYS_ADMIN"]})", "capability"},
                    Case{R"({"CapAdd":["cap_sys_module"]})", "capability"}, Case{R"({"CapAdd":"ALL"})", "capability"},
                    Case{R"({"CapAdd":["CHOWN","CAP_NET_ADMIN"]})", "capability"},
                    Case{R"({"PidMode":"host"})", "host-namespace"}, Case{R"({"IpcMode":"host"})", "host-namespace"},
                    Case{R"({"UTSMode":"host"})", "host-namespace"}, Case{R"({"UsernsMode":"host"})", "host-namespace"},
                    Case{R"({"CgroupnsMode":"host"})", "host-namespace"},
                    Case{R"({"PidMode":"ns:/proc/1/ns/pid"})", "host-namespace"},
                    Case{R"({"NetworkMode":"host"})", "host-network"}, Case{R"({"Cgroup":"container:x"})", "cgroup"},
                    Case{R"({"SecurityOpt":["seccomp=unconfined"]})", "security-option"},
                    Case{R"({"SecurityOpt":["apparmor:unconfined"]})", "security-option"},
                    Case{R"({"SecurityOpt":["label=disable"]})", "security-option"},
                    Case{R"({"SecurityOpt":["no-new-privileges=false"]})", "security-option"},
                    Case{R"({"SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"]})", "security-option"},
                    Case{R"({"MaskedPaths":[]})", "masked-paths"}, Case{R"({"ReadonlyPaths":[]})", "masked-paths"},
                    Case{R"({"Devices":[{"PathOnHost":"/dev/sda"}]})", "device"},
                    Case{R"({"DeviceCgroupRules":["a *:* rwm"]})", "device"},
                    Case{R"({"DeviceRequests":[{"Count":-1,"Capabilities":[["gpu"]]}]})", "device"},
                    Case{R"({"Sysctls":{"kernel.core_pattern":"|/x"}})", "sysctl"},
                    Case{R"({"Sysctls":{"kernel.semx":"1"}})", "sysctl"}, Case{R"({"Runtime":"crun"})", "runtime"},
                    Case{R"({"CgroupParent":"/"})", "cgroup-parent"}, Case{R"({"OomScoreAdj":-1000})", "oom-score"},
                    Case{R"({"OomKillDisable":true})", "oom-kill"}, Case{R"({"CpuRealtimeRuntime":1})", "realtime"},
                    Case{R"({"LogConfig":{"Type":"syslog"}})", "log-driver"},
                    Case{R"({"VolumeDriver":"rexray"})", "volume-driver"},
                    Case{R"({"StorageOpt":{"dm.basesize":"1t"}})", "storage-option"},
                    Case{R"({"PortBindings":{"80/tcp":[{"HostIp":"10.0.0.5","HostPort":"80"}]}})", "publish"},
                    Case{R"({"Annotations":{"run.oci.hooks":"x"}})", "annotation"}));

class HostPath : public testing::TestWithParam<std::string_view> {};

TEST_P(HostPath, IsRefusedAsBindAndAsMount) {
  const auto source = std::string(GetParam());
  const auto bind = Json({{"Binds", {source + ":/x"}}}).dump();
  const auto mount = Json({{"Mounts", {{{"Type", "bind"}, {"Source", source}, {"Target", "/x"}}}}}).dump();
  EXPECT_EQ(rule_of(bind), "host-path");
  EXPECT_EQ(rule_of(mount), "host-path");
}

// Parents of the socket, ways round the cleaning of paths, and neighbours of what is allowed.
INSTANTIATE_TEST_SUITE_P(Policy, HostPath,
                         testing::Values("/", "//", "/etc", "/var/run", "/run", "/var/run/", "/run/../run",
                                         "/proc/1/root", "/run/docker.sock/..", "/run/docker.sock.bak",
                                         "/run/ebbtide/../docker", "/run/containerd/containerd.sock", "/var/lib/docker",
                                         "/run/ebbtide/other"));

class Socket : public testing::TestWithParam<std::string_view> {};

TEST_P(Socket, PassesSinceTheGatewayPutsItsOwnInItsPlace) {
  EXPECT_TRUE(is_docker_socket(GetParam()));
  EXPECT_EQ(rule_of(Json({{"Binds", {std::string(GetParam()) + ":/var/run/docker.sock"}}}).dump()), "");
}

INSTANTIATE_TEST_SUITE_P(Policy, Socket,
                         testing::Values("/var/run/docker.sock", "//var/run/docker.sock", "/run/docker.sock",
                                         "/run/./docker.sock", "/etc/../var/run//docker.sock", "/run/ebbtide",
                                         "/run/ebbtide/docker.sock", "/var/run/ebbtide/"));

class Allowed : public testing::TestWithParam<std::string_view> {};

TEST_P(Allowed, IsNotRefused) { EXPECT_EQ(rule_of(GetParam()), ""); }

INSTANTIATE_TEST_SUITE_P(
    Policy, Allowed,
    testing::Values(R"({})", R"({"CapAdd":["CAP_SYS_PTRACE","ipc_lock","Net_Raw"],"CapDrop":["ALL"]})",
                    R"({"PidMode":"container:db","IpcMode":"shareable","NetworkMode":"ci_default"})",
                    R"({"Binds":["cache:/c","/anonymous","data:/d:ro,nocopy"]})",
                    R"({"Mounts":[{"Type":"volume","Source":"v","Target":"/v"},{"Type":"tmpfs","Target":"/t"}]})",
                    R"({"SecurityOpt":["no-new-privileges"]})", R"({"MaskedPaths":null})",
                    R"({"Sysctls":{"net.core.somaxconn":"1","kernel.shmmax":"1","kernel.sem":"1 2 3 4"}})",
                    R"({"RestartPolicy":{"Name":"always"}})", R"({"PortBindings":{"80/tcp":[{"HostPort":"80"}]}})",
                    R"({"Runtime":"runc","OomScoreAdj":500,"LogConfig":{"Type":"json-file"}})",
                    R"({"GroupAdd":["999"],"ShmSize":67108864,"StorageOpt":{"size":"1g"},"PublishAllPorts":true})",
                    R"({"Ulimits":[{"Name":"nofile","Hard":1,"Soft":1}],"Memory":1,"ExtraHosts":["a:host-gateway"]})"));

TEST(Policy, RefusesSharedPropagation) {
  const Policy policy{.host_paths = {"/srv/tools"}};
  EXPECT_EQ(rule_of(R"({"Binds":["/srv/tools:/t:ro,rshared"]})", policy), "propagation");
  EXPECT_EQ(
      rule_of(R"({"Mounts":[{"Type":"bind","Source":"/srv/tools","BindOptions":{"Propagation":"shared"}}]})", policy),
      "propagation");
  EXPECT_EQ(rule_of(R"({"Binds":["/srv/tools:/t:rslave"]})", policy), "");
}

TEST(Policy, AllowsHostPathsExactlySinceBelowThemCouldBeALink) {
  const Policy policy{.host_paths = {"/srv/cache/"}};
  EXPECT_EQ(rule_of(R"({"Binds":["/srv//cache:/c"]})", policy), "");
  EXPECT_EQ(rule_of(R"({"Binds":["/srv/cache/link:/c"]})", policy), "host-path");
  EXPECT_EQ(rule_of(R"({"Binds":["/srv/cache2:/c"]})", policy), "host-path");
  EXPECT_EQ(rule_of(R"({"Binds":["/srv/cache/../../etc:/c"]})", policy), "host-path");
}

TEST(Policy, RefusesBindsAndMountsThatItCantRead) {
  for (const auto* bind : {":/x", "a::b", "a:/b:ro:z", ""})
    EXPECT_EQ(rule_of(Json({{"Binds", {bind}}}).dump()), "bind-syntax") << bind;
  for (const auto* type : {"", "Bind", "npipe", "cluster"})
    EXPECT_EQ(rule_of(Json({{"Mounts", {{{"Type", type}, {"Source", "/etc"}}}}}).dump()), "mount-type") << type;
}

TEST(Policy, GivesWhatTheClusterProfileAllows) {
  const Policy policy{.host_network = true, .capabilities = {"NET_ADMIN"}, .devices = {"/dev/kvm"}};
  EXPECT_EQ(
      rule_of(R"({"NetworkMode":"host","CapAdd":["cap_net_admin"],"Devices":[{"PathOnHost":"/dev/kvm"}]})", policy),
      "");
  EXPECT_EQ(rule_of(R"({"NetworkMode":"host","Sysctls":{"net.core.somaxconn":"1"}})", policy), "sysctl");
  EXPECT_EQ(rule_of(R"({"Devices":[{"PathOnHost":"/dev/kvm/../sda"}]})", policy), "device");
}

TEST(Policy, LetsPrivilegedContainersHaveWhatTheyHaveAnyway) {
  const Policy policy{.privileged = true};
  EXPECT_EQ(rule_of(R"({"Privileged":true,"SecurityOpt":["seccomp=unconfined"],"CapAdd":["ALL"]})", policy), "");
  EXPECT_EQ(rule_of(R"({"Privileged":true,"PidMode":"host"})", policy), "host-namespace");
  EXPECT_EQ(rule_of(R"({"Privileged":true,"Binds":["/:/h"]})", policy), "host-path");
}

TEST(Policy, StrictRefusesMore) {
  const Policy strict{.level = PolicyLevel::kStrict};
  EXPECT_EQ(rule_of(R"({"CapAdd":["SYS_PTRACE"]})", strict), "capability");
  EXPECT_EQ(rule_of(R"({"CapDrop":["ALL"],"CapAdd":["CHOWN"]})", strict), "");
  EXPECT_EQ(rule_of(R"({"PidMode":"container:db"})", strict), "shared-namespace");
  EXPECT_EQ(rule_of(R"({"IpcMode":"container:db"})", strict), "shared-namespace");
  EXPECT_EQ(rule_of(R"({"PortBindings":{"80/tcp":[{"HostPort":""}]}})", strict), "publish");
  EXPECT_EQ(rule_of(R"({"PublishAllPorts":true})", strict), "publish");
  EXPECT_EQ(rule_of(R"({"Privileged":true})", strict), "privileged");
  EXPECT_EQ(rule_of(R"({"NetworkMode":"container:db"})", strict), "");
  EXPECT_EQ(check_network(strict, *decode(ModelName::kNetworkCreate,
                                          R"({"Name":"a","IPAM":{"Config":[{"Subnet":"10.1.0.0/24"}]}})"))
                ->rule,
            "subnet");
}

TEST(Policy, PublishesWhereItMay) {
  const auto* elsewhere = R"({"PortBindings":{"80/tcp":[{"HostIp":"10.0.0.5","HostPort":"80"}]}})";
  EXPECT_EQ(rule_of(elsewhere, {.publish = Publish::kLoopback}), "publish");
  EXPECT_EQ(rule_of(elsewhere, {.publish = Publish::kAny}), "");
  EXPECT_EQ(rule_of(R"({"PublishAllPorts":true})", {.publish = Publish::kLoopback}), "publish");
  for (const auto* own : {"", "0.0.0.0", "::", "127.0.0.1", "127.9.9.9", "::1"})
    EXPECT_EQ(rule_of(Json({{"PortBindings", {{"80/tcp", {{{"HostIp", own}}}}}}}).dump()), "") << own;
}

TEST(Policy, KnowsTheRegistryOfAReference) {
  for (const auto* hub : {"app", "app:1", "team/app", "docker.io/app", "index.docker.io/team/app:1"})
    EXPECT_EQ(registry_of(hub), "docker.io") << hub;
  EXPECT_EQ(registry_of("r.example:5000/team/app:1"), "r.example:5000");
  EXPECT_EQ(registry_of("R.Example/app"), "r.example");
  EXPECT_EQ(registry_of("localhost/app"), "localhost");
  EXPECT_EQ(registry_of("host:5000/app@sha256:00"), "host:5000");
}

TEST(Policy, SpeaksToListedRegistriesOnly) {
  const Policy listed{.registries = {"r.example:5000", "docker.io"}};
  EXPECT_FALSE(check_registry({}, "evil.example/app"));
  EXPECT_FALSE(check_registry(listed, "r.example:5000/app"));
  EXPECT_FALSE(check_registry(listed, "app:1"));
  EXPECT_EQ(check_registry(listed, "r.example/app")->rule, "registry");
  EXPECT_EQ(check_registry({.level = PolicyLevel::kStrict}, "app")->rule, "registry");
  EXPECT_FALSE(check_registry({.level = PolicyLevel::kTrusted, .registries = {"r.example"}}, "app"));
  http::Query pull;
  pull.add("fromImage", "evil.example/app");
  EXPECT_EQ(check_pull(listed, pull)->rule, "registry");
}

std::string volume_rule(std::string_view options, std::string_view driver = "") {
  const Json body = {{"Name", "v"}, {"Driver", driver}, {"DriverOpts", Json::parse(options)}};
  const auto refusal = check_volume({}, body);
  return refusal ? refusal->rule : "";
}

TEST(Policy, RefusesVolumesThatMountTheHost) {
  EXPECT_EQ(volume_rule(R"({"type":"none","o":"bind","device":"/"})"), "volume-options");
  EXPECT_EQ(volume_rule(R"({"o":"rbind","device":"/etc"})"), "volume-options");
  EXPECT_EQ(volume_rule(R"({"type":"tmpfs","o":"size=1m,bind","device":"/etc"})"), "volume-options");
  EXPECT_EQ(volume_rule(R"({"type":"ext4","device":"/dev/sda1"})"), "volume-options");
  EXPECT_EQ(volume_rule(R"({"type":"nfs","o":"addr=10.0.0.1","device":":/"})"), "volume-options");
  EXPECT_EQ(volume_rule(R"({"type":"overlay","o":"lowerdir=/etc","device":"x"})"), "volume-options");
  EXPECT_EQ(volume_rule("{}", "convoy"), "volume-driver");
}

TEST(Policy, AllowsPlainAndTmpfsVolumes) {
  EXPECT_EQ(volume_rule("{}"), "");
  EXPECT_EQ(volume_rule("{}", "local"), "");
  EXPECT_EQ(volume_rule(R"({"size":"1g"})"), "");
  EXPECT_EQ(volume_rule(R"({"type":"tmpfs","device":"tmpfs","o":"size=100m,uid=1000"})"), "");
}

TEST(Policy, RefusesTheSameOptionsInAMountsDriverConfig) {
  for (const auto* subpath : {"/etc", "../other", "a/../../b", ".."})
    for (const auto* kind : {"Volume", "Image"})
      EXPECT_EQ(rule_of(std::string(R"({"Mounts":[{"Type":"volume","Source":"v","Target":"/v",")") + kind +
                        R"(Options":{"Subpath":")" + subpath + R"("}}]})"),
                "volume-options");
  EXPECT_EQ(rule_of(R"({"Mounts":[{"Type":"volume","Source":"v","Target":"/v","VolumeOptions":{"Subpath":"a/..b"}}]})"),
            "");
  EXPECT_EQ(rule_of(R"({"Mounts":[{"Type":"volume","Source":"v","Target":"/v","VolumeOptions":{"DriverConfig":
                    {"Name":"local","Options":{"type":"none","o":"bind","device":"/"}}}}]})"),
            "volume-options");
}

std::string network_rule(std::string_view body) {
  const auto refusal = check_network({}, *decode(ModelName::kNetworkCreate, body));
  return refusal ? refusal->rule : "";
}

TEST(Policy, AllowsBridgeNetworksWithHarmlessOptionsOnly) {
  EXPECT_EQ(network_rule(R"({"Name":"a","Driver":"bridge","Internal":true,"EnableIPv6":true})"), "");
  EXPECT_EQ(network_rule(R"({"Name":"a","Options":{"com.docker.network.driver.mtu":"1400"}})"), "");
  EXPECT_EQ(network_rule(R"({"Name":"a","IPAM":{"Driver":"default","Config":[{"Subnet":"172.28.0.0/16"}]}})"), "");
  for (const auto* driver : {"macvlan", "ipvlan", "host", "overlay", "null"})
    EXPECT_EQ(network_rule(Json({{"Name", "a"}, {"Driver", driver}}).dump()), "network-driver") << driver;
  EXPECT_EQ(network_rule(R"({"Options":{"com.docker.network.bridge.name":"docker0"}})"), "network-option");
  EXPECT_EQ(network_rule(R"({"Options":{"parent":"eth0"}})"), "network-option");
  EXPECT_EQ(network_rule(R"({"IPAM":{"Driver":"dhcp"}})"), "ipam");
  EXPECT_EQ(network_rule(R"({"ConfigFrom":{"Network":"other"}})"), "network-config");
  EXPECT_EQ(network_rule(R"({"ConfigOnly":true})"), "network-config");
  for (const auto* subnet : {"10.20.0.0/16", "172.31.255.0/24", "192.168.7.0/24", "fd00:1::/64"})
    EXPECT_EQ(network_rule(Json({{"IPAM", {{"Config", {{{"Subnet", subnet}}}}}}}).dump()), "") << subnet;
  for (const auto* subnet : {"0.0.0.0/1", "10.0.0.0/8", "172.32.0.0/16", "169.254.169.254/32", "8.8.8.0/24",
                             "127.0.0.0/16", "2001:db8::/64", "10.0.0.0", "x/24", "10.0.0.0/x"})
    EXPECT_EQ(network_rule(Json({{"IPAM", {{"Config", {{{"Subnet", subnet}}}}}}}).dump()), "subnet") << subnet;
  EXPECT_EQ(network_rule(R"({"Ingress":true})"), "network-scope");
  EXPECT_EQ(network_rule(R"({"Scope":"swarm"})"), "network-scope");
}

TEST(Policy, ChecksEndpointsAtCreateAndConnect) {
  const auto body = decode(ModelName::kContainerCreate, R"({"NetworkingConfig":{"EndpointsConfig":{"host":{}}}})");
  EXPECT_EQ(check_container({}, *body)->rule, "host-network");
  const auto connect = [](std::string_view options) {
    const Json endpoint = {{"Container", "c"}, {"EndpointConfig", {{"DriverOpts", Json::parse(options)}}}};
    const auto refusal = check_connect({}, endpoint);
    return refusal ? refusal->rule : "";
  };
  EXPECT_EQ(connect(R"({"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"})"), "");
  EXPECT_EQ(connect(R"({"com.docker.network.endpoint.sysctls":"net.a=1,kernel.x=1"})"), "endpoint-option");
  EXPECT_EQ(connect(R"({"other":"1"})"), "endpoint-option");
}

TEST(Policy, ChecksUpdatesAndExecs) {
  EXPECT_FALSE(check_update({}, *decode(ModelName::kContainerUpdate, R"({"RestartPolicy":{"Name":"always"}})")));
  EXPECT_EQ(check_update({}, *decode(ModelName::kContainerUpdate, R"({"OomKillDisable":true})"))->rule, "oom-kill");
  EXPECT_EQ(check_update({}, *decode(ModelName::kContainerUpdate, R"({"Devices":[{"PathOnHost":"/dev/mem"}]})"))->rule,
            "device");
  EXPECT_EQ(check_exec({}, *decode(ModelName::kExecCreate, R"({"PRIVILEGED":true})"))->rule, "privileged");
  EXPECT_FALSE(check_exec({}, *decode(ModelName::kExecCreate, R"({"User":"root","Cmd":["id"]})")));
  EXPECT_FALSE(check_exec({.privileged = true}, *decode(ModelName::kExecCreate, R"({"Privileged":true})")));
}

TEST(Policy, ChecksBuildsAndImports) {
  const auto build = [](const std::string& key, const std::string& value) {
    http::Query query;
    query.add(key, value);
    const auto refusal = check_build({}, query);
    return refusal ? refusal->rule : "";
  };
  EXPECT_EQ(build("networkmode", "host"), "host-network");
  EXPECT_EQ(build("remote", "http://169.254.169.254/"), "remote-context");
  EXPECT_EQ(build("securityopt", R"(["seccomp=unconfined"])"), "security-option");
  EXPECT_EQ(build("outputs", R"([{"Type":"local"}])"), "build-output");
  EXPECT_EQ(build("cgroupparent", "/"), "cgroup-parent");
  EXPECT_EQ(build("securityopt", "null"), "");
  EXPECT_EQ(build("remote", "client-session"), "remote-context") << "without BuildKit it would be a path";
  EXPECT_EQ(build("networkmode", "default"), "");

  http::Query pull;
  pull.add("fromSrc", "http://intranet/x.tar");
  EXPECT_EQ(check_pull({}, pull)->rule, "remote-import");
  pull.set("fromSrc", "-");
  EXPECT_FALSE(check_pull({}, pull));
}

TEST(Policy, LevelsHaveNames) {
  EXPECT_EQ(policy_level("ci"), PolicyLevel::kCi);
  EXPECT_EQ(policy_level("trusted"), PolicyLevel::kTrusted);
  EXPECT_EQ(policy_level("strict"), PolicyLevel::kStrict);
  EXPECT_FALSE(policy_level("open"));
}

}  // namespace
}  // namespace ebbtide::gateway
