#include "plugin/channel.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

namespace ebbtide::plugin {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

JobIdentifier job(std::int64_t id) {
  return {.pipeline_name = "build",
          .pipeline_counter = 17,
          .stage_name = "test",
          .stage_counter = "1",
          .job_name = "unit",
          .job_id = id};
}

class ChannelTest : public testing::Test {
 protected:
  std::optional<ProcessorRequest> next() { return channel.next(attachment, 2s); }
  std::optional<ProcessorRequest> next_at_once() { return channel.next(attachment, 0ms); }
  void succeed(const std::optional<ProcessorRequest>& request, std::string body = "") {
    ASSERT_TRUE(request);
    EXPECT_TRUE(channel.answer(request->id, {200, std::move(body)}));
  }

  std::shared_ptr<Database> database = Database::in_memory();
  Channel channel{"gocd-1", database};
  std::uint64_t attachment = channel.attach();
};

TEST_F(ChannelTest, AsksInTheOrderOfTheCalls) {
  channel.disable_agents({"a"});
  channel.console(job(1), "one\n");
  channel.delete_agents({"b"});
  EXPECT_EQ(next()->api, processor::kDisableAgents);
  EXPECT_EQ(next()->api, processor::kConsole);
  EXPECT_EQ(next()->api, processor::kDeleteAgents);
  EXPECT_FALSE(next_at_once());
}

TEST_F(ChannelTest, DeletesAnAgentOnlyAfterItsDisablingWasAnswered) {
  channel.disable_agents({"a"});
  channel.delete_agents({"a"});
  const auto disable = next();
  ASSERT_EQ(disable->api, processor::kDisableAgents);
  EXPECT_FALSE(next_at_once());
  channel.answer(disable->id, {500, ""});
  const auto again = next();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->api, processor::kDisableAgents);
  succeed(again);
  EXPECT_EQ(next()->api, processor::kDeleteAgents);
}

TEST_F(ChannelTest, AFailingAgentKeepsNoOtherWaiting) {
  channel.disable_agents({"bad", "good"});
  channel.answer(next()->id, {500, "multiple agents with the same elastic agent id"});
  const auto second = next();
  EXPECT_EQ(Json::parse(second->body)[0]["agent_id"], "good");
}

TEST_F(ChannelTest, DutiesOutliveTheProcess) {
  channel.disable_agents({"a"});
  channel.delete_agents({"a", "b"});
  succeed(next());
  channel.close();

  Channel after("gocd-1", database);
  EXPECT_EQ(after.state().waiting, 2U);
  const auto attached = after.attach();
  EXPECT_EQ(after.next(attached, 2s)->api, processor::kDeleteAgents);
  Channel other("gocd-2", database);
  EXPECT_EQ(other.state().waiting, 0U);
}

TEST_F(ChannelTest, TheSameDutyIsAskedOnce) {
  channel.disable_agents({"a"});
  channel.disable_agents({"a"});
  succeed(next());
  EXPECT_FALSE(next_at_once());
}

TEST_F(ChannelTest, JoinsConsoleLinesOfOneJobThatWait) {
  channel.console(job(1), "one\n");
  channel.console(job(2), "other\n");
  channel.console(job(1), "two\n");
  const auto first = next();
  EXPECT_EQ(first->api_version, "2.0");
  const auto body = Json::parse(first->body);
  EXPECT_EQ(body["text"], "one\ntwo\n");
  EXPECT_EQ(body["pipeline_name"], "build");
  EXPECT_EQ(body["stage_counter"], "1");
  EXPECT_EQ(Json::parse(next()->body)["text"], "other\n");
}

TEST_F(ChannelTest, KeepsTheOrderOfOneJobsConsole) {
  channel.console(job(1), "one\n");
  const auto first = next();
  channel.console(job(1), "two\n");
  EXPECT_FALSE(next_at_once());
  succeed(first);
  EXPECT_EQ(Json::parse(next()->body)["text"], "two\n");
}

TEST_F(ChannelTest, BoundsWhatWaitsForTheConsole) {
  const std::string text(60'000, 'x');
  for (int i = 0; i < 100; ++i) channel.console(job(i), text);
  EXPECT_LT(channel.state().waiting, 100U);
  EXPECT_EQ(channel.state().given_up + channel.state().waiting, 100U);
  EXPECT_EQ(channel.state().given_up, 31U);  // what is over 4 MiB
}

TEST_F(ChannelTest, SendsOnlyTheNewestHealth) {
  channel.health({{"warning", "old"}});
  channel.health({{"error", "new"}});
  const auto request = next();
  EXPECT_EQ(Json::parse(request->body), Json::parse(R"([{"type":"error","message":"new"}])"));
  succeed(request);
  EXPECT_FALSE(next_at_once());
}

TEST_F(ChannelTest, TellsAGocdThatCameBackItsHealthAgain) {
  channel.health({{"error", "engine down"}});
  succeed(next());
  attachment = channel.attach();
  EXPECT_EQ(next()->api, processor::kHealth);
}

TEST_F(ChannelTest, OffersAgainWhatANewAttachmentFindsUnanswered) {
  channel.disable_agents({"a"});
  const auto before = next();
  EXPECT_EQ(channel.state().in_flight, 1U);
  const auto old = attachment;
  attachment = channel.attach();
  EXPECT_FALSE(channel.attached(old));
  EXPECT_FALSE(channel.next(old, 2s));
  const auto after = next();
  EXPECT_EQ(after->id, before->id);
  succeed(after);
  EXPECT_FALSE(channel.answer(after->id, {200, ""}));
}

TEST_F(ChannelTest, ANewAttachmentEndsAWaitingOne) {
  std::jthread bridge([this] { EXPECT_FALSE(channel.next(attachment, 60s)); });
  channel.attach();
}

TEST_F(ChannelTest, ListsAgents) {
  std::jthread bridge([this] {
    const auto request = next();
    EXPECT_EQ(request->api, processor::kListAgents);
    channel.answer(request->id, {200, R"([{"agent_id":"a","agent_state":"Idle"}])"});
  });
  const auto agents = channel.list_agents(5s);
  ASSERT_TRUE(agents) << agents.error().message;
  EXPECT_EQ(agents->at(0).agent_id, "a");
}

TEST_F(ChannelTest, ListingSaysAtOnceThatNoBridgeIsThere) {
  channel.detach(attachment);
  EXPECT_EQ(channel.list_agents(60s).error().kind, ErrorKind::kUnavailable);
}

TEST_F(ChannelTest, ListingEndsWithItsLimitAndWithTheServer) {
  EXPECT_EQ(channel.list_agents(1ms).error().kind, ErrorKind::kTimeout);
  EXPECT_EQ(channel.state().waiting, 0U);
  std::jthread stopping([this] {
    while (channel.state().waiting == 0) std::this_thread::yield();
    channel.close();
  });
  EXPECT_EQ(channel.list_agents(60s).error().kind, ErrorKind::kCancelled);
}

TEST_F(ChannelTest, AnErrorOfGocdIsAnErrorOfTheListing) {
  std::jthread bridge([this] { channel.answer(next()->id, {500, "oops"}); });
  EXPECT_EQ(channel.list_agents(5s).error().kind, ErrorKind::kUnavailable);
}

TEST_F(ChannelTest, DisablingNowWaitsForTheAnswerAndStaysQueuedWithoutOne) {
  {
    std::jthread bridge([this] { succeed(next()); });
    EXPECT_TRUE(channel.disable_agents_now({"a"}, 5s));
  }
  channel.detach(attachment);
  EXPECT_FALSE(channel.disable_agents_now({"b"}, 60s));
  EXPECT_EQ(channel.state().waiting, 1U);
}

TEST_F(ChannelTest, GivesAConsoleTextUpThatGocdRefuses) {
  channel.console(job(1), "text\n");
  for (int i = 0; i < 3; ++i) channel.answer(next()->id, {500, ""});
  EXPECT_EQ(channel.state().given_up, 1U);
  EXPECT_EQ(channel.state().waiting, 0U);
}

}  // namespace
}  // namespace ebbtide::plugin
