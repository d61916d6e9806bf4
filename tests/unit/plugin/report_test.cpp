#include "plugin/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugin/html.h"

namespace ebbtide::plugin {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kHostile = "<script>alert('x')</script>\" onclick=\"{{constructor}}";

// Nothing of what came from outside is markup, or an expression of AngularJS.
void expect_harmless(const std::string& html) {
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("{{")));
  EXPECT_THAT(html, Not(HasSubstr("}}")));
  EXPECT_THAT(html, Not(HasSubstr("\" onclick=\"")));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;"));
}

AgentView agent_view() {
  AgentView view;
  view.agent = {.id = "ebbtide-1",
                .gocd = "g",
                .cluster = "g|unix:///x",
                .job = {.pipeline_name = "build",
                        .pipeline_counter = 17,
                        .stage_name = "test",
                        .stage_counter = "1",
                        .job_name = "unit",
                        .job_id = 9},
                .environment = "",
                .state = AgentState::kBuilding,
                .image = "ci/agent:1"};
  return view;
}

ClusterView cluster_view() {
  ClusterView view{.key = "g|unix:///x", .gocd = "g", .engine = "unix:///x"};
  view.state.connected = true;
  view.max_agents = 5;
  view.agents = 1;
  return view;
}

TEST(Html, EscapesTextAndAttributes) {
  Html html;
  html.element("p", kHostile, {{"title", kHostile}});
  expect_harmless(html.str());
}

// An entity would be decoded before AngularJS reads the text.
TEST(Html, LeavesNoTwoBracesTogether) {
  for (const auto* text : {"{{1}}", "{{{1}}}", "{ {", "a{{b"}) {
    const auto escaped = escape_html(text);
    EXPECT_THAT(escaped, Not(HasSubstr("{{")));
    EXPECT_THAT(escaped, Not(HasSubstr("}}")));
    EXPECT_THAT(escaped, Not(HasSubstr("&#123;")));
  }
}

TEST(Html, KeepsLettersOfAllLanguagesAndDropsControlCharacters) {
  EXPECT_EQ(escape_html("größe 大 \x1b[31m\a\n\t"), "größe 大 [31m\n\t");
}

// They would turn the text around a name as well.
TEST(Html, ReplacesWhatTurnsTheDirectionOfText) {
  EXPECT_EQ(escape_html("a\u202eb\u2066c\u2069\u202a"), "a\ufffdb\ufffdc\ufffd\ufffd");
  EXPECT_EQ(escape_html("\u2026 \u2070 \u200d שלום \xe2\x80"), "\u2026 \u2070 \u200d שלום \xe2\x80");
}

TEST(Report, HostileNamesOfJobsAndImagesAreText) {
  auto view = agent_view();
  view.agent.job.job_name = kHostile;
  view.agent.job.pipeline_name = "../\"><script>";
  view.agent.image = kHostile;
  view.agent.phase = kHostile;
  view.agent.last_log = kHostile;
  view.belongings = {{.kind = Kind::kContainer, .name = kHostile, .image = kHostile, .state = kHostile}};
  expect_harmless(agent_report(view, "https://ebbtide.example/"));
  auto cluster = cluster_view();
  cluster.state = {.connected = false, .error = kHostile};
  expect_harmless(cluster_report({cluster}, {view}, "https://ebbtide.example/\"><script>"));
  expect_harmless(error_report(kHostile));
}

TEST(Report, WearsNgNonBindable) {
  for (const auto& report : {agent_report(agent_view(), ""), agent_report(std::nullopt, ""), error_report("x"),
                             cluster_report({}, {}, ""), cluster_report({cluster_view()}, {agent_view()}, "")})
    EXPECT_TRUE(report.starts_with("<div data-ebbtide ng-non-bindable>")) << report;
}

TEST(Report, LinksToTheJob) {
  auto view = agent_view();
  view.agent.job.job_name = "unit tests/1";
  EXPECT_THAT(cluster_report({cluster_view()}, {view}, ""),
              HasSubstr("href=\"/go/tab/build/detail/build/17/test/1/unit%20tests%2F1\""));
}

TEST(Report, ShowsTheAgentsOfItsClusterOnly) {
  auto other = agent_view();
  other.agent.id = "ebbtide-2";
  other.agent.cluster = "g|tcp://other:2375";
  const auto report = cluster_report({cluster_view()}, {agent_view(), other}, "");
  EXPECT_THAT(report, HasSubstr("ebbtide-1"));
  EXPECT_THAT(report, Not(HasSubstr("ebbtide-2")));
}

TEST(Report, BelongingsAreWhatTheJobBroughtUp) {
  auto view = agent_view();
  view.belongings = {{.kind = Kind::kContainer, .name = "its-own-container", .role = Role::kAgent},
                     {.kind = Kind::kContainer, .name = "job-db", .role = Role::kBelonging}};
  EXPECT_THAT(agent_report(view, ""), HasSubstr("job-db"));
  EXPECT_THAT(agent_report(view, ""), Not(HasSubstr("its-own-container")));
  EXPECT_THAT(cluster_report({cluster_view()}, {view}, ""), HasSubstr("<td>1</td>"));
}

TEST(Report, ALogOfAMegabyteIsShownWhole) {
  auto view = agent_view();
  view.agent.last_log = std::string(1 << 20, 'x') + "<the end>";
  EXPECT_THAT(agent_report(view, ""), HasSubstr("xxx&lt;the end&gt;"));
}

TEST(Report, BeginsWithWhatGoesWrong) {
  auto view = agent_view();
  view.agent.reap_left = {"network n1: in use"};
  view.agent.access = DockerAccess::kHost;
  auto cluster = cluster_view();
  cluster.draining = true;
  for (const auto& report : {agent_report(view, ""), cluster_report({cluster}, {view}, "")}) {
    EXPECT_LT(report.find("ebbtide-1: refuses to go: network n1: in use"), report.find("<table"));
    EXPECT_LT(report.find("raw Docker socket"), report.find("<table"));
  }
  EXPECT_THAT(cluster_report({cluster}, {view}, ""), HasSubstr("being drained"));
  EXPECT_THAT(cluster_report({cluster_view()}, {agent_view()}, ""), Not(HasSubstr("<div class=\"ebbtide-trouble")));
}

TEST(Report, LinksEachAgentToTheLivePage) {
  EXPECT_THAT(agent_report(agent_view(), "https://e.example/"),
              HasSubstr("href=\"https://e.example/agents/ebbtide-1\""));
  const auto report = cluster_report({cluster_view()}, {agent_view()}, "https://e.example/");
  EXPECT_THAT(report, HasSubstr("href=\"https://e.example/agents/ebbtide-1\""));
  EXPECT_THAT(report, HasSubstr("href=\"https://e.example/\""));
}

TEST(Report, TellsHowADeadContainerEnded) {
  auto view = agent_view();
  view.agent.end_cause = EndCause::kContainerDied;
  view.agent.exit_code = 137;
  view.agent.oom_killed = true;
  EXPECT_THAT(agent_report(view, ""), HasSubstr("137 (out of memory)"));
}

TEST(Report, TellsWhyAnEngineIsNotReached) {
  auto cluster = cluster_view();
  cluster.state = {.connected = false, .error = "connection refused"};
  EXPECT_THAT(cluster_report({cluster}, {}, ""), HasSubstr("not reached: connection refused"));
}

TEST(Report, AgesAreForPeople) {
  using namespace std::chrono_literals;
  const TimePoint now(100h);
  EXPECT_EQ(age_text(now - 7s, now), "7 s");
  EXPECT_EQ(age_text(now - 3min, now), "3 min");
  EXPECT_EQ(age_text(now - 125min, now), "2 h 5 min");
}

}  // namespace
}  // namespace ebbtide::plugin
