#include "docker/engine/cgroup.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "docker/base/text.h"
#include "docker/base/unique_fd.h"

namespace ebbtide {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kPeriod = 100'000;  // µs; the kernel's default
constexpr std::size_t kIdLength = 64;

Error os_error(const std::string& what) {
  auto error = Error::unavailable(what + ": " + std::strerror(errno));
  if (errno == EBUSY) error.kind = ErrorKind::kConflict;
  return error;
}

Result<void> write_value(const std::string& path, const std::string& value) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file || ::write(file.get(), value.data(), value.size()) < 0)
    return fail(os_error("write " + value + " to " + path));
  return {};
}

// Where the kernel has no such file, or refuses the value, things stay as they are.
void try_value(const std::string& path, const std::string& value) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file && ::write(file.get(), value.data(), value.size()) < 0) return;
}

Result<void> make_folder(const std::string& path) {
  std::error_code failed;
  // The last owner may take the folder above along at any time.
  for (int tries = 0; tries < 3; ++tries) {
    fs::create_directories(path, failed);
    if (!failed) return {};
  }
  return fail(Error::unavailable("make the control group " + path + ": " + failed.message()));
}

// Only folders: the kernel's files go with theirs.
Result<void> remove_folders(const fs::path& path) {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(path, failed))
    if (entry.is_directory(failed))
      if (const auto removed = remove_folders(entry.path()); !removed) return removed;
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail(os_error("remove the control group " + path.string()));
}

std::string quota_of(double cpus) {
  return std::to_string(std::max<std::int64_t>(1000, std::llround(cpus * static_cast<double>(kPeriod))));
}

// The engine's process, as the kernel tells of who listens on its socket; 0: it is not to be seen from here.
pid_t engine_process(const std::string& socket_path) {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (!socket || socket_path.size() >= sizeof address.sun_path) return 0;
  std::memcpy(&address.sun_path[0], socket_path.c_str(), socket_path.size() + 1);
  const void* name = &address;
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::connect(socket.get(), static_cast<const sockaddr*>(name), sizeof address) != 0 ||
      ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return 0;
  return peer.pid;
}

// Groups have the same names for both.
bool same_view(pid_t process) {
  struct stat own {};
  struct stat other {};
  const auto path = "/proc/" + std::to_string(process) + "/ns/cgroup";
  return ::stat("/proc/self/ns/cgroup", &own) == 0 && ::stat(path.c_str(), &other) == 0 && own.st_ino == other.st_ino;
}

Result<void> run(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  if (::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0)
    return fail(Error::unavailable("can't run " + command[0]));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(Error::unavailable(command[0] + " " + command[1] + " failed"));
}

// One folder, and not the one above.
bool is_name(const std::string& owner) {
  return !owner.empty() && owner != "." && owner != ".." && owner.find('/') == std::string::npos;
}

// '-' parts the names of nested slices (systemd.slice(5)); it is written as systemd-escape does.
std::string as_unit(const std::string& name) { return replace_all(name, "-", "\\x2d"); }
std::string from_unit(const std::string& name) { return replace_all(name, "\\x2d", "-"); }

}  // namespace

Result<Cgroups> Cgroups::find(const EngineAddress& engine, const EngineInfo& info, const std::string& server_id) {
  if (engine.kind != EngineAddress::Kind::kUnix) return fail(Error::unavailable("the engine is on another machine"));
  const bool systemd = info.cgroup_driver == "systemd";
  if (!systemd && info.cgroup_driver != "cgroupfs")
    return fail(Error::unavailable("the engine's cgroup driver is " + info.cgroup_driver));
  const auto process = engine_process(engine.path);
  if (process <= 0 || !same_view(process))
    return fail(Error::unavailable("the engine's control groups are not to be seen from here"));
  if (systemd && !fs::exists("/run/systemd/system"))
    return fail(Error::unavailable("the engine's cgroup driver is systemd, which does not run here"));
  Cgroups found(systemd ? Driver::kSystemd : Driver::kCgroupfs, info.cgroup_version == "2" ? 2 : 1, server_id);
  const std::string probe = "." + server_id;  // no owner's name begins so
  if (!systemd) {
    if (const auto made = found.make(probe, {}); !made) return fail(made.error());
    if (const auto removed = found.remove(probe); !removed) return fail(removed.error());
  }
  return found;
}

Cgroups::Cgroups(Driver driver, int version, std::string server_id, std::string root, std::string systemctl)
    : driver_(driver),
      version_(version),
      server_id_(std::move(server_id)),
      root_(std::move(root)),
      systemctl_(std::move(systemctl)) {}

// Below a hierarchy's root.
std::string Cgroups::group() const {
  if (driver_ == Driver::kCgroupfs) return "/ebbtide-" + server_id_;
  return "/ebbtide.slice/ebbtide-" + as_unit(server_id_) + ".slice";
}

std::string Cgroups::parent_of(const std::string& owner) const {
  if (driver_ == Driver::kCgroupfs) return group() + "/" + owner;
  return "ebbtide-" + as_unit(server_id_) + "-" + as_unit(owner) + ".slice";
}

std::string Cgroups::path_of(const std::string& owner) const {
  return driver_ == Driver::kCgroupfs ? parent_of(owner) : group() + "/" + parent_of(owner);
}

// Where groups are: one tree, or one for each controller, some of which are links to another. Engines also use the
// tree "unified" beside those of v1, where it is.
std::vector<std::string> Cgroups::hierarchies() const {
  if (version_ == 2) return {root_};
  std::set<std::string> trees;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(root_, failed)) {
    const auto tree = fs::canonical(entry.path(), failed);
    if (!failed && fs::is_directory(tree, failed)) trees.insert(tree);
  }
  return {trees.begin(), trees.end()};
}

Result<void> Cgroups::make(const std::string& owner, const OwnerLimits& limits) const {
  if (!is_name(owner)) return fail(Error::invalid("the owner \"" + owner + "\" can't have a control group"));
  if (driver_ == Driver::kSystemd) return make_slice(owner, limits);
  return version_ == 2 ? make_v2(owner, limits) : make_v1(owner, limits);
}

Result<void> Cgroups::make_v1(const std::string& owner, const OwnerLimits& limits) const {
  const auto folder = [&](const std::string& controller) { return root_ + "/" + controller + path_of(owner); };
  for (const auto* controller : {"memory", "cpu", "pids"})
    if (const auto made = make_folder(folder(controller)); !made) return made;
  try_value(root_ + "/memory" + group() + "/memory.use_hierarchy", "1");  // kernels before 5.11
  // Memory with swap is never less than memory alone, in between neither. Twice, as the engine has it for containers.
  try_value(folder("memory") + "/memory.memsw.limit_in_bytes", "-1");
  const auto memory = limits.memory_bytes > 0 ? std::to_string(limits.memory_bytes) : "-1";
  if (const auto done = write_value(folder("memory") + "/memory.limit_in_bytes", memory); !done) return done;
  if (limits.memory_bytes > 0)
    try_value(folder("memory") + "/memory.memsw.limit_in_bytes", std::to_string(2 * limits.memory_bytes));
  try_value(folder("cpu") + "/cpu.cfs_period_us", std::to_string(kPeriod));
  const auto quota = limits.cpus > 0 ? quota_of(limits.cpus) : "-1";
  if (const auto done = write_value(folder("cpu") + "/cpu.cfs_quota_us", quota); !done) return done;
  return write_value(folder("pids") + "/pids.max", limits.pids > 0 ? std::to_string(limits.pids) : "max");
}

Result<void> Cgroups::make_v2(const std::string& owner, const OwnerLimits& limits) const {
  const auto folder = root_ + path_of(owner);
  if (const auto made = make_folder(folder); !made) return made;
  // From the root down: a group has the controllers that its parent hands on.
  for (const auto& parent : {root_, root_ + group()})
    for (const auto* controller : {"+memory", "+cpu", "+pids"})
      if (const auto done = write_value(parent + "/cgroup.subtree_control", controller); !done) return done;
  const auto value = [](std::int64_t limit) { return limit > 0 ? std::to_string(limit) : std::string("max"); };
  if (const auto done = write_value(folder + "/memory.max", value(limits.memory_bytes)); !done) return done;
  try_value(folder + "/memory.swap.max", value(limits.memory_bytes));
  const auto quota = limits.cpus > 0 ? quota_of(limits.cpus) : "max";
  if (const auto done = write_value(folder + "/cpu.max", quota + " " + std::to_string(kPeriod)); !done) return done;
  return write_value(folder + "/pids.max", value(limits.pids));
}

Result<void> Cgroups::make_slice(const std::string& owner, const OwnerLimits& limits) const {
  const auto unit = parent_of(owner);
  const auto value = [](std::int64_t limit) { return limit > 0 ? std::to_string(limit) : std::string("infinity"); };
  const auto quota = limits.cpus > 0 ? std::to_string(std::max(1LL, std::llround(limits.cpus * 100))) + "%" : "";
  const std::string memory = version_ == 2 ? "MemoryMax=" : "MemoryLimit=";
  const auto set = run({systemctl_, "set-property", "--runtime", unit, memory + value(limits.memory_bytes),
                        "CPUQuota=" + quota, "TasksMax=" + value(limits.pids)});
  return set ? run({systemctl_, "start", unit}) : set;
}

Result<void> Cgroups::remove(const std::string& owner) const {
  if (!is_name(owner)) return {};
  if (driver_ == Driver::kSystemd) {
    const auto unit = parent_of(owner);
    // Stopping a slice would kill what runs in it.
    if (!containers_of(owner).empty()) return fail(Error::conflict("containers still run in " + unit));
    const auto stopped = run({systemctl_, "stop", unit});
    return stopped ? run({systemctl_, "revert", unit}) : stopped;
  }
  for (const auto& tree : hierarchies()) {
    if (const auto removed = remove_folders(tree + path_of(owner)); !removed) return removed;
    ::rmdir((tree + group()).c_str());  // the last owner takes it along
  }
  return {};
}

std::vector<std::string> Cgroups::owners() const {
  std::set<std::string> found;
  const auto prefix = "ebbtide-" + as_unit(server_id_) + "-";
  for (const auto& tree : hierarchies()) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(tree + group(), failed)) {
      if (!entry.is_directory(failed)) continue;
      auto name = entry.path().filename().string();
      if (driver_ == Driver::kSystemd) {
        if (!name.starts_with(prefix) || !name.ends_with(".slice")) continue;
        name = from_unit(name.substr(prefix.size(), name.size() - prefix.size() - 6));
      }
      if (!name.starts_with('.')) found.insert(std::move(name));
    }
  }
  return {found.begin(), found.end()};
}

std::vector<std::string> Cgroups::containers_of(const std::string& owner) const {
  std::set<std::string> found;
  for (const auto& tree : hierarchies()) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(tree + path_of(owner), failed)) {
      auto name = entry.path().filename().string();
      if (name.starts_with("docker-") && name.ends_with(".scope")) name = name.substr(7, name.size() - 13);
      if (entry.is_directory(failed) && name.size() == kIdLength) found.insert(std::move(name));
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace ebbtide
