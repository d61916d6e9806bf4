#include "docker/ledger/reaper.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "docker/base/log.h"
#include "docker/ledger/listing.h"

namespace ebbtide {
namespace {

using std::chrono::steady_clock;

constexpr int kMaxPasses = 20;

// What an object is called in a report: kind, short id, name.
std::string describe(const Belonging& belonging) {
  std::string text(to_string(belonging.kind));
  text += ' ';
  if (belonging.kind == Kind::kVolume || belonging.kind == Kind::kImage) return text + belonging.id;
  return text + belonging.id.substr(0, 12) + " (" + belonging.name + ")";
}

// One call of reap(): what it removed, and what refused at the last pass.
class Reaping {
 public:
  Reaping(EngineWatch& watch, const std::string& owner, const ReapOptions& options,
          const std::function<bool()>& stopped)
      : watch_(watch), owner_(owner), options_(options), stopped_(stopped) {}

  Result<ReapReport> run() {
    const auto began = steady_clock::now();
    // Containers that the classic builder runs for a build of the owner bear no labels, but end with their build, which
    // the closing of the gateway cancels; they need no step here.
    for (int empty = 0; empty < 2 && report_.passes < kMaxPasses && !stopped_(); ++report_.passes) {
      auto found = list();
      if (!found) return fail(found.error());
      if (found->empty()) {
        ++empty;
        continue;
      }
      empty = 0;
      report_.left.clear();
      if (pass(*found) == 0) break;  // all that is left refuses: the caller tries again later
    }
    if (report_.left.empty() && !stopped_()) forget();
    report_.duration = std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - began);
    return report_;
  }

 private:
  Result<std::vector<Belonging>> list() {
    auto listing = list_belongings(watch_.engine(), watch_.store(), watch_.server_id(), watch_.ledger().mark());
    if (!listing) return fail(listing.error().within("list what belongs to " + owner_));
    std::vector<Belonging> found;
    for (auto& belonging : listing->belongings) {
      const bool wanted = belonging.kind != Kind::kImage || options_.images != ImageMode::kShared;
      if (belonging.owner == owner_ && wanted) found.push_back(std::move(belonging));
    }
    return found;
  }

  // In order of dependence; the number of removals.
  std::size_t pass(const std::vector<Belonging>& found) {
    std::size_t removed = 0;
    removed += remove_all(found, Kind::kContainer, Role::kBelonging, report_.containers);
    removed += remove_all(found, Kind::kContainer, Role::kAgent, report_.containers);
    removed += remove_all(found, Kind::kNetwork, Role::kBelonging, report_.networks);
    removed += remove_all(found, Kind::kVolume, Role::kBelonging, report_.volumes);
    removed += remove_images(found);
    return removed;
  }

  std::size_t remove_all(const std::vector<Belonging>& found, Kind kind, Role role, std::size_t& counter) {
    std::vector<const Belonging*> chosen;
    for (const auto& belonging : found)
      if (belonging.kind == kind && (kind != Kind::kContainer || belonging.role == role)) chosen.push_back(&belonging);
    const auto removed = remove_concurrently(chosen);
    counter += removed;
    return removed;
  }

  std::size_t remove_concurrently(const std::vector<const Belonging*>& chosen) {
    std::atomic<std::size_t> next = 0;
    std::atomic<std::size_t> removed = 0;
    const auto work = [&] {
      for (auto i = next++; i < chosen.size() && !stopped_(); i = next++)
        if (remove_one(*chosen[i])) ++removed;
    };
    const auto helpers = std::min<std::size_t>(options_.concurrency, chosen.size());
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < helpers; ++i) threads.emplace_back(work);
    work();
    threads.clear();  // joins
    return removed;
  }

  bool remove_one(const Belonging& belonging) {
    const auto done = try_remove(belonging);
    const bool gone = done || done.error().kind == ErrorKind::kNotFound;
    if (gone) {
      watch_.ledger().forget(belonging.kind, belonging.id);
      return true;
    }
    const std::scoped_lock lock(mutex_);
    report_.left.push_back(describe(belonging) + ": " + done.error().message);
    return false;
  }

  Result<void> try_remove(const Belonging& belonging) {
    auto& engine = watch_.engine();
    switch (belonging.kind) {
      case Kind::kContainer:
        return engine.remove_container(belonging.id);
      case Kind::kNetwork:
        return remove_network(belonging.id);
      case Kind::kVolume:
        return engine.remove_volume(belonging.id);
      case Kind::kImage:
        return engine.remove_image(belonging.id);
      case Kind::kExec:
        return {};
    }
    return {};
  }

  // A network with endpoints can't be removed; those that are left are not the owner's (an operator looked in).
  Result<void> remove_network(const std::string& id) {
    auto& engine = watch_.engine();
    const auto done = engine.remove_network(id);
    if (done || done.error().kind != ErrorKind::kConflict) return done;
    const auto connected = engine.network_containers(id);
    if (!connected) return fail(connected.error());
    for (const auto& container : *connected) {
      const auto freed = engine.disconnect_network(id, container);
      if (!freed && freed.error().kind != ErrorKind::kNotFound) return freed;
    }
    return engine.remove_network(id);
  }

  // One after the other, tags before ids: the last reference takes the layers with it, and most ids are gone then.
  std::size_t remove_images(const std::vector<Belonging>& found) {
    std::size_t removed = 0;
    const auto kept = kept_references();
    if (!kept) {
      report_.left.push_back("images: " + kept.error().message);
      return 0;
    }
    for (const bool ids : {false, true})
      for (const auto& belonging : found) {
        if (belonging.kind != Kind::kImage || belonging.id.starts_with("sha256:") != ids || stopped_()) continue;
        removed += remove_image(belonging, *kept);
      }
    return removed;
  }

  // References of the owner that stay: the engine had them before, or another owner wants them too.
  Result<std::map<std::string, bool>> kept_references() {
    auto& store = watch_.store();
    const auto engine = watch_.engine().address().text();
    const auto records = store.images_of(engine, owner_);
    if (!records) return fail(records.error());
    std::map<std::string, bool> kept;
    for (const auto& record : *records) {
      const auto wanted = store.image_wanted_by_others(engine, owner_, record.reference);
      if (!wanted) return fail(wanted.error());
      kept[record.reference] = record.existed_before || *wanted;
    }
    return kept;
  }

  std::size_t remove_image(const Belonging& image, const std::map<std::string, bool>& kept) {
    const auto engine = watch_.engine().address().text();
    const auto record = kept.find(image.id);
    const bool stays = record != kept.end() && record->second;
    if (!stays) {
      const auto gone = remove_image_tags(image);
      if (!gone) {
        if (keeps_image(gone.error())) {
          forget_image(engine, image);
          return 1;
        }
        report_.left.push_back(describe(image) + ": " + gone.error().message);
        return 0;
      }
      report_.images += *gone;
    }
    forget_image(engine, image);
    return 1;
  }

  // Whether the engine's refusal means that somebody else uses the image: then it is theirs, and no leftover of ours.
  static bool keeps_image(const Error& error) { return error.kind == ErrorKind::kConflict; }

  // An image known by its label may still bear tags; by id it can't be removed then. The number of images removed.
  Result<std::size_t> remove_image_tags(const Belonging& image) {
    auto& engine = watch_.engine();
    if (image.id.starts_with("sha256:")) {
      const auto detail = engine.inspect_image(image.id);
      if (!detail) return not_found_is_gone(detail.error());
      for (const auto& reference : detail->references) {
        const auto untagged = engine.remove_image(reference);
        if (!untagged && untagged.error().kind != ErrorKind::kNotFound) return fail(untagged.error());
      }
    }
    const auto removed = engine.remove_image(image.id);
    if (!removed) return not_found_is_gone(removed.error());
    return 1;
  }

  static Result<std::size_t> not_found_is_gone(const Error& error) {
    if (error.kind == ErrorKind::kNotFound) return 0;
    return fail(error);
  }

  void forget_image(const std::string& engine, const Belonging& image) {
    watch_.ledger().forget(Kind::kImage, image.id);
    const auto done = watch_.store().forget_image(engine, owner_, image.id);
    if (!done) log_error("an image record could not be removed", {{"error", done.error().message}});
  }

  void forget() {
    watch_.ledger().forget_owner(owner_);
    const auto done = watch_.store().forget_owner(watch_.engine().address().text(), owner_);
    if (!done) log_error("the records of an owner could not be removed", {{"error", done.error().message}});
  }

  EngineWatch& watch_;
  const std::string& owner_;
  const ReapOptions& options_;
  const std::function<bool()>& stopped_;
  std::mutex mutex_;  // guards report_.left while removals run
  ReapReport report_;
};

std::string counted(std::size_t number, const char* what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

}  // namespace

std::string_view to_string(ImageMode mode) {
  switch (mode) {
    case ImageMode::kShared:
      return "shared";
    case ImageMode::kClean:
      return "clean";
    case ImageMode::kIsolated:
      return "isolated";
  }
  return "clean";
}

std::string ReapReport::summary() const {
  return counted(containers, "container") + ", " + counted(networks, "network") + ", " + counted(volumes, "volume") +
         ", " + counted(images, "image") + " in " + std::to_string(duration.count()) + " ms";
}

Result<ReapReport> reap(EngineWatch& watch, const std::string& owner, const ReapOptions& options,
                        const std::function<bool()>& stopped) {
  return Reaping(watch, owner, options, stopped).run();
}

}  // namespace ebbtide
