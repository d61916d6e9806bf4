#include "plugin/health.h"

#include <algorithm>

#include "docker/base/text.h"

namespace ebbtide::plugin {
namespace {

constexpr std::size_t kNamed = 5;  // of a list; the rest is counted

std::string some_of(const std::vector<std::string>& names, const char* between) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) text += (i > 0 ? between : "") + names[i];
  if (names.size() > kNamed) text += " and " + std::to_string(names.size() - kNamed) + " more";
  return text;
}

Channel::HealthMessage error(std::string message) { return {.type = "error", .message = std::move(message)}; }
Channel::HealthMessage warning(std::string message) { return {.type = "warning", .message = std::move(message)}; }

Channel::HealthMessage told(const HealthFacts::Engine& engine) {
  auto text = "The engine " + engine.name + " can't be reached";
  if (engine.since != TimePoint{}) text += " since " + to_rfc3339(engine.since);
  return error(text + (engine.error.empty() ? "." : ": " + engine.error));
}

Channel::HealthMessage told(const HealthFacts::Limit& limit) {
  return warning("The engine " + limit.engine + " is at its limit: " + std::to_string(limit.agents) + " of " +
                 std::to_string(limit.limit) + " agents. Waiting: " + some_of(limit.waiting, ", ") + ".");
}

Channel::HealthMessage told(const HealthFacts::Removal& removal) {
  return error("Agent " + removal.agent + " could not be removed wholly after " + std::to_string(removal.tries) +
               " tries: " + some_of(removal.left, "; "));
}

}  // namespace

std::vector<Channel::HealthMessage> health_messages(const HealthFacts& facts) {
  std::vector<Channel::HealthMessage> messages;
  const auto add = [&](Channel::HealthMessage message) {
    if (std::ranges::find(messages, message) == messages.end()) messages.push_back(std::move(message));
  };
  for (const auto& engine : facts.unreachable) add(told(engine));
  for (const auto& limit : facts.limits) add(told(limit));
  for (const auto& removal : facts.removals) add(told(removal));
  for (const auto& image : facts.unsafe)
    add(warning("Agents of " + image + " hold the raw Docker socket of their host (DockerAccess host): their jobs " +
                "are root there, and what they leave behind is not removed."));
  for (const auto& note : facts.notes) add(note);
  std::ranges::stable_sort(messages, {}, [](const auto& message) { return message.type == "error" ? 0 : 1; });
  return messages;
}

}  // namespace ebbtide::plugin
