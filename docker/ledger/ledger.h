// Ledger: which containers, networks, volumes, images and execs belong to whom, on one engine. It is the
// memory of what the labels on the engine say: filled by listing, kept by events and by what gateways make,
// mended by every listing. Requests of jobs are decided from it. All functions: any thread, never blocking
// but for wait_for_creates.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/changes.h"
#include "docker/base/clock.h"
#include "docker/ledger/labels.h"

namespace ebbtide {

struct Belonging {
  Kind kind = Kind::kContainer;
  std::string id;         // volumes: the real name; images: sha256:…
  std::string name;       // as the job gave it, without a leading slash
  std::string real_name;  // on the engine
  std::string owner;
  Role role = Role::kBelonging;
  std::string parent;     // the container whose request made it, one of the owner's; empty: the agent's
  std::string container;  // of an exec: the container it runs in
  std::string image;      // of a container
  std::string state;      // of a container: running, exited, …
  std::vector<std::string> ports;
  TimePoint created{};

  bool operator==(const Belonging&) const = default;
};

// What one successful listing of an engine showed.
struct Listing {
  std::vector<Belonging> belongings;  // containers, networks, volumes
  std::uint64_t began = 0;            // Ledger::mark() before the listing was asked for
};

struct Resolution {
  enum class Outcome { kFound, kNotFound, kAmbiguous };
  Outcome outcome = Outcome::kNotFound;
  Belonging belonging;  // if found
};

class Ledger {
 public:
  Ledger();
  ~Ledger();

  // Whom to tell of every change; before other threads use the ledger.
  void report_to(std::shared_ptr<Changes> changes);

  // Adds, or replaces what has the same kind and id.
  void claim(Belonging belonging);
  void forget(Kind kind, std::string_view id);
  // Changes one container's state, if it is known; false if not.
  bool set_container_state(std::string_view id, std::string_view state);
  // real_name: on the engine; name: as the job gave it.
  bool rename_container(std::string_view id, std::string_view real_name, std::string_view name);

  std::optional<Belonging> find(Kind kind, std::string_view id) const;
  // By owner: a full id, then an exact name, then a unique id prefix: the engine's own order (Engine
  // API 1.41). Volumes: by name only. The agent's own container is found too.
  Resolution resolve(std::string_view owner, Kind kind, std::string_view reference) const;
  bool owns(std::string_view owner, Kind kind, std::string_view id) const;
  // True for what was owner's, also a while after it went: events about it still are owner's to see.
  bool owned_lately(std::string_view owner, Kind kind, std::string_view id) const;
  std::vector<Belonging> of(std::string_view owner) const;
  std::vector<std::string> owners() const;
  std::size_t count(Kind kind) const;
  // Another number after each change to what owner has; 0: never had anything.
  std::uint64_t revision(std::string_view owner) const;

  // A point in the ledger's time, to be taken before a listing begins.
  std::uint64_t mark() const;
  // Makes containers, networks and volumes what the listing shows; what was claimed or forgotten since it
  // began stays as it is. Images and execs are left alone.
  void resync(const Listing& listing);

  // A create of owner is under way, from before the engine is asked until it is claimed or failed. Nothing if
  // owner is being reaped (close was called).
  class Create {
   public:
    Create() = default;
    Create(Create&& other) noexcept;
    Create& operator=(Create&& other) noexcept;
    ~Create();
    explicit operator bool() const { return ledger_ != nullptr; }

   private:
    friend class Ledger;
    Ledger* ledger_ = nullptr;
    std::string owner_;
  };
  Create begin_create(std::string_view owner);
  void close(std::string_view owner);   // no new creates
  void reopen(std::string_view owner);  // undoes close
  std::size_t creates_in_flight(std::string_view owner) const;
  // False if some are still under way at the end of limit.
  bool wait_for_creates(std::string_view owner, std::chrono::milliseconds limit);
  // Nothing is left of owner: forgets that it was closed, its execs and images.
  void forget_owner(std::string_view owner);

 private:
  struct State;
  std::unique_ptr<State> state_;
  void end_create(const std::string& owner);
};

}  // namespace ebbtide
