#include "api/gate.h"

#include <arpa/inet.h>

#include <algorithm>

#include "docker/base/log.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::minutes kTryTime{5};
constexpr std::size_t kTriesOfOne = 5;    // for one account from one address
constexpr std::size_t kTriesOfPeer = 20;  // from one address
constexpr std::size_t kTryKeys = 10'000;
constexpr const char* kCookie = "ebbtide_session";
constexpr const char* kSafeCookie = "__Host-ebbtide_session";  // browsers take it over HTTPS only

std::string bearer_of(const HttpRequest& request) {
  const auto header = request.header("authorization");
  return header.starts_with("Bearer ") ? header.substr(7) : std::string();
}

// Browsers know Basic only: the token is the password, any name goes with it.
std::string basic_password_of(const HttpRequest& request) {
  const auto header = request.header("authorization");
  if (!header.starts_with("Basic ")) return {};
  const auto pair = base64_decode(trim(header.substr(6))).value_or("");
  const auto colon = pair.find(':');
  return colon == std::string::npos ? std::string() : pair.substr(colon + 1);
}

std::string cookie_of(const HttpRequest& request, std::string_view name) {
  for (const auto& part : split(request.header("cookie"), ';')) {
    const auto pair = trim(part);
    const auto equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == name) return std::string(pair.substr(equals + 1));
  }
  return {};
}

// "https://a.example:8160/x" → "a.example:8160"
std::string_view host_of(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  return url.substr(0, url.find('/'));
}

bool is_address_or_localhost(std::string host) {
  if (host.starts_with('[')) return true;
  host = host.substr(0, host.find(':'));
  in_addr address{};
  return host.empty() || host == "localhost" || ::inet_pton(AF_INET, host.c_str(), &address) == 1;
}

}  // namespace

Gate::Gate(GateSettings settings, std::shared_ptr<Accounts> accounts)
    : settings_(std::move(settings)), accounts_(std::move(accounts)), form_secret_(random_hex(32)) {}

bool Gate::is_bridge(const HttpRequest& request) const {
  if (settings_.token.empty()) return true;
  return equal_secret(bearer_of(request), settings_.token) || equal_secret(basic_password_of(request), settings_.token);
}

bool Gate::knows_accounts() const { return accounts_->any(); }

Result<Visitor> Gate::visitor(const HttpRequest& request) const {
  if (auto visitor = by_proxy(request)) return *visitor;
  if (auto visitor = by_token(request)) return *visitor;
  if (auto visitor = by_session(request)) return *visitor;
  if (!settings_.proxy_header.empty()) return fail(Error::denied("sign in at the front proxy"));
  if (knows_accounts())
    return fail(Error::denied("sign in, or send a token of `ebbtide token add`: Authorization: Bearer <token>"));
  return by_server_token(request);
}

std::optional<Visitor> Gate::by_proxy(const HttpRequest& request) const {
  if (settings_.proxy_header.empty()) return std::nullopt;
  if (std::ranges::find(settings_.proxy_addresses, request.peer) == settings_.proxy_addresses.end())
    return std::nullopt;
  auto name = request.header(settings_.proxy_header);
  if (name.empty()) return std::nullopt;
  const bool admin = std::ranges::find(settings_.proxy_admins, name) != settings_.proxy_admins.end();
  Visitor visitor{.name = std::move(name), .rights = admin ? Rights::kAct : Rights::kView};
  visitor.form_token = form_token("proxy " + visitor.name);
  return visitor;
}

std::optional<Visitor> Gate::by_token(const HttpRequest& request) const {
  const auto secret = bearer_of(request);
  if (!secret.starts_with(Accounts::kTokenPrefix)) return std::nullopt;
  const auto token = accounts_->token(secret);
  if (!token) return std::nullopt;
  return Visitor{.name = "token " + token->name, .rights = token->rights};
}

std::optional<Visitor> Gate::by_session(const HttpRequest& request) const {
  const auto secret = cookie_of(request, settings_.tls ? kSafeCookie : kCookie);
  if (secret.size() != 64) return std::nullopt;
  const auto session = accounts_->session(secret);
  if (!session) return std::nullopt;
  return Visitor{.name = session->user,
                 .rights = session->rights,
                 .session = session->number,
                 .form_token = form_token("session " + secret)};
}

Result<Visitor> Gate::by_server_token(const HttpRequest& request) const {
  if (!settings_.token.empty() && !is_bridge(request))
    return fail(Error::denied("a token is needed: Authorization: Bearer <token>"));
  // A name of theirs that leads to us (DNS rebinding) would make another site's pages look like ours.
  if (settings_.token.empty() && !is_our_name(request))
    return fail(
        Error::denied("Ebbtide does not know the name " + request.header("host").substr(0, 200) +
                      ": set page_url to the address that browsers use, or create an account (ebbtide user add)"));
  return Visitor{.name = settings_.token.empty() ? "somebody on this machine" : "somebody with the server's token",
                 .rights = Rights::kAct,
                 .form_token = form_token("server")};
}

bool Gate::is_our_name(const HttpRequest& request) const {
  const auto host = request.header("host");
  return is_address_or_localhost(host) || host == host_of(settings_.page_url);
}

bool Gate::is_from_elsewhere(const HttpRequest& request) const {
  const auto origin = request.header("origin");
  if (const auto site = request.header("sec-fetch-site"); !site.empty())
    return site != "same-origin" && !(site == "none" && origin.empty());
  if (origin.empty()) return false;
  return host_of(origin) != request.header("host") && host_of(origin) != host_of(settings_.page_url);
}

Result<std::string> Gate::sign_in(const std::string& name, const std::string& password, const std::string& peer) {
  if (!may_try(peer, kTriesOfPeer) || !may_try(peer + " " + name.substr(0, 100), kTriesOfOne))
    return fail(Error::unavailable("too many tries: wait five minutes"));
  hashing_.acquire();
  const bool right = accounts_->check(name, password);
  hashing_.release();
  if (!right) {
    log_warning("a sign-in failed", {{"user", name.substr(0, 100)}, {"peer", peer}});
    return fail(Error::denied("there is no such account, or this is not its password"));
  }
  const auto secret = accounts_->open_session(name, peer, settings_.session_life);
  if (!secret) return fail(secret.error());
  {
    const std::scoped_lock lock(mutex_);
    tries_.erase(peer + " " + name);
  }
  log_info("signed in", {{"user", name}, {"peer", peer}});
  return cookie(*secret, settings_.session_life);
}

std::string Gate::sign_out_cookie() const { return cookie("", std::chrono::seconds(0)); }

std::string Gate::cookie(const std::string& value, std::chrono::seconds life) const {
  return std::string(settings_.tls ? kSafeCookie : kCookie) + "=" + value +
         "; Path=/; HttpOnly; SameSite=Strict; Max-Age=" + std::to_string(life.count()) +
         (settings_.tls ? "; Secure" : "");
}

std::string Gate::form_token(const std::string& of) const { return sha256_hex(form_secret_ + " " + of).substr(0, 32); }

bool Gate::may_try(const std::string& key, std::size_t most) {
  const auto now = steady_clock::now();
  const std::scoped_lock lock(mutex_);
  if (tries_.size() > kTryKeys)
    std::erase_if(tries_, [&](const auto& each) { return each.second.empty() || now - each.second.back() > kTryTime; });
  auto& tries = tries_[key];
  while (!tries.empty() && now - tries.front() > kTryTime) tries.pop_front();
  if (tries.size() >= most) return false;
  tries.push_back(now);
  return true;
}

}  // namespace ebbtide::api
