#include "docker/gateway/schema.h"

#include <algorithm>
#include <array>

namespace ebbtide::gateway {

namespace {

using enum Type;

template <std::size_t A, std::size_t B>
constexpr std::array<Member, A + B> both(const std::array<Member, A>& a, const std::array<Member, B>& b) {
  std::array<Member, A + B> result{};
  std::copy(b.begin(), b.end(), std::copy(a.begin(), a.end(), result.begin()));
  return result;
}

constexpr std::array kHealthcheck = {
    Member{"Test", kStrings},    Member{"Interval", kInt},      Member{"Timeout", kInt},
    Member{"StartPeriod", kInt}, Member{"StartInterval", kInt}, Member{"Retries", kInt},
};

constexpr std::array kConfig = {
    Member{"Hostname", kString},
    Member{"Domainname", kString},
    Member{"User", kString},
    Member{"AttachStdin", kBool},
    Member{"AttachStdout", kBool},
    Member{"AttachStderr", kBool},
    Member{"ExposedPorts", kSet},
    Member{"Tty", kBool},
    Member{"OpenStdin", kBool},
    Member{"StdinOnce", kBool},
    Member{"Env", kStrings},
    Member{"Cmd", kCommand},
    Member{"Healthcheck", kObject, kHealthcheck},
    Member{"ArgsEscaped", kBool},
    Member{"Image", kString},
    Member{"Volumes", kSet},
    Member{"WorkingDir", kString},
    Member{"Entrypoint", kCommand},
    Member{"NetworkDisabled", kBool},
    Member{"MacAddress", kString},
    Member{"OnBuild", kStrings},
    Member{"Labels", kTexts},
    Member{"StopSignal", kString},
    Member{"StopTimeout", kInt},
    Member{"Shell", kCommand},
};

constexpr std::array kWeightDevice = {Member{"Path", kString}, Member{"Weight", kUint}};
constexpr std::array kThrottleDevice = {Member{"Path", kString}, Member{"Rate", kUint}};
constexpr std::array kDevice = {
    Member{"PathOnHost", kString},
    Member{"PathInContainer", kString},
    Member{"CgroupPermissions", kString},
};
constexpr std::array kDeviceRequest = {
    Member{"Driver", kString},      Member{"Count", kInt},     Member{"DeviceIDs", kStrings},
    Member{"Capabilities", kTable}, Member{"Options", kTexts},
};
constexpr std::array kUlimit = {Member{"Name", kString}, Member{"Hard", kInt}, Member{"Soft", kInt}};

constexpr std::array kResources = {
    Member{"CpuShares", kInt},
    Member{"Memory", kInt},
    Member{"NanoCpus", kInt},
    Member{"CgroupParent", kString},
    Member{"BlkioWeight", kUint},
    Member{"BlkioWeightDevice", kObjects, kWeightDevice},
    Member{"BlkioDeviceReadBps", kObjects, kThrottleDevice},
    Member{"BlkioDeviceWriteBps", kObjects, kThrottleDevice},
    Member{"BlkioDeviceReadIOps", kObjects, kThrottleDevice},
    Member{"BlkioDeviceWriteIOps", kObjects, kThrottleDevice},
    Member{"CpuPeriod", kInt},
    Member{"CpuQuota", kInt},
    Member{"CpuRealtimePeriod", kInt},
    Member{"CpuRealtimeRuntime", kInt},
    Member{"CpusetCpus", kString},
    Member{"CpusetMems", kString},
    Member{"Devices", kObjects, kDevice},
    Member{"DeviceCgroupRules", kStrings},
    Member{"DeviceRequests", kObjects, kDeviceRequest},
    Member{"KernelMemory", kInt},
    Member{"KernelMemoryTCP", kInt},
    Member{"MemoryReservation", kInt},
    Member{"MemorySwap", kInt},
    Member{"MemorySwappiness", kInt},
    Member{"OomKillDisable", kBool},
    Member{"PidsLimit", kInt},
    Member{"Ulimits", kObjects, kUlimit},
    Member{"CpuCount", kInt},
    Member{"CpuPercent", kInt},
    Member{"IOMaximumIOps", kUint},
    Member{"IOMaximumBandwidth", kUint},
};

constexpr std::array kLogConfig = {Member{"Type", kString}, Member{"Config", kTexts}};
constexpr std::array kPortBinding = {Member{"HostIp", kString}, Member{"HostPort", kString}};
constexpr std::array kRestartPolicy = {Member{"Name", kString}, Member{"MaximumRetryCount", kInt}};

constexpr std::array kBindOptions = {
    Member{"Propagation", kString},        Member{"NonRecursive", kBool},           Member{"CreateMountpoint", kBool},
    Member{"ReadOnlyNonRecursive", kBool}, Member{"ReadOnlyForceRecursive", kBool},
};
constexpr std::array kDriverConfig = {Member{"Name", kString}, Member{"Options", kTexts}};
constexpr std::array kVolumeOptions = {
    Member{"NoCopy", kBool},
    Member{"Labels", kTexts},
    Member{"Subpath", kString},
    Member{"DriverConfig", kObject, kDriverConfig},
};
constexpr std::array kImageOptions = {Member{"Subpath", kString}};
constexpr std::array kTmpfsOptions = {Member{"SizeBytes", kInt}, Member{"Mode", kUint}, Member{"Options", kTable}};
constexpr std::array kMount = {
    Member{"Type", kString},
    Member{"Source", kString},
    Member{"Target", kString},
    Member{"ReadOnly", kBool},
    Member{"Consistency", kString},
    Member{"BindOptions", kObject, kBindOptions},
    Member{"VolumeOptions", kObject, kVolumeOptions},
    Member{"ImageOptions", kObject, kImageOptions},
    Member{"TmpfsOptions", kObject, kTmpfsOptions},
};

constexpr auto kHostConfig = both(kResources, std::array{
                                                  Member{"Binds", kStrings},
                                                  Member{"ContainerIDFile", kString},
                                                  Member{"LogConfig", kObject, kLogConfig},
                                                  Member{"NetworkMode", kString},
                                                  Member{"PortBindings", kListings, kPortBinding},
                                                  Member{"RestartPolicy", kObject, kRestartPolicy},
                                                  Member{"AutoRemove", kBool},
                                                  Member{"VolumeDriver", kString},
                                                  Member{"VolumesFrom", kStrings},
                                                  Member{"Mounts", kObjects, kMount},
                                                  Member{"ConsoleSize", kUints},
                                                  Member{"Annotations", kTexts},
                                                  Member{"CapAdd", kCommand},
                                                  Member{"CapDrop", kCommand},
                                                  Member{"CgroupnsMode", kString},
                                                  Member{"Dns", kStrings},
                                                  Member{"DnsOptions", kStrings},
                                                  Member{"DnsSearch", kStrings},
                                                  Member{"ExtraHosts", kStrings},
                                                  Member{"GroupAdd", kStrings},
                                                  Member{"IpcMode", kString},
                                                  Member{"Cgroup", kString},
                                                  Member{"Links", kStrings},
                                                  Member{"OomScoreAdj", kInt},
                                                  Member{"PidMode", kString},
                                                  Member{"Privileged", kBool},
                                                  Member{"PublishAllPorts", kBool},
                                                  Member{"ReadonlyRootfs", kBool},
                                                  Member{"SecurityOpt", kStrings},
                                                  Member{"StorageOpt", kTexts},
                                                  Member{"Tmpfs", kTexts},
                                                  Member{"UTSMode", kString},
                                                  Member{"UsernsMode", kString},
                                                  Member{"ShmSize", kInt},
                                                  Member{"Sysctls", kTexts},
                                                  Member{"Runtime", kString},
                                                  Member{"Isolation", kString},
                                                  Member{"MaskedPaths", kStrings},
                                                  Member{"ReadonlyPaths", kStrings},
                                                  Member{"Init", kBool},
                                              });

constexpr std::array kEndpointAddresses = {
    Member{"IPv4Address", kString},
    Member{"IPv6Address", kString},
    Member{"LinkLocalIPs", kStrings},
};
constexpr std::array kEndpoint = {
    Member{"IPAMConfig", kObject, kEndpointAddresses},
    Member{"Links", kStrings},
    Member{"Aliases", kStrings},
    Member{"MacAddress", kString},
    Member{"DriverOpts", kTexts},
    Member{"GwPriority", kInt},
    Member{"NetworkID", kString},
    Member{"EndpointID", kString},
    Member{"Gateway", kString},
    Member{"IPAddress", kString},
    Member{"IPPrefixLen", kInt},
    Member{"IPv6Gateway", kString},
    Member{"GlobalIPv6Address", kString},
    Member{"GlobalIPv6PrefixLen", kInt},
    Member{"DNSNames", kStrings},
};
constexpr std::array kNetworkingConfig = {Member{"EndpointsConfig", kEntries, kEndpoint}};

constexpr auto kContainerCreate = both(kConfig, std::array{
                                                    Member{"HostConfig", kObject, kHostConfig},
                                                    Member{"NetworkingConfig", kObject, kNetworkingConfig},
                                                });
constexpr auto kContainerUpdate = both(kResources, std::array{Member{"RestartPolicy", kObject, kRestartPolicy}});

constexpr std::array kAddressRange = {
    Member{"Subnet", kString},
    Member{"IPRange", kString},
    Member{"Gateway", kString},
    Member{"AuxiliaryAddresses", kTexts},
};
constexpr std::array kIpam = {
    Member{"Driver", kString},
    Member{"Options", kTexts},
    Member{"Config", kObjects, kAddressRange},
};
constexpr std::array kConfigFrom = {Member{"Network", kString}};
constexpr std::array kNetworkCreate = {
    Member{"Name", kString},        Member{"CheckDuplicate", kBool}, Member{"Driver", kString},
    Member{"Scope", kString},       Member{"EnableIPv4", kBool},     Member{"EnableIPv6", kBool},
    Member{"IPAM", kObject, kIpam}, Member{"Internal", kBool},       Member{"Attachable", kBool},
    Member{"Ingress", kBool},       Member{"ConfigOnly", kBool},     Member{"ConfigFrom", kObject, kConfigFrom},
    Member{"Options", kTexts},      Member{"Labels", kTexts},
};
constexpr std::array kNetworkConnect = {Member{"Container", kString}, Member{"EndpointConfig", kObject, kEndpoint}};
constexpr std::array kNetworkDisconnect = {Member{"Container", kString}, Member{"Force", kBool}};

constexpr std::array kVolumeCreate = {
    Member{"Name", kString},
    Member{"Driver", kString},
    Member{"DriverOpts", kTexts},
    Member{"Labels", kTexts},
};

constexpr std::array kExecCreate = {
    Member{"User", kString},       Member{"Privileged", kBool},   Member{"Tty", kBool},
    Member{"ConsoleSize", kUints}, Member{"AttachStdin", kBool},  Member{"AttachStderr", kBool},
    Member{"AttachStdout", kBool}, Member{"Detach", kBool},       Member{"DetachKeys", kString},
    Member{"Env", kStrings},       Member{"WorkingDir", kString}, Member{"Cmd", kStrings},
    Member{"Container", kIgnored},  // the Python SDK's
};
constexpr std::array kExecStart = {Member{"Detach", kBool}, Member{"Tty", kBool}, Member{"ConsoleSize", kUints}};

}  // namespace

std::span<const Member> schema_of(ModelName model) {
  switch (model) {
    case ModelName::kContainerCreate:
      return kContainerCreate;
    case ModelName::kContainerUpdate:
      return kContainerUpdate;
    case ModelName::kNetworkCreate:
      return kNetworkCreate;
    case ModelName::kNetworkConnect:
      return kNetworkConnect;
    case ModelName::kNetworkDisconnect:
      return kNetworkDisconnect;
    case ModelName::kVolumeCreate:
      return kVolumeCreate;
    case ModelName::kExecCreate:
      return kExecCreate;
    case ModelName::kExecStart:
      return kExecStart;
    case ModelName::kCommit:
      return kConfig;
  }
  return {};
}

}  // namespace ebbtide::gateway
