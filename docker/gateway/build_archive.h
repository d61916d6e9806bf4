// BuildArchive: a build context as a job's client sent it (a tar, plain or compressed with gzip or bzip2),
// kept in a file without a name until it is sent on. Two parsers may read one hostile archive differently: what is sent
// on is therefore an archive written anew from what was read here, and its last entry is the Dockerfile, which replaces
// whatever else came to that name on the way.
//
// Blocks for the disk and for decompression, a piece at a time; one thread at a time, not always the same one. Memory:
// some MiB. (Other compressions let their sender choose how much, up to 1 GiB.)
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "docker/base/result.h"

namespace ebbtide::gateway {

class BuildArchive {
 public:
  // folder: on a disk, not tmpfs. dockerfile: as the build names it, relative to the context; empty: "Dockerfile".
  // limit in bytes: of the archive as sent, as decompressed, and of all its files, holes counted, each for itself.
  // kInvalid: no Dockerfile can lie there. kUnavailable: no file could be made.
  static Result<BuildArchive> create(const std::filesystem::path& folder, std::string_view dockerfile,
                                     std::uint64_t limit);
  BuildArchive(BuildArchive&&) noexcept;
  BuildArchive& operator=(BuildArchive&&) noexcept;
  ~BuildArchive();

  // Appends what came. kTooLarge: over the limit. kUnavailable: the disk does not take it, or would
  // have less than 1 GiB left.
  Result<void> write(std::string_view bytes);

  // After all is written: reads on for a while; true when all was read. kInvalid: not an archive, or one that we don't
  // pass on; the message says what to do. kTooLarge: over the limit once decompressed. Not to be called after an error.
  Result<bool> scan();

  // The Dockerfile's text, after scan; at most 1 MiB.
  const std::string& dockerfile() const;

  // After scan: the archive written anew, a plain tar, at most some hundreds of KiB a call; empty at the end. It begins
  // with a directory "./" and ends with the Dockerfile under the name that the build gives it. Names are the bytes that
  // came; of metadata it keeps type, mode, owner, time of change, link, device numbers and extended attributes.
  // After an error (the disk's, or ours) the request to the engine must be broken off, not ended: what came so far
  // could pass for a whole archive, without our Dockerfile.
  Result<std::string> next();

 private:
  struct State;
  explicit BuildArchive(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ebbtide::gateway
