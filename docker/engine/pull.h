// The parts of a pull: what is asked of the engine, and its progress read from the answer's lines. Pure; not
// thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>

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

class PullReader {
 public:
  // A piece of the answer, cut anywhere. True if progress changed.
  bool feed(std::string_view piece);
  const PullProgress& progress() const { return progress_; }
  // What the engine said went wrong; empty if nothing did.
  const std::string& error() const { return error_; }

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
};

}  // namespace ebbtide
