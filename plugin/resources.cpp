#include "plugin/resources.h"

#include "embedded_resources.h"

namespace ebbtide::plugin {

std::optional<std::string_view> resource(std::string_view name) {
  for (const auto& file : kFiles)
    if (file.name == name) return file.content;
  return std::nullopt;
}

}  // namespace ebbtide::plugin
