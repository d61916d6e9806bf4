#include <algorithm>

#include "docker/base/log.h"
#include "docker/gateway/exchange.h"

namespace ebbtide::gateway {
namespace {

constexpr std::size_t kMostObjects = 100;  // a prune may name thousands

bool is_look(std::string_view method) { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }

std::string to_text(const Caller& caller) {
  if (!caller.container.empty()) return "container " + caller.container;
  const auto user = "uid " + std::to_string(caller.uid);
  return caller.pid > 0 ? "pid " + std::to_string(caller.pid) + ", " + user : user;
}

std::string joined(std::string_view name, std::string_view tag) {
  return std::string(name) + (tag.empty() ? "" : ":") + std::string(tag);
}

// The images that a query names; what else it holds (build arguments, filters, messages) is not for the audit.
std::vector<std::string> images_in(const http::Query& query) {
  auto images = query.get_all("t");
  const auto tag = query.get("tag").value_or("");
  for (const auto* key : {"fromImage", "repo"})
    if (const auto name = query.get(key).value_or(""); !name.empty()) images.push_back(joined(name, tag));
  for (auto& name : query.get_all("names")) images.push_back(std::move(name));
  return images;
}

// Why a request got an answer of ours that is no policy's: those that a look counts as refused.
std::string_view fault_named(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
      return "malformed";
    case ErrorKind::kNotFound:
      return "not-found";
    case ErrorKind::kConflict:
      return "conflict";
    case ErrorKind::kTooLarge:
      return "too-large";
    default:
      return "";
  }
}

}  // namespace

const Caller& known_caller(http::Connection& client, ClientState& state) {
  if (!state.caller) state.caller = caller_of(client.stream().plain_fd());
  return *state.caller;
}

AuditRecord begin_audit(const Context& context, http::Connection& client, ClientState& state) {
  return {.time = std::chrono::system_clock::now(),
          .engine = context.upstream.address().text(),
          .owner = context.spec.owner,
          .caller = context.spec.remote ? "over TLS" : to_text(known_caller(client, state))};
}

void end_audit(const Context& context, http::Connection& client, ClientState& state, AuditRecord record) {
  const auto taken = std::chrono::system_clock::now() - record.time;
  record.duration = std::chrono::duration_cast<std::chrono::milliseconds>(taken);
  record.bytes_in = client.received() - client.buffered().size() - state.audited_in;
  record.bytes_out = client.sent() - state.audited_out;
  context.watch.store().audit().add(std::move(record));
}

bool Exchange::changes_something() const { return !is_look(head_.method); }

void Exchange::note_fault(const Error& error) {
  if (rule_.empty()) fault_ = fault_named(error.kind);
}

void Exchange::note_object(std::string_view kind, std::string_view id, std::string_view name) {
  AuditObject object{.kind = std::string(kind), .id = std::string(id), .name = std::string(name)};
  if (objects_.size() < kMostObjects && std::ranges::find(objects_, object) == objects_.end())
    objects_.push_back(std::move(object));
}

void Exchange::note_removed_images(const Json& removed) {
  if (!removed.is_array()) return;
  for (const auto& each : removed) {
    if (!each.is_object()) continue;
    if (const auto id = each.value("Deleted", std::string()); !id.empty()) note_object(to_string(Kind::kImage), id, "");
    if (const auto name = each.value("Untagged", std::string()); !name.empty())
      note_object(to_string(Kind::kImage), "", name);
  }
}

// What the request names, as it was given, before any of it is written anew.
void Exchange::note_request() {
  path_ = target_.path;
  if (!match_.route || match_.route->kind != Kind::kImage) return;
  if (!match_.object.empty()) note_object(to_string(Kind::kImage), "", match_.object);
  for (const auto& image : images_in(target_.query)) note_object(to_string(Kind::kImage), "", image);
}

void Exchange::audit(AuditRecord record) {
  const auto& rule = rule_.empty() ? fault_ : rule_;
  if (!rule_.empty())
    log_info("docker request refused", {{"agent", context_.spec.owner},
                                        {"caller", record.caller},
                                        {"method", head_.method},
                                        {"path", path_},
                                        {"rule", rule_}});
  if (objects_.empty() && match_.route) {
    const auto kind = match_.route->kind ? to_string(*match_.route->kind) : std::string_view();
    const auto name = match_.object.empty() ? target_.query.get("name").value_or("") : match_.object;
    if (!name.empty()) note_object(kind, "", name);
  }
  record.method = head_.method;
  record.path = path_;
  record.objects = std::move(objects_);
  record.rule = rule;
  record.status = status_;
  end_audit(context_, client_, client_state_, std::move(record));
}

}  // namespace ebbtide::gateway
