// The processor channel over a real socket: what a bridge sees.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/api/surface_harness.h"

namespace ebbtide::api::test {
namespace {

using testing::HasSubstr;

class ProcessorTest : public SurfaceTest {
 protected:
  // The bridge of a GoCD that no script plays.
  static constexpr const char* kOther = "X-GoCD-Server-Id: gocd-2\r\n";

  ProcessorTest() : SurfaceTest("", 50ms) {}

  plugin::Channel& channel() { return fleet->channel("gocd-2"); }

  // A bridge that is connected: it has had the first line.
  std::unique_ptr<RawClient> listen() {
    auto client = std::make_unique<RawClient>(server.port());
    client->send(std::string("GET /plugin/v1/processor-requests HTTP/1.1\r\nHost: test\r\n") + kOther + "\r\n");
    EXPECT_EQ(client->answer(false).header("content-type"), "application/x-ndjson");
    EXPECT_EQ(client->stream_line(), "{}");
    return client;
  }
  // The next line, null at the end of the stream. Server health, which each bridge is told, is taken aside.
  json line(RawClient& client) {
    while (true) {
      const auto read = json::parse(client.stream_line(), nullptr, false);
      if (!read.is_object()) return nullptr;
      if (read.value("api", "") != plugin::processor::kHealth) return read;
      respond(read.at("id"), 200);
    }
  }
  // The next line that is no heartbeat.
  json next(RawClient& client) {
    auto read = line(client);
    while (read.is_object() && read.empty()) read = line(client);
    return read;
  }
  // Reads on, so that what is still to be told is told.
  bool has_nothing_to_ask(RawClient& client) {
    return eventually([&] {
      line(client);
      return channel().state().in_flight + channel().state().waiting == 0;
    });
  }
  RawAnswer respond(const std::string& id, int code, const std::string& body = "") {
    return post("/plugin/v1/processor-responses/" + id, json{{"code", code}, {"body", body}}.dump(), kOther);
  }
};

TEST_F(ProcessorTest, RequestsComeAsLinesWithAllTheirMembers) {
  const auto bridge = listen();
  EXPECT_TRUE(channel().state().connected);
  channel().console(job(1), "größe {{1}}\n");
  const auto request = next(*bridge);
  EXPECT_EQ(request.size(), 4U);
  EXPECT_EQ(request.at("api"), plugin::processor::kConsole);
  EXPECT_EQ(request.at("api_version"), "2.0");
  EXPECT_EQ(json::parse(request.at("body").get<std::string>()).at("text"), "größe {{1}}\n");
  EXPECT_EQ(respond(request.at("id"), 200).status, 200);
  EXPECT_TRUE(has_nothing_to_ask(*bridge));
}

TEST_F(ProcessorTest, HeartbeatsComeWhileNothingIsAsked) {
  const auto bridge = listen();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(line(*bridge), json::object());
}

TEST_F(ProcessorTest, AnAnswerReachesWhoWaitsForIt) {
  const auto bridge = listen();
  Result<std::vector<plugin::AgentStatus>> agents;
  std::jthread asking([&] { agents = channel().list_agents(10s); });
  const auto request = next(*bridge);
  EXPECT_EQ(request.at("api"), plugin::processor::kListAgents);
  respond(request.at("id"), 200, R"([{"agent_id":"ea-1","agent_state":"Idle"}])");
  asking.join();
  ASSERT_TRUE(agents);
  EXPECT_EQ(agents->at(0).agent_id, "ea-1");
}

TEST_F(ProcessorTest, AfterAReconnectionTheUnansweredComeAgainInOrder) {
  auto bridge = listen();
  std::vector<std::string> first;
  for (const auto* id : {"a", "b", "c"}) channel().disable_agents({id});
  for (int i = 0; i < 3; ++i) first.push_back(next(*bridge).at("id"));
  EXPECT_EQ(respond(first[1], 200).status, 200);
  bridge->hang_up();
  bridge = listen();
  EXPECT_EQ(next(*bridge).at("id"), first[0]);
  EXPECT_EQ(next(*bridge).at("id"), first[2]);
}

TEST_F(ProcessorTest, ASecondBridgeTakesTheChannel) {
  const auto first = listen();
  const auto second = listen();
  EXPECT_EQ(next(*first), nullptr);
  channel().disable_agents({"a"});
  EXPECT_EQ(next(*second).at("api"), plugin::processor::kDisableAgents);
  EXPECT_TRUE(channel().state().connected);
}

TEST_F(ProcessorTest, AnAnswerFromTheFormerConnectionCounts) {
  auto bridge = listen();
  channel().disable_agents({"a"});
  const std::string id = next(*bridge).at("id");
  bridge->hang_up();
  bridge = listen();
  EXPECT_EQ(respond(id, 200).status, 200);
  EXPECT_TRUE(has_nothing_to_ask(*bridge));
}

TEST_F(ProcessorTest, ABridgeThatHungUpIsNoticed) {
  auto bridge = listen();
  bridge->hang_up();
  EXPECT_TRUE(eventually([&] { return !channel().state().connected; }));
}

TEST_F(ProcessorTest, AnAnswerThatNobodyWaitsForIs404) {
  const auto bridge = listen();
  channel().disable_agents({"a"});
  const std::string id = next(*bridge).at("id");
  EXPECT_EQ(respond(id, 200).status, 200);
  EXPECT_EQ(respond(id, 200).status, 404);
  for (const auto* unknown : {"1", "nothing", "", "99999999999999999999", "..%2f.."})
    EXPECT_EQ(respond(unknown, 200).status, 404) << unknown;
  EXPECT_THAT(respond("<b>", 200).body, HasSubstr("nobody waits"));
}

TEST_F(ProcessorTest, AnAnswerIsForItsOwnGocd) {
  const auto bridge = listen();
  channel().disable_agents({"a"});
  const std::string id = next(*bridge).at("id");
  EXPECT_EQ(post("/plugin/v1/processor-responses/" + id, R"({"code":200})", "X-GoCD-Server-Id: gocd-3\r\n").status,
            404);
  EXPECT_EQ(respond(id, 200).status, 200);
}

TEST_F(ProcessorTest, AnAnswerMustNameItsCode) {
  for (const auto* body : {"", "{", "[]", "{}", R"({"code":"200"})", R"({"body":"x"})", R"({"code":null})"})
    EXPECT_EQ(post("/plugin/v1/processor-responses/1", body, kOther).status, 400) << body;
}

TEST_F(ProcessorTest, AStopEndsTheStream) {
  const auto bridge = listen();
  surface.stop();
  EXPECT_EQ(next(*bridge), nullptr);
}

}  // namespace
}  // namespace ebbtide::api::test
