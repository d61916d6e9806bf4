// The files of plugin/resources, compiled into the program: what GoCD asks once when it loads the plugin. The bridge
// ships the same files. Any thread.
#pragma once

#include <optional>
#include <string_view>

namespace ebbtide::plugin {

// By file name: "icon.svg". Nothing if there is no such file.
std::optional<std::string_view> resource(std::string_view name);

}  // namespace ebbtide::plugin
