#include "docker/gateway/build_reading.h"

#include <algorithm>

namespace ebbtide::gateway {
namespace {

constexpr std::size_t kMost = 64;                 // Dockerfiles, and sets of arguments, of one session
constexpr std::size_t kMostBytes = 4 << 20;       // of Dockerfiles to read at once
constexpr std::size_t kMostArguments = 64 << 10;  // bytes of one set
constexpr std::size_t kMostText = 256 << 10;      // of one Dockerfile

Error too_many() { return Error::denied("one session can't have so many builds: begin another"); }

void add(DockerfileImages& to, DockerfileImages from) {
  const auto add_new = [](std::vector<std::string>& list, std::vector<std::string>& more) {
    for (auto& each : more)
      if (std::ranges::find(list, each) == list.end()) list.push_back(std::move(each));
  };
  add_new(to.images, from.images);
  add_new(to.stages, from.stages);
}

}  // namespace

Result<DockerfileImages> read_builds(const std::vector<DockerfileBuild>& builds) {
  std::size_t bytes = 0;
  DockerfileImages all;
  for (const auto& [dockerfile, arguments] : builds) {
    bytes += dockerfile.size();
    if (bytes > kMostBytes) return fail(too_many());
    auto read = read_dockerfile(dockerfile, arguments.values);
    if (!read) return read;
    if (read->has_frontend && !arguments.own_frontend)
      return fail(
          Error::denied("the Dockerfile asks for a frontend, which may read it in its own way: leave out its syntax "
                        "line, or build with buildx"));
    add(all, std::move(*read));
  }
  return all;
}

Result<std::vector<DockerfileBuild>> BuildReading::add_dockerfile(std::string text) {
  if (arguments_.empty()) return fail(Error::denied("the Dockerfile is of no build that is known here"));
  if (dockerfiles_.size() >= kMost && !dockerfiles_.contains(text)) return fail(too_many());
  if (text.size() > kMostText || text.size() * arguments_.size() > kMostBytes) return fail(too_many());
  std::vector<DockerfileBuild> builds;
  for (const auto& arguments : arguments_) builds.push_back({text, arguments});
  dockerfiles_.insert(std::move(text));
  return builds;
}

Result<std::vector<DockerfileBuild>> BuildReading::add_arguments(BuildArguments arguments) {
  if (arguments_.size() >= kMost && !arguments_.contains(arguments)) return fail(too_many());
  std::size_t bytes = 0;
  for (const auto& [name, value] : arguments.values) bytes += name.size() + value.size();
  if (bytes > kMostArguments) return fail(Error::denied("the build's arguments are over 64 KiB"));
  std::size_t texts = 0;
  for (const auto& dockerfile : dockerfiles_) texts += dockerfile.size();
  if (texts > kMostBytes) return fail(too_many());
  std::vector<DockerfileBuild> builds;
  for (const auto& dockerfile : dockerfiles_) builds.push_back({dockerfile, arguments});
  arguments_.insert(std::move(arguments));
  return builds;
}

std::set<std::string> BuildReadings::sessions_of(const std::string& build) const {
  std::set<std::string> all;
  for (auto [each, end] = builds.equal_range(build); each != end; ++each)
    all.insert(each->second.begin(), each->second.end());
  return all;
}

}  // namespace ebbtide::gateway
