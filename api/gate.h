// Gate: who a request is from and what they may do. In this order: a front proxy's word, where one is named; a token of
// `ebbtide token`; a session; and where there are neither accounts nor a proxy, the server's own token, or on loopback
// nobody in particular. It also knows requests that other sites send through somebody's browser. Any thread.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <string>
#include <vector>

#include "api/accounts.h"
#include "api/http_server.h"

namespace ebbtide::api {

struct GateSettings {
  std::string token;  // the bridge's; empty: none is asked for (loopback only)
  std::string page_url;
  bool tls = false;
  std::chrono::hours session_life{12};
  std::vector<std::string> proxy_addresses;  // whose proxy_header is believed
  std::string proxy_header;                  // lower case; holds the user's name
  std::vector<std::string> proxy_admins;
};

struct Visitor {
  std::string name;  // for pages and the log
  Rights rights = Rights::kView;
  std::optional<std::int64_t> session;  // if they signed in here
  std::string form_token;               // what their forms must hold

  bool may_act() const { return rights == Rights::kAct; }
};

class Gate {
 public:
  Gate(GateSettings settings, std::shared_ptr<Accounts> accounts);

  // Whether GoCD's messages are taken from it.
  bool is_bridge(const HttpRequest& request) const;
  // kDenied says what is needed.
  Result<Visitor> visitor(const HttpRequest& request) const;
  // Pages of other sites can send requests to us through a visitor's browser; browsers say so.
  bool is_from_elsewhere(const HttpRequest& request) const;

  bool knows_accounts() const;  // so that there is a page to sign in at
  // The Set-Cookie of a new session. kDenied: no such account or not its password; kUnavailable: too many tries lately.
  Result<std::string> sign_in(const std::string& name, const std::string& password, const std::string& peer);
  // What takes the cookie away.
  std::string sign_out_cookie() const;
  Accounts& accounts() const { return *accounts_; }

 private:
  std::optional<Visitor> by_proxy(const HttpRequest& request) const;
  std::optional<Visitor> by_token(const HttpRequest& request) const;
  std::optional<Visitor> by_session(const HttpRequest& request) const;
  Result<Visitor> by_server_token(const HttpRequest& request) const;
  std::string form_token(const std::string& of) const;
  std::string cookie(const std::string& value, std::chrono::seconds life) const;
  bool is_our_name(const HttpRequest& request) const;
  // Counts a try; false if there were too many of the key's lately.
  bool may_try(const std::string& key, std::size_t most);

  const GateSettings settings_;
  const std::shared_ptr<Accounts> accounts_;
  const std::string form_secret_;
  std::counting_semaphore<2> hashing_{2};  // passwords checked at once: each takes 32 MiB
  std::mutex mutex_;                       // guards tries_
  std::map<std::string, std::deque<std::chrono::steady_clock::time_point>> tries_;
};

}  // namespace ebbtide::api
