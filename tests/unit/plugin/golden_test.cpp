// Every pair of tests/fixtures/messages/<request name>: in <case>.request.json what GoCD sends, empty where there is no
// body, and in <case>.answer.json what it gets: the status, and the body by one of
//   text      the bytes                 json      equal as JSON
//   same      the request's own bytes   resource  the file of plugin/resources, as JSON
//   view      {"view": …} that holds each of these texts, and is not blank
//   form      {"template": …} of it     icon      that file, as GoCD takes icons
// $AGENT stands for an agent that was made for job 4321 and is idle; $ENGINE for the address of an engine that answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "docker/base/text.h"
#include "plugin/contract.h"
#include "plugin/resources.h"
#include "tests/unit/plugin/fleet_harness.h"
#include "tests/unit/plugin/tiny_engine.h"

namespace ebbtide::plugin::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const fs::path kFixtures = "tests/fixtures/messages";

std::string content(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

// "create-agent/in-an-environment"
std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& folder : fs::directory_iterator(kFixtures))
    for (const auto& file : fs::directory_iterator(folder))
      if (auto name = file.path().filename().string(); name.ends_with(".request.json"))
        names.push_back(folder.path().filename().string() + "/" + name.substr(0, name.find('.')));
  std::ranges::sort(names);
  return names;
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

class Golden : public FleetTest, public testing::WithParamInterface<std::string> {
 protected:
  Golden() {
    contract.handle(kGocd, "create-agent", content(kFixtures / "create-agent/in-an-environment.request.json"));
    EXPECT_TRUE(becomes(4321, AgentState::kRegistering));
    agent_id = agent_of(4321)->id;
  }

  std::string filled(const fs::path& file) const {
    return replaced(replaced(content(file), "$AGENT", agent_id), "$ENGINE", tiny.uri());
  }

  void expect_view(const json& wanted, const std::string& body) const {
    const auto view = json::parse(body).at("view").get<std::string>();
    for (const auto& text : wanted) EXPECT_THAT(view, HasSubstr(text.get<std::string>()));
  }

  TinyEngine tiny;
  Contract contract{*fleet, "https://ebbtide.example/"};
  std::string agent_id;
};

TEST_P(Golden, IsAnsweredAsExpected) {
  const auto request = filled(kFixtures / (GetParam() + ".request.json"));
  const auto wanted = json::parse(filled(kFixtures / (GetParam() + ".answer.json")));
  const auto name = GetParam().substr(0, GetParam().find('/'));
  const auto answer = contract.handle(kGocd, "cd.go.elastic-agent." + name, request);
  EXPECT_EQ(answer.status, wanted.at("status")) << answer.body;
  ASSERT_EQ(wanted.size(), 2U);
  if (wanted.contains("text")) EXPECT_EQ(answer.body, wanted["text"].get<std::string>());
  if (wanted.contains("same")) EXPECT_EQ(answer.body, request);
  if (wanted.contains("json")) EXPECT_EQ(json::parse(answer.body).dump(2), wanted["json"].dump(2));
  if (wanted.contains("view")) expect_view(wanted["view"], answer.body);
  if (wanted.contains("resource"))
    EXPECT_EQ(json::parse(answer.body), json::parse(*resource(wanted["resource"].get<std::string>())));
  if (wanted.contains("form"))
    EXPECT_EQ(json::parse(answer.body).at("template"), *resource(wanted["form"].get<std::string>()));
  if (wanted.contains("icon"))
    EXPECT_EQ(json::parse(answer.body), (json{{"content_type", "image/svg+xml"},
                                              {"data", base64_encode(*resource(wanted["icon"].get<std::string>()))}}));
}

INSTANTIATE_TEST_SUITE_P(Messages, Golden, testing::ValuesIn(cases()), [](const auto& test) {
  auto name = test.param;
  std::ranges::replace_if(
      name, [](char c) { return c == '-' || c == '/'; }, '_');
  return name;
});

// Protocol 5.0 has no others.
TEST(Fixtures, CoverEveryMessage) {
  for (const auto* name : {"get-capabilities", "get-icon", "get-cluster-profile-metadata", "get-cluster-profile-view",
                           "get-elastic-agent-profile-metadata", "get-elastic-agent-profile-view",
                           "validate-cluster-profile", "validate-elastic-agent-profile", "create-agent",
                           "should-assign-work", "job-completion", "server-ping", "cluster-status-report",
                           "agent-status-report", "plugin-status-report", "cluster-profile-changed", "migrate-config"})
    EXPECT_TRUE(fs::exists(kFixtures / name)) << name;
}

}  // namespace
}  // namespace ebbtide::plugin::test
