// A gateway between a test's own client and a scripted engine. What the engine is asked for beside the job's requests
// (events, lists) is an engine in memory's to answer.
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <memory>

#include "docker/base/secret.h"
#include "docker/gateway/gateway.h"
#include "tests/support/fake_engine.h"
#include "tests/support/scripted_server.h"

namespace ebbtide::gateway::test {

using ebbtide::test::answer_text;
using ebbtide::test::FakeEngine;
using ebbtide::test::ScriptedServer;
using ebbtide::test::Wire;

inline const std::string kUpgradedToH2c =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

class GatewayTest : public testing::Test {
 protected:
  GatewayTest() { std::signal(SIGPIPE, SIG_IGN); }  // as the server does

  // Opens the gateway of "a1" before an engine that does this with each request.
  void open(ScriptedServer::Handler handler, GatewaySpec spec = {}) {
    server_ = std::make_unique<ScriptedServer>(std::move(handler));
    engine_ = std::make_shared<FakeEngine>(server_->path());
    own_ = add("db", "a1");
    foreign_ = add("theirs", "a2");
    watch_ = std::make_unique<EngineWatch>(engine_, std::make_shared<Store>(Database::in_memory()), "s1");
    watch_->start({});
    ASSERT_TRUE(watch_->resync());
    host_ = std::make_unique<GatewayHost>(*watch_, 1);
    folder_ = std::filesystem::temp_directory_path() / ("ebbtide-gateway-" + random_hex(6));
    spec.owner = "a1";
    spec.directory = folder_ / "a1";
    ASSERT_TRUE(host_->open(spec));
  }

  void TearDown() override {
    if (host_) host_->close("a1", std::chrono::milliseconds(0));
    host_.reset();
    if (watch_) watch_->stop();
    server_.reset();  // its threads may still be in a handler, which refers to the test's variables
    std::filesystem::remove_all(folder_);
  }

  std::string add(const std::string& name, const std::string& owner, Role role = Role::kBelonging) {
    return engine_->add_container(name, ownership_labels("s1", owner, role, Kind::kContainer, name, name), "running");
  }

  // What the audit holds, the newest first: a record is made when its answer has been sent, so the gateway is closed
  // before.
  std::vector<AuditRecord> audited() {
    host_->close("a1", std::chrono::milliseconds(0));
    return watch_->store().audit_of("a1", 1000).value();
  }

  Wire client() const { return Wire::connect(folder_ / "a1/docker.sock"); }

  // The whole answer to one request.
  std::string ask(std::string_view request) const {
    auto wire = client();
    EXPECT_TRUE(wire.write(request));
    return wire.read_message();
  }
  std::string get(const std::string& target) const { return ask("GET " + target + " HTTP/1.1\r\nHost: d\r\n\r\n"); }
  std::string post(const std::string& target, const std::string& body) const {
    return ask("POST " + target + " HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body);
  }

  std::shared_ptr<FakeEngine> engine_;
  std::string own_;
  std::string foreign_;
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<EngineWatch> watch_;
  std::unique_ptr<GatewayHost> host_;
  std::filesystem::path folder_;
};

}  // namespace ebbtide::gateway::test
