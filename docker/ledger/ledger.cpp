#include "docker/ledger/ledger.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <unordered_map>

namespace ebbtide {
namespace {

using Key = std::pair<Kind, std::string>;

// How many that went are remembered, for events that come after them.
constexpr std::size_t kRemembered = 4096;

bool is_listed_kind(Kind kind) { return kind == Kind::kContainer || kind == Kind::kNetwork || kind == Kind::kVolume; }

}  // namespace

struct Ledger::State {
  struct Entry {
    Belonging belonging;
    std::uint64_t changed = 0;  // the mark at which it was last claimed
  };
  struct Departed {
    std::string owner;
    std::uint64_t when = 0;
  };

  mutable std::mutex mutex;  // guards all below; never held across I/O
  std::condition_variable create_ended;
  std::uint64_t now = 1;
  std::map<Key, Entry> entries;
  std::map<std::string, std::set<Key>, std::less<>> by_owner;
  std::map<Key, Departed> departed;
  std::deque<Key> departed_order;
  std::set<std::string, std::less<>> closed;
  std::map<std::string, std::size_t, std::less<>> creates;
  std::map<std::string, std::uint64_t, std::less<>> revisions;  // the time of each owner's last change
  std::shared_ptr<Changes> changes;

  void changed(const std::string& owner) {
    revisions[owner] = now;
    if (changes) changes->note();
  }

  void put(Belonging belonging) {
    const Key key{belonging.kind, belonging.id};
    const auto owner = belonging.owner;
    const auto* known = find(key);
    const bool same = known && *known == belonging;
    if (known && known->owner != owner) changed(known->owner);
    remove_from_owner(key);
    by_owner[owner].insert(key);
    entries[key] = {std::move(belonging), ++now};
    departed.erase(key);
    if (!same) changed(owner);
  }

  void remove_from_owner(const Key& key) {
    const auto entry = entries.find(key);
    if (entry == entries.end()) return;
    const auto owner = by_owner.find(entry->second.belonging.owner);
    owner->second.erase(key);
    if (owner->second.empty()) by_owner.erase(owner);
  }

  void drop(const Key& key) {
    const auto entry = entries.find(key);
    if (entry == entries.end()) return;
    remove_from_owner(key);
    departed[key] = {entry->second.belonging.owner, ++now};
    changed(entry->second.belonging.owner);
    departed_order.push_back(key);
    entries.erase(entry);
    while (departed_order.size() > kRemembered) {
      departed.erase(departed_order.front());
      departed_order.pop_front();
    }
  }

  // Went after mark: a listing that began before must not bring it back.
  bool went_since(const Key& key, std::uint64_t mark) const {
    const auto found = departed.find(key);
    return found != departed.end() && found->second.when > mark;
  }

  const Belonging* find(const Key& key) const {
    const auto found = entries.find(key);
    return found == entries.end() ? nullptr : &found->second.belonging;
  }
};

Ledger::Ledger() : state_(std::make_unique<State>()) {}
Ledger::~Ledger() = default;

void Ledger::report_to(std::shared_ptr<Changes> changes) {
  const std::scoped_lock lock(state_->mutex);
  state_->changes = std::move(changes);
}

std::uint64_t Ledger::revision(std::string_view owner) const {
  const std::scoped_lock lock(state_->mutex);
  const auto found = state_->revisions.find(owner);
  return found == state_->revisions.end() ? 0 : found->second;
}

void Ledger::claim(Belonging belonging) {
  const std::scoped_lock lock(state_->mutex);
  state_->put(std::move(belonging));
}

void Ledger::forget(Kind kind, std::string_view id) {
  const std::scoped_lock lock(state_->mutex);
  state_->drop({kind, std::string(id)});
}

bool Ledger::set_container_state(std::string_view id, std::string_view state) {
  const std::scoped_lock lock(state_->mutex);
  const auto found = state_->entries.find({Kind::kContainer, std::string(id)});
  if (found == state_->entries.end()) return false;
  found->second.belonging.state = state;
  found->second.changed = ++state_->now;
  state_->changed(found->second.belonging.owner);
  return true;
}

bool Ledger::rename_container(std::string_view id, std::string_view real_name, std::string_view name) {
  const std::scoped_lock lock(state_->mutex);
  const auto found = state_->entries.find({Kind::kContainer, std::string(id)});
  if (found == state_->entries.end()) return false;
  found->second.belonging.name = name;
  found->second.belonging.real_name = real_name;
  found->second.changed = ++state_->now;
  state_->changed(found->second.belonging.owner);
  return true;
}

std::optional<Belonging> Ledger::find(Kind kind, std::string_view id) const {
  const std::scoped_lock lock(state_->mutex);
  const auto* found = state_->find({kind, std::string(id)});
  return found ? std::optional(*found) : std::nullopt;
}

Resolution Ledger::resolve(std::string_view owner, Kind kind, std::string_view reference) const {
  using enum Resolution::Outcome;
  if (kind == Kind::kContainer && reference.starts_with('/')) reference.remove_prefix(1);
  if (reference.empty()) return {};
  const std::scoped_lock lock(state_->mutex);
  const auto keys = state_->by_owner.find(owner);
  if (keys == state_->by_owner.end()) return {};
  std::vector<const Belonging*> by_name;  // networks may share a name on engines before API 1.44
  std::vector<const Belonging*> by_prefix;
  for (const auto& key : keys->second) {
    if (key.first != kind) continue;
    const Belonging& candidate = *state_->find(key);
    if (candidate.name == reference) by_name.push_back(&candidate);
    if (kind == Kind::kVolume) continue;
    if (candidate.id == reference) return {kFound, candidate};
    if (candidate.id.starts_with(reference)) by_prefix.push_back(&candidate);
  }
  const auto& candidates = by_name.empty() ? by_prefix : by_name;
  if (candidates.empty()) return {};
  return candidates.size() == 1 ? Resolution{kFound, *candidates.front()} : Resolution{kAmbiguous, {}};
}

bool Ledger::owns(std::string_view owner, Kind kind, std::string_view id) const {
  const std::scoped_lock lock(state_->mutex);
  const auto* found = state_->find({kind, std::string(id)});
  return found && found->owner == owner;
}

bool Ledger::owned_lately(std::string_view owner, Kind kind, std::string_view id) const {
  const std::scoped_lock lock(state_->mutex);
  const Key key{kind, std::string(id)};
  if (const auto* found = state_->find(key)) return found->owner == owner;
  const auto gone = state_->departed.find(key);
  return gone != state_->departed.end() && gone->second.owner == owner;
}

std::vector<Belonging> Ledger::of(std::string_view owner) const {
  const std::scoped_lock lock(state_->mutex);
  std::vector<Belonging> list;
  const auto keys = state_->by_owner.find(owner);
  if (keys == state_->by_owner.end()) return list;
  for (const auto& key : keys->second) list.push_back(*state_->find(key));
  return list;
}

std::vector<std::string> Ledger::owners() const {
  const std::scoped_lock lock(state_->mutex);
  std::vector<std::string> list;
  for (const auto& [owner, keys] : state_->by_owner) list.push_back(owner);
  return list;
}

std::size_t Ledger::count(Kind kind) const {
  const std::scoped_lock lock(state_->mutex);
  return static_cast<std::size_t>(
      std::ranges::count_if(state_->entries, [kind](const auto& entry) { return entry.first.first == kind; }));
}

std::uint64_t Ledger::mark() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->now;
}

void Ledger::resync(const Listing& listing) {
  const std::scoped_lock lock(state_->mutex);
  std::set<Key> shown;
  for (const auto& belonging : listing.belongings) {
    Key key{belonging.kind, belonging.id};
    const auto known = state_->entries.find(key);
    const bool newer = known != state_->entries.end() && known->second.changed > listing.began;
    if (!newer && !state_->went_since(key, listing.began)) state_->put(belonging);
    shown.insert(std::move(key));
  }
  std::vector<Key> gone;
  for (const auto& [key, entry] : state_->entries)
    if (is_listed_kind(key.first) && !shown.contains(key) && entry.changed <= listing.began) gone.push_back(key);
  for (const auto& key : gone) state_->drop(key);
}

Ledger::Create::Create(Create&& other) noexcept
    : ledger_(std::exchange(other.ledger_, nullptr)), owner_(std::move(other.owner_)) {}

Ledger::Create& Ledger::Create::operator=(Create&& other) noexcept {
  if (this != &other) {
    if (ledger_) ledger_->end_create(owner_);
    ledger_ = std::exchange(other.ledger_, nullptr);
    owner_ = std::move(other.owner_);
  }
  return *this;
}

Ledger::Create::~Create() {
  if (ledger_) ledger_->end_create(owner_);
}

Ledger::Create Ledger::begin_create(std::string_view owner) {
  Create create;
  const std::scoped_lock lock(state_->mutex);
  if (state_->closed.contains(owner)) return create;
  ++state_->creates[std::string(owner)];
  create.ledger_ = this;
  create.owner_ = owner;
  return create;
}

void Ledger::end_create(const std::string& owner) {
  {
    const std::scoped_lock lock(state_->mutex);
    const auto found = state_->creates.find(owner);
    if (found != state_->creates.end() && --found->second == 0) state_->creates.erase(found);
  }
  state_->create_ended.notify_all();
}

void Ledger::close(std::string_view owner) {
  const std::scoped_lock lock(state_->mutex);
  state_->closed.emplace(owner);
}

void Ledger::reopen(std::string_view owner) {
  const std::scoped_lock lock(state_->mutex);
  if (const auto found = state_->closed.find(owner); found != state_->closed.end()) state_->closed.erase(found);
}

std::size_t Ledger::creates_in_flight(std::string_view owner) const {
  const std::scoped_lock lock(state_->mutex);
  const auto found = state_->creates.find(owner);
  return found == state_->creates.end() ? 0 : found->second;
}

bool Ledger::wait_for_creates(std::string_view owner, std::chrono::milliseconds limit) {
  std::unique_lock lock(state_->mutex);
  return state_->create_ended.wait_for(lock, limit, [&] { return !state_->creates.contains(owner); });
}

void Ledger::forget_owner(std::string_view owner) {
  const std::scoped_lock lock(state_->mutex);
  if (const auto found = state_->closed.find(owner); found != state_->closed.end()) state_->closed.erase(found);
  if (const auto keys = state_->by_owner.find(owner); keys != state_->by_owner.end()) {
    const std::set<Key> all = keys->second;
    for (const auto& key : all)
      if (!is_listed_kind(key.first)) state_->drop(key);
  }
  if (const auto found = state_->revisions.find(owner); found != state_->revisions.end())
    state_->revisions.erase(found);
}

}  // namespace ebbtide
