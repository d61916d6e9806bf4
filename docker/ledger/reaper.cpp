#include "docker/ledger/reaper.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "docker/base/log.h"
#include "docker/ledger/listing.h"

namespace ebbtide {
namespace {

using std::chrono::steady_clock;

constexpr unsigned kMaxPasses = 20;
constexpr int kMaxStalls = 4;
constexpr std::chrono::milliseconds kFirstPause{25};  // doubled at each stall

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
    int empty = 0;
    int stalled = 0;
    while (empty < 2 && stalled < kMaxStalls && report_.passes < kMaxPasses && !stopped_()) {
      ++report_.passes;
      auto found = list();
      if (!found) return fail(found.error());
      report_.left.clear();
      if (report_.passes == 1) add_unlabelled(*found);
      empty = found->empty() ? empty + 1 : 0;
      if (found->empty() || pass(*found) > 0) continue;
      // All that is left refuses. Some of it may only be on its way out ("removal in progress").
      ++stalled;
      std::this_thread::sleep_for(kFirstPause * (1 << stalled));
    }
    if (report_.left.empty() && !stopped_()) remove_group();
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
      if (belonging.owner != owner_) continue;
      const bool stays =
          belonging.kind == Kind::kImage && (options_.images == ImageMode::kShared || in_use_.contains(belonging.id));
      if (!stays) found.push_back(std::move(belonging));
    }
    return found;
  }

  // Containers that the classic builder made bear no labels, but run in the owner's control group. Most have ended with
  // their build, which the closing of the gateway cancels.
  void add_unlabelled(std::vector<Belonging>& found) {
    const auto groups = watch_.cgroups();
    const auto containers = groups ? watch_.engine().list_containers({}) : fail(Error::cancelled(""));
    if (!containers) return;
    for (const auto& container : *containers) {
      if (container.labels.contains(label::kServer)) continue;
      const auto detail = watch_.engine().inspect_container(container.id);
      if (!detail || detail->cgroup_parent != groups->parent_of(owner_)) continue;
      found.push_back({.kind = Kind::kContainer,
                       .id = container.id,
                       .name = container.name,
                       .real_name = container.name,
                       .owner = owner_});
    }
  }

  void remove_group() {
    const auto groups = watch_.cgroups();
    if (!groups) return;
    if (const auto removed = groups->remove(owner_); !removed) report_.left.push_back(removed.error().message);
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
    return refuse(belonging, done.error());
  }

  bool refuse(const Belonging& belonging, const Error& error) {
    const std::scoped_lock lock(mutex_);
    report_.left.push_back(describe(belonging) + ": " + error.message);
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

  // One after the other, references before ids: the last reference takes the layers with it, and most ids are gone
  // then.
  std::size_t remove_images(const std::vector<Belonging>& found) {
    std::size_t settled = 0;
    made_.clear();
    for (const auto& image : found)
      if (image.kind == Kind::kImage && image.id.starts_with("sha256:")) made_.push_back(image.id);
    for (const bool ids : {false, true})
      for (const auto& image : found)
        if (image.kind == Kind::kImage && image.id.starts_with("sha256:") == ids && !stopped_())
          settled += settle_image(image) ? 1 : 0;
    return settled;
  }

  // Also where no image can have such a name, which a job may have asked for all the same.
  static bool is_absent(const Error& error) {
    return error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kInvalid;
  }

  // True when the image is gone, or stays for good reason and is not the owner's any more.
  bool settle_image(const Belonging& image) {
    const auto stays = stays_for_others(image.id);
    if (!stays) return refuse(image, stays.error());
    if (!*stays) {
      const auto removed = remove_image(image.id);
      if (removed) {
        ++report_.images;
      } else if (removed.error().kind == ErrorKind::kConflict) {
        // Somebody else's container or image stands on it. It stays recorded, and goes with a later sweep.
        in_use_.insert(image.id);
        return true;
      } else if (!is_absent(removed.error())) {
        return refuse(image, removed.error());
      }
    }
    watch_.ledger().forget(Kind::kImage, image.id);
    const auto forgotten = watch_.store().forget_image(engine_name_, owner_, image.id);
    return forgotten ? true : refuse(image, forgotten.error());
  }

  // The engine had the reference before the owner named it, or another owner wants it too.
  Result<bool> stays_for_others(const std::string& reference) {
    const auto records = watch_.store().images_of(engine_name_, owner_);
    if (!records) return fail(records.error());
    const auto record = std::ranges::find(*records, reference, &ImageRecord::reference);
    if (record == records->end()) return false;
    if (record->existed_before)
      if (const auto restored = restore(*record); !restored) return fail(restored.error());
    if (const auto done = watch_.store().hand_over_image(*record, made_); !done) return fail(done.error());
    if (record->existed_before) return true;
    return watch_.store().image_wanted_by_others(engine_name_, owner_, reference);
  }

  // A reference that the owner made mean an image of its own (built or loaded) means again what it did. One that
  // somebody else moved since is theirs; one that the owner pulled anew keeps what the registry says.
  Result<void> restore(const ImageRecord& record) {
    const auto now = watch_.engine().inspect_image(record.reference);
    if (!now) return is_absent(now.error()) ? Result<void>() : fail(now.error());
    const bool own =
        image_owner_of(watch_.server_id(), now->labels) == owner_ || std::ranges::find(made_, now->id) != made_.end();
    if (!own || record.previous_image_id.empty() || now->id == record.previous_image_id) return {};
    const auto tagged = watch_.engine().tag_image(record.previous_image_id, record.reference);
    if (tagged || tagged.error().kind != ErrorKind::kNotFound) return tagged;
    return watch_.engine().remove_image(record.reference);
  }

  // By id only what bears no reference: one that the owner did not give is somebody else's.
  Result<void> remove_image(const std::string& id) {
    if (id.starts_with("sha256:")) {
      const auto detail = watch_.engine().inspect_image(id);
      if (!detail) return fail(detail.error());
      if (!detail->references.empty()) return fail(Error::conflict("it bears " + detail->references.front()));
    }
    return watch_.engine().remove_image(id);
  }

  void forget() {
    if (!in_use_.empty()) return;
    watch_.ledger().forget_owner(owner_);
    const auto done = watch_.store().forget_owner(engine_name_, owner_);
    if (!done) log_error("the records of an owner could not be removed", {{"error", done.error().message}});
  }

  EngineWatch& watch_;
  const std::string& owner_;
  const ReapOptions& options_;
  const std::function<bool()>& stopped_;
  const std::string engine_name_ = watch_.engine().address().text();
  std::set<std::string> in_use_;   // images that others use
  std::vector<std::string> made_;  // ids of the owner's images
  std::mutex mutex_;               // guards report_.left while removals run
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
