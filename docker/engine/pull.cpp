#include "docker/engine/pull.h"

#include "docker/base/text.h"
#include "docker/engine/engine_json.h"

namespace ebbtide {
namespace {

constexpr std::size_t kMaxLine = 1 << 20;

std::uint64_t amount(const nlohmann::json& detail, const char* name) {
  return detail.contains(name) && detail[name].is_number_unsigned() ? detail[name].get<std::uint64_t>() : 0;
}

}  // namespace

ImageReference split_reference(std::string_view reference) {
  if (const auto at = reference.find('@'); at != std::string_view::npos)
    return {std::string(reference.substr(0, at)), std::string(reference.substr(at + 1))};
  const auto colon = reference.rfind(':');
  const auto slash = reference.rfind('/');
  const bool tagged = colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
  if (!tagged) return {std::string(reference), "latest"};
  return {std::string(reference.substr(0, colon)), std::string(reference.substr(colon + 1))};
}

std::string pull_target(const WantedImage& image) {
  const auto parts = split_reference(image.reference);
  const auto platform = image.platform.empty() ? std::string() : "&platform=" + percent_encode(image.platform);
  return "/images/create?fromImage=" + percent_encode(parts.repository) + "&tag=" + percent_encode(parts.tag) +
         platform;
}

std::string registry_auth(const RegistryLogin& login) {
  return registry_auth(
      nlohmann::json{{"username", login.username}, {"password", login.password}, {"serveraddress", login.server}});
}

std::string registry_auth(const nlohmann::json& login) {
  auto encoded = base64_encode(login.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  for (char& c : encoded) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return encoded;
}

bool PullReader::feed(std::string_view piece) {
  bool changed = false;
  kept_ += piece;
  std::size_t begin = 0;
  for (auto end = kept_.find('\n'); end != std::string::npos; end = kept_.find('\n', begin)) {
    changed = read_line(std::string_view(kept_).substr(begin, end - begin)) || changed;
    begin = end + 1;
  }
  kept_.erase(0, begin);
  if (kept_.size() > kMaxLine) kept_.clear();
  return changed;
}

bool PullReader::read_line(std::string_view line) {
  const auto message = read_json(line);
  if (!message.is_object()) return false;
  if (message.contains("error") && message["error"].is_string()) {
    error_ = message["error"].get<std::string>();
    return false;
  }
  const auto status = message.find("status");
  if (status == message.end() || !status->is_string()) return false;
  progress_.status = status->get<std::string>();
  if (constexpr std::string_view kDigest = "Digest: "; progress_.status.starts_with(kDigest))
    digests_.push_back(progress_.status.substr(kDigest.size()));
  const auto id = message.find("id");
  const auto detail = message.find("progressDetail");
  if (progress_.status == "Downloading" && id != message.end() && id->is_string() && detail != message.end())
    layers_[id->get<std::string>()] = {amount(*detail, "current"), amount(*detail, "total")};
  if (progress_.status == "Download complete" && id != message.end() && id->is_string()) {
    auto& layer = layers_[id->get<std::string>()];
    layer.done = layer.total;
  }
  progress_.done_bytes = progress_.total_bytes = 0;
  for (const auto& [name, layer] : layers_) {
    progress_.done_bytes += layer.done;
    progress_.total_bytes += layer.total;
  }
  return true;
}

}  // namespace ebbtide
