// The rules are those of moby/buildkit, frontend/dockerfile/{parser,instructions,shell,dockerfile2llb}, and moby/moby,
// builder/dockerfile. Their versions differ: each difference is a Style, and all styles are read.
#include "docker/gateway/dockerfile.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "docker/base/text.h"

namespace ebbtide::gateway {
namespace {

constexpr std::size_t kMaxText = 256 << 10;
constexpr std::size_t kMaxReferences = 1000;
constexpr std::size_t kMaxValue = 1024;  // of a variable; references are shorter
constexpr int kMaxDepth = 8;             // of ${a:-${b:-…}}
constexpr std::size_t kShown = 80;       // bytes of a line in a message
constexpr std::string_view kBlank = " \t\v\f\r";
constexpr std::string_view kBom = "\xEF\xBB\xBF";

enum class Heredocs {
  kNone,    // the classic builder, BuildKit before 0.9
  kNames,   // the first BuildKits with heredocs: <<NAME of letters and digits
  kWords,   // <<WORD
  kSpaces,  // << WORD
};

struct Style {
  Heredocs heredocs = Heredocs::kNone;
  char escape = '\\';
  bool doubled_goes_on = true;    // a line that ends in two escape characters
  bool indented_comments = true;  // in a continuation
};

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_name_start(char c) { return is_letter(c) || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }
bool is_blank(char c) { return kBlank.find(c) != std::string_view::npos || c == '\n'; }

// Bytes of the white space that text begins with, as Go's unicode.IsSpace has it.
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

// The line that text begins with, which is taken from it.
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

// ---- Variables

// Its value if the engine surely gives it that one. kUnset: declared without one, which is empty or unset.
struct Variable {
  enum class State { kKnown, kUnset, kUnknown } state = State::kUnknown;
  std::string value;
};
using Variables = std::map<std::string, Variable, std::less<>>;

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

// The text in the quotes, where it is wholly in one pair.
std::optional<std::string_view> unquoted(std::string_view text, char quote) {
  if (text.size() < 2 || !text.starts_with(quote) || !text.ends_with(quote)) return std::nullopt;
  const auto inner = text.substr(1, text.size() - 2);
  return inner.find(quote) == std::string_view::npos ? std::optional(inner) : std::nullopt;
}

// The words of an ARG, quotes kept; nothing where a quote is open.
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

// ---- Heredocs

struct Heredoc {
  std::string name;
  bool cut_tabs = false;
};

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

// ---- Flags

struct Flags {
  std::vector<std::string> words;
  bool unsure = false;  // versions may differ in what they are
};

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

// ---- A reading

bool is_known(std::string_view word) {
  constexpr std::array<std::string_view, 18> kWords = {
      "add",   "arg",        "cmd",     "copy", "entrypoint", "env",        "expose", "from",   "healthcheck",
      "label", "maintainer", "onbuild", "run",  "shell",      "stopsignal", "user",   "volume", "workdir"};
  return std::ranges::find(kWords, word) != kWords.end();
}

bool can_have_heredocs(std::string_view word) { return word == "add" || word == "copy" || word == "run"; }

bool is_plain_reference(std::string_view text) {
  static constexpr std::string_view kOther = "._-/:@+[]";
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_letter(c) || is_digit(c) || kOther.find(c) != std::string_view::npos;
  });
}

bool is_stage_name(std::string_view name) {
  return !name.empty() && name.front() >= 'a' && name.front() <= 'z' && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_' || c == '.';
  });
}

void add_once(std::vector<std::string>& list, std::string_view value) {
  if (std::ranges::find(list, value) == list.end()) list.emplace_back(value);
}

// The Dockerfile as one version reads it.
class Reading {
 public:
  Reading(const Style& style, const std::map<std::string, std::string>& arguments)
      : style_(style), arguments_(arguments) {}

  void run(std::string_view text) {
    rest_ = text;
    while (!rest_.empty() && !stopped_ && !dropped_) {
      const auto line = take_logical_line();
      if (!line.empty()) read(line);
    }
    if (stages_begun_ == 0 && !stopped_ && !dropped_) dropped_ = Error::invalid("the Dockerfile has no FROM");
  }

  // Why the engine builds nothing of it.
  const std::optional<Error>& dropped() const { return dropped_; }
  // What can't be told, where the engine may build it.
  std::optional<Error> error() const { return dropped_ ? std::nullopt : error_; }
  const std::vector<std::string>& images() const { return images_; }
  const std::vector<std::string>& stages() const { return stages_; }

 private:
  // Its continuations joined; empty for a comment.
  std::string take_logical_line() {
    auto line = trim_front(take_line(rest_));
    if (line.starts_with('#')) return {};
    bool goes_on = cut_continuation(line);
    std::string joined(line);
    while (goes_on && !rest_.empty()) {
      line = take_line(rest_);
      const auto trimmed = trim_front(line);
      if (trimmed.empty() || (style_.indented_comments ? trimmed : line).starts_with('#')) continue;
      goes_on = cut_continuation(line);
      joined += line;
    }
    return std::string(trim_blank(joined));
  }

  bool cut_continuation(std::string_view& line) const {
    const auto end = line.find_last_not_of(" \t");
    if (end == std::string_view::npos || line[end] != style_.escape) return false;
    if (!style_.doubled_goes_on && end > 0 && line[end - 1] == style_.escape) return false;
    line = line.substr(0, end);
    return true;
  }

  void read(std::string_view line) {
    line_ = line;
    auto rest = line;
    const auto word = take_word(rest);
    if (!word) return;
    if (!is_known(*word)) return drop("no Dockerfile has the instruction " + *word);
    if (stages_begun_ == 0 && *word != "arg" && *word != "from") return drop("its first instruction must be FROM");
    if (*word == "from") {
      read_from(rest);
    } else if (*word == "arg") {
      if (stages_begun_ == 0) read_argument(rest);
    } else if (*word == "onbuild") {
      read_trigger(rest);
    } else {
      read_flags(*word, rest);
      if (can_have_heredocs(*word)) skip_heredocs();
    }
  }

  // An instruction's word in lower case. Go lowers characters that aren't ASCII to such that are.
  std::optional<std::string> take_word(std::string_view& rest) {
    const auto word = rest.substr(0, rest.find_first_of(kBlank));
    rest.remove_prefix(word.size());
    if (is_ascii(word)) return to_lower(word);
    fail("an instruction must be of ASCII letters, and a space must follow");
    return std::nullopt;
  }

  void read_from(std::string_view rest) {
    if (!stage_name_.empty()) earlier_.insert(std::exchange(stage_name_, {}));
    ++stages_begun_;
    const auto words = from_words(rest);
    if (words.empty()) return;
    if (const auto image = image_of(words.front())) add_base(*image);
    if (words.size() < 3) return;
    auto name = to_lower(words[2]);
    if (is_stage_name(name)) stage_name_ = std::move(name);
  }

  std::vector<std::string_view> from_words(std::string_view rest) {
    if (take_flags(rest).unsure) fail("write its flags without quotes and escapes");
    auto words = split_blank(rest);
    if (words.empty()) fail("FROM needs an image");
    return words;
  }

  std::optional<std::string> image_of(std::string_view word) {
    Expansion expansion(variables_, unquoted(word, '"').value_or(word));
    const auto image = expansion.run();
    if (poisoned_ && word.find('$') != std::string_view::npos) {
      fail("an ARG before it can't be read: write it as ARG NAME=value");
    } else if (!image) {
      fail(expansion.why());
    } else if (!is_plain_reference(*image)) {
      fail("that names no image");
    } else {
      return image;
    }
    return std::nullopt;
  }

  void add_base(const std::string& image) {
    if (image != "scratch") add_image(image);
  }

  void add_image(std::string_view image) {
    if (++references_ > kMaxReferences) return stop("no more than 1000 instructions may name images");
    if (const auto name = to_lower(image); earlier_.contains(name)) return add_once(stages_, name);
    add_once(images_, image);
  }

  void read_argument(std::string_view rest) {
    const auto words = argument_words(rest);
    if (!words || rest.find_first_of("\\`") != std::string_view::npos || !is_ascii(rest)) {
      poisoned_ = true;  // which names it has can't be told
      return;
    }
    for (const auto word : *words) read_argument_word(word, words->size() > 1);
  }

  void read_argument_word(std::string_view word, bool among_others) {
    const auto equals = word.find('=');
    const std::string name(word.substr(0, equals));
    // The classic builder substitutes variables in the name too.
    if (name.empty() || !is_name_start(name.front()) || !std::ranges::all_of(name, is_name)) {
      poisoned_ = true;
      return;
    }
    const bool is_again = variables_.contains(name);
    auto& variable = variables_[name];
    if (const auto given = arguments_.find(name); given != arguments_.end()) {
      variable = {Variable::State::kKnown, given->second};
    } else if (equals == std::string_view::npos) {
      variable = {is_again ? Variable::State::kUnknown : Variable::State::kUnset, ""};
    } else {
      variable = default_of(word.substr(equals + 1), among_others);
    }
  }

  Variable default_of(std::string_view text, bool among_others) const {
    if (const auto literal = unquoted(text, '\'')) return {Variable::State::kKnown, std::string(*literal)};
    // Versions differ in whether it sees those before it in its line.
    if (poisoned_ || (among_others && text.find('$') != std::string_view::npos)) return {};
    auto value = Expansion(variables_, unquoted(text, '"').value_or(text)).run();
    if (!value) return {};
    return {Variable::State::kKnown, std::move(*value)};
  }

  // A trigger runs in the builds on top of this image; what it is read for here are stages that BuildKit makes of
  // this one's. Whether it can have heredocs differs.
  void read_trigger(std::string_view rest) {
    if (take_flags(rest).unsure) return fail("write its flags without quotes and escapes");
    rest = trim_front(rest);
    const auto word = take_word(rest);
    if (!word) return;
    if (*word == "onbuild") return fail("ONBUILD can't follow ONBUILD");
    if (*word == "from") {
      const auto words = from_words(rest);
      const auto image = words.empty() ? std::nullopt : image_of(words.front());
      if (image) add_base(*image);
      return;
    }
    read_flags(*word, rest);
    if (!can_have_heredocs(*word) || style_.heredocs == Heredocs::kNone) return;
    const auto heredocs = HeredocLine(style_.heredocs, line_).run();
    if (!heredocs || !heredocs->empty()) stop("write it without <<");
  }

  void read_flags(std::string_view word, std::string_view rest) {
    if (!can_have_heredocs(word)) return;
    const auto flags = take_flags(rest);
    if (flags.unsure) fail("write its flags as --name=value, without escapes and in ASCII");
    for (const auto& flag : flags.words) {
      const auto equals = flag.find('=');
      const auto name = to_lower(flag.substr(0, equals));
      const bool is_mount = name == "--mount" && word == "run";
      if (!is_mount && name != "--from") continue;
      if (equals == std::string::npos) {
        fail("write " + name + "=value");
      } else if (is_mount) {
        read_mount(flag.substr(equals + 1));
      } else {
        add_source(flag.substr(equals + 1), true);
      }
    }
  }

  // A line of CSV (commands_runmount.go, parseMount).
  void read_mount(const std::string& value) {
    if (value.find_first_of("\"\r\n") != std::string::npos) return fail("write the mount without quotes");
    for (const auto& field : split(value, ',')) {
      const auto equals = field.find('=');
      if (equals != std::string::npos && to_lower(trim(field.substr(0, equals))) == "from")
        add_source(field.substr(equals + 1), false);
    }
  }

  // A mount's number is an image's name to BuildKit (convert_runmount.go, detectRunMount), a COPY's one is a stage.
  void add_source(std::string_view source, bool numbers_are_stages) {
    if (source.empty()) return;
    if (!is_plain_reference(source)) return fail("give the image a stage of its own (FROM … AS name), and name that");
    // The classic builder doesn't know a stage by name before it has ended.
    const auto number = numbers_are_stages ? parse_number(source) : std::nullopt;
    if (number && stages_begun_ > 0 && *number < stages_begun_ - 1) return;
    if (source == "scratch") return add_once(stages_, source);
    add_image(source);
  }

  void skip_heredocs() {
    if (style_.heredocs == Heredocs::kNone) return;
    const auto heredocs = HeredocLine(style_.heredocs, line_).run();
    if (!heredocs) return stop("whether << begins a heredoc here can't be told: put its text in a file");
    for (const auto& heredoc : *heredocs) skip_body(heredoc);
  }

  void skip_body(const Heredoc& heredoc) {
    while (!rest_.empty()) {
      auto line = take_line(rest_);
      if (heredoc.cut_tabs) line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      if (line == heredoc.name) return;
    }
  }

  Error wrong(std::string_view why) const {
    // A message is JSON: no half of a character.
    std::string shown;
    for (const char c : line_.substr(0, kShown)) shown += c >= ' ' && c <= '~' ? c : '?';
    if (line_.size() > kShown) shown += "…";
    return Error::invalid("the Dockerfile's " + shown + ": " + std::string(why));
  }

  void fail(std::string_view why) {
    if (!error_) error_ = wrong(why);
  }

  // What follows can't be read: nothing in it makes the engine refuse the file.
  void stop(std::string_view why) {
    error_ = wrong(why);
    stopped_ = true;
  }

  void drop(std::string_view why) { dropped_ = wrong(why); }

  Style style_;
  const std::map<std::string, std::string>& arguments_;
  std::string_view rest_;
  std::string_view line_;
  Variables variables_;
  bool poisoned_ = false;  // an ARG that can't be read may have given any variable any value
  std::size_t stages_begun_ = 0;
  std::size_t references_ = 0;
  std::string stage_name_;
  std::set<std::string> earlier_;
  std::vector<std::string> images_;
  std::vector<std::string> stages_;
  bool stopped_ = false;
  std::optional<Error> dropped_;
  std::optional<Error> error_;
};

// ---- The file

// Whether some comment may be the directive that changes the escape character.
bool has_escape_directive(std::string_view text) {
  while (!text.empty()) {
    const auto line = trim_front(take_line(text));
    if (line.starts_with('#') && line.find('=') != std::string_view::npos &&
        to_lower(line).find("escape") != std::string::npos)
      return true;
  }
  return false;
}

// `syntax`, white space, `=`: anything that isn't ASCII may be white space.
bool names_syntax(std::string_view line) {
  constexpr std::string_view kWord = "syntax";
  const auto lower = to_lower(line);
  for (auto at = lower.find(kWord); at != std::string::npos; at = lower.find(kWord, at)) {
    at += kWord.size();
    auto after = at;
    while (after < lower.size() && (lower[after] <= ' ' || static_cast<unsigned char>(lower[after]) >= 0x7f)) ++after;
    if (after < lower.size() && lower[after] == '=') return true;
  }
  return false;
}

// What BuildKit's parser.DetectSyntax may take as another frontend's name.
bool has_frontend(std::string_view text) {
  if (text.starts_with("#!")) take_line(text);
  if (trim_front(text).starts_with('{')) return true;
  while (!text.empty()) {
    const auto line = trim_front(take_line(text));
    if (!line.empty() && !line.starts_with('#') && !line.starts_with("//")) return false;
    if (names_syntax(line)) return true;
  }
  return false;
}

std::vector<Style> styles_of(std::string_view text) {
  std::vector<Heredocs> heredocs = {Heredocs::kNone};
  if (text.find('<') != std::string_view::npos)
    heredocs = {Heredocs::kNone, Heredocs::kNames, Heredocs::kWords, Heredocs::kSpaces};
  const std::string_view escapes = has_escape_directive(text) ? "\\`" : "\\";
  std::vector<Style> styles;
  for (const auto heredoc : heredocs)
    for (const char escape : escapes)
      for (const bool doubled : {true, false})
        for (const bool indented : {true, false}) styles.push_back({heredoc, escape, doubled, indented});
  return styles;
}

// One in the midst of a line is white space to some and part of a line's end to others.
bool has_lone_return(std::string_view text) {
  for (auto at = text.find('\r'); at != std::string_view::npos; at = text.find('\r', at + 1))
    if (at + 1 < text.size() && text[at + 1] != '\n') return true;
  return false;
}

}  // namespace

Result<DockerfileImages> read_dockerfile(std::string_view text, const std::map<std::string, std::string>& arguments) {
  if (text.size() > kMaxText) return fail(Error::invalid("the Dockerfile is over 256 KiB"));
  if (text.starts_with(kBom)) text.remove_prefix(kBom.size());
  if (has_lone_return(text)) return fail(Error::invalid("the Dockerfile has a carriage return that ends no line"));
  DockerfileImages found{.images = {}, .stages = {}, .has_frontend = has_frontend(text)};
  std::optional<Error> dropped;
  bool is_read = false;
  for (const auto& style : styles_of(text)) {
    Reading reading(style, arguments);
    reading.run(text);
    if (auto error = reading.error()) return fail(std::move(*error));
    if (reading.dropped()) {
      if (!dropped) dropped = reading.dropped();
      continue;
    }
    is_read = true;
    for (const auto& image : reading.images()) add_once(found.images, image);
    for (const auto& stage : reading.stages()) add_once(found.stages, stage);
  }
  if (!is_read) return fail(dropped.value_or(Error::invalid("the Dockerfile is empty")));
  return found;
}

std::string without_frontend(std::string text) {
  constexpr std::string_view kSyntax = "syntax";
  constexpr std::string_view kNothing = "ignore";  // a directive still: those below it count as before
  std::string_view rest = text;
  if (rest.starts_with(kBom)) rest.remove_prefix(kBom.size());
  while (!rest.empty()) {
    const auto line = take_line(rest);
    if (!line.starts_with('#')) break;
    const auto word = line.find_first_not_of(" \t", 1);
    if (word == std::string_view::npos || !equal_fold(line.substr(word, kSyntax.size()), kSyntax)) continue;
    const auto equals = line.find_first_not_of(" \t", word + kSyntax.size());
    if (equals == std::string_view::npos || line[equals] != '=') continue;
    text.replace(static_cast<std::size_t>(line.data() - text.data()) + word, kSyntax.size(), kNothing);
  }
  return text;
}

}  // namespace ebbtide::gateway
