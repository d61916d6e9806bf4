// The rules are those of moby/buildkit, frontend/dockerfile/{parser,instructions,shell,dockerfile2llb}, and moby/moby,
// builder/dockerfile. Their versions differ: each difference is a Style, and all styles are read.
#include "docker/gateway/dockerfile.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "docker/base/text.h"
#include "docker/gateway/dockerfile_words.h"

namespace ebbtide::gateway {
namespace {

using namespace dockerfile;

constexpr std::size_t kMaxText = 256 << 10;
constexpr std::size_t kMaxReferences = 1000;
constexpr std::size_t kShown = 80;  // bytes of a line in a message
constexpr std::string_view kBom = "\xEF\xBB\xBF";

struct Style {
  Heredocs heredocs = Heredocs::kNone;
  char escape = '\\';
  bool doubled_goes_on = true;    // a line that ends in two escape characters
  bool indented_comments = true;  // in a continuation
};

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
    const auto image = expand(variables_, unquoted(word, '"').value_or(word));
    if (poisoned_ && word.find('$') != std::string_view::npos) {
      fail("an ARG before it can't be read: write it as ARG NAME=value");
    } else if (!image) {
      fail(image.error().message);
    } else if (!is_plain_reference(*image)) {
      fail("that names no image");
    } else {
      return *image;
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
    auto value = expand(variables_, unquoted(text, '"').value_or(text));
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
    const auto heredocs = heredocs_of(style_.heredocs, line_);
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
    const auto heredocs = heredocs_of(style_.heredocs, line_);
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
