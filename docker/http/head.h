// Heads of HTTP/1.1 messages: parsed strictly, written canonically. Pure; any thread.
//
// Jobs are hostile and the engine's own parser (Go) is lenient, so whatever two parsers could read
// differently is refused: Transfer-Encoding other than exactly "chunked", Content-Length beside it or twice,
// folded lines, blanks before the colon, bare LF, control characters. Messages are always written anew from
// these structures, never relayed as bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "docker/base/result.h"

namespace ebbtide::http {

struct Field {
  std::string name;
  std::string value;
  bool operator==(const Field&) const = default;
};

// Header fields in their order, names compared without regard to case.
class Fields {
 public:
  std::optional<std::string_view> find(std::string_view name) const;  // the first
  std::size_t count(std::string_view name) const;
  void add(std::string name, std::string value) { list_.push_back({std::move(name), std::move(value)}); }
  void set(std::string_view name, std::string value);  // replaces all of that name
  void remove(std::string_view name);
  // Whether a comma-separated field (Connection) names token.
  bool has_token(std::string_view name, std::string_view token) const;
  const std::vector<Field>& list() const { return list_; }

 private:
  std::vector<Field> list_;
};

enum class Framing {
  kNone,    // no body
  kLength,  // Content-Length
  kChunked,
  kUntilClose,  // answers only: the body ends with the connection
};

struct RequestHead {
  std::string method;
  std::string target;  // as sent
  bool http_1_0 = false;
  Fields fields;
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;  // for kLength
  bool keep_alive = true;
  bool upgrade = false;          // Connection: Upgrade with an Upgrade field
  bool expect_continue = false;  // Expect: 100-continue
};

struct ResponseHead {
  int status = 0;
  std::string reason;
  Fields fields;
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;
  bool keep_alive = true;
};

inline constexpr std::size_t kMaxHeadBytes = 256 * 1024;

// Length of the head at the start of bytes, its closing blank line included; nothing while it is incomplete.
std::optional<std::size_t> head_size(std::string_view bytes);

// bytes is one whole head. kInvalid says what is wrong, in words for the client; kTooLarge over
// kMaxHeadBytes.
Result<RequestHead> parse_request_head(std::string_view bytes);
// request_method decides whether there is a body (HEAD has none); 1xx, 204 and 304 have none either.
Result<ResponseHead> parse_response_head(std::string_view bytes, std::string_view request_method);

// The framing fields (Content-Length, Transfer-Encoding) are written from framing and length, those in fields
// are left out; so are hop-by-hop fields: Connection and what it names, Keep-Alive, Proxy-*, TE, Trailer.
// With upgrade, "Connection: Upgrade" and the Upgrade field are written.
std::string to_bytes(const RequestHead& head);
std::string to_bytes(const ResponseHead& head);

// The HTTP/2 connection preface begins so; it is refused.
inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n";

}  // namespace ebbtide::http
