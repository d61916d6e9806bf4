#include "api/actions.h"

#include <algorithm>

#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

constexpr std::uint64_t kMostMinutes = 24 * 60;

// What the page shows by itself needs no words.
Result<std::string> silent(const Result<void>& done) {
  if (!done) return fail(done.error());
  return std::string();
}

Result<std::string> end(plugin::Fleet& fleet, const ActionRequest& request) {
  return silent(fleet.end_agent(request.object, request.who));
}

Result<std::string> reap(plugin::Fleet& fleet, const ActionRequest& request) {
  return silent(fleet.reap_agent(request.object, request.who));
}

Result<std::string> keep(plugin::Fleet& fleet, const ActionRequest& request) {
  const auto given = request.fields.find("minutes");
  const auto minutes = given == request.fields.end() ? std::nullopt : parse_number(given->second);
  if (!minutes || *minutes > kMostMinutes)
    return fail(Error::invalid("minutes must be a whole number from 0 to " + std::to_string(kMostMinutes)));
  return silent(fleet.keep_agent(request.object, std::chrono::minutes(*minutes), request.who));
}

Result<std::string> drain(plugin::Fleet& fleet, const ActionRequest& request) {
  return silent(fleet.drain_cluster(request.object, true, request.who));
}

Result<std::string> resume(plugin::Fleet& fleet, const ActionRequest& request) {
  return silent(fleet.drain_cluster(request.object, false, request.who));
}

Result<std::string> prune_caches(plugin::Fleet& fleet, const ActionRequest& request) {
  const auto pruned = fleet.prune_caches(request.object, request.who);
  if (!pruned) return fail(pruned.error());
  const auto number = pruned->removed.size();
  auto text = std::to_string(number) + (number == 1 ? " cache is removed." : " caches are removed.");
  if (!pruned->in_use.empty()) text += " Still there, since a container uses it: " + join(pruned->in_use) + ".";
  if (!pruned->failed.empty()) text += " Not removed: " + join(pruned->failed, "; ") + ".";
  return text;
}

constexpr Action kAgentActions[] = {
    {"end", "End agent",
     "Its container and all belongings of its job are removed. A job that it is building fails, and GoCD may schedule "
     "it again.",
     true, false, end},
    {"reap", "Reap now", "What is left of it is removed at once, instead of later.", true, false, reap},
    {"keep", "Keep for a look",
     "When the agent ends, its container and the belongings of its job stay for so many minutes before they are "
     "removed. 0 takes it back.",
     false, true, keep}};

constexpr Action kClusterActions[] = {
    {"drain", "Drain",
     "Agents that are there finish their jobs; no new ones are made, and jobs wait. It stays so over restarts, until "
     "somebody resumes it.",
     false, false, drain},
    {"prune-caches", "Prune caches", "Those that no container uses are removed, and jobs fill them anew.", true, false,
     prune_caches},
    {"resume", "Make agents again", "Jobs that wait get their agents, as far as the limit allows.", false, false,
     resume}};

const Action* find(std::span<const Action> actions, std::string_view name) {
  const auto found = std::ranges::find(actions, name, &Action::name);
  return found == actions.end() ? nullptr : &*found;
}

}  // namespace

const Action* agent_action(std::string_view name) { return find(kAgentActions, name); }
const Action* cluster_action(std::string_view name) { return find(kClusterActions, name); }

std::map<std::string, std::string> form_fields(std::string_view body) {
  std::map<std::string, std::string> fields;
  for (const auto& pair : split(body, '&')) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos) continue;
    const auto name = percent_decode(std::string_view(pair).substr(0, equals), true);
    auto value = percent_decode(std::string_view(pair).substr(equals + 1), true);
    if (!name || !value) return {};
    fields[*name] = std::move(*value);
  }
  return fields;
}

}  // namespace ebbtide::api
