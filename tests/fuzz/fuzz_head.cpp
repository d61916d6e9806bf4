// Any bytes as a request's head, an answer's head and a target: what is taken is written so that it is read again as
// the same, and the writing is settled after one round.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "docker/http/head.h"
#include "docker/http/target.h"

namespace {

using namespace ebbtide::http;

void require(bool holds) {
  if (!holds) std::abort();
}

// No line that the writer did not mean: what a field smuggles in would show as a further line.
void require_one_head(const std::string& bytes) {
  require(head_size(bytes) == bytes.size());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (bytes[at] == '\n') require(at > 0 && bytes[at - 1] == '\r');
    if (bytes[at] == '\r') require(at + 1 < bytes.size() && bytes[at + 1] == '\n');
  }
}

void try_target(std::string_view bytes) {
  const auto target = parse_target(bytes);
  if (!target) return;
  const auto text = target->to_text();
  require(text.find_first_of(" \t\r\n#") == std::string::npos);
  const auto again = parse_target(text);
  require(again.has_value());
  require(again->version == target->version && again->path == target->path);
  require(again->query.list() == target->query.list());
  require(again->to_text() == text);
}

void try_request(std::string_view bytes) {
  const auto head = parse_request_head(bytes);
  if (!head) return;
  const auto text = to_bytes(*head);
  require_one_head(text);
  const auto again = parse_request_head(text);
  require(again.has_value());
  require(again->method == head->method && again->target == head->target);
  require(again->framing == head->framing && again->length == head->length);
  require(again->upgrade == head->upgrade);
  require(again->upgrade || again->keep_alive == head->keep_alive);
  require(again->fields.count("Host") == std::max<std::size_t>(1, head->fields.count("Host")));
  require(to_bytes(*again) == text);
  try_target(head->target);
}

void try_response(std::string_view bytes, std::string_view method) {
  const auto head = parse_response_head(bytes, method);
  if (!head) return;
  const auto text = to_bytes(*head);
  require_one_head(text);
  const auto again = parse_response_head(text, method);
  require(again.has_value());
  require(again->status == head->status && again->reason == head->reason);
  require(again->framing == head->framing && again->length == head->length);
  require(again->status == 101 || again->keep_alive == head->keep_alive);
  require(to_bytes(*again) == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try_request(bytes);
  try_response(bytes, "GET");
  try_response(bytes, "HEAD");
  try_target(bytes);
  return 0;
}
