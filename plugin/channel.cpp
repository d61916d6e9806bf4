#include "plugin/channel.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "docker/base/log.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"
#include "plugin/duties.h"

namespace ebbtide::plugin {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kConsoleMessage = 64 * 1024;      // texts for one job that wait are joined up to this
constexpr std::size_t kConsoleTotal = 4 * 1024 * 1024;  // beyond it the oldest are given up
constexpr milliseconds kFirstRetry{200};                // doubled at each failure
constexpr milliseconds kLastRetry{60'000};
// A bridge that fetched a request and lost it without ending its attachment must not stop what follows.
constexpr std::chrono::seconds kAnswerLimit{60};
constexpr unsigned kConsoleTries = 3;

enum class Keeping {
  kDuty,     // in the database, until 200
  kLatest,   // until 200 or a newer one
  kBounded,  // a few tries
  kAwaited,  // while its caller waits
};

struct Item {
  std::string api;
  std::string version = "1.0";
  Keeping keeping = Keeping::kAwaited;
  std::string agent;  // of a duty
  JobIdentifier job;  // of console text
  std::string text;   // the body, or console text
  bool fetched = false;
  unsigned tries = 0;
  steady_clock::time_point not_before{};
};

// Requests in one lane are asked one after the other; those with none, at once.
std::string lane_of(const Item& item) {
  switch (item.keeping) {
    case Keeping::kDuty:
      return item.agent;
    case Keeping::kLatest:
      return item.api;
    case Keeping::kBounded:
      return item.job.text() + "/" + std::to_string(item.job.job_id);
    case Keeping::kAwaited:
      break;
  }
  return {};
}

std::string body_of(const Item& item) {
  if (item.keeping == Keeping::kDuty) return write_agent_ids({item.agent});
  if (item.keeping != Keeping::kBounded) return item.text;
  const nlohmann::ordered_json body{
      {"pipeline_name", item.job.pipeline_name}, {"pipeline_counter", std::to_string(item.job.pipeline_counter)},
      {"stage_name", item.job.stage_name},       {"stage_counter", item.job.stage_counter},
      {"job_name", item.job.job_name},           {"text", item.text}};
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string health_body(const std::vector<Channel::HealthMessage>& messages) {
  auto list = nlohmann::json::array();
  for (const auto& message : messages) list.push_back({{"type", message.type}, {"message", message.message}});
  return list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<ProcessorResponse> only_success(ProcessorResponse response, const std::string& api) {
  if (response.code == 200) return response;
  return fail(Error::unavailable("GoCD answered " + api + " with " + std::to_string(response.code)));
}

}  // namespace

class Channel::Impl {
 public:
  Impl(std::string gocd, std::shared_ptr<Database> database) : gocd_(std::move(gocd)), duties_(gocd_, database) {
    for (auto& duty : duties_.all()) {
      items_.emplace(++last_,
                     Item{.api = std::move(duty.api), .keeping = Keeping::kDuty, .agent = std::move(duty.agent_id)});
    }
  }

  // --- for the plugin ---

  void ask_duty(const char* api, const std::vector<std::string>& agent_ids) {
    duties_.add(api, agent_ids);
    const std::scoped_lock lock(mutex_);
    for (const auto& id : agent_ids) add_duty(api, id);
  }

  void console(const JobIdentifier& job, std::string text) {
    const std::scoped_lock lock(mutex_);
    console_bytes_ += text.size();
    if (auto* waiting = joinable(job, text.size())) {
      waiting->text += text;
    } else {
      add({.api = processor::kConsole,
           .version = "2.0",
           .keeping = Keeping::kBounded,
           .job = job,
           .text = std::move(text)});
    }
    while (console_bytes_ > kConsoleTotal && give_up_oldest_console()) {
    }
  }

  void health(const std::vector<HealthMessage>& messages) {
    const std::scoped_lock lock(mutex_);
    health_ = health_body(messages);
    ask_health();
  }

  Result<ProcessorResponse> ask(const char* api, const char* version, milliseconds limit) {
    std::unique_lock lock(mutex_);
    if (!connected_) return fail(Error::unavailable("no bridge of GoCD " + gocd_ + " is connected"));
    const auto number = add({.api = api, .version = version});
    waiters_.emplace(number, std::nullopt);
    return await(lock, number, api, steady_clock::now() + limit);
  }

  Result<void> ask_duty_now(const char* api, const std::vector<std::string>& agent_ids, milliseconds limit) {
    const auto deadline = steady_clock::now() + limit;
    duties_.add(api, agent_ids);
    std::unique_lock lock(mutex_);
    std::vector<std::uint64_t> numbers;
    for (const auto& id : agent_ids) numbers.push_back(add_duty(api, id));
    if (!connected_) return fail(Error::unavailable("no bridge of GoCD " + gocd_ + " is connected"));
    for (const auto number : numbers) waiters_.emplace(number, std::nullopt);
    Result<void> all;
    for (const auto number : numbers)
      if (const auto response = await(lock, number, api, deadline); !response) all = fail(response.error());
    return all;
  }

  // --- for the HTTP surface ---

  std::uint64_t attach() {
    const std::scoped_lock lock(mutex_);
    connected_ = true;
    for (auto& [number, item] : items_)
      if (std::exchange(item.fetched, false)) item.not_before = {};
    // GoCD keeps health messages in memory only, and the bridge attaches anew after its restart.
    if (health_) ask_health();
    changed_.notify_all();
    return ++attachment_;
  }

  void detach(std::uint64_t attachment) {
    const std::scoped_lock lock(mutex_);
    if (attachment != attachment_) return;
    connected_ = false;
    changed_.notify_all();
  }

  std::optional<ProcessorRequest> next(std::uint64_t attachment, milliseconds limit) {
    const auto deadline = steady_clock::now() + limit;
    std::unique_lock lock(mutex_);
    while (is_attached(attachment)) {
      auto wake = deadline;
      if (auto request = fetch(wake)) return request;
      if (steady_clock::now() >= deadline) return std::nullopt;
      changed_.wait_until(lock, wake);
    }
    return std::nullopt;
  }

  bool attached(std::uint64_t attachment) const {
    const std::scoped_lock lock(mutex_);
    return is_attached(attachment);
  }

  bool answer(const std::string& id, ProcessorResponse response) {
    std::unique_lock lock(mutex_);
    const auto number = number_of(id);
    const auto found = number ? items_.find(*number) : items_.end();
    if (found == items_.end()) return false;
    if (const auto waiter = waiters_.find(*number); waiter != waiters_.end()) waiter->second = response;
    const auto done = settle(found, response);
    changed_.notify_all();
    lock.unlock();
    if (done) duties_.done(done->api, {done->agent});
    return true;
  }

  ChannelState state() const {
    const std::scoped_lock lock(mutex_);
    ChannelState state{.connected = connected_, .given_up = given_up_};
    for (const auto& [number, item] : items_) ++(item.fetched ? state.in_flight : state.waiting);
    return state;
  }

  void close() {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    connected_ = false;
    changed_.notify_all();
  }

  const std::string gocd_;

 private:
  using Items = std::map<std::uint64_t, Item>;

  bool is_attached(std::uint64_t attachment) const { return connected_ && !closed_ && attachment == attachment_; }

  std::uint64_t add(Item item) {
    items_.emplace(++last_, std::move(item));
    changed_.notify_all();
    return last_;
  }

  // One request for each agent: one that GoCD can't handle must not keep the others waiting.
  std::uint64_t add_duty(const char* api, const std::string& agent) {
    const auto known = std::ranges::find_if(
        items_, [&](const auto& entry) { return entry.second.api == api && entry.second.agent == agent; });
    return known != items_.end() ? known->first : add({.api = api, .keeping = Keeping::kDuty, .agent = agent});
  }

  Item* joinable(const JobIdentifier& job, std::size_t more) {
    for (auto at = items_.rbegin(); at != items_.rend(); ++at) {
      Item& item = at->second;
      if (item.keeping != Keeping::kBounded || item.job != job) continue;
      const bool fits = item.text.size() + more <= kConsoleMessage;
      return !item.fetched && item.tries == 0 && fits ? &item : nullptr;
    }
    return nullptr;
  }

  bool give_up_oldest_console() {
    const auto oldest = std::ranges::find_if(
        items_, [](const auto& entry) { return entry.second.keeping == Keeping::kBounded && !entry.second.fetched; });
    if (oldest == items_.end()) return false;
    ++given_up_;
    erase(oldest);
    return true;
  }

  void ask_health() {
    const auto waiting = std::ranges::find_if(
        items_, [](const auto& entry) { return entry.second.keeping == Keeping::kLatest && !entry.second.fetched; });
    if (waiting != items_.end()) items_.erase(waiting);
    add({.api = processor::kHealth, .keeping = Keeping::kLatest, .text = *health_});
  }

  void erase(Items::iterator at) {
    if (at->second.keeping == Keeping::kBounded) console_bytes_ -= at->second.text.size();
    items_.erase(at);
  }

  // The oldest that may be asked now; else wake becomes the time at which one may.
  std::optional<ProcessorRequest> fetch(steady_clock::time_point& wake) {
    const auto now = steady_clock::now();
    std::set<std::string> busy;
    for (auto& [number, item] : items_) {
      const auto lane = lane_of(item);
      const bool free = lane.empty() || busy.insert(lane).second;
      if (free && item.not_before <= now) return hand_out(number, item);
      if (free) wake = std::min(wake, item.not_before);
    }
    return std::nullopt;
  }

  ProcessorRequest hand_out(std::uint64_t number, Item& item) {
    item.fetched = true;
    ++item.tries;
    item.not_before = steady_clock::now() + kAnswerLimit;
    return {
        .id = prefix_ + std::to_string(number), .api = item.api, .api_version = item.version, .body = body_of(item)};
  }

  std::optional<std::uint64_t> number_of(const std::string& id) const {
    if (!id.starts_with(prefix_)) return std::nullopt;
    return parse_number(std::string_view(id).substr(prefix_.size()));
  }

  // Takes an answered request out, or puts it back for another try; a duty that is done, for the database.
  std::optional<Item> settle(Items::iterator at, const ProcessorResponse& response) {
    Item& item = at->second;
    if (response.code == 200 || item.keeping == Keeping::kAwaited) {
      auto done = item;
      erase(at);
      return done.keeping == Keeping::kDuty ? std::optional(std::move(done)) : std::nullopt;
    }
    log_warning("GoCD refused a request",
                {{"gocd", gocd_}, {"api", item.api}, {"code", std::to_string(response.code)}});
    if (item.keeping == Keeping::kBounded && item.tries >= kConsoleTries) {
      ++given_up_;
      erase(at);
      return std::nullopt;
    }
    if (item.keeping == Keeping::kLatest && item.text != *health_) {
      erase(at);
      return std::nullopt;
    }
    const auto pause = kFirstRetry * (1 << std::min(item.tries - 1, 9U));
    item.not_before = steady_clock::now() + std::min<milliseconds>(pause, kLastRetry);
    item.fetched = false;
    return std::nullopt;
  }

  // The number is among waiters_.
  Result<ProcessorResponse> await(std::unique_lock<std::mutex>& lock, std::uint64_t number, const char* api,
                                  steady_clock::time_point deadline) {
    const auto answered = [&] { return closed_ || waiters_.at(number).has_value(); };
    changed_.wait_until(lock, deadline, answered);
    auto response = std::move(waiters_.extract(number).mapped());
    if (response) return only_success(std::move(*response), api);
    if (const auto item = items_.find(number); item != items_.end() && item->second.keeping == Keeping::kAwaited)
      items_.erase(item);
    if (closed_) return fail(Error::cancelled("ebbtide is stopping"));
    return fail(Error::timeout("GoCD did not answer " + std::string(api) + " in time"));
  }

  Duties duties_;
  const std::string prefix_ = random_hex(4) + "-";  // ids of a former process name nothing here

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Items items_;  // by age
  std::map<std::uint64_t, std::optional<ProcessorResponse>> waiters_;
  std::optional<std::string> health_;  // the last list
  std::uint64_t last_ = 0;
  std::uint64_t attachment_ = 0;
  std::uint64_t given_up_ = 0;
  std::size_t console_bytes_ = 0;
  bool connected_ = false;
  bool closed_ = false;
};

Channel::Channel(std::string gocd, std::shared_ptr<Database> database)
    : impl_(std::make_unique<Impl>(std::move(gocd), std::move(database))) {}

Channel::~Channel() { close(); }

void Channel::disable_agents(const std::vector<std::string>& agent_ids) {
  impl_->ask_duty(processor::kDisableAgents, agent_ids);
}

void Channel::delete_agents(const std::vector<std::string>& agent_ids) {
  impl_->ask_duty(processor::kDeleteAgents, agent_ids);
}

Result<std::vector<AgentStatus>> Channel::list_agents(milliseconds limit) {
  const auto response = impl_->ask(processor::kListAgents, "1.0", limit);
  if (!response) return fail(response.error());
  return read_agents(response->body);
}

Result<std::string> Channel::server_info(milliseconds limit) {
  auto response = impl_->ask(processor::kServerInfo, "2.0", limit);
  if (!response) return fail(response.error());
  return std::move(response->body);
}

Result<void> Channel::disable_agents_now(const std::vector<std::string>& agent_ids, milliseconds limit) {
  return impl_->ask_duty_now(processor::kDisableAgents, agent_ids, limit);
}

void Channel::console(const JobIdentifier& job, std::string text) { impl_->console(job, std::move(text)); }
void Channel::health(std::vector<HealthMessage> messages) { impl_->health(messages); }
std::uint64_t Channel::attach() { return impl_->attach(); }
void Channel::detach(std::uint64_t attachment) { impl_->detach(attachment); }

std::optional<ProcessorRequest> Channel::next(std::uint64_t attachment, milliseconds limit) {
  return impl_->next(attachment, limit);
}

bool Channel::attached(std::uint64_t attachment) const { return impl_->attached(attachment); }
bool Channel::answer(const std::string& id, ProcessorResponse response) {
  return impl_->answer(id, std::move(response));
}
ChannelState Channel::state() const { return impl_->state(); }
const std::string& Channel::gocd() const { return impl_->gocd_; }
void Channel::close() { impl_->close(); }

}  // namespace ebbtide::plugin
