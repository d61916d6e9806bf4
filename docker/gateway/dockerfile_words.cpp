#include "docker/gateway/dockerfile_words.h"

#include <algorithm>
#include <array>
#include <utility>

#include "docker/base/text.h"

namespace ebbtide::gateway::dockerfile {
namespace {

constexpr std::size_t kMaxValue = 1024;  // of a variable; references are shorter
constexpr int kMaxDepth = 8;             // of ${a:-${b:-…}}

}  // namespace

// ---- Text

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_name_start(char c) { return is_letter(c) || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }
bool is_blank(char c) { return kBlank.find(c) != std::string_view::npos || c == '\n'; }

std::size_t space_at(std::string_view text) {
  constexpr std::array<std::string_view, 9> kOther = {"\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80",
                                                      "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF",
                                                      "\xE2\x81\x9F", "\xE3\x80\x80", "\xE2\x80\x8A"};
  if (text.empty()) return 0;
  if (is_ascii(text.substr(0, 1))) return is_blank(text.front()) ? 1 : 0;
  for (const auto space : kOther)
    if (text.starts_with(space)) return space.size();
  return text.size() > 2 && text.starts_with("\xE2\x80") && text[2] >= '\x80' && text[2] <= '\x89' ? 3 : 0;
}

std::string_view trim_front(std::string_view text) {
  while (const auto size = space_at(text)) text.remove_prefix(size);
  return text;
}

std::string_view trim_blank(std::string_view text) {
  text = trim_front(text);
  return text.substr(0, text.find_last_not_of(" \t\v\f\r\n") + 1);
}

std::string_view take_line(std::string_view& text) {
  const auto end = text.find('\n');
  auto line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::vector<std::string_view> split_blank(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const auto start = text.find_first_not_of(kBlank);
    if (start == std::string_view::npos) return words;
    text.remove_prefix(start);
    words.push_back(text.substr(0, text.find_first_of(kBlank)));
    text.remove_prefix(words.back().size());
  }
}

std::optional<std::string_view> unquoted(std::string_view text, char quote) {
  if (text.size() < 2 || !text.starts_with(quote) || !text.ends_with(quote)) return std::nullopt;
  const auto inner = text.substr(1, text.size() - 2);
  return inner.find(quote) == std::string_view::npos ? std::optional(inner) : std::nullopt;
}

std::optional<std::vector<std::string_view>> argument_words(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t at = 0;
  while (true) {
    while (at < text.size() && is_blank(text[at])) ++at;
    if (at == text.size()) return words;
    const auto start = at;
    for (; at < text.size() && !is_blank(text[at]); ++at) {
      if (text[at] != '\'' && text[at] != '"') continue;
      at = text.find(text[at], at + 1);
      if (at == std::string_view::npos) return std::nullopt;
    }
    words.push_back(text.substr(start, at - start));
  }
}

// ---- Variables

namespace {

// The engine has values of its own for these
// (https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope), or rewrites them.
bool is_predefined(std::string_view name) {
  constexpr std::array<std::string_view, 12> kNames = {
      "BUILDPLATFORM", "BUILDOS",         "BUILDOSVERSION", "BUILDARCH",     "BUILDVARIANT", "TARGETPLATFORM",
      "TARGETOS",      "TARGETOSVERSION", "TARGETARCH",     "TARGETVARIANT", "TARGETSTAGE",  "SOURCE_DATE_EPOCH"};
  return std::ranges::find(kNames, name) != kNames.end();
}

class Expansion {
 public:
  Expansion(const Variables& variables, std::string_view text) : variables_(variables), rest_(text) {}

  // Nothing, and why: what can't be told.
  std::optional<std::string> run() {
    auto value = until(false, 0);
    return why_.empty() ? std::optional(std::move(value)) : std::nullopt;
  }
  const std::string& why() const { return why_; }

 private:
  std::string fail(std::string why) {
    if (why_.empty()) why_ = std::move(why);
    rest_ = {};
    return {};
  }

  char take() {
    const char c = rest_.empty() ? '\0' : rest_.front();
    rest_.remove_prefix(rest_.empty() ? 0 : 1);
    return c;
  }

  // In braces up to the }, which is taken.
  std::string until(bool in_braces, int depth) {
    constexpr std::string_view kNot = "'\"\\`{}<>";
    std::string value;
    while (!rest_.empty()) {
      const char c = take();
      if (c == '}' && in_braces) return value;
      if (kNot.find(c) != std::string_view::npos || !is_ascii({&c, 1}))
        return fail("write it without quotes, escapes and special characters");
      if (c == '$') {
        value += variable(depth);
      } else {
        value += c;
      }
      if (value.size() > kMaxValue) return fail("it is too long");
    }
    return in_braces ? fail("it lacks a }") : value;
  }

  std::string variable(int depth) {
    const bool in_braces = rest_.starts_with('{');
    if (in_braces) take();
    std::string name;
    while (!rest_.empty() && (name.empty() ? is_name_start(rest_.front()) : is_name(rest_.front()))) name += take();
    if (name.empty() || depth >= kMaxDepth)
      return fail("only $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word} can be read");
    const auto found = variables_.find(name);
    if (is_predefined(name) || found == variables_.end())
      return fail("no ARG before the first FROM gives $" + name +
                  " a value that is known here: name the image without it");
    if (found->second.state == Variable::State::kUnknown)
      return fail("the value of $" + name + " can't be told: give it in an ARG of its own, without escapes");
    return in_braces ? modified(found->second, depth) : found->second.value;
  }

  std::string modified(const Variable& variable, int depth) {
    char modifier = take();
    if (modifier == '}') return variable.value;
    const bool empty_is_unset = modifier == ':';
    if (empty_is_unset) modifier = take();
    if (modifier != '-' && modifier != '+') return fail("only ${NAME}, ${NAME:-word} and ${NAME:+word} can be read");
    auto word = until(true, depth + 1);
    // An ARG without a value is empty to BuildKit, unset to the classic builder.
    if (!empty_is_unset && variable.state == Variable::State::kUnset)
      return fail("whether an ARG without a value is set can't be told: write :- or :+");
    const bool is_set = empty_is_unset ? !variable.value.empty() : true;
    if (modifier == '-') return is_set ? variable.value : word;
    return is_set ? word : "";
  }

  const Variables& variables_;
  std::string_view rest_;
  std::string why_;
};

}  // namespace

Result<std::string> expand(const Variables& variables, std::string_view text) {
  Expansion expansion(variables, text);
  auto value = expansion.run();
  if (!value) return fail(Error::invalid(expansion.why()));
  return std::move(*value);
}

// ---- Heredocs

namespace {

// What a line's heredocs are (parser.go, heredocsFromLine, and shell/lex.go), or that it can't be told: versions
// differ in what becomes of variables and escapes.
class HeredocLine {
 public:
  HeredocLine(Heredocs style, std::string_view line) : style_(style), line_(line) {}

  std::optional<std::vector<Heredoc>> run() {
    if (std::ranges::count(line_, '<') < 2) return found_;
    while (at_ < line_.size() && !open_quote_) step();
    end_word();
    // A quote that isn't closed makes the whole line have none.
    if (open_quote_) found_.clear();
    if (unsure_ || (odd_ && may_join())) return std::nullopt;
    return found_;
  }

 private:
  void step() {
    const char c = line_[at_];
    if (const auto space = space_at(line_.substr(at_))) {
      at_ += space;
      end_word();
    } else if (c == '\'' || c == '"') {
      quoted(c);
    } else if (c == '$') {
      dollar();
    } else if (c == '\\') {
      special_ = true;
      raw_ += line_.substr(at_, 2);
      bare_ += line_.substr(at_ + 1, 1);
      at_ += 2;
    } else if (style_ == Heredocs::kSpaces && line_.substr(at_).starts_with("<<")) {
      spaced_mark();
    } else {
      add(c);
    }
  }

  // Whether two < may come together, whatever variables stand for.
  bool may_join() const {
    constexpr std::array<std::string_view, 4> kJoints = {"<<", "<$", "<}", "<\\"};
    return std::ranges::any_of(kJoints, [this](auto joint) { return line_.find(joint) != std::string_view::npos; });
  }

  void add(char c) {
    raw_ += c;
    bare_ += c;
    ++at_;
  }

  void spaced_mark() {
    add('<');
    add('<');
    while (at_ < line_.size() && (line_[at_] == ' ' || line_[at_] == '\t')) add(line_[at_]);
    // Which other spaces count is not known.
    if (space_at(line_.substr(at_)) > 0) unsure_ = true;
  }

  void quoted(char quote) {
    add(quote);
    while (at_ < line_.size() && line_[at_] != quote) {
      if (quote == '"' && line_[at_] == '$') {
        dollar();
      } else if (quote == '"' && line_[at_] == '\\' && at_ + 1 < line_.size()) {
        special_ = true;
        add(line_[at_]);
        add(line_[at_]);
      } else {
        add(line_[at_]);
      }
    }
    open_quote_ = at_ == line_.size();
    if (!open_quote_) add(quote);
  }

  // What a variable gives: itself, or nothing.
  void dollar() {
    const auto start = at_++;
    const char c = at_ < line_.size() ? line_[at_] : '\0';
    read_variable(c);
    // Of other characters some may be part of its name.
    if (at_ < line_.size() && !is_ascii(line_.substr(at_, 1))) odd_ = true;
    const bool is_one = at_ > start + 1;
    special_ = special_ || is_one;
    raw_ += line_.substr(start, at_ - start);
    if (!is_one) bare_ += '$';
  }

  void read_variable(char c) {
    constexpr std::string_view kSpecial = "@*#?-$!";
    if (c == '{') {
      braces();
    } else if (is_digit(c)) {
      while (at_ < line_.size() && is_digit(line_[at_])) ++at_;
    } else if (is_name_start(c)) {
      while (at_ < line_.size() && is_name(line_[at_])) ++at_;
    } else if (c != '\0' && kSpecial.find(c) != std::string_view::npos) {
      ++at_;
    }
  }

  // ${NAME} or ${NAME:-word}; others are an error to some versions, or may hold a heredoc.
  void braces() {
    auto at = at_ + 1;
    const auto name = at;
    while (at < line_.size() && is_name(line_[at])) ++at;
    odd_ = odd_ || at == name || is_digit(line_[name]);
    if (at < line_.size() && line_[at] != '}') {
      if (line_[at] == ':') ++at;
      odd_ = odd_ || at == line_.size() || (line_[at] != '-' && line_[at] != '+');
      const auto end = line_.find_first_of("} \t\v\f'\"$\\<{", at);
      at = end == std::string_view::npos ? line_.size() : end;
    }
    if (at == line_.size() || line_[at] != '}' || !is_ascii(line_.substr(at_, at - at_))) odd_ = true;
    at_ = odd_ ? at_ + 1 : at + 1;
  }

  static bool is_candidate(std::string_view word) {
    while (!word.empty() && is_digit(word.front())) word.remove_prefix(1);
    return word.starts_with("<<") && word.find('<', 2) == std::string_view::npos;
  }

  void end_word() {
    const auto raw = std::exchange(raw_, {});
    const auto bare = std::exchange(bare_, {});
    if (!std::exchange(special_, false)) {
      if (is_candidate(raw)) add_heredoc(raw);
    } else if (is_candidate(raw) || is_candidate(bare)) {
      unsure_ = true;
    }
  }

  void add_heredoc(std::string_view word) {
    word.remove_prefix(word.find("<<") + 2);
    const bool cut_tabs = word.starts_with('-');
    if (cut_tabs) word.remove_prefix(1);
    const bool spaced = !word.empty() && is_blank(word.front());
    word = trim_front(word);
    const auto single = unquoted(word, '\'');
    const auto name = single ? *single : unquoted(word, '"').value_or(word);
    if (name.empty() || (style_ == Heredocs::kNames && !is_early_name(name))) return;
    const bool is_plain = std::ranges::all_of(name, [](char c) { return is_name(c) || c == '.' || c == '-'; });
    if (is_plain || (spaced && is_ascii(name) && name.find_first_of("'\"") == std::string_view::npos)) {
      found_.push_back({std::string(name), cut_tabs});
    } else {
      unsure_ = true;
    }
  }

  static bool is_early_name(std::string_view name) {
    return is_letter(name.front()) && std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c); });
  }

  Heredocs style_;
  std::string_view line_;
  std::size_t at_ = 0;
  std::string raw_;   // the word so far, its variables as they are written
  std::string bare_;  // the same without variables and escapes
  bool special_ = false;
  bool open_quote_ = false;
  bool odd_ = false;  // a variable that can't be read
  bool unsure_ = false;
  std::vector<Heredoc> found_;
};

}  // namespace

std::optional<std::vector<Heredoc>> heredocs_of(Heredocs style, std::string_view line) {
  return HeredocLine(style, line).run();
}

// ---- Flags

// Takes the flags from the front of what follows an instruction's word (split_command.go). Old versions look at bytes,
// where newer ones look at characters.
Flags take_flags(std::string_view& text) {
  Flags flags;
  while (true) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    if (space_at(text) > 0 || text.starts_with('\x85') || text.starts_with('\xA0')) flags.unsure = true;
    if (!text.starts_with("--")) break;
    std::string word;
    char quote = '\0';
    while (!text.empty() && (quote != '\0' || !is_blank(text.front()))) {
      const char c = text.front();
      text.remove_prefix(1);
      flags.unsure = flags.unsure || c == '\\' || c == '`' || !is_ascii({&c, 1});
      if (c == quote) {
        quote = '\0';
      } else if (quote == '\0' && (c == '\'' || c == '"')) {
        quote = c;
      } else {
        word += c;
      }
    }
    if (word == "--") break;
    flags.words.push_back(std::move(word));
  }
  // Some version takes the next word as the value of a flag that has none.
  if (!flags.words.empty() && flags.words.back().find('=') == std::string::npos &&
      text.find("--") != std::string_view::npos)
    flags.unsure = true;
  return flags;
}

}  // namespace ebbtide::gateway::dockerfile
