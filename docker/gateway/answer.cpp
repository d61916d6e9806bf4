#include "docker/gateway/answer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "docker/base/text.h"

namespace ebbtide::gateway {

namespace {

constexpr std::size_t kMaxLine = 64 * 1024;

Json* find(Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::string text(const Json& object, std::string_view name) {
  if (!object.is_object()) return {};
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

void drop_reserved(Json& labels) {
  Json kept = Json::object();
  for (auto& [key, value] : labels.items())
    if (!is_reserved_label(key)) kept[key] = std::move(value);
  labels = std::move(kept);
}

// The classic builder writes labels as "LABEL ebbtide.image-agent=…", one to a line (Engine 20.10, tried).
void hide_label_line(Json& line) {
  constexpr std::string_view kLabel = "LABEL ";
  const auto& whole = line.get_ref<const std::string&>();
  const auto at = whole.find(std::string(kLabel) + std::string(label::kPrefix));
  if (at != std::string::npos) line = whole.substr(0, at + kLabel.size() - 1);
}

void hide_lines(Json& value) {
  if (value.is_string()) hide_label_line(value);
  if (!value.is_array()) return;
  for (auto& element : value)
    if (element.is_string()) hide_label_line(element);
}

template <class Keep>
void keep_if(Json& list, const Keep& keep) {
  if (!list.is_array()) return;
  Json kept = Json::array();
  for (auto& element : list)
    if (keep(element)) kept.push_back(std::move(element));
  list = std::move(kept);
}

bool is_visible(const Json& element, Kind kind, const IsVisible& visible) {
  if (kind == Kind::kVolume) return visible(kind, text(element, "Name"));
  if (kind == Kind::kNetwork) {
    constexpr std::array<std::string_view, 3> kPredefined = {"bridge", "host", "none"};
    const auto name = text(element, "Name");
    if (std::find(kPredefined.begin(), kPredefined.end(), name) != kPredefined.end()) return true;
  }
  return visible(kind, text(element, "Id"));
}

// A summary of API 1.52 and later: its numbers count what others have too.
void reduce_summary(Json& usage, const char* name, Kind kind, const IsVisible& visible) {
  auto* summary = find(usage, name);
  if (summary == nullptr) return;
  auto* items = find(*summary, "Items");
  if (items == nullptr) {
    usage.erase(name);
    return;
  }
  keep_visible(*items, kind, visible);
  *summary = {{"TotalCount", items->size()}, {"Items", std::move(*items)}};
}

bool is_visible_event(const Json& event, const IsVisible& visible, std::string_view image_owner) {
  const auto type = text(event, "Type");
  const auto actor = event.value("Actor", Json::object());
  const auto id = text(actor, "ID");
  const auto attributes = actor.is_object() ? actor.value("Attributes", Json::object()) : Json();
  const auto container = text(attributes, "container");
  const bool of_own_container = !container.empty() && visible(Kind::kContainer, container);
  if (type == "image")
    return visible(Kind::kImage, id) || (!image_owner.empty() && text(attributes, label::kImageAgent) == image_owner);
  if (type == "container") return visible(Kind::kContainer, id);
  if (type == "network") return container.empty() ? visible(Kind::kNetwork, id) : of_own_container;
  if (type == "volume") return of_own_container || visible(Kind::kVolume, id);
  return false;
}

bool is_hex(std::string_view digits) {
  return std::all_of(digits.begin(), digits.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_full_id(std::string_view id) { return id.size() == 71 && id.starts_with("sha256:") && is_hex(id.substr(7)); }

// "Step 2/5 : RUN make"
struct BuildStep {
  long number = 0;
  long total = 0;
  std::string instruction;
};

std::optional<BuildStep> read_step(std::string_view text) {
  constexpr std::string_view kStep = "Step ";
  const auto slash = text.find('/');
  const auto colon = text.find(" : ");
  if (!text.starts_with(kStep) || colon == std::string_view::npos || slash > colon) return std::nullopt;
  const auto number = parse_number(text.substr(kStep.size(), slash - kStep.size()));
  const auto total = parse_number(text.substr(slash + 1, colon - slash - 1));
  if (!number || !total) return std::nullopt;
  return BuildStep{.number = static_cast<long>(*number),
                   .total = static_cast<long>(*total),
                   .instruction = std::string(text.substr(colon + 3))};
}

bool is_label_step(const BuildStep& step) {
  return step.instruction.starts_with("LABEL " + std::string(label::kImageAgent) + "=");
}

// The text of a progress message; empty for messages of other kinds.
std::string stream_text(std::string_view line) { return text(Json(Json::parse(line, nullptr, false)), "stream"); }

}  // namespace

void hide_cgroup_parent(Json& container, std::string_view ours) {
  if (ours.empty() || !container.is_object() || !container.contains("HostConfig")) return;
  auto& host = container["HostConfig"];
  if (host.is_object() && host.contains("CgroupParent") && host["CgroupParent"] == ours) host["CgroupParent"] = "";
}

Labels labels_of(const Json& item) {
  Labels labels;
  const auto found = item.find("Labels");
  if (found != item.end() && found->is_object())
    for (const auto& [key, value] : found->items())
      if (value.is_string()) labels[key] = value.get<std::string>();
  return labels;
}

void hide_labels(Json& answer) {
  if (answer.is_array()) {
    for (auto& element : answer) hide_labels(element);
    return;
  }
  if (!answer.is_object()) return;
  for (auto& [name, value] : answer.items()) {
    if (name == "Labels" && value.is_object()) {
      drop_reserved(value);
    } else if (name == "CreatedBy" || name == "Cmd") {
      hide_lines(value);
    } else {
      hide_labels(value);
    }
  }
}

// What is hidden was last, so the layer before it stands for the image: its id and tags.
void hide_label_layers(Json& history) {
  Json hidden;
  keep_if(history, [&](Json& layer) {
    const auto made_by = text(layer, "CreatedBy");
    const bool is_ours = made_by.find("LABEL " + std::string(label::kImageAgent) + "=") != std::string::npos;
    if (is_ours) {
      hidden = std::move(layer);
    } else if (hidden.is_object()) {
      for (const auto* name : {"Id", "Tags"})
        if (auto* value = find(hidden, name)) layer[name] = std::move(*value);
      hidden = nullptr;
    }
    return !is_ours;
  });
}

void keep_visible(Json& list, Kind kind, const IsVisible& visible) {
  if (auto* volumes = find(list, "Volumes")) return keep_visible(*volumes, kind, visible);
  keep_if(list, [&](const Json& element) { return is_visible(element, kind, visible); });
}

void keep_visible_endpoints(Json& network, const IsVisible& visible) {
  if (auto* containers = find(network, "Containers"); containers != nullptr && containers->is_object()) {
    Json kept = Json::object();
    for (auto& [id, endpoint] : containers->items())
      if (visible(Kind::kContainer, id)) kept[id] = std::move(endpoint);
    *containers = std::move(kept);
  }
  if (network.is_object()) network.erase("Services");
}

void reduce_disk_usage(Json& usage, const IsVisible& visible) {
  if (auto* containers = find(usage, "Containers")) keep_visible(*containers, Kind::kContainer, visible);
  if (auto* volumes = find(usage, "Volumes")) keep_visible(*volumes, Kind::kVolume, visible);
  if (auto* cache = find(usage, "BuildCache")) *cache = Json::array();
  if (auto* size = find(usage, "BuilderSize")) *size = 0;
  for (const auto* name : {"ContainerUsage", "ContainersUsage"}) reduce_summary(usage, name, Kind::kContainer, visible);
  for (const auto* name : {"VolumeUsage", "VolumesUsage"}) reduce_summary(usage, name, Kind::kVolume, visible);
  if (usage.is_object()) usage.erase("BuildCacheUsage");
}

void reduce_image_usage(Json& usage, const IsVisible& visible) {
  for (const auto* name : {"ImageUsage", "ImagesUsage"}) reduce_summary(usage, name, Kind::kImage, visible);
  auto* images = find(usage, "Images");
  if (images == nullptr || !images->is_array()) return;
  keep_visible(*images, Kind::kImage, visible);
  std::int64_t size = 0;
  for (const auto& image : *images) size += image.value("Size", std::int64_t{0});
  if (usage.contains("LayersSize")) usage["LayersSize"] = size;
}

void name_references(Json& container, const NameOf& name_of) {
  if (container.is_array()) {
    for (auto& element : container) name_references(element, name_of);
    return;
  }
  auto* host = find(container, "HostConfig");
  if (host == nullptr) return;
  if (auto* mode = find(*host, "NetworkMode"); mode != nullptr && mode->is_string())
    if (auto name = name_of(Kind::kNetwork, mode->get<std::string>())) *mode = std::move(*name);
  auto* from = find(*host, "VolumesFrom");
  if (from == nullptr || !from->is_array()) return;
  for (auto& element : *from) {
    const auto given = element.get<std::string>();
    const auto colon = std::min(given.find(':'), given.size());
    if (const auto name = name_of(Kind::kContainer, given.substr(0, colon))) element = *name + given.substr(colon);
  }
}

void reduce_info(Json& info, const OwnCounts& own) {
  if (!info.is_object()) return;
  if (own.images && info.contains("Images")) info["Images"] = *own.images;
  info["Containers"] = own.running + own.paused + own.stopped;
  info["ContainersRunning"] = own.running;
  info["ContainersPaused"] = own.paused;
  info["ContainersStopped"] = own.stopped;
  if (info.contains("Swarm")) info["Swarm"] = {{"LocalNodeState", "inactive"}, {"ControlAvailable", false}};
  if (info.contains("Labels")) info["Labels"] = Json::array();
}

std::optional<std::string> event_for_owner(std::string_view line, const IsVisible& visible,
                                           std::string_view image_owner) {
  // application/json-seq puts a record separator before each (RFC 7464).
  const bool separated = line.starts_with('\x1e');
  auto event = Json::parse(separated ? line.substr(1) : line, nullptr, false);
  if (!event.is_object() || !is_visible_event(event, visible, image_owner)) return std::nullopt;
  if (auto* actor = find(event, "Actor"))
    if (auto* attributes = find(*actor, "Attributes"); attributes != nullptr && attributes->is_object())
      drop_reserved(*attributes);
  return (separated ? "\x1e" : "") + event.dump();
}

std::string error_body(std::string_view message) {
  const Json body = {{"message", message}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string error_line(std::string_view message) {
  const Json line = {{"error", message}, {"errorDetail", {{"message", message}}}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\r\n";
}

std::string not_found_message(Kind kind, std::string_view reference) {
  const std::string name(reference);
  switch (kind) {
    case Kind::kContainer:
      return "No such container: " + name;
    case Kind::kNetwork:
      return "network " + name + " not found";
    case Kind::kVolume:
      return "get " + name + ": no such volume";
    case Kind::kImage:
      return "No such image: " + name;
    case Kind::kExec:
      return "No such exec instance: " + name;
  }
  return "page not found";
}

void Lines::feed(std::string_view bytes, const std::function<void(std::string_view line)>& take) {
  for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    const auto last = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (!skipping_ && kept_.size() + last.size() <= kMaxLine) {
      kept_.append(last);
      take(kept_);
    }
    kept_.clear();
    skipping_ = false;
  }
  skipping_ = skipping_ || kept_.size() + bytes.size() > kMaxLine;
  if (skipping_) {
    kept_.clear();
  } else {
    kept_.append(bytes);
  }
}

void Lines::finish(const std::function<void(std::string_view line)>& take) {
  if (!kept_.empty()) take(kept_);
  kept_.clear();
}

void BuildLines::feed(std::string_view bytes) {
  lines_.feed(bytes, [this](std::string_view line) { read(line); });
}

void BuildLines::finish() {
  lines_.finish([this](std::string_view line) { read(line); });
}

std::vector<std::string> BuildLines::take_steps() { return std::exchange(steps_, {}); }

void BuildLines::read(std::string_view line) {
  auto message = Json::parse(line, nullptr, false);
  if (auto* aux = find(message, "aux")) {
    const auto id = text(*aux, "ID");
    if (is_full_id(id)) result_ = id;
    return;
  }
  read_text(text(message, "stream"));
}

// The builder writes each of these as a message of its own.
void BuildLines::read_text(std::string_view text) {
  constexpr std::string_view kArrow = " ---> ";
  if (quiet_) {
    if (is_full_id(trim(text))) result_ = std::string(trim(text));
  } else if (text.starts_with("Step ")) {
    const auto colon = text.find(" : ");
    const auto instruction = text.substr(std::min(text.size(), colon == std::string_view::npos ? colon : colon + 3));
    there_before_ = equal_fold(instruction.substr(0, 5), "FROM ");
  } else if (text.starts_with(kArrow)) {
    const auto rest = trim(text.substr(kArrow.size()));
    if (rest == "Using cache") there_before_ = true;
    if (!there_before_ && rest.size() == 12 && is_hex(rest)) steps_.emplace_back(rest);
  }
}

std::string BuildView::feed(std::string_view bytes) {
  std::string out;
  for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
    kept_.append(bytes.substr(0, end + 1));
    bytes.remove_prefix(end + 1);
    if (std::exchange(passing_, false))
      out += kept_;
    else
      show(kept_, out);
    kept_.clear();
  }
  kept_.append(bytes);
  passing_ = passing_ || kept_.size() > kMaxLine;
  if (passing_) out += std::exchange(kept_, {});
  return out;
}

std::string BuildView::finish() {
  std::string out;
  if (!kept_.empty()) show(kept_, out);
  kept_.clear();
  return out;
}

void BuildView::show(std::string_view line, std::string& out) {
  auto message = Json::parse(line, nullptr, false);
  const auto words = text(message, "stream");
  const auto step = read_step(words);
  if (step) {
    hiding_ = is_label_step(*step);
    hidden_ = hidden_ || hiding_;
  } else if (!words.starts_with(" --->") && !words.starts_with("Removing intermediate") && words != "\n") {
    hiding_ = false;
  }
  if (hiding_) return;
  if (!step) {
    out += line;
    return;
  }
  message["stream"] = "Step " + std::to_string(step->number - (hidden_ ? 1 : 0)) + "/" +
                      std::to_string(step->total - 1) + " : " + step->instruction;
  out += message.dump() + "\r\n";
}

void LoadLines::feed(std::string_view bytes) {
  lines_.feed(bytes, [this](std::string_view line) { read(line); });
}

void LoadLines::finish() {
  lines_.finish([this](std::string_view line) { read(line); });
}

std::vector<std::string> LoadLines::take() { return std::exchange(found_, {}); }

void LoadLines::read(std::string_view line) {
  const auto text = stream_text(line);
  for (const std::string_view start : {"Loaded image: ", "Loaded image ID: "})
    if (text.starts_with(start)) found_.emplace_back(trim(std::string_view(text).substr(start.size())));
}

std::string LoadView::feed(std::string_view bytes) {
  std::string out;
  lines_.feed(bytes, [&](std::string_view line) { show(line, out); });
  return out;
}

std::string LoadView::finish() {
  std::string out;
  lines_.finish([&](std::string_view line) { show(line, out); });
  return out;
}

void LoadView::show(std::string_view line, std::string& out) {
  if (line.find("renaming the old one with ID") == std::string_view::npos) out.append(line).append("\n");
}

}  // namespace ebbtide::gateway
