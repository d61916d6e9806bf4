#include "docker/engine/http_engine.h"

#include <algorithm>
#include <mutex>

#include "docker/base/text.h"
#include "docker/engine/curl_transport.h"
#include "docker/engine/engine_json.h"
#include "docker/engine/event_feed.h"
#include "docker/engine/pull.h"

namespace ebbtide {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr const char* kOldestApi = "1.41";
constexpr std::size_t kLogLimit = 64 * 1024;

// "1.41" → {1, 41}; {0, 0} for what is no version.
std::pair<std::uint64_t, std::uint64_t> version_numbers(std::string_view version) {
  const auto dot = version.find('.');
  if (dot == std::string_view::npos) return {0, 0};
  return {parse_number(version.substr(0, dot)).value_or(0), parse_number(version.substr(dot + 1)).value_or(0)};
}

bool older(std::string_view a, std::string_view b) { return version_numbers(a) < version_numbers(b); }

ErrorKind kind_of(long status) {
  if (status == 404) return ErrorKind::kNotFound;
  if (status == 409 || status == 403) return ErrorKind::kConflict;  // 403: a network with endpoints
  if (status >= 400 && status < 500) return ErrorKind::kInvalid;
  return ErrorKind::kUnavailable;
}

std::string message_of(const EngineAnswer& answer) {
  const auto body = read_json(answer.body);
  if (body.is_object() && body.contains("message") && body["message"].is_string())
    return body["message"].get<std::string>();
  const auto plain = trim(answer.body);
  return plain.empty() ? "no reason given" : std::string(plain.substr(0, 500));
}

class HttpEngine final : public Engine {
 public:
  explicit HttpEngine(EngineAddress address) : transport_(std::move(address)) {}

  const EngineAddress& address() const override { return transport_.address(); }

  std::unique_ptr<EventSubscription> subscribe(EventCallbacks callbacks) override {
    return std::make_unique<EventFeed>(address(), std::move(callbacks));
  }

  Result<void> ping() override {
    const auto answer = transport_.send({.target = "/_ping", .limit = 3s});
    if (!answer) return fail(answer.error());
    return check(*answer, "ping");
  }

  Result<EngineInfo> info() override {
    const auto info = call({.target = "/info"}, "ask the engine about itself");
    if (!info) return fail(info.error());
    const auto version = call({.target = "/version"}, "ask the engine for its version");
    if (!version) return fail(version.error());
    return read_info(read_json(info->body), read_json(version->body));
  }

  Result<std::string> create_container(const std::string& name, const json& body,
                                       const std::string& platform) override {
    const auto answer = call({.method = "POST",
                              .target = "/containers/create?name=" + percent_encode(name) +
                                        (platform.empty() ? "" : "&platform=" + percent_encode(platform)),
                              .body = body.dump(),
                              .limit = 60s},
                             "create container " + name);
    if (!answer) return fail(answer.error());
    const auto id = read_json(answer->body).value("Id", std::string());
    if (id.empty()) return fail(Error::unavailable("create container " + name + ": the engine gave no id"));
    return id;
  }

  Result<void> start_container(const std::string& id) override {
    return act({.method = "POST", .target = container(id) + "/start", .limit = 120s}, "start container " + id);
  }

  Result<void> stop_container(const std::string& id, std::chrono::seconds grace) override {
    return act(
        {.method = "POST", .target = container(id) + "/stop?t=" + std::to_string(grace.count()), .limit = grace + 15s},
        "stop container " + id);
  }

  Result<void> kill_container(const std::string& id) override {
    return act({.method = "POST", .target = container(id) + "/kill"}, "kill container " + id);
  }

  Result<void> remove_container(const std::string& id) override {
    return act({.method = "DELETE", .target = container(id) + "?force=1&v=1", .limit = 60s}, "remove container " + id);
  }

  Result<ContainerDetail> inspect_container(const std::string& id) override {
    const auto answer = call({.target = container(id) + "/json"}, "inspect container " + id);
    if (!answer) return fail(answer.error());
    return read_container_detail(read_json(answer->body));
  }

  Result<std::vector<ContainerSummary>> list_containers(const LabelFilter& filter) override {
    return list<ContainerSummary>("/containers/json?all=1&filters=", filter, "list containers", nullptr,
                                  read_container_summary);
  }

  Result<std::string> container_log(const std::string& id, int last_lines) override {
    const auto answer = call(
        {.target = container(id) + "/logs?stdout=1&stderr=1&tail=" + std::to_string(last_lines), .max_body = 1 << 20},
        "read the log of container " + id);
    if (!answer) return fail(answer.error());
    auto log = without_frames(answer->body);
    return log.size() > kLogLimit ? log.substr(log.size() - kLogLimit) : log;
  }

  Result<void> read_log(const std::string& id, const LogWishes& wishes,
                        const std::function<bool(std::string_view)>& write,
                        const std::function<bool()>& wanted) override {
    const auto detail = inspect_container(id);
    if (!detail) return fail(detail.error());
    EngineRequest request{
        .target = container(id) + "/logs?stdout=1&stderr=1&tail=" + std::to_string(wishes.last_lines) +
                  "&follow=" + (wishes.follow ? "1" : "0") + "&timestamps=" + (wishes.times ? "1" : "0"),
        .limit = wishes.follow ? 0ms : 30'000ms,
        .wanted = wanted};
    FrameReader frames;
    request.on_body = [&, terminal = detail->terminal](std::string_view piece) {
      return terminal ? write(piece) : write(frames.feed(piece));
    };
    const auto done = act(std::move(request), "read the log of container " + id);
    // Whoever reads has had enough.
    return done || done.error().kind == ErrorKind::kCancelled ? Result<void>() : done;
  }

  Result<ContainerUsage> container_usage(const std::string& id) override {
    const auto answer = call({.target = container(id) + "/stats?stream=0&one-shot=1", .limit = 5s},
                             "ask what container " + id + " uses");
    if (!answer) return fail(answer.error());
    return read_usage(read_json(answer->body));
  }

  std::map<std::string, Histogram> latencies() const override { return transport_.latencies(); }

  Result<bool> has_path(const std::string& id, const std::string& path) override {
    const auto answer = call({.method = "HEAD", .target = container(id) + "/archive?path=" + percent_encode(path, "/")},
                             "look for " + path + " in container " + id);
    if (answer) return true;
    return answer.error().kind == ErrorKind::kNotFound ? Result<bool>(false) : fail(answer.error());
  }

  Result<void> put_archive(const std::string& id, const std::string& path, const std::string& tar) override {
    return act({.method = "PUT",
                .target = container(id) + "/archive?path=" + percent_encode(path, "/"),
                .body = tar,
                .content_type = "application/x-tar"},
               "put files into container " + id);
  }

  Result<std::vector<NetworkSummary>> list_networks(const LabelFilter& filter) override {
    return list<NetworkSummary>("/networks?filters=", filter, "list networks", nullptr, read_network);
  }

  Result<std::vector<std::string>> network_containers(const std::string& id) override {
    const auto answer = call({.target = "/networks/" + percent_encode(id)}, "inspect network " + id);
    if (!answer) return fail(answer.error());
    const auto network = read_json(answer->body);
    std::vector<std::string> ids;
    if (network.contains("Containers") && network["Containers"].is_object())
      for (const auto& [container_id, endpoint] : network["Containers"].items()) ids.push_back(container_id);
    return ids;
  }

  Result<void> connect_network(const std::string& network, const std::string& container_id) override {
    return act({.method = "POST",
                .target = "/networks/" + percent_encode(network) + "/connect",
                .body = json{{"Container", container_id}}.dump()},
               "connect container " + container_id + " to network " + network);
  }

  Result<void> disconnect_network(const std::string& network, const std::string& container_id) override {
    return act({.method = "POST",
                .target = "/networks/" + percent_encode(network) + "/disconnect",
                .body = json{{"Container", container_id}, {"Force", true}}.dump()},
               "disconnect container " + container_id + " from network " + network);
  }

  Result<void> remove_network(const std::string& id) override {
    return act({.method = "DELETE", .target = "/networks/" + percent_encode(id)}, "remove network " + id);
  }

  Result<std::vector<VolumeSummary>> list_volumes(const LabelFilter& filter) override {
    return list<VolumeSummary>("/volumes?filters=", filter, "list volumes", "Volumes", read_volume);
  }

  Result<void> create_volume(const std::string& name, const Labels& labels) override {
    return act({.method = "POST", .target = "/volumes/create", .body = json{{"Name", name}, {"Labels", labels}}.dump()},
               "create volume " + name);
  }

  Result<void> remove_volume(const std::string& name) override {
    return act({.method = "DELETE", .target = "/volumes/" + percent_encode(name)}, "remove volume " + name);
  }

  Result<std::vector<ImageSummary>> list_images(const LabelFilter& filter) override {
    return list<ImageSummary>("/images/json?filters=", filter, "list images", nullptr, read_image_summary);
  }

  Result<ImageDetail> inspect_image(const std::string& reference) override {
    const auto answer = call({.target = image(reference) + "/json"}, "inspect image " + reference);
    if (!answer) return fail(answer.error());
    return read_image_detail(read_json(answer->body));
  }

  Result<void> tag_image(const std::string& id, const std::string& reference) override {
    const auto parts = split_reference(reference);
    return act(
        {.method = "POST",
         .target = image(id) + "/tag?repo=" + percent_encode(parts.repository) + "&tag=" + percent_encode(parts.tag)},
        "tag image " + reference);
  }

  Result<void> remove_image(const std::string& reference) override {
    return act({.method = "DELETE", .target = image(reference)}, "remove image " + reference);
  }

  Result<void> pull_image(const WantedImage& image, const std::optional<RegistryLogin>& login,
                          const std::function<void(const PullProgress&)>& progress) override {
    PullReader reader;
    EngineRequest request{.method = "POST", .target = pull_target(image), .limit = 0ms};
    if (login) request.headers.push_back("X-Registry-Auth: " + registry_auth(*login));
    request.on_body = [&](std::string_view piece) {
      if (reader.feed(piece) && progress) progress(reader.progress());
      return true;
    };
    if (const auto done = act(std::move(request), "pull image " + image.reference); !done) return done;
    // A pull that fails after it began is a 200 with an error line.
    if (!reader.error().empty())
      return fail(Error::unavailable("pull image " + image.reference + ": " + reader.error()));
    return {};
  }

 private:
  static std::string container(const std::string& id) { return "/containers/" + percent_encode(id); }
  static std::string image(const std::string& reference) { return "/images/" + percent_encode(reference, "/:@"); }

  static Result<void> check(const EngineAnswer& answer, const std::string& attempt) {
    if (answer.status >= 200 && answer.status < 400) return {};
    return fail(Error{kind_of(answer.status),
                      attempt + ": the engine answered " + std::to_string(answer.status) + ": " + message_of(answer)});
  }

  // Sends with the version in front of the target; a status of 400 and above is an error.
  Result<EngineAnswer> call(EngineRequest request, const std::string& attempt) {
    const auto version = negotiated_version();
    if (!version) return fail(version.error().within(attempt));
    request.target = "/v" + *version + request.target;
    auto answer = transport_.send(request);
    if (!answer) {
      if (answer.error().kind == ErrorKind::kUnavailable) forget_version();  // another engine may come back
      return fail(answer.error().within(attempt));
    }
    if (const auto good = check(*answer, attempt); !good) return fail(good.error());
    return answer;
  }

  Result<void> act(EngineRequest request, const std::string& attempt) {
    const auto answer = call(std::move(request), attempt);
    return answer ? Result<void>() : fail(answer.error());
  }

  template <class Item, class Read>
  Result<std::vector<Item>> list(const std::string& target, const LabelFilter& filter, const std::string& attempt,
                                 const char* wrapped_in, Read read) {
    const auto answer = call({.target = target + percent_encode(filters_text(filter))}, attempt);
    if (!answer) return fail(answer.error());
    auto items = read_json(answer->body);
    if (wrapped_in && items.is_object()) items = items.value(wrapped_in, json());
    // null where there is none; anything else would look like an end of everything.
    if (items.is_null() && read_json(answer->body).is_object()) items = json::array();
    if (!items.is_array()) return fail(Error::unavailable(attempt + ": the engine's answer is no list"));
    std::vector<Item> read_items;
    for (const auto& item : items) read_items.push_back(read(item));
    return read_items;
  }

  // The newest version that both sides know. Engines without ours in their range are refused.
  Result<std::string> negotiated_version() {
    {
      const std::scoped_lock lock(mutex_);
      if (!version_.empty()) return version_;
    }
    const auto answer = transport_.send({.target = "/version", .limit = 5s});
    if (!answer) return fail(answer.error());
    if (const auto good = check(*answer, "ask the engine for its version"); !good) return fail(good.error());
    const auto version = read_json(answer->body);
    const auto newest = version.is_object() ? version.value("ApiVersion", std::string()) : std::string();
    const auto oldest = version.is_object() ? version.value("MinAPIVersion", std::string()) : std::string();
    if (older(newest, kOldestApi))
      return fail(Error::invalid("the engine " + address().text() + " speaks API " + newest + "; Ebbtide needs " +
                                 kOldestApi + " or later (Docker 20.10)"));
    if (older(kNewestApi, oldest))
      return fail(Error::invalid("the engine " + address().text() + " speaks API " + oldest +
                                 " and later only; this Ebbtide speaks up to " + kNewestApi));
    const std::scoped_lock lock(mutex_);
    version_ = older(newest, kNewestApi) ? newest : kNewestApi;
    return version_;
  }

  void forget_version() {
    const std::scoped_lock lock(mutex_);
    version_.clear();
  }

  CurlTransport transport_;
  std::mutex mutex_;  // guards version_
  std::string version_;
};

}  // namespace

std::unique_ptr<Engine> make_http_engine(EngineAddress address) {
  return std::make_unique<HttpEngine>(std::move(address));
}

}  // namespace ebbtide
