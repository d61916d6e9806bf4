// The whole surface on a port of loopback, over a fleet whose engine is in memory.
#pragma once

#include "api/surface.h"
#include "tests/unit/api/raw_client.h"
#include "tests/unit/plugin/fleet_harness.h"

namespace ebbtide::api::test {

using namespace std::chrono_literals;
using nlohmann::json;
using plugin::test::eventually;

class SurfaceTest : public plugin::test::FleetTest {
 protected:
  static constexpr const char* kToken = "correct-horse";

  explicit SurfaceTest(std::string token = "", std::chrono::milliseconds heartbeat = 10s)
      : SurfaceTest(SurfaceSettings{.gate = {.token = std::move(token)}, .heartbeat = heartbeat}) {}
  explicit SurfaceTest(SurfaceSettings settings) : surface(*fleet, contract, accounts, std::move(settings)) {
    EXPECT_TRUE(server.start("127.0.0.1", 0));
  }
  ~SurfaceTest() override {
    surface.stop();
    gocd.reset();
    fleet->stop();
    server.stop();
  }

  RawAnswer get(const std::string& target, const std::string& headers = "") const {
    return ask(server.port(), "GET", target, headers);
  }
  RawAnswer post(const std::string& target, const std::string& body = "", const std::string& headers = "") const {
    return ask(server.port(), "POST", target, headers, body);
  }
  // As the bridge of GoCD gocd-1 sends it.
  RawAnswer message(const std::string& name, const std::string& body) const {
    return post("/plugin/v1/requests/cd.go.elastic-agent." + name, body,
                "X-GoCD-Server-Id: gocd-1\r\nX-Extension-Version: 5.0\r\n");
  }
  json message_of(std::int64_t id) const {
    return {{"elastic_agent_profile_properties", profile},
            {"cluster_profile_properties", cluster},
            {"job_identifier", json::parse(job(id).to_json())},
            {"auto_register_key", "key"}};
  }

  // A form as a browser sends it from one of our pages.
  RawAnswer post_form(const std::string& target, const std::string& body, const std::string& headers = "") const {
    return post(target, body, "Content-Type: application/x-www-form-urlencoded\r\nAccept: text/html\r\n" + headers);
  }
  // The form token of a page with a form.
  std::string form_token(const std::string& page, const std::string& headers = "") const {
    const auto body = get(page, headers).body;
    constexpr std::string_view kBefore = "name=\"form_token\" value=\"";
    const auto at = body.find(kBefore);
    return at == std::string::npos ? std::string() : body.substr(at + kBefore.size(), 32);
  }

  std::shared_ptr<Accounts> accounts = std::make_shared<Accounts>(database, clock);
  plugin::Contract contract{*fleet, "https://ebbtide.example/"};
  Surface surface;
  HttpServer server{{.threads = 16}, [this](const HttpRequest& request) { return surface.handle(request); }};
};

}  // namespace ebbtide::api::test
