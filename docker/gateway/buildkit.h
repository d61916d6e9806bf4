// BuildKit: what a job's builds with BuildKit may ask, and what becomes of the names in them. Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/gateway/policy.h"
#include "docker/ledger/labels.h"

namespace ebbtide::gateway {

// Where a build's result goes.
struct BuildOutput {
  std::string type;  // "moby", "local", …
  std::map<std::string, std::string> attributes;
};

// The `outputs` of POST /build, without a configuration for the image: it would take the place of the one that bears
// our label. kInvalid: not a JSON list of {"Type":…,"Attrs":{…}}.
Result<std::vector<BuildOutput>> parse_build_outputs(std::string_view text);
std::string to_text(const std::vector<BuildOutput>& outputs);
std::optional<Refusal> check_output(const Policy& policy, const BuildOutput& output);
// Whether an output of that type becomes an image of the engine.
bool is_image(std::string_view type);
// The references that an output gives its image; none where it makes none on the engine.
std::vector<std::string> names_of(const BuildOutput& output);

// The frontend's attribute that says which caches mounts of one id share.
inline constexpr std::string_view kCacheNamespace = "build-arg:BUILDKIT_CACHE_MOUNT_NS";
// The same in the `buildargs` of POST /build. kInvalid: they are no JSON object.
Result<void> isolate_cache(http::Query& query, std::string_view cache_namespace);

// The folder of a client's that Dockerfiles come from, by its name in a session.
inline constexpr std::string_view kDockerfileFolder = "dockerfile";
// The argument with which a build asks for a frontend that is an image.
inline constexpr std::string_view kSyntaxArgument = "BUILDKIT_SYNTAX";
// Those that ask for attestations, whose scanner is an image.
inline constexpr std::string_view kAttestArgument = "BUILDKIT_ATTEST_";
// The `buildargs` of POST /build; those without a value are none. kInvalid: no JSON object of texts.
Result<std::map<std::string, std::string>> parse_build_arguments(std::string_view text);
// Where builds are read: files of names that end like this are told from Dockerfiles by it.
std::optional<Refusal> check_dockerfile_name(std::string_view name);

// Builds of all clients share one space of ids on the engine: each owner has a part of it. The engine's
// "upload-request:" stays in front.
std::string own_build_id(std::string_view server_id, std::string_view owner, std::string_view id);

}  // namespace ebbtide::gateway
