// Site: pages and JSON for people and scripts, from path to handler, for visitors whom the gate has let in. Waits for
// changes and followed logs hold a thread each, and are limited in number, so that open pages can't starve GoCD's
// messages. Any thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/actions.h"
#include "api/board.h"
#include "api/frame.h"
#include "api/gate.h"
#include "api/http_server.h"
#include "plugin/fleet.h"

namespace ebbtide::api {

// How many requests may wait at once.
class Seats {
 public:
  explicit Seats(unsigned number) : free_(static_cast<int>(number)) {}

  // One of them, for as long as it lives; false if there was none.
  class Taken {
   public:
    explicit Taken(Seats& seats) : seats_(seats.take() ? &seats : nullptr) {}
    ~Taken() {
      if (seats_) ++seats_->free_;
    }
    Taken(const Taken&) = delete;
    Taken& operator=(const Taken&) = delete;
    explicit operator bool() const { return seats_ != nullptr; }

   private:
    Seats* seats_;
  };

 private:
  bool take();

  std::atomic<int> free_;
};

class Site {
 public:
  // seats: how many requests may wait at once.
  Site(plugin::Fleet& fleet, Gate& gate, unsigned seats);

  // What needs no visitor: signing in, style, script. Nothing if the path is none of these.
  std::optional<HttpResponse> open_to_all(const HttpRequest& request);
  HttpResponse handle(const HttpRequest& request, const Visitor& visitor);
  // For who was not let in: a page to sign in at, or 401.
  HttpResponse refuse(const HttpRequest& request, const Error& why) const;
  void stop() { stopping_ = true; }

 private:
  using Handler = HttpResponse (Site::*)(const HttpRequest&, const Visitor&);
  struct Route;
  static const Route kRoutes[];
  HttpResponse denied(const HttpRequest& request, const Visitor& visitor, const std::string& why) const;

  // --- pages ---
  HttpResponse status(const HttpRequest& request, const Visitor& visitor);
  HttpResponse live(const HttpRequest& request, const Visitor& visitor);
  HttpResponse history(const HttpRequest& request, const Visitor& visitor);
  HttpResponse audit_of_all(const HttpRequest& request, const Visitor& visitor);
  plugin::Html audit_of(const std::string& agent_id) const;  // the part of the agent's page
  HttpResponse sessions(const HttpRequest& request, const Visitor& visitor);
  HttpResponse end_session(const HttpRequest& request, const Visitor& visitor);
  HttpResponse sign_out(const HttpRequest& request, const Visitor& visitor);
  HttpResponse agent(const HttpRequest& request, const Visitor& visitor);  // and what is below
  HttpResponse ask_about_cluster(const HttpRequest& request, const Visitor& visitor);
  HttpResponse act_on_agent(const HttpRequest& request, const Visitor& visitor);
  HttpResponse act_on_cluster(const HttpRequest& request, const Visitor& visitor);
  HttpResponse act(const Action* action, ActionRequest asked, const HttpRequest& request, const Visitor& visitor,
                   const std::string& back);
  HttpResponse agent_page_of(const HttpRequest& request, const Visitor& visitor, const std::string& id);
  HttpResponse sign_in(const HttpRequest& request);
  Frame frame(std::string_view title, std::string_view here, const Visitor& visitor) const;

  // --- JSON ---
  HttpResponse api_clusters(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_caches(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_agents(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_agent(const HttpRequest& request, const Visitor& visitor);  // and its log
  HttpResponse api_history(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_audit(const HttpRequest& request, const Visitor& visitor);
  HttpResponse audit(const HttpRequest& request, std::string_view agent_id);
  HttpResponse api_troubles(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_changes(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_visitor(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_description(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_act_on_agent(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_act_on_cluster(const HttpRequest& request, const Visitor& visitor);
  HttpResponse api_act(const Action* action, const ActionRequest& asked, const HttpRequest& request,
                       const std::string& name);
  HttpResponse log(const HttpRequest& request, const std::string& id);
  HttpResponse metrics(const HttpRequest& request, const Visitor& visitor);

  plugin::Fleet& fleet_;
  Gate& gate_;
  Board board_;
  Seats seats_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace ebbtide::api
