#include "docker/gateway/paths.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "docker/base/secret.h"
#include "docker/base/text.h"
#include "docker/base/unique_fd.h"

namespace ebbtide::gateway {
namespace {

namespace fs = std::filesystem;

constexpr int kMostStaged = 500;  // a job could fill the mount table

std::string reason() { return std::strerror(errno); }

// Resolves as if root were "/": links lead nowhere else.
UniqueFd open_in(int root, const std::string& path, std::uint64_t flags = O_PATH | O_CLOEXEC, std::uint64_t more = 0) {
  open_how how{};
  how.flags = flags;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | more;
  const auto fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
  return UniqueFd(static_cast<int>(fd));
}

struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  bool directory = false;
  bool operator==(const Identity&) const = default;
};

std::optional<Identity> identity_of(int fd) {
  struct stat stat {};
  if (::fstatat(fd, "", &stat, AT_EMPTY_PATH) != 0) return std::nullopt;
  return Identity{stat.st_dev, stat.st_ino, S_ISDIR(stat.st_mode)};
}

std::optional<Identity> identity_at(const std::string& path) {
  struct stat stat {};
  if (::lstat(path.c_str(), &stat) != 0) return std::nullopt;
  return Identity{stat.st_dev, stat.st_ino, S_ISDIR(stat.st_mode)};
}

std::string path_of(int fd) {
  std::error_code failed;
  return fs::read_symlink("/proc/self/fd/" + std::to_string(fd), failed).string();
}

bool is_below(std::string_view path, std::string_view folder) {
  if (folder == "/") return true;
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

// --- the path in the caller ---

struct Found {
  UniqueFd fd;                       // of what is there
  std::string path;                  // without links
  std::vector<std::string> missing;  // what is to be made below it
};

Result<Found> find_in_caller(int root, const StagingRequest& request) {
  Found found;
  auto path = request.path;
  while (true) {
    found.fd = open_in(root, path);
    if (found.fd) break;
    if (errno != ENOENT || path == "/") return fail(Error::not_found(request.path + ": " + reason()));
    if (!request.make_missing) return fail(Error::not_found("bind source path does not exist: " + request.path));
    const auto slash = path.rfind('/');
    found.missing.insert(found.missing.begin(), path.substr(slash + 1));
    path = slash == 0 ? "/" : path.substr(0, slash);
  }
  found.path = path_of(found.fd.get());
  const auto identity = identity_of(found.fd.get());
  if (!found.path.starts_with('/') || !identity)
    return fail(Error::unavailable("read " + request.path + ": " + reason()));
  if (!found.missing.empty() && !identity->directory)
    return fail(Error::not_found(request.path + ": " + path + " is not a directory"));
  return found;
}

Error not_handed_on(const std::string& path, const std::string& why) {
  return Error::denied("the path " + path + " of this agent can't be mounted into another container: " + why);
}

// --- the same on the engine's machine ---

// What the caller has at that path, found from outside: below the mount with the longest destination. The same inode
// proves it; a mount that the engine does not list (tmpfs, /proc, /dev, /etc/hosts) shows another.
Result<UniqueFd> find_on_host(const StagingRequest& request, const std::string& root, const Found& found,
                              bool& read_only) {
  CallerFiles::Mount best{.destination = "/", .source = root};
  for (const auto& mount : request.caller.mounts)
    if (is_below(found.path, mount.destination) && mount.destination.size() >= best.destination.size()) best = mount;
  read_only = best.read_only;
  UniqueFd base(::open(best.source.c_str(), O_PATH | O_CLOEXEC));
  if (!base) return fail(Error::unavailable("open " + best.source + " of the engine's machine: " + reason()));
  const auto rest = best.destination == "/" ? found.path : found.path.substr(best.destination.size());
  if (!rest.empty() && rest != "/") base = open_in(base.get(), rest, O_PATH | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
  const auto there = base ? identity_of(base.get()) : std::nullopt;
  if (there && there == identity_of(found.fd.get())) return base;
  return fail(
      not_handed_on(request.path,
                    "it lies on a file system of the container's own (tmpfs, /proc, /dev and the like), or moved "
                    "meanwhile. Use a volume (docker volume create), or copy it (docker cp)"));
}

Result<UniqueFd> make_folders(UniqueFd folder, const Found& found) {
  for (const auto& name : found.missing) {
    if (::mkdirat(folder.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
      return fail(Error::unavailable("make " + found.path + "/" + name + ": " + reason()));
    folder = UniqueFd(::openat(folder.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return fail(Error::unavailable("open " + found.path + "/" + name + ": " + reason()));
  }
  return folder;
}

// --- the staging directory ---

// The engine may live in a mount namespace to which ours do not spread: it would mount the empty place below.
Result<void> check_engine_sees(const EngineAddress& engine, const std::string& path, const Identity& wanted) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, engine.path.c_str(), std::min(engine.path.size() + 1, sizeof address.sun_path - 1));
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                     ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0;
  const UniqueFd root(
      known ? ::open(("/proc/" + std::to_string(peer.pid) + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC) : -1);
  const auto there = root ? open_in(root.get(), path) : UniqueFd();
  if (there && identity_of(there.get()) == wanted) return {};
  return fail(
      Error::unavailable("the engine does not see what ebbtide mounts: both must share a mount namespace, or run_dir "
                         "must be a shared mount"));
}

Result<void> make_place(const std::string& place, bool directory) {
  std::error_code failed;
  fs::create_directories(directory ? fs::path(place) : fs::path(place).parent_path(), failed);
  if (failed) return fail(Error::unavailable("make " + place + ": " + failed.message()));
  if (directory) return {};
  const UniqueFd file(::open(place.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC, 0600));
  if (!file) return fail(Error::unavailable("make " + place + ": " + reason()));
  return {};
}

Result<void> bind(int fd, const std::string& place) {
  const auto source = "/proc/self/fd/" + std::to_string(fd);
  if (::mount(source.c_str(), place.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return fail(Error::unavailable("mount at " + place + ": " + reason() +
                                   "; ebbtide needs the capability CAP_SYS_ADMIN to hand paths of agents on"));
  // What the engine mounts below must not spread back.
  if (::mount(nullptr, place.c_str(), nullptr, MS_SLAVE | MS_REC, nullptr) != 0)
    return fail(Error::unavailable("mount at " + place + ": " + reason()));
  return {};
}

int count_staged(const std::string& staging) {
  std::error_code none;
  const fs::directory_iterator all(staging, none);
  return none ? 0 : static_cast<int>(std::distance(begin(all), end(all)));
}

// "<staging>3f2a9c01/go/src": the job's own words follow, so that answers can be put into them again (scope.h).
Result<std::string> place_for(const StagingRequest& request, int fd, const Identity& identity) {
  const auto rest = request.path == "/" ? "" : request.path;
  for (int salt = 0; salt < 100; ++salt) {
    const auto key = std::to_string(identity.device) + " " + std::to_string(identity.inode) + " " +
                     std::to_string(salt) + " " + request.path;
    auto place = request.staging + sha256_hex(key).substr(0, 8) + rest;
    const auto there = identity_at(place);
    if (there == identity) return place;  // staged already
    if (there) continue;
    if (count_staged(request.staging) >= kMostStaged)
      return fail(Error::denied("this job has mounted " + std::to_string(kMostStaged) +
                                " different paths, which is the limit: mount a directory above them once"));
    if (const auto made = make_place(place, identity.directory); !made) return fail(made.error());
    if (const auto bound = bind(fd, place); !bound) return fail(bound.error());
    return place;
  }
  return fail(Error::internal("no place is left to stage " + request.path));
}

// --- clearing ---

// Mount points are written with octal escapes for blanks (proc(5)).
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 3 < text.size()) {
      const auto digit = [&](std::size_t i) { return text[at + i] - '0'; };
      plain += static_cast<char>(digit(1) * 64 + digit(2) * 8 + digit(3));
      at += 3;
    } else {
      plain += text[at];
    }
  }
  return plain;
}

struct MountPoint {
  std::string device;  // "8:1"
  std::string path;
};

// The oldest first.
std::vector<MountPoint> mount_points() {
  std::vector<MountPoint> points;
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    const auto words = split(line, ' ');
    if (words.size() >= 5) points.push_back({.device = std::string(words[2]), .path = unescape(words[4])});
  }
  return points;
}

std::vector<std::string> mounts_below(const std::string& folder) {
  std::vector<std::string> found;
  for (auto& point : mount_points())
    if (is_below(point.path, folder)) found.push_back(std::move(point.path));
  std::ranges::sort(found, std::ranges::greater());  // the deepest first
  return found;
}

// Where a container's file system is, of which the engine doesn't say it (with containerd's store of images, Engine
// 28.5): each has a device of its own. What is staged of it is no place to take it from. Empty: it isn't seen here.
std::string place_of(const Identity& root, std::string_view staging) {
  while (staging.ends_with('/')) staging.remove_suffix(1);
  const auto device = std::to_string(major(root.device)) + ":" + std::to_string(minor(root.device));
  for (const auto& point : mount_points())
    if (point.device == device && !is_below(point.path, staging) && identity_at(point.path) == root) return point.path;
  return {};
}

Result<std::string> root_on_host(const StagingRequest& request, const std::optional<Identity>& seen) {
  if (seen && request.caller.root.empty()) {
    auto place = place_of(*seen, request.staging);
    if (!place.empty()) return place;
    return fail(
        Error::denied("paths of this agent can't be mounted into other containers: ebbtide sees no place where its "
                      "file system is. Use a volume (docker volume create) and docker cp"));
  }
  if (seen && seen == identity_at(request.caller.root)) return request.caller.root;
  return fail(
      Error::unavailable("ebbtide does not see the engine's containers and files: it must share the engine's PID "
                         "namespace (with the capability CAP_SYS_PTRACE) and have the engine's data directory at the "
                         "same path"));
}

// Places are empty directories and files; something else would be somebody's, and stays.
bool remove_places(const fs::path& folder) {
  std::error_code failed;
  bool all = true;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    const bool empty_file = entry.is_regular_file(failed) && !entry.is_symlink() && entry.file_size(failed) == 0;
    if (entry.is_directory(failed) && !entry.is_symlink())
      all = remove_places(entry.path()) && all;
    else
      all = empty_file && fs::remove(entry.path(), failed) && all;
  }
  return ::rmdir(folder.c_str()) == 0 && all && !failed;
}

}  // namespace

std::optional<CallerFiles> read_caller(const Json& container) {
  const auto text = [](const Json& object, const char* name) {
    return object.is_object() ? object.value(name, std::string()) : std::string();
  };
  if (!container.is_object()) return std::nullopt;
  CallerFiles caller;
  caller.pid = container.value("State", Json::object()).value("Pid", 0);
  const auto driver = container.value("GraphDriver", Json());
  caller.root = text(driver.is_object() ? driver.value("Data", Json()) : Json(), "MergedDir");
  if (caller.pid <= 0) return std::nullopt;
  const auto mounts = container.value("Mounts", Json());
  if (!mounts.is_array()) return caller;
  for (const auto& mount : mounts)
    caller.mounts.push_back({.destination = text(mount, "Destination"),
                             .source = text(mount, "Source"),
                             .read_only = mount.is_object() && !mount.value("RW", true)});
  return caller;
}

Result<Staged> stage(const StagingRequest& request) {
  if (request.engine.kind != EngineAddress::Kind::kUnix)
    return fail(not_handed_on(request.path,
                              "the engine is on another machine. Use a volume (docker volume create) and docker cp"));
  const UniqueFd root(
      ::open(("/proc/" + std::to_string(request.caller.pid) + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto seen = root ? identity_of(root.get()) : std::nullopt;
  const auto on_host = root_on_host(request, seen);
  if (!on_host) return fail(on_host.error());
  auto found = find_in_caller(root.get(), request);
  if (!found) return fail(found.error());
  Staged staged;
  auto host = find_on_host(request, *on_host, *found, staged.read_only);
  if (!host) return fail(host.error());
  if (!found->missing.empty() && staged.read_only)
    return fail(not_handed_on(request.path, "it does not exist, and lies where this agent can't write"));
  auto target = make_folders(std::move(*host), *found);
  if (!target) return fail(target.error());
  const auto identity = identity_of(target->get());
  if (!identity) return fail(Error::unavailable("read " + request.path + ": " + reason()));
  auto place = place_for(request, target->get(), *identity);
  if (!place) return fail(place.error());
  if (const auto seen_there = check_engine_sees(request.engine, *place, *identity); !seen_there)
    return fail(seen_there.error());
  staged.source = std::move(*place);
  return staged;
}

Result<void> clear_staging(const std::string& staging) {
  auto folder = staging;
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  if (!fs::exists(folder)) return {};
  for (const auto& point : mounts_below(folder))
    if (::umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL)
      return fail(Error::unavailable("unmount " + point + ": " + reason()));
  if (const auto left = mounts_below(folder); !left.empty())
    return fail(Error::unavailable("unmount " + left.front() + ": it is still mounted"));
  if (!remove_places(folder)) return fail(Error::unavailable("remove " + folder + ": something is left in it"));
  return {};
}

}  // namespace ebbtide::gateway
