// Caller: which process speaks on a gateway's connection, and in which container it runs, as the kernel tells.
// Any thread; reads /proc, does not block.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace ebbtide::gateway {

struct Caller {
  pid_t pid = 0;  // as this process sees it; 0: it is in a process namespace that we don't see into
  uid_t uid = 0;
  std::string container;  // full id of the container it runs in (the innermost); empty: in none, or it can't be told
};

// Of the peer of a connected unix socket. It is who connected, also if the descriptor was passed on since. A process
// that has ended has no container: its number may be another's by now.
Caller caller_of(int socket);

// The container's full id in the text of /proc/<pid>/cgroup: of cgroup v1 or v2, as the drivers cgroupfs
// ("/docker/<id>") and systemd ("/system.slice/docker-<id>.scope") name groups, below any parent, also seen from a
// cgroup namespace ("/../<id>"). Empty: none.
std::string container_in_cgroups(std::string_view text);

}  // namespace ebbtide::gateway
