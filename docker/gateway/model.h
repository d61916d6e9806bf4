// Typed models of the JSON bodies that the gateway reads. decode() reads a body as the engine (Go) would,
// only more strictly, and the body that goes on is written from the model, never from the client's bytes.
// Pure; any thread.
//
// Go matches member names without regard to case (with two folded non-ASCII letters) and takes the last of
// duplicates; here every name is brought to its canonical spelling, two members that fold to one name are
// refused, members that the model does not know are dropped when they hold their zero value and refused
// otherwise, and a value of the wrong type is refused. Bytes after the document, depth over 64 and invalid
// UTF-8 are refused.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"

namespace ebbtide::gateway {

using Json = nlohmann::ordered_json;

enum class ModelName {
  kContainerCreate,
  kContainerUpdate,
  kNetworkCreate,
  kNetworkConnect,
  kNetworkDisconnect,
  kVolumeCreate,
  kExecCreate,
  kExecStart,
  kCommit,  // a container Config
};

// The body in canonical spelling, with only known members. An empty body decodes to an empty object where the
// engine takes that (exec start, commit, volume create).
Result<Json> decode(ModelName model, std::string_view body);

// As Go folds names when it looks for the field of a member: ASCII case, and the two letters outside of ASCII that fold
// to ASCII ones, U+017F to s and U+212A to k (encoding/json).
std::string fold(std::string_view name);

// True for null, false, 0, "", [], {}.
bool is_zero(const Json& value);

}  // namespace ebbtide::gateway
