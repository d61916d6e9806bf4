// Store: what can't be a label on the engine, in SQLite (WAL): images that jobs added, containers that jobs
// renamed, owners of gateways. Written before the engine is asked, so that a crash forgets nothing. Calls
// block for the disk (tens of microseconds; WAL without fsync: a killed process loses nothing). Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/clock.h"
#include "docker/base/result.h"
#include "docker/ledger/audit.h"
#include "docker/ledger/database.h"

namespace ebbtide {

// A reference ("app:latest") or an image id ("sha256:…") that owner made, pulled, loaded or tagged, or is
// about to.
struct ImageRecord {
  std::string engine;  // EngineAddress::text()
  std::string owner;
  std::string reference;
  bool existed_before = false;    // the engine had it before owner named it: it stays when owner goes
  std::string previous_image_id;  // what the reference meant then
};

class Store {
 public:
  explicit Store(std::shared_ptr<Database> database);  // makes its tables

  // The id kept in the database, made at the first call.
  Result<std::string> server_id();

  // Keeps the first record of an owner and reference; whether this is it.
  Result<bool> record_image(const ImageRecord& record);
  Result<std::vector<ImageRecord>> images_of(std::string_view engine, std::string_view owner);
  Result<void> forget_image(std::string_view engine, std::string_view owner, std::string_view reference);
  // owner leaves: others that came upon what it had made of the reference (images of the ids made) take over what was
  // there before it, so that the last of them restores that.
  Result<void> hand_over_image(const ImageRecord& record, const std::vector<std::string>& made);
  // Whether some owner, still there, was the first to give the reference.
  Result<bool> image_is_a_jobs(std::string_view engine, std::string_view reference);
  // Whether an owner other than this has recorded the reference.
  Result<bool> image_wanted_by_others(std::string_view engine, std::string_view owner, std::string_view reference);

  // An image, by its id, that owner got by itself (pulled or loaded): one whose images are isolated sees it. Gone with
  // the owner.
  Result<void> record_seen_image(std::string_view engine, std::string_view owner, std::string_view id);
  Result<std::vector<std::string>> seen_images(std::string_view engine, std::string_view owner);

  // A manifest that came by a pull of owner's of which nobody knows whether its registry has the image. Gone with the
  // owner, as the reference that it came by.
  Result<void> doubt_manifest(std::string_view engine, std::string_view owner, std::string_view digest);
  Result<std::vector<std::string>> doubted_manifests(std::string_view engine);

  // A renamed container's check no longer fits its name; this says that it is ours all the same.
  Result<void> record_rename(std::string_view engine, std::string_view container_id, std::string_view owner);
  Result<std::vector<std::string>> renamed_containers(std::string_view engine);
  Result<void> forget_container(std::string_view engine, std::string_view container_id);

  Result<std::vector<std::string>> image_owners(std::string_view engine);
  Result<void> forget_owner(std::string_view engine, std::string_view owner);

  // What went through the gateways whose watch has this store.
  Audit& audit() { return audit_; }
  Result<std::vector<AuditRecord>> audit_of(std::string_view owner, std::size_t limit,
                                            std::optional<std::uint64_t> before = std::nullopt, bool refused = false) {
    return audit_.of(owner, limit, before, refused);
  }

 private:
  std::shared_ptr<Database> database_;
  Audit audit_;
};

}  // namespace ebbtide
