// BuildReading: what the gateway has read of the builds of one BuildKit session, where it reads them: the Dockerfiles
// that its client sent, and the arguments of its builds. Which of the one goes with which of the other the engine alone
// knows, so each goes with each. One loop; not thread-safe.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "docker/gateway/dockerfile.h"

namespace ebbtide::gateway {

// Of one build.
struct BuildArguments {
  std::map<std::string, std::string> values;
  bool own_frontend = false;  // the engine is told to read the Dockerfile itself, whatever frontend that asks for

  bool operator<(const BuildArguments& other) const {
    return std::tie(own_frontend, values) < std::tie(other.own_frontend, other.values);
  }
};

struct DockerfileBuild {
  std::string dockerfile;
  BuildArguments arguments;
};

// What these builds take. kInvalid, kDenied: it can't be told, or a Dockerfile asks for a frontend. Takes microseconds
// for each byte of a hostile Dockerfile: not for a loop.
Result<DockerfileImages> read_builds(const std::vector<DockerfileBuild>& builds);

class SessionLogins;

class BuildReading {
 public:
  // The builds that this Dockerfile, or these arguments, may be of. kDenied: too many, or a Dockerfile of no known
  // build. Both are kept either way: what was refused is refused again.
  Result<std::vector<DockerfileBuild>> add_dockerfile(std::string text);
  Result<std::vector<DockerfileBuild>> add_arguments(BuildArguments arguments);

  std::shared_ptr<SessionLogins> logins;  // of the client, as long as it can be asked
  bool ended = false;                     // the session

 private:
  std::set<std::string> dockerfiles_;
  std::set<BuildArguments> arguments_;
};

// Of all sessions and builds of one gateway.
struct BuildReadings {
  std::map<std::string, std::shared_ptr<BuildReading>, std::less<>> sessions;  // by id
  std::multimap<std::string, std::set<std::string>> builds;  // under way, by id: the ids of their sessions

  // Of all builds of that id.
  std::set<std::string> sessions_of(const std::string& build) const;
};

// What is read of a session, for as long as it lives.
class SessionReading {
 public:
  SessionReading(BuildReadings& readings, std::string id)
      : readings_(readings), id_(std::move(id)), reading_(readings.sessions[id_] = std::make_shared<BuildReading>()) {}
  ~SessionReading() {
    reading_->ended = true;
    readings_.sessions.erase(id_);
  }
  SessionReading(const SessionReading&) = delete;
  SessionReading& operator=(const SessionReading&) = delete;

  const std::shared_ptr<BuildReading>& get() const { return reading_; }

 private:
  BuildReadings& readings_;
  std::string id_;
  std::shared_ptr<BuildReading> reading_;
};

// A build, for as long as it is under way.
class BuildUnderWay {
 public:
  BuildUnderWay(BuildReadings& readings, const std::string& id, std::set<std::string> sessions)
      : readings_(readings), build_(readings.builds.emplace(id, std::move(sessions))) {}
  ~BuildUnderWay() { readings_.builds.erase(build_); }
  BuildUnderWay(const BuildUnderWay&) = delete;
  BuildUnderWay& operator=(const BuildUnderWay&) = delete;

 private:
  BuildReadings& readings_;
  std::multimap<std::string, std::set<std::string>>::iterator build_;
};

}  // namespace ebbtide::gateway
