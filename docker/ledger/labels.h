// The labels that Ebbtide sets on the engine: the ledger's truth. Jobs neither see them nor set them. Pure;
// any thread.
//
// A container inherits its image's labels, so labels alone prove nothing: ebbtide.check is a digest over the
// server id, the kind and the object's real name, which an image can't carry for a name that it doesn't know.
// Only objects whose check fits are ours. Images have a key of their own for the same reason.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "docker/engine/engine.h"

namespace ebbtide {

namespace label {
inline constexpr std::string_view kPrefix = "ebbtide.";
inline constexpr const char* kServer = "ebbtide.server";
inline constexpr const char* kGocd = "ebbtide.gocd";
inline constexpr const char* kAgent =
    "ebbtide.agent";  // the owner: an agent id, or the name given to `ebbtide gateway`
inline constexpr const char* kRole = "ebbtide.role";
inline constexpr const char* kName = "ebbtide.name";
inline constexpr const char* kCheck = "ebbtide.check";
// The full id of the belonging, a container, that asked for this one; empty where the agent itself did.
inline constexpr const char* kParent = "ebbtide.parent";
// On volumes that agents have in common, alone with kName: the server id. They are no agent's belongings.
inline constexpr const char* kSharedVolume = "ebbtide.shared-volume";
inline constexpr const char* kImageAgent = "ebbtide.image-agent";
inline constexpr const char* kJob = "ebbtide.job";
inline constexpr const char* kProfile = "ebbtide.profile";
inline constexpr const char* kCluster = "ebbtide.cluster";
}  // namespace label

enum class Kind { kContainer, kNetwork, kVolume, kImage, kExec };
std::string_view to_string(Kind kind);  // "container" …

enum class Role { kAgent, kBelonging };
std::string_view to_string(Role role);

// What ebbtide.check must be.
std::string check_value(std::string_view server_id, Kind kind, std::string_view real_name);

// server, agent, role, check, name and parent for a new container, network or volume.
Labels ownership_labels(std::string_view server_id, std::string_view owner, Role role, Kind kind,
                        std::string_view real_name, std::string_view given_name, std::string_view parent = "");

struct Ownership {
  std::string owner;
  Role role = Role::kBelonging;
  std::string given_name;  // empty where the job gave none
  std::string parent;      // a container's id; empty: the agent
};

// Whose an object is by its labels; nothing if it isn't this server's or its check doesn't fit.
std::optional<Ownership> ownership_of(std::string_view server_id, Kind kind, std::string_view real_name,
                                      const Labels& labels);

// The same without the check: only for a container whose rename the Store remembers.
std::optional<Ownership> claimed_ownership_of(std::string_view server_id, const Labels& labels);

// What the real name of every named belonging begins with: "eb-3f2a9c01d4e7-", one for each owner of each server, so
// that any number of owners use the same names. A belonging's real name is the scope and the given name.
std::string name_scope(std::string_view server_id, std::string_view owner);
// A real name without its scope; as it is if it has none.
std::string without_scope(std::string_view scope, std::string_view real_name);

// The same for an image; the owner.
std::optional<std::string> image_owner_of(std::string_view server_id, const Labels& labels);
// The value of ebbtide.image-agent: "<server id>/<owner>".
std::string image_owner_value(std::string_view server_id, std::string_view owner);

// Whether a label is in our namespace: jobs may not set it and don't see it.
bool is_reserved_label(std::string_view key);

}  // namespace ebbtide
