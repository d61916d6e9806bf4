// The parts of a pull: what is asked of the engine, and its progress read from the answer's lines. Pure; not
// thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "docker/engine/engine.h"

namespace ebbtide {

// "host:5000/team/app:1" → repository and tag; a digest is a tag to the engine. Without either the tag is "latest":
// the engine would pull all tags.
struct ImageReference {
  std::string repository;
  std::string tag;  // "1", "sha256:…"
};
ImageReference split_reference(std::string_view reference);

// POST /images/create for it.
std::string pull_target(const WantedImage& image);
// The value of X-Registry-Auth.
std::string registry_auth(const RegistryLogin& login);
std::string registry_auth(const nlohmann::json& login);  // as a client has it

class PullReader {
 public:
  // A piece of the answer, cut anywhere. True if progress changed.
  bool feed(std::string_view piece);
  const PullProgress& progress() const { return progress_; }
  // What the engine said went wrong; empty if nothing did.
  const std::string& error() const { return error_; }
  // Of what has been pulled: "sha256:…"; several where all tags of a repository were asked for.
  const std::vector<std::string>& digests() const { return digests_; }

 private:
  bool read_line(std::string_view line);

  struct Layer {
    std::uint64_t done = 0;
    std::uint64_t total = 0;
  };
  std::string kept_;
  std::map<std::string, Layer> layers_;
  PullProgress progress_;
  std::string error_;
  std::vector<std::string> digests_;
};

}  // namespace ebbtide
