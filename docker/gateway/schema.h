// Schemas of the JSON bodies that decode (model.h) reads: for each object its members, spelled as the engine spells
// them, with their types. Constant tables; any thread. Source: Docker Engine API 1.41 to 1.52.
#pragma once

#include <span>
#include <string_view>

#include "docker/gateway/model.h"

namespace ebbtide::gateway {

enum class Type {
  kBool,
  kInt,   // int64
  kUint,  // uint64
  kString,
  kStrings,   // a list of strings
  kCommand,   // a list of strings, or one string, which becomes a list of one
  kUints,     // a list of uint64
  kTable,     // a list of lists of strings
  kObject,    // of members
  kObjects,   // a list of objects of members
  kTexts,     // free keys to strings
  kSet,       // free keys to {}
  kEntries,   // free keys to objects of members
  kListings,  // free keys to lists of objects of members
  kIgnored,   // what clients send and the engine does not read: dropped
};

struct Member {
  std::string_view name;
  Type type;
  std::span<const Member> members = {};
};

std::span<const Member> schema_of(ModelName model);

}  // namespace ebbtide::gateway
