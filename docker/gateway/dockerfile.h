// Dockerfiles: which images a build takes, read as warily as a hostile author asks for. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"

namespace ebbtide::gateway {

// What a Dockerfile makes the builder take from the engine's images or from registries.
struct DockerfileImages {
  std::vector<std::string> images;  // references, in order, each once
  // Names of its own earlier stages that instructions refer to, each once, lower case; and "scratch", where a
  // COPY or mount names it: no image that the job doesn't see may have such a name.
  std::vector<std::string> stages;
  bool has_frontend = false;  // a `# syntax=` line, or what could be one: then another program reads the file
};

// arguments: the build's own (--build-arg); those that are null left out. The engine's builder, classic or BuildKit,
// of whatever version, takes no image that isn't named, but for the triggers (ONBUILD) of the images themselves.
// kInvalid, for the Dockerfile's author: what can't be told for certain, or is no Dockerfile.
Result<DockerfileImages> read_dockerfile(std::string_view text, const std::map<std::string, std::string>& arguments);

// The same Dockerfile for a builder that is to read it itself: its `# syntax=` line, where it has one of the common
// form, names nothing any more. As long as before.
std::string without_frontend(std::string text);

}  // namespace ebbtide::gateway
