#include "plugin/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ebbtide::plugin {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

json job() {
  return {{"pipeline_name", "build"}, {"pipeline_label", "17"}, {"pipeline_counter", 17}, {"stage_name", "test"},
          {"stage_counter", "1"},     {"job_name", "unit"},     {"job_id", 4321}};
}

json create_agent() {
  return {{"auto_register_key", "key"},
          {"elastic_agent_profile_properties", {{"Image", "ci/agent:1"}}},
          {"cluster_profile_properties", json::object()},
          {"job_identifier", job()}};
}

std::string error_of(const json& message) {
  const auto read = read_create_agent(message.dump());
  return read ? "" : read.error().message;
}

TEST(Messages, AnAbsentEnvironmentIsNone) {
  const auto read = read_create_agent(create_agent().dump());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->environment, "");
  EXPECT_EQ(read->auto_register_key, "key");
  EXPECT_EQ(read->job.job_id, 4321);
  EXPECT_EQ(read->job.stage_counter, "1");
  EXPECT_EQ(read->job.text(), "build/17/test/1/unit");
}

TEST(Messages, ANullIsAsAbsent) {
  auto message = create_agent();
  message["environment"] = nullptr;
  message["elastic_agent_profile_properties"]["Command"] = nullptr;
  const auto read = read_create_agent(message.dump());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->environment, "");
  EXPECT_THAT(read->profile, ElementsAre(Pair("Image", "ci/agent:1")));
}

TEST(Messages, UnknownMembersAreNoFault) {
  auto message = create_agent();
  message["new_in_27"] = {{"deep", {1, 2, 3}}};
  message["job_identifier"]["rerun_of"] = 3;
  EXPECT_EQ(error_of(message), "");
}

TEST(Messages, AStageCounterMayBeANumberToo) {
  auto message = create_agent();
  message["job_identifier"]["stage_counter"] = 2;
  EXPECT_EQ(read_create_agent(message.dump())->job.stage_counter, "2");
}

TEST(Messages, WhatIsMissingIsNamed) {
  for (const auto* name :
       {"auto_register_key", "elastic_agent_profile_properties", "cluster_profile_properties", "job_identifier"}) {
    auto message = create_agent();
    message.erase(name);
    EXPECT_THAT(error_of(message), HasSubstr(name));
  }
  for (const auto* name : {"pipeline_name", "pipeline_counter", "stage_name", "stage_counter", "job_name", "job_id"}) {
    auto message = create_agent();
    message["job_identifier"].erase(name);
    EXPECT_THAT(error_of(message), HasSubstr(name));
  }
}

TEST(Messages, WhatIsOfAWrongTypeIsNamed) {
  auto message = create_agent();
  message["job_identifier"]["pipeline_counter"] = "17";
  EXPECT_THAT(error_of(message), HasSubstr("pipeline_counter must be an integer"));
  message = create_agent();
  message["auto_register_key"] = 1;
  EXPECT_THAT(error_of(message), HasSubstr("auto_register_key must be a text"));
  message = create_agent();
  message["cluster_profile_properties"] = json::array();
  EXPECT_THAT(error_of(message), HasSubstr("cluster_profile_properties must be an object"));
}

TEST(Messages, NoObjectIsNoMessage) {
  for (const auto* body : {"", "null", "[]", "\"text\"", "{", "{} {}", "{\"a\":\"\xff\"}"})
    EXPECT_FALSE(read_server_ping(body)) << body;
}

// A value that is no text could otherwise nest deeper than the stack.
TEST(Messages, APropertyHoldsATextOrAScalar) {
  EXPECT_THAT(*read_properties(R"({"a":"x","b":true,"c":3,"d":null,"e":""})"),
              ElementsAre(Pair("a", "x"), Pair("b", "true"), Pair("c", "3"), Pair("e", "")));
  const auto deep = R"({"Image":)" + std::string(200'000, '[') + std::string(200'000, ']') + "}";
  const auto read = read_properties(deep);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("Image must be a text"));
}

// GoCD writes three names for the same thing.
TEST(Messages, EachMessageHasItsOwnNameForClusters) {
  EXPECT_EQ(read_server_ping(R"({"all_cluster_profile_properties":[{"a":"b"},{}]})")->clusters.size(), 2U);
  EXPECT_THAT(read_server_ping(R"({"all_cluster_profiles_properties":[{"a":"b"}]})")->clusters, IsEmpty());
  EXPECT_EQ(read_plugin_report(R"({"all_cluster_profiles_properties":[{"a":"b"}]})")->clusters.size(), 1U);
  EXPECT_THAT(read_plugin_report(R"({"all_cluster_profile_properties":[{"a":"b"}]})")->clusters, IsEmpty());
  EXPECT_TRUE(read_cluster_profile_changed(R"({"status":"created","cluster_profiles_properties":{}})"));
  EXPECT_FALSE(read_cluster_profile_changed(R"({"status":"created","cluster_profile_properties":{}})"));
}

TEST(Messages, AnEmptyPingIsAPing) {
  EXPECT_THAT(read_server_ping(R"({"all_cluster_profile_properties":[]})")->clusters, IsEmpty());
}

TEST(Messages, AChangeNamesOldAndNew) {
  const auto changed = read_cluster_profile_changed(
      R"({"status":"updated","old_cluster_profiles_properties":{"a":"1"},"cluster_profiles_properties":{"a":"2"}})");
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->old_cluster.at("a"), "1");
  EXPECT_EQ(changed->cluster.at("a"), "2");
  EXPECT_FALSE(read_cluster_profile_changed(R"({"status":"updated","cluster_profiles_properties":{}})"));
}

TEST(Messages, AnAgentReportMayNameNoAgent) {
  const auto report =
      read_agent_report(json{{"cluster_profile_properties", json::object()}, {"job_identifier", job()}}.dump());
  ASSERT_TRUE(report);
  EXPECT_EQ(report->agent_id, "");
  EXPECT_EQ(report->job->job_id, 4321);
}

TEST(Messages, JobsOfTheSameNamesDiffer) {
  auto other = job();
  other["job_id"] = 4322;
  const auto first = JobIdentifier::from_json(job().dump());
  const auto second = JobIdentifier::from_json(other.dump());
  EXPECT_EQ(first->text(), second->text());
  EXPECT_NE(*first, *second);
}

TEST(Messages, AJobSurvivesItsLabel) {
  auto hostile = job();
  hostile["job_name"] = "größe {{1}} \"<b>\"\n";
  const auto read = JobIdentifier::from_json(hostile.dump());
  EXPECT_EQ(*JobIdentifier::from_json(read->to_json()), *read);
}

TEST(Messages, ReadsTheAgentsOfGocd) {
  const auto agents = read_agents(
      R"([{"agent_id":"ea-1","agent_state":"Idle","build_state":"Idle","config_state":"Enabled","ip":"10.0.0.1"},
          {"agent_id":"of-another-cluster","agent_state":null}])");
  ASSERT_TRUE(agents);
  ASSERT_EQ(agents->size(), 2U);
  EXPECT_EQ((*agents)[0].agent_state, "Idle");
  EXPECT_EQ((*agents)[1].agent_state, "");
  for (const auto* body : {"", "{}", "[1]", "[{}]", "[{\"agent_id\":7}]"}) EXPECT_FALSE(read_agents(body)) << body;
}

TEST(Messages, WritesAsGocdReads) {
  EXPECT_EQ(write_agent_ids({"a", "b"}), R"([{"agent_id":"a"},{"agent_id":"b"}])");
  EXPECT_EQ(write_agent_ids({}), "[]");
  EXPECT_EQ(write_field_errors({}), "[]");
  EXPECT_EQ(json::parse(write_field_errors({{"", "general"}, {"Image", "blank"}})),
            json::parse(R"([{"message":"general"},{"key":"Image","message":"blank"}])"));
  EXPECT_EQ(json::parse(write_view("<p>\xff</p>")).at("view"), "<p>\xEF\xBF\xBD</p>");
}

}  // namespace
}  // namespace ebbtide::plugin
