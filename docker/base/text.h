// Small functions over text: trimming, splitting, percent coding, hex, times. Pure; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ebbtide {

std::string_view trim(std::string_view text);
std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator = ", ");
// The lines of text without their ends (LF or CR LF), trimmed, blank ones left out.
std::vector<std::string> lines_of(std::string_view text);
std::string to_lower(std::string_view text);
// True where both are equal but for the case of ASCII letters.
bool equal_fold(std::string_view a, std::string_view b);

// A decimal number and nothing else; nothing for signs, blanks, or a value over 2^64-1.
// Every occurrence of from, which is not empty.
std::string replace_all(std::string text, std::string_view from, std::string_view to);
std::optional<std::uint64_t> parse_number(std::string_view text);

// Percent-encodes all but unreserved characters (RFC 3986) and those in keep.
std::string percent_encode(std::string_view text, std::string_view keep = "");
// Nothing if an escape is malformed. '+' stays '+' unless plus_is_space.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

std::string to_hex(std::string_view bytes);
std::string base64_encode(std::string_view bytes);
// Standard or URL alphabet, padding optional; nothing if malformed.
std::optional<std::string> base64_decode(std::string_view text);

// 2026-11-24T10:15:02.120Z
std::string to_rfc3339(std::chrono::system_clock::time_point time);
// As the engine writes times (up to nine fractional digits, Z or an offset); nothing if malformed.
std::optional<std::chrono::system_clock::time_point> parse_rfc3339(std::string_view text);

}  // namespace ebbtide
