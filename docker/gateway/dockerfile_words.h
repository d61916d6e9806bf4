// The words of a Dockerfile's lines: variables, heredocs, flags. Where the engine's versions read them differently,
// that is what is said. The rules are those of moby/buildkit, frontend/dockerfile/{parser,shell}. Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"

namespace ebbtide::gateway::dockerfile {

inline constexpr std::string_view kBlank = " \t\v\f\r";

bool is_ascii(std::string_view text);
bool is_digit(char c);
bool is_letter(char c);
bool is_name_start(char c);
bool is_name(char c);
bool is_blank(char c);  // also at a line's end
// Bytes of the white space that text begins with, as Go's unicode.IsSpace has it.
std::size_t space_at(std::string_view text);
std::string_view trim_front(std::string_view text);
std::string_view trim_blank(std::string_view text);
// The line that text begins with, which is taken from it.
std::string_view take_line(std::string_view& text);
std::vector<std::string_view> split_blank(std::string_view text);
// The text in the quotes, where it is wholly in one pair.
std::optional<std::string_view> unquoted(std::string_view text, char quote);

// Its value if the engine surely gives it that one. kUnset: declared without one, which is empty or unset.
struct Variable {
  enum class State { kKnown, kUnset, kUnknown } state = State::kUnknown;
  std::string value;
};
using Variables = std::map<std::string, Variable, std::less<>>;

// text with its variables' values. kInvalid: why it can't be told.
Result<std::string> expand(const Variables& variables, std::string_view text);
// The words of an ARG, quotes kept; nothing where a quote is open.
std::optional<std::vector<std::string_view>> argument_words(std::string_view text);

enum class Heredocs {
  kNone,    // the classic builder, BuildKit before 0.9
  kNames,   // the first BuildKits with heredocs: <<NAME of letters and digits
  kWords,   // <<WORD
  kSpaces,  // << WORD
};
struct Heredoc {
  std::string name;
  bool cut_tabs = false;
};
// Those that a line begins; nothing: it can't be told.
std::optional<std::vector<Heredoc>> heredocs_of(Heredocs style, std::string_view line);

struct Flags {
  std::vector<std::string> words;
  bool unsure = false;  // versions may differ in what they are
};
// Takes the flags from the front of what follows an instruction's word.
Flags take_flags(std::string_view& text);

}  // namespace ebbtide::gateway::dockerfile
