#include "docker/gateway/caller.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "docker/base/text.h"
#include "docker/base/unique_fd.h"

namespace ebbtide::gateway {
namespace {

constexpr int kPeerPidFd = 77;  // SO_PEERPIDFD (Linux 6.5), which this libc's headers don't have yet
constexpr std::size_t kIdLength = 64;

bool is_container_id(std::string_view text) {
  return text.size() == kIdLength &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// "docker-<id>.scope", "cri-containerd-<id>.scope" and "<id>" → the id.
std::string_view id_of_group(std::string_view name) {
  if (name.ends_with(".scope")) {
    name.remove_suffix(std::string_view(".scope").size());
    name.remove_prefix(name.rfind('-') + 1);  // npos + 1 is 0
  }
  return is_container_id(name) ? name : std::string_view();
}

UniqueFd peer_process(int socket) {
  int fd = -1;
  socklen_t size = sizeof fd;
  return ::getsockopt(socket, SOL_SOCKET, kPeerPidFd, &fd, &size) == 0 ? UniqueFd(fd) : UniqueFd();
}

bool has_ended(const UniqueFd& process) {
  return ::syscall(SYS_pidfd_send_signal, process.get(), 0, nullptr, 0) != 0 && errno == ESRCH;
}

// Not by a stream: that throws where the process ends between open and read.
std::string read_cgroups(pid_t pid) {
  const UniqueFd file(::open(("/proc/" + std::to_string(pid) + "/cgroup").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> piece{};
  while (file) {
    const auto got = ::read(file.get(), piece.data(), piece.size());
    if (got <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace

std::string container_in_cgroups(std::string_view text) {
  for (const auto& line : lines_of(text)) {
    // "hierarchy:controllers:path"; names of v1 hierarchies may hold no colon.
    const auto parts = split(line, ':');
    if (parts.size() < 3) continue;
    const auto groups = split(parts[2], '/');
    for (auto group = groups.rbegin(); group != groups.rend(); ++group)
      if (const auto id = id_of_group(*group); !id.empty()) return std::string(id);
  }
  return {};
}

Caller caller_of(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return {};
  Caller caller{.pid = peer.pid, .uid = peer.uid, .container = {}};
  if (caller.pid <= 0) return caller;
  const auto process = peer_process(socket);
  if (!process && errno == ESRCH) return caller;  // it has ended, and its number may be another's by now
  auto container = container_in_cgroups(read_cgroups(caller.pid));
  // Asked last: while it lives, the number was its own when we read.
  if (!process || !has_ended(process)) caller.container = std::move(container);
  return caller;
}

}  // namespace ebbtide::gateway
