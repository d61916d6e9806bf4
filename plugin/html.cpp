#include "plugin/html.h"

namespace ebbtide::plugin {
namespace {

// U+202A to U+202E and U+2066 to U+2069, which turn the direction of what follows them, also outside their own text.
bool is_direction_control(std::string_view text) {
  if (!text.starts_with("\xe2\x80") && !text.starts_with("\xe2\x81")) return false;
  if (text.size() < 3) return false;
  const auto last = static_cast<unsigned char>(text[2]);
  return text[1] == '\x80' ? last >= 0xaa && last <= 0xae : last >= 0xa6 && last <= 0xa9;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_direction_control(text.substr(i, 3))) {
      out += "\xef\xbf\xbd";  // the replacement character: something was there
      i += 2;
      continue;
    }
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      // A zero-width non-joiner parts braces, which an entity would not: AngularJS reads the text after decoding.
      case '{':
        out += "{&#8204;";
        break;
      case '}':
        out += "}&#8204;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

Html& Html::open(std::string_view tag, std::initializer_list<Attribute> attributes) {
  out_.append("<").append(tag);
  for (const auto& attribute : attributes) {
    out_.append(" ").append(attribute.name);
    if (!attribute.value.empty()) out_.append("=\"").append(escape_html(attribute.value)).append("\"");
  }
  out_ += '>';
  return *this;
}

Html& Html::close(std::string_view tag) {
  out_.append("</").append(tag).append(">");
  return *this;
}

Html& Html::text(std::string_view text) {
  out_ += escape_html(text);
  return *this;
}

Html& Html::element(std::string_view tag, std::string_view text, std::initializer_list<Attribute> attributes) {
  open(tag, attributes);
  this->text(text);
  return close(tag);
}

Html& Html::raw(const char* markup) {
  out_ += markup;
  return *this;
}

Html& Html::add(const Html& other) {
  out_ += other.out_;
  return *this;
}

}  // namespace ebbtide::plugin
