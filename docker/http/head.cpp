#include "docker/http/head.h"

#include <algorithm>

#include "docker/base/text.h"

namespace ebbtide::http {
namespace {

// RFC 9110, 5.6.2.
bool is_token_char(char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         kOthers.find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) { return !text.empty() && std::ranges::all_of(text, is_token_char); }

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

bool is_field_value(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return c != '\t' && is_control(c); });
}

// The lines of a head without their CR LF; kInvalid for a bare LF or CR, or no blank line at the end.
Result<std::vector<std::string_view>> lines_of_head(std::string_view bytes) {
  std::vector<std::string_view> lines;
  while (true) {
    const auto end = bytes.find("\r\n");
    if (end == std::string_view::npos) return fail(Error::invalid("the head does not end"));
    const auto line = bytes.substr(0, end);
    if (line.find_first_of("\r\n") != std::string_view::npos)
      return fail(Error::invalid("a line of the head ends without CR LF"));
    bytes.remove_prefix(end + 2);
    if (line.empty()) break;
    lines.push_back(line);
  }
  if (!bytes.empty()) return fail(Error::invalid("bytes after the head"));
  if (lines.empty()) return fail(Error::invalid("an empty head"));
  return lines;
}

Result<Fields> parse_fields(const std::vector<std::string_view>& lines) {
  Fields fields;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const auto line = lines[i];
    const auto colon = line.find(':');
    if (line.front() == ' ' || line.front() == '\t') return fail(Error::invalid("a folded header line"));
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
      return fail(Error::invalid("a malformed header field"));
    const auto value = trim(line.substr(colon + 1));
    if (!is_field_value(value)) return fail(Error::invalid("a control character in a header field"));
    fields.add(std::string(line.substr(0, colon)), std::string(value));
  }
  return fields;
}

struct BodyFraming {
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;
  bool given = false;  // by a field
};

// RFC 9112, 6: where two readers could differ, the message is refused.
Result<BodyFraming> framing_of(const Fields& fields) {
  const auto encodings = fields.count("Transfer-Encoding");
  const auto lengths = fields.count("Content-Length");
  if (encodings > 0 && lengths > 0) return fail(Error::invalid("both Content-Length and Transfer-Encoding are given"));
  if (encodings > 1 || lengths > 1) return fail(Error::invalid("the length of the body is given twice"));
  if (encodings == 1) {
    if (!equal_fold(*fields.find("Transfer-Encoding"), "chunked"))
      return fail(Error::invalid("a Transfer-Encoding other than chunked"));
    return BodyFraming{Framing::kChunked, 0, true};
  }
  if (lengths == 1) {
    const auto length = parse_number(*fields.find("Content-Length"));
    if (!length) return fail(Error::invalid("a malformed Content-Length"));
    return BodyFraming{*length > 0 ? Framing::kLength : Framing::kNone, *length, true};
  }
  return BodyFraming{};
}

bool keeps_alive(const Fields& fields, bool http_1_0) {
  if (http_1_0) return fields.has_token("Connection", "keep-alive");
  return !fields.has_token("Connection", "close");
}

// Connection must not name what is for the engine (RFC 9110, 7.6.1); without Host it would refuse the request.
bool is_hop_by_hop(const Field& field, const Fields& fields) {
  constexpr std::string_view kNames[] = {"Connection",
                                         "Keep-Alive",
                                         "Proxy-Connection",
                                         "Proxy-Authenticate",
                                         "TE",
                                         "Proxy-Authorization",
                                         "Trailer",
                                         "Transfer-Encoding",
                                         "Content-Length",
                                         "Upgrade",
                                         "Expect"};
  return std::ranges::any_of(kNames, [&](std::string_view name) { return equal_fold(name, field.name); }) ||
         (fields.has_token("Connection", field.name) && !equal_fold(field.name, "Host"));
}

void write_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void write_fields(std::string& out, const Fields& fields, bool upgrade) {
  for (const auto& field : fields.list())
    if (!is_hop_by_hop(field, fields)) write_field(out, field.name, field.value);
  if (!upgrade) return;
  write_field(out, "Connection", "Upgrade");
  write_field(out, "Upgrade", fields.find("Upgrade").value_or("tcp"));
}

}  // namespace

std::optional<std::string_view> Fields::find(std::string_view name) const {
  for (const auto& field : list_)
    if (equal_fold(field.name, name)) return field.value;
  return std::nullopt;
}

std::size_t Fields::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(list_, [&](const Field& field) { return equal_fold(field.name, name); }));
}

void Fields::set(std::string_view name, std::string value) {
  remove(name);
  add(std::string(name), std::move(value));
}

void Fields::remove(std::string_view name) {
  std::erase_if(list_, [&](const Field& field) { return equal_fold(field.name, name); });
}

bool Fields::has_token(std::string_view name, std::string_view token) const {
  for (const auto& field : list_) {
    if (!equal_fold(field.name, name)) continue;
    for (const auto& part : split(field.value, ','))
      if (equal_fold(trim(part), token)) return true;
  }
  return false;
}

std::optional<std::size_t> head_size(std::string_view bytes) {
  const auto end = bytes.find("\r\n\r\n");
  return end == std::string_view::npos ? std::nullopt : std::optional(end + 4);
}

Result<RequestHead> parse_request_head(std::string_view bytes) {
  if (bytes.size() > kMaxHeadBytes) return fail(Error::too_large("the request's head is too large"));
  const auto lines = lines_of_head(bytes);
  if (!lines) return fail(lines.error());
  const auto first = lines->front();
  const auto space = first.find(' ');
  const auto last = first.rfind(' ');
  if (space == std::string_view::npos || last == space) return fail(Error::invalid("a malformed request line"));
  RequestHead head{.method = std::string(first.substr(0, space)),
                   .target = std::string(first.substr(space + 1, last - space - 1)),
                   .fields = {}};
  const auto version = first.substr(last + 1);
  head.http_1_0 = version == "HTTP/1.0";
  if (!is_token(head.method) || (version != "HTTP/1.1" && !head.http_1_0))
    return fail(Error::invalid("a malformed request line"));
  if (head.target.empty() || std::ranges::any_of(head.target, [](char c) { return c == ' ' || is_control(c); }))
    return fail(Error::invalid("a malformed request target"));
  auto fields = parse_fields(*lines);
  if (!fields) return fail(fields.error());
  head.fields = std::move(*fields);
  const auto framing = framing_of(head.fields);
  if (!framing) return fail(framing.error());
  head.framing = framing->framing;
  head.length = framing->length;
  head.keep_alive = keeps_alive(head.fields, head.http_1_0);
  head.upgrade = head.fields.has_token("Connection", "Upgrade") && head.fields.find("Upgrade").has_value();
  head.expect_continue = equal_fold(head.fields.find("Expect").value_or(""), "100-continue");
  return head;
}

Result<ResponseHead> parse_response_head(std::string_view bytes, std::string_view request_method) {
  if (bytes.size() > kMaxHeadBytes) return fail(Error::too_large("the answer's head is too large"));
  const auto lines = lines_of_head(bytes);
  if (!lines) return fail(lines.error());
  const auto first = lines->front();
  const bool http_1_0 = first.starts_with("HTTP/1.0 ");
  const auto status = first.size() >= 12 ? parse_number(first.substr(9, 3)) : std::nullopt;
  if ((!http_1_0 && !first.starts_with("HTTP/1.1 ")) || !status || *status < 100 ||
      (first.size() > 12 && first[12] != ' '))
    return fail(Error::invalid("a malformed status line"));
  ResponseHead head{.status = static_cast<int>(*status), .reason = std::string(trim(first.substr(12))), .fields = {}};
  auto fields = parse_fields(*lines);
  if (!fields) return fail(fields.error());
  head.fields = std::move(*fields);
  const auto framing = framing_of(head.fields);
  if (!framing) return fail(framing.error());
  head.length = framing->length;
  head.keep_alive = keeps_alive(head.fields, http_1_0);
  const bool bodiless = head.status < 200 || head.status == 204 || head.status == 304 || request_method == "HEAD";
  if (bodiless) return head;
  head.framing = framing->given ? framing->framing : Framing::kUntilClose;
  if (head.framing == Framing::kUntilClose) head.keep_alive = false;
  return head;
}

std::string to_bytes(const RequestHead& head) {
  std::string out = head.method + " " + head.target + " HTTP/1.1\r\n";
  if (!head.fields.find("Host")) write_field(out, "Host", "docker");
  write_fields(out, head.fields, head.upgrade);
  if (head.framing == Framing::kChunked) write_field(out, "Transfer-Encoding", "chunked");
  // A POST without a body still says so: clients send it, and some engines ask for it.
  const bool says_none = head.framing == Framing::kNone && head.fields.find("Content-Length").has_value();
  if (head.framing == Framing::kLength || says_none)
    write_field(out, "Content-Length", std::to_string(head.framing == Framing::kNone ? 0 : head.length));
  if (!head.keep_alive && !head.upgrade) write_field(out, "Connection", "close");
  return out + "\r\n";
}

std::string to_bytes(const ResponseHead& head) {
  std::string out = "HTTP/1.1 " + std::to_string(head.status) + " " + head.reason + "\r\n";
  write_fields(out, head.fields, head.status == 101);
  if (head.framing == Framing::kChunked) write_field(out, "Transfer-Encoding", "chunked");
  // An answer to HEAD tells the length of a body that it does not have.
  const bool tells_length = head.framing == Framing::kNone && head.status >= 200 && head.status != 204 &&
                            (head.fields.find("Content-Length").has_value() || head.length > 0);
  if (head.framing == Framing::kLength || tells_length) write_field(out, "Content-Length", std::to_string(head.length));
  if (!head.keep_alive && head.status != 101) write_field(out, "Connection", "close");
  return out + "\r\n";
}

}  // namespace ebbtide::http
