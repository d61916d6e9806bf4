// Lines for the console of a job, as GoCD's own page shows them. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "docker/base/clock.h"

namespace ebbtide::plugin {

// "##|10:15:02.120 [go] text\n" for each line of text; "##" marks a notice in GoCD's console view, and the time is
// local, as GoCD writes its own. Control characters are left out.
std::string console_lines(std::string_view text, TimePoint now);

// text with each secret (of 4 characters or more) replaced by "********".
std::string without_secrets(std::string text, const std::vector<std::string>& secrets);

}  // namespace ebbtide::plugin
