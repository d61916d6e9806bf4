// Html: a writer of HTML that escapes all text by itself. Only literals of the program are markup; whatever comes from
// outside goes in as text or as an attribute's value. Not thread-safe.
//
// Left out or replaced besides: control characters, and those that turn the direction of text around them.
//
// Pages that GoCD shows are compiled by AngularJS, which evaluates {{…}} in any text: so braces are escaped in a way
// that leaves no two of them together, and reports wear ng-non-bindable besides.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace ebbtide::plugin {

struct Attribute {
  std::string_view name;
  std::string_view value;
};

class Html {
 public:
  Html& open(std::string_view tag, std::initializer_list<Attribute> attributes = {});
  Html& close(std::string_view tag);
  Html& text(std::string_view text);
  // <tag …>text</tag>
  Html& element(std::string_view tag, std::string_view text, std::initializer_list<Attribute> attributes = {});
  // Markup of the program's own: a literal.
  Html& raw(const char* markup);
  // What another Html wrote.
  Html& add(const Html& other);
  const std::string& str() const { return out_; }

 private:
  std::string out_;
};

// Text as HTML text or attribute value.
std::string escape_html(std::string_view text);

}  // namespace ebbtide::plugin
