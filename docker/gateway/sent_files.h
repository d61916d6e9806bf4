// SentFiles: the files that a BuildKit client sends in one call of its FileSync service (fsutil's protocol: names
// first, then the contents of those that the engine asked for), as they go by. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"

namespace ebbtide::gateway {

class SentFiles {
 public:
  struct Step {
    std::optional<std::string> message;  // as it may go on; nothing: it is held
    std::optional<std::string> file;     // the content of a Dockerfile, which is whole now: its messages are whole's
    std::uint32_t id = 0;                // of it
    bool ends = false;                   // with this message all is sent
  };
  // The client's next message. kDenied: not to be read, more than a Dockerfile's folder needs, or in a way that the
  // engine could take for something else.
  Result<Step> take(std::string_view message);
  // Two messages: all of a file, and its end.
  static std::vector<std::string> whole(std::uint32_t id, std::string content);
  // Why the sender sends no more.
  static std::string error(std::string message);

 private:
  struct File {
    std::string content;
    bool whole = false;
  };

  std::uint32_t names_ = 0;
  std::uint64_t bytes_ = 0;
  std::set<std::uint32_t> ignore_files_;
  std::map<std::uint32_t, File> files_;
};

}  // namespace ebbtide::gateway
