// What people and programs read: the status page, the JSON API, metrics.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "api/metrics.h"
#include "api/status_page.h"
#include "api/views.h"
#include "docker/base/text.h"
#include "docker/ledger/labels.h"
#include "tests/unit/api/surface_harness.h"

namespace ebbtide::api::test {
namespace {

using plugin::AgentState;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;

constexpr const char* kHostile = "<script>alert('x')</script>\" onload=\"{{constructor}}";

std::vector<std::string> keys_of(const json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

plugin::AgentView agent_view() {
  plugin::AgentView view;
  view.agent.id = "ebbtide-1";
  view.agent.gocd = "g";
  view.agent.cluster = "g|unix:///x";
  view.agent.job = {.pipeline_name = "build",
                    .pipeline_counter = 17,
                    .stage_name = "test",
                    .stage_counter = "1",
                    .job_name = "unit",
                    .job_id = 9};
  view.agent.state = AgentState::kBuilding;
  view.agent.image = "ci/agent:1";
  return view;
}

plugin::ClusterView cluster_view() {
  plugin::ClusterView view{.key = "g|unix:///x", .gocd = "g", .engine = "unix:///x"};
  view.max_agents = 5;
  return view;
}

std::string page(const plugin::ClusterView& cluster, const plugin::AgentView& agent,
                 const std::vector<plugin::HistoryEntry>& history = {}) {
  return status_page({cluster}, {agent}, history, std::chrono::system_clock::now());
}

// --- the status page ---

TEST(StatusPage, HostileNamesAreText) {
  auto cluster = cluster_view();
  cluster.engine = cluster.state.error = kHostile;
  cluster.info = EngineInfo{.version = kHostile, .os = kHostile};
  auto agent = agent_view();
  agent.agent.job.job_name = agent.agent.image = agent.agent.phase = agent.agent.id = kHostile;
  agent.agent.reap_left = {kHostile};
  agent.belongings = {{.kind = Kind::kContainer, .name = kHostile, .role = Role::kBelonging, .image = kHostile}};
  plugin::HistoryEntry entry{.agent_id = kHostile, .cause = kHostile, .reaped = kHostile};
  entry.job.pipeline_name = kHostile;
  const auto html = page(cluster, agent, {entry});
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("\" onload=\"")), Not(HasSubstr("{{"))));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;"));
}

TEST(StatusPage, ShowsBelongingsButNotTheAgentAmongThem) {
  auto agent = agent_view();
  agent.belongings = {{.kind = Kind::kContainer, .name = "its-own-container", .role = Role::kAgent},
                      {.kind = Kind::kVolume, .name = "job-cache", .role = Role::kBelonging}};
  EXPECT_THAT(page(cluster_view(), agent), AllOf(HasSubstr("job-cache"), Not(HasSubstr("its-own-container"))));
}

TEST(StatusPage, MarksWhatIsUnsafeAndWhatRefusesToGo) {
  auto agent = agent_view();
  agent.agent.access = plugin::DockerAccess::kHost;
  agent.agent.reap_left = {"volume x: in use"};
  EXPECT_THAT(page(cluster_view(), agent), AllOf(HasSubstr("Docker: host, unsafe"), HasSubstr("What refuses to go"),
                                                 HasSubstr("ebbtide-1: volume x: in use")));
}

TEST(StatusPage, EmptyIsAPageToo) {
  const auto html = status_page({}, {}, {}, TimePoint{});
  EXPECT_THAT(html, AllOf(HasSubstr("None yet: GoCD"), HasSubstr("<!doctype html>"), HasSubstr("</html>")));
}

TEST_F(SurfaceTest, ThePageMayLoadNothingFromElsewhere) {
  const auto answer = get("/");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(answer.header("content-security-policy"),
              AllOf(HasSubstr("default-src 'none'"), HasSubstr("style-src 'self'"), HasSubstr("frame-ancestors 'none'"),
                    HasSubstr("form-action 'none'"), Not(HasSubstr("unsafe"))));
  EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
  EXPECT_EQ(answer.header("referrer-policy"), "no-referrer");
  EXPECT_EQ(answer.header("cache-control"), "no-store");
  EXPECT_THAT(answer.body, AllOf(Not(HasSubstr("<style")), Not(HasSubstr(" style=")), Not(HasSubstr("http://"))));
  const auto style = get("/static/style.css");
  EXPECT_EQ(style.header("content-type"), "text/css; charset=utf-8");
  EXPECT_EQ(style.body, status_style());
}

// --- JSON ---

TEST(Views, AClusterHasTheseMembers) {
  auto cluster = cluster_view();
  cluster.info = EngineInfo{.version = "29.0", .api_version = "1.52"};
  const auto view = json::parse(clusters_json({cluster})).at(0);
  EXPECT_THAT(keys_of(view), ElementsAre("agents", "connected", "draining", "engine", "error", "gocd", "info", "key",
                                         "listed", "max_agents", "queued", "since"));
  EXPECT_THAT(keys_of(view.at("info")),
              ElementsAre("api_version", "architecture", "cpus", "memory_bytes", "os", "storage", "version"));
  EXPECT_EQ(view.at("since"), nullptr);
  EXPECT_EQ(view.at("max_agents"), 5);
  EXPECT_FALSE(json::parse(clusters_json({cluster_view()})).at(0).contains("info"));
  EXPECT_EQ(clusters_json({}), "[]\n");
}

TEST(Views, AnAgentHasTheseMembers) {
  auto agent = agent_view();
  agent.agent.created = TimePoint(std::chrono::hours(1));
  agent.belongings = {{.kind = Kind::kContainer, .id = "c1", .name = "db", .role = Role::kBelonging, .image = "db:1"},
                      {.kind = Kind::kVolume, .id = "v1", .name = "cache", .role = Role::kBelonging}};
  const auto view = json::parse(agents_json({agent}, true));
  EXPECT_THAT(keys_of(view), ElementsAre("belongings", "cluster", "container", "created", "docker_access", "gocd", "id",
                                         "image", "job", "left", "phase", "reap_tries", "state", "state_since"));
  EXPECT_THAT(keys_of(view.at("job")),
              ElementsAre("counter", "id", "job", "label", "pipeline", "stage", "stage_counter"));
  EXPECT_EQ(view.at("state"), "building");
  EXPECT_EQ(view.at("created"), "1970-01-01T01:00:00.000Z");
  EXPECT_THAT(keys_of(view.at("belongings").at(0)),
              ElementsAre("created", "id", "image", "kind", "name", "ports", "role", "state"));
  EXPECT_THAT(keys_of(view.at("belongings").at(1)), ElementsAre("created", "id", "kind", "name", "role"));
  EXPECT_EQ(json::parse(agents_json({agent})).at(0), view);
}

TEST(Views, TextsThatAreNoUtf8AreMended) {
  plugin::HistoryEntry entry{.agent_id = "a", .last_log = "\xff\xfe"};
  const auto view = json::parse(history_json({entry})).at(0);
  EXPECT_THAT(keys_of(view), ElementsAre("cause", "cluster", "created", "ended", "exit_code", "gocd", "id", "image",
                                         "job", "last_log", "left", "oom_killed", "reaped"));
  EXPECT_EQ(view.at("last_log"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_F(SurfaceTest, TheApiTellsOfClustersAgentsAndHistory) {
  const auto id = running(1);
  engine->add_container("job-db", ownership_labels("server-1", id, Role::kBelonging, Kind::kContainer, "job-db", "db"));
  EXPECT_TRUE(eventually([&] { return get("/api/v1/agents/" + id).body.find("\"db\"") != std::string::npos; }));
  EXPECT_EQ(json::parse(get("/api/v1/clusters").body).at(0).at("engine"), "unix:///fake/docker.sock");
  EXPECT_EQ(json::parse(get("/api/v1/agents").body).at(0).at("id"), id);
  EXPECT_EQ(json::parse(get("/api/v1/history").body), json::array());
  EXPECT_EQ(get("/api/v1/agents/ebbtide-0").status, 404);
  complete(id, 1);
  ASSERT_TRUE(ends(id));
  EXPECT_EQ(json::parse(get("/api/v1/agents").body), json::array());
  EXPECT_EQ(json::parse(get("/api/v1/history").body).at(0).at("id"), id);
}

// --- metrics ---

// The families of a text in Prometheus' format; failures where a line is none of it.
std::set<std::string> families_of(const std::string& text) {
  std::set<std::string> families;
  std::set<std::string> samples;
  for (const auto& line : lines_of(text)) {
    const auto words = split(line, ' ');
    if (words.at(0) == "#") {
      EXPECT_TRUE(words.at(1) == "HELP" || words.at(1) == "TYPE") << line;
      EXPECT_NE(words.at(1) == "TYPE", families.insert(words.at(2)).second) << line;  // first its help, once
      continue;
    }
    const auto end_of_name = line.find_first_of("{ ");
    const auto value_at = line.find_last_of(' ');
    auto name = line.substr(0, end_of_name);
    for (const auto* suffix : {"_sum", "_count"})
      if (!families.contains(name) && name.ends_with(suffix)) name.resize(name.size() - std::string(suffix).size());
    EXPECT_TRUE(families.contains(name)) << line;
    EXPECT_TRUE(samples.insert(line.substr(0, value_at)).second) << "twice: " << line;
    char* end = nullptr;
    EXPECT_GE(std::strtod(line.c_str() + value_at, &end), 0) << line;
    EXPECT_EQ(*end, '\0') << line;
  }
  return families;
}

TEST_F(SurfaceTest, MetricsAreReadByPrometheus) {
  const auto id = running(1);
  const auto answer = get("/metrics");
  EXPECT_EQ(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(families_of(answer.body),
              IsSupersetOf({"ebbtide_engine_up", "ebbtide_agents", "ebbtide_belongings", "ebbtide_messages_total",
                            "ebbtide_agents_ended_total", "ebbtide_create_seconds", "ebbtide_reap_seconds",
                            "ebbtide_leftovers_total", "ebbtide_gateway_requests_total", "ebbtide_bridge_connected"}));
  EXPECT_THAT(
      answer.body,
      AllOf(HasSubstr("ebbtide_engine_up{engine=\"unix:///fake/docker.sock\",gocd=\"gocd-1\"} 1\n"),
            HasSubstr("ebbtide_agents{state=\"registering\"} 1\n"),
            HasSubstr("ebbtide_messages_total{request=\"create-agent\"} 1\n"),
            HasSubstr("ebbtide_create_seconds_count 1\n"), HasSubstr("ebbtide_bridge_connected{gocd=\"gocd-1\"} 1\n")));
  complete(id, 1);
  ASSERT_TRUE(ends(id));
  const auto after = get("/metrics").body;
  EXPECT_THAT(after, HasSubstr("ebbtide_reap_seconds_count 1\n"));
  EXPECT_THAT(after, HasSubstr("ebbtide_agents_ended_total{cause="));
}

TEST_F(SurfaceTest, ANewServerHasMetricsToo) {
  const auto families = families_of(get("/metrics").body);
  EXPECT_GT(families.size(), 10U);
}

}  // namespace
}  // namespace ebbtide::api::test
