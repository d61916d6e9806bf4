// ebbtide reap: what owners that no longer exist left on an engine, shown and removed; or, with --all, whatever is
// ours.
#include <algorithm>
#include <cstdio>

#include "api/commands.h"
#include "api/process.h"
#include "docker/engine/http_engine.h"
#include "docker/ledger/reaper.h"

namespace ebbtide::api {
namespace {

// An owner lives while its own container runs, or its gateway's process holds the lock.
bool is_alive(const Settings& settings, const std::string& owner, const std::vector<Belonging>& belongings) {
  const bool runs = std::ranges::any_of(belongings, [](const Belonging& belonging) {
    return belonging.role == Role::kAgent && belonging.kind == Kind::kContainer &&
           (belonging.state == "running" || belonging.state == "paused" || belonging.state == "restarting" ||
            belonging.state == "created");
  });
  return runs || is_locked(owner_lock(settings, owner));
}

void show(const std::string& owner, const std::vector<Belonging>& belongings) {
  for (const auto& belonging : belongings)
    std::printf("%-28s %-10s %-30s %s\n", owner.c_str(), std::string(to_string(belonging.kind)).c_str(),
                belonging.name.c_str(), belonging.id.substr(0, 19).c_str());
}

// Of belongings, and of control groups in which nothing may be left.
std::vector<std::string> all_owners(const EngineWatch& watch) {
  auto owners = watch.ledger().owners();
  const auto groups = watch.cgroups();
  const auto of_groups = groups ? groups->owners() : std::vector<std::string>();
  owners.insert(owners.end(), of_groups.begin(), of_groups.end());
  std::ranges::sort(owners);
  const auto repeated = std::ranges::unique(owners);
  owners.erase(repeated.begin(), repeated.end());
  return owners;
}

// False if something refuses to go.
bool remove_all_of(EngineWatch& watch, const std::string& owner) {
  watch.ledger().close(owner);
  const auto report = reap(watch, owner, {});
  if (!report) {
    complain(report.error(), kFailed);
    return false;
  }
  std::printf("%-28s removed: %s\n", owner.c_str(), report->summary().c_str());
  for (const auto& left : report->left) std::printf("%-28s refuses to go: %s\n", owner.c_str(), left.c_str());
  return report->complete();
}

}  // namespace

int run_reap(const Settings& settings) {
  const auto address = EngineAddress::parse(settings.text("engine"));
  if (!address)
    return complain(Error::invalid("engine (" + settings.origin("engine") + ") " + address.error().message),
                    kWrongSettings);
  const auto state = open_state(settings);
  if (!state) return complain(state.error(), kFailed);
  EngineWatch watch(make_http_engine(*address), state->store, state->server_id);
  if (const auto listed = watch.resync(); !listed) return complain(listed.error(), kFailed);
  // The server decides over its agents by more than we can see: only it may say which of them have ended.
  const bool serving = is_locked(settings.text("state_dir") + "/lock");
  const bool all = settings.flag("all");
  if (all && serving)
    return complain(Error::invalid("all (" + settings.origin("all") +
                                   "): a server works with this state_dir and would make agents anew; stop it first"),
                    kWrongSettings);
  bool all_gone = true;
  std::size_t found = 0;
  for (const auto& owner : all_owners(watch)) {
    const auto belongings = watch.ledger().of(owner);
    const bool agents =
        std::ranges::any_of(belongings, [](const Belonging& each) { return each.role == Role::kAgent; });
    if (!all && (is_alive(settings, owner, belongings) || (serving && (agents || belongings.empty())))) continue;
    ++found;
    show(owner, belongings);
    if (!settings.flag("dry_run")) all_gone = remove_all_of(watch, owner) && all_gone;
  }
  if (found == 0) std::printf("nothing is left behind on %s\n", address->text().c_str());
  return all_gone ? kDone : kFailed;
}

}  // namespace ebbtide::api
