// The engine's JSON as our types. Tolerant: what is missing, null or of another type is empty; engines drop and add
// members with every version. Pure; any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "docker/engine/engine.h"

namespace ebbtide {

// Whatever text is not JSON is a null.
nlohmann::json read_json(std::string_view text);

EngineInfo read_info(const nlohmann::json& info, const nlohmann::json& version);
ContainerSummary read_container_summary(const nlohmann::json& item);
ContainerDetail read_container_detail(const nlohmann::json& item);
NetworkSummary read_network(const nlohmann::json& item);
VolumeSummary read_volume(const nlohmann::json& item);
ImageSummary read_image_summary(const nlohmann::json& item);
ImageDetail read_image_detail(const nlohmann::json& item);
// Nothing for what is no event of an object (legacy shapes, blank lines).
std::optional<EngineEvent> read_event(std::string_view line);

// {"label":["a","b=c"]}
std::string filters_text(const LabelFilter& filter);
ContainerUsage read_usage(const nlohmann::json& stats);
// Log output without the 8-byte frame headers; as it is where it has none (a container with a terminal).
std::string without_frames(std::string_view log);

// The same for output that comes in pieces cut anywhere.
class FrameReader {
 public:
  std::string feed(std::string_view piece);

 private:
  std::string head_;        // of a frame, as far as it has come
  std::size_t inside_ = 0;  // bytes that the current frame still has
};

}  // namespace ebbtide
