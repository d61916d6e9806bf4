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
      : surface(*fleet, contract, {.token = std::move(token), .heartbeat = heartbeat}) {
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

  plugin::Contract contract{*fleet, "https://ebbtide.example/"};
  Surface surface;
  HttpServer server{16, [this](const HttpRequest& request) { return surface.handle(request); }};
};

}  // namespace ebbtide::api::test
