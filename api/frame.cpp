#include "api/frame.h"

#include <cstdio>

#include "docker/base/text.h"
#include "plugin/report.h"

namespace ebbtide::api {
namespace {

using plugin::Html;

struct Invisible {
  std::string_view utf8;
  std::string_view name;
};
constexpr Invisible kInvisible[] = {
    {"\xD8\x9C", "[U+061C]"},     {"\xE2\x80\x8E", "[U+200E]"}, {"\xE2\x80\x8F", "[U+200F]"},
    {"\xE2\x80\xAA", "[U+202A]"}, {"\xE2\x80\xAB", "[U+202B]"}, {"\xE2\x80\xAC", "[U+202C]"},
    {"\xE2\x80\xAD", "[U+202D]"}, {"\xE2\x80\xAE", "[U+202E]"}, {"\xE2\x81\xA6", "[U+2066]"},
    {"\xE2\x81\xA7", "[U+2067]"}, {"\xE2\x81\xA8", "[U+2068]"}, {"\xE2\x81\xA9", "[U+2069]"}};

void write_head(Html& html, const Frame& frame) {
  html.raw(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<link rel=\"icon\" href=\"/static/favicon.svg\" type=\"image/svg+xml\">"
      "<link rel=\"stylesheet\" href=\"/static/style.css\"><script src=\"/static/page.js\" defer></script>");
  if (frame.refresh_seconds > 0) {
    html.raw("<noscript>");
    html.open("meta", {{"http-equiv", "refresh"}, {"content", std::to_string(frame.refresh_seconds)}});
    html.raw("</noscript>");
  }
  html.element("title", std::string(frame.title) + " · Ebbtide");
  html.raw("</head><body>");
}

void write_menu(Html& html, const Frame& frame) {
  struct Entry {
    std::string_view path;
    std::string_view text;
  };
  constexpr Entry kEntries[] = {{"/", "Now"}, {"/history", "History"}, {"/audit", "Audit"}, {"/sessions", "Sessions"}};
  html.raw("<a class=\"skip\" href=\"#main\">Skip to the content</a><header>");
  html.raw(
      "<a class=\"name\" href=\"/\"><img src=\"/static/favicon.svg\" alt=\"\" width=\"26\" height=\"26\">Ebbtide</a>");
  if (!frame.visitor) {
    html.raw("</header>");
    return;
  }
  html.raw("<nav aria-label=\"Pages\"><ul>");
  for (const auto& entry : kEntries) {
    if (entry.path == "/sessions" && !frame.can_sign_out) continue;
    html.open("li");
    if (entry.path == frame.here)
      html.element("a", entry.text, {{"href", entry.path}, {"aria-current", "page"}});
    else
      html.element("a", entry.text, {{"href", entry.path}});
    html.close("li");
  }
  html.raw("</ul></nav><p class=\"live\" id=\"live\" role=\"status\"></p><div class=\"visitor\">");
  html.element("span", shown(frame.visitor->name, 60));
  html.element("span", to_string(frame.visitor->rights), {{"class", "quiet"}});
  if (frame.can_sign_out) {
    html.open("form", {{"method", "post"}, {"action", "/sign-out"}});
    html.open("input", {{"type", "hidden"}, {"name", "form_token"}, {"value", frame.visitor->form_token}});
    html.raw("<button class=\"plain\">Sign out</button></form>");
  }
  html.raw("</div></header>");
}

}  // namespace

std::string framed(const Frame& frame, const Html& body) {
  Html html;
  write_head(html, frame);
  write_menu(html, frame);
  html.raw("<main id=\"main\">").add(body).raw("</main><footer>");
  html.element("p", "Ebbtide " EBBTIDE_VERSION);
  html.raw("<p><a href=\"/api/v1/openapi.json\">API</a></p></footer></body></html>\n");
  return written_out(html.str());
}

std::string written_out(std::string markup) {
  for (const auto& each : kInvisible)
    if (markup.find(each.utf8) != std::string::npos) markup = replace_all(std::move(markup), each.utf8, each.name);
  return markup;
}

std::string shown(std::string_view text, std::size_t most) {
  std::string out;
  const bool cut = text.size() > most;
  if (cut) {
    // Not within a character.
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
    text = text.substr(0, most);
  }
  out = written_out(std::string(text));
  return cut ? out + "…" : out;
}

void write_age(Html& html, TimePoint since, TimePoint now) {
  html.element("time", plugin::age_text(since, now), {{"datetime", to_rfc3339(since)}, {"class", "age"}});
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::uint64_t kMebi = 1 << 20;
  if (bytes < kMebi) return std::to_string(bytes >> 10) + " KiB";
  if (bytes < 1024 * kMebi) return std::to_string(bytes >> 20) + " MiB";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / static_cast<double>(1024 * kMebi));
  return text;
}

std::string clock_text(TimePoint time) {
  if (time == TimePoint{}) return "–";
  auto text = to_rfc3339(time).substr(0, 19);
  text[10] = ' ';
  return text;
}

}  // namespace ebbtide::api
