// The calls of BuildKit's API (POST /grpc) as a gateway treats them: which there are, and what their messages may ask.
// A message that is looked into goes on as it was written anew, not as it came. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/gateway/build_reading.h"
#include "docker/gateway/buildkit.h"
#include "docker/ledger/reaper.h"

namespace ebbtide::gateway {

// By whose rules, and for whom, messages are read.
struct BuildRules {
  const Policy& policy;
  ImageMode images;
  std::string_view server_id;
  std::string_view owner;
  bool reads_builds = false;  // what cannot be read is refused
};

// A message as it may go on, and what must hold before it does.
struct CheckedMessage {
  std::string bytes;
  std::vector<std::string> sessions;    // must be the owner's
  std::vector<std::string> references;  // that the build gives to images
  bool makes_image = false;
  std::string build;  // the build's id, of Solve
  // Where builds are read:
  std::vector<std::string> images;            // that it takes: must be the owner's to see
  std::optional<BuildArguments> arguments;    // of a build of a Dockerfile, which comes by a session
  std::vector<std::string> dockerfiles_from;  // the ids of sessions that the Dockerfile may come by
};

// kDenied with a Refusal; kInvalid: not to be read, or not known to the gateway.
struct WrongMessage {
  std::optional<Refusal> refusal;
  std::string message;
};
using MessageCheck = tl::expected<CheckedMessage, WrongMessage>;

enum class CallHandling {
  kPass,     // as it comes, both ways
  kInspect,  // one message, through check
  kSolve,    // the same; a build
  kSession,  // as POST /session
  kEmptyMessage,
  kEmptyStream,
};

struct BuildCallRoute {
  std::string_view path;  // ":path"
  CallHandling handling;
  MessageCheck (*check)(const BuildRules& rules, std::string_view message) = nullptr;
};

// Nothing for a call that is not for jobs.
const BuildCallRoute* find_call(std::string_view path);
// Whether it belongs to a build under way, which its metadata name.
bool is_of_a_build(std::string_view path);

MessageCheck check_solve(const BuildRules& rules, std::string_view message);
MessageCheck check_status(const BuildRules& rules, std::string_view message);
MessageCheck check_frontend_solve(const BuildRules& rules, std::string_view message);
MessageCheck check_return(const BuildRules& rules, std::string_view message);
MessageCheck check_resolve_image(const BuildRules& rules, std::string_view message);
MessageCheck check_resolve_source(const BuildRules& rules, std::string_view message);

// The ids that an answer to Solve gives for the image it made.
std::vector<std::string> images_of(std::string_view solve_response);

}  // namespace ebbtide::gateway
