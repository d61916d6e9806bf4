// Scope: between the job's words and the engine's. A job's containers, networks and volumes bear the owner's scope
// before their names on the engine (name_scope in labels.h), and its paths are staged below a directory of the
// gateway's; the job sees neither. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"
#include "docker/ledger/labels.h"

namespace ebbtide::gateway {

// Volumes that outlive agents, and that agents have in common: caches.
struct SharedVolumes {
  std::vector<std::string> patterns;  // of given names: "cache-*"; '*' stands for any characters
  std::string scope;                  // before their real names

  bool matches(std::string_view given_name) const;
};

class Scope {
 public:
  Scope() = default;
  // directory: the gateway's, on the host. staging: where paths of the job are staged; empty if nowhere.
  Scope(std::string names, SharedVolumes shared, std::string_view directory, std::string staging);

  std::string real_name(Kind kind, std::string_view given_name) const;
  std::string given_name(std::string_view real_name) const { return without_scope(names_, real_name); }
  bool is_shared_volume(std::string_view given_name) const { return shared_.matches(given_name); }
  const SharedVolumes& shared() const { return shared_; }
  const std::string& names() const { return names_; }

  // The text in the job's words: real names without their scope, staged paths as the job wrote them, its gateway where
  // clients look for it. Works on JSON text too, since nothing of what goes is ever escaped.
  std::string in_job_words(std::string text) const;

 private:
  struct Word {
    std::string from;
    std::string to;
  };
  std::string names_;
  SharedVolumes shared_;
  std::string staging_;
  std::vector<Word> words_;
};

// A stream of lines in the job's words: whole lines go on at once, what has no end yet waits for it.
class ScopedLines {
 public:
  explicit ScopedLines(const Scope& scope) : scope_(scope) {}
  // An empty piece is the end.
  std::string feed(std::string_view bytes);

 private:
  const Scope& scope_;
  std::string kept_;
};

// What the engine would say of a new object's name; its own check would see the real one. (Engine 20.10, tried.)
std::optional<Error> check_name(Kind kind, std::string_view given_name);

// Whether the engine's filter `name` takes it: one of the values, or matched by one as a regular expression (RE2, as
// Go's). Containers also match with a slash before their names. No values: true.
bool matches_name(Kind kind, const std::vector<std::string>& values, std::string_view given_name);

}  // namespace ebbtide::gateway
