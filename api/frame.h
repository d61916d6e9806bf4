// What all pages share: the frame around them, and texts from outside as people may see them. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/gate.h"
#include "docker/base/clock.h"
#include "plugin/html.h"

namespace ebbtide::api {

struct Frame {
  std::string_view title;
  std::string_view here;  // the path of the entry in the menu that the page belongs to; may be empty
  const Visitor* visitor = nullptr;
  bool can_sign_out = false;
  int refresh_seconds = 0;  // for browsers without script; 0: never
};
std::string framed(const Frame& frame, const plugin::Html& body);

// A text from outside, of which a page shows the first `most` bytes: characters that change the direction of the text
// around them are written out.
std::string shown(std::string_view text, std::size_t most = 300);

// The same for the markup of a whole page or part, so that no place is forgotten.
std::string written_out(std::string markup);

// <time> with how long ago; the script keeps it true.
void write_age(plugin::Html& html, TimePoint since, TimePoint now);
std::string bytes_text(std::uint64_t bytes);  // "340 MiB"
std::string clock_text(TimePoint time);       // "2026-11-25 10:15:02"

}  // namespace ebbtide::api
