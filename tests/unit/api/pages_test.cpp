// What people and programs read: the status page, the JSON API, metrics.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "api/agent_page.h"
#include "api/audit_page.h"
#include "api/metrics.h"
#include "api/small_pages.h"
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

constexpr const char* kHostile = "<script>alert('x')</script>\" onload=\"{{constructor}}\xE2\x80\xAE";

std::vector<std::string> keys_of(const json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

Row row_of_agent() {
  Row row;
  auto& agent = row.view.agent;
  agent.id = "ebbtide-1";
  agent.gocd = "g";
  agent.cluster = "g|unix:///x";
  agent.job = {.pipeline_name = "build",
               .pipeline_counter = 17,
               .stage_name = "test",
               .stage_counter = "1",
               .job_name = "unit",
               .job_id = 9};
  agent.state = AgentState::kBuilding;
  agent.image = "ci/agent:1";
  return row;
}

plugin::ClusterView cluster_view() {
  plugin::ClusterView view{.key = "g|unix:///x", .gocd = "g", .engine = "unix:///x"};
  view.max_agents = 5;
  return view;
}

const Visitor kAdmin{.name = "anna", .rights = Rights::kAct};
const Visitor kViewer{.name = "ben", .rights = Rights::kView};
constexpr TimePoint kNow{std::chrono::hours(24)};

Snapshot snapshot_of(const Row& row, const plugin::ClusterView& cluster = cluster_view()) {
  Snapshot snapshot;
  snapshot.version = 7;
  snapshot.rows = {std::make_shared<Row>(row)};
  snapshot.clusters = {cluster};
  return snapshot;
}

std::string page(const Snapshot& snapshot, const Visitor& visitor = kAdmin, const Filter& filter = {}) {
  return status_page(snapshot, filter, {.title = "Now", .here = "/", .visitor = &visitor}, kNow);
}

auto is_harmless() {
  return AllOf(Not(HasSubstr("<script>")), Not(HasSubstr("\" onload=\"")), Not(HasSubstr("{{")),
               Not(HasSubstr("\xE2\x80\xAE")), HasSubstr("&lt;script&gt;"));
}

// --- pages ---

TEST(Pages, HostileNamesAreText) {
  auto cluster = cluster_view();
  cluster.engine = cluster.state.error = cluster.gocd = kHostile;
  cluster.info = EngineInfo{.version = kHostile, .os = kHostile};
  cluster.refusals[kHostile] = 1;
  auto row = row_of_agent();
  auto& agent = row.view.agent;
  agent.job.job_name = agent.image = agent.phase = agent.id = agent.cluster = kHostile;
  agent.reap_left = {kHostile};
  agent.steps = {{.at = kNow, .text = kHostile}};
  row.view.environment_names = {kHostile};
  row.view.belongings = {{.kind = Kind::kContainer,
                          .id = kHostile,
                          .name = kHostile,
                          .role = Role::kBelonging,
                          .image = kHostile,
                          .state = kHostile,
                          .ports = {kHostile}}};
  auto snapshot = snapshot_of(row, cluster);
  snapshot.troubles = {{.error = true, .text = kHostile}};
  const Visitor visitor{.name = kHostile, .rights = Rights::kAct};
  EXPECT_THAT(page(snapshot, visitor, {.text = kHostile}), is_harmless());
  EXPECT_THAT(page(snapshot, visitor), is_harmless());
  const Frame frame{.title = kHostile, .here = "", .visitor = &visitor};
  const std::vector<AuditRecord> records = {{.owner = kHostile,
                                             .caller = kHostile,
                                             .method = kHostile,
                                             .path = kHostile,
                                             .objects = {{.kind = kHostile, .id = kHostile, .name = kHostile}},
                                             .rule = kHostile}};
  plugin::Html audit;
  write_agent_audit(audit, kHostile, records, records);
  EXPECT_THAT(written_out(audit.str()), is_harmless());
  EXPECT_THAT(audit_page(records, {.agent = kHostile, .before = {}}, frame), is_harmless());
  EXPECT_THAT(agent_page(snapshot, row, {.container = kHostile, .lines = log_text(kHostile)}, audit, frame, kNow),
              is_harmless());
  plugin::HistoryEntry entry{.agent_id = kHostile, .image = kHostile, .cause = kHostile, .reaped = kHostile};
  entry.job.pipeline_name = kHostile;
  entry.last_log = kHostile;
  entry.left = {kHostile};
  EXPECT_THAT(ended_page(entry, audit, frame), is_harmless());
  EXPECT_THAT(history_page({entry}, {.text = kHostile}, frame), is_harmless());
  EXPECT_THAT(question_page({.title = kHostile, .text = kHostile, .hidden_name = "k", .hidden_value = kHostile}, frame),
              AllOf(Not(HasSubstr("<script>")), Not(HasSubstr("{{"))));
  EXPECT_THAT(sign_in_page(kHostile, kHostile, kHostile), AllOf(Not(HasSubstr("<script>")), Not(HasSubstr("{{"))));
}

TEST(Pages, WhatChangesTheDirectionOfTextIsWrittenOut) {
  EXPECT_EQ(shown("a\xE2\x80\xAE"
                  "b\xE2\x81\xA6"
                  "c"),
            "a[U+202E]b[U+2066]c");
}

TEST(Pages, LongTextsAreCutBetweenCharacters) {
  EXPECT_EQ(shown("ab\xC3\xA4\xC3\xA4", 3), "ab…");
  EXPECT_EQ(shown("ab\xC3\xA4\xC3\xA4", 4), "ab\xC3\xA4…");
  const auto log = log_text(std::string(1 << 20, 'x') + "\nnext\x1b[0m");
  EXPECT_LT(log.size(), 5000U);
  EXPECT_THAT(log, AllOf(HasSubstr("…\nnext"), Not(HasSubstr("\x1b"))));
}

TEST(Pages, BelongingsAreShownButNotTheAgentAmongThem) {
  auto row = row_of_agent();
  row.view.belongings = {{.kind = Kind::kContainer, .id = "c", .name = "its-own-container", .role = Role::kAgent},
                         {.kind = Kind::kVolume, .id = "v", .name = "job-cache", .role = Role::kBelonging}};
  EXPECT_THAT(page(snapshot_of(row)),
              AllOf(HasSubstr("1 belonging<"), HasSubstr("job-cache"), Not(HasSubstr("its-own-container"))));
}

TEST(Pages, ExecsAreBelowTheirContainer) {
  auto row = row_of_agent();
  row.view.belongings = {{.kind = Kind::kExec, .id = "e", .name = "sh", .container = "c2"},
                         {.kind = Kind::kContainer, .id = "c1", .name = "db"},
                         {.kind = Kind::kContainer, .id = "c2", .name = "web"}};
  const auto html = page(snapshot_of(row));
  EXPECT_LT(html.find(">web<"), html.find(">sh<"));
}

TEST(Pages, WhatIsUnsafeAndWhatRefusesToGoIsMarked) {
  auto row = row_of_agent();
  row.view.agent.access = plugin::DockerAccess::kHost;
  row.view.agent.reap_left = {"volume x: in use"};
  const auto snapshot = snapshot_of(row);
  EXPECT_THAT(page(snapshot), HasSubstr("raw socket, unsafe"));
  EXPECT_THAT(agent_page(snapshot, row, {}, {}, {.title = "a", .here = "", .visitor = &kAdmin}, kNow),
              AllOf(HasSubstr("What refuses to go"), HasSubstr("volume x: in use"), HasSubstr("unsafe")));
}

TEST(Pages, OnlyAdminsAreOfferedActions) {
  const auto snapshot = snapshot_of(row_of_agent());
  EXPECT_THAT(page(snapshot, kAdmin), HasSubstr("/clusters/drain?key="));
  EXPECT_THAT(page(snapshot, kViewer), Not(HasSubstr("/clusters/drain")));
  const auto of = [&](const Visitor& visitor) {
    return agent_page(snapshot, row_of_agent(), {}, {}, {.title = "a", .here = "", .visitor = &visitor}, kNow);
  };
  EXPECT_THAT(of(kAdmin), HasSubstr("/agents/ebbtide-1/end"));
  EXPECT_THAT(of(kViewer), Not(HasSubstr("/agents/ebbtide-1/end")));
}

TEST(Pages, ASearchShowsWhatItFinds) {
  auto row = row_of_agent();
  row.words = "ebbtide-1 build/17/test/1/unit ci/agent:1";
  const auto snapshot = snapshot_of(row);
  for (const auto& found : {Filter{.text = "UNIT"}, Filter{.state = "building"}, Filter{.cluster = "g|unix:///x"}})
    EXPECT_THAT(page(snapshot, kAdmin, found), HasSubstr("id=\"agent-ebbtide-1\""));
  for (const auto& other : {Filter{.text = "lint"}, Filter{.state = "idle"}, Filter{.cluster = "g"}})
    EXPECT_THAT(page(snapshot, kAdmin, other),
                AllOf(Not(HasSubstr("id=\"agent-ebbtide-1\"")), HasSubstr("None that this search finds")));
}

TEST(Pages, AnEmptyServerHasAPageToo) {
  Snapshot empty;
  EXPECT_THAT(page(empty), AllOf(HasSubstr("None yet: GoCD"), HasSubstr("<!doctype html>"), HasSubstr("</html>")));
}

TEST(Pages, AChangeBringsWhatChangedSince) {
  auto row = row_of_agent();
  row.version = 7;
  auto snapshot = snapshot_of(row);
  snapshot.oldest = 2;
  snapshot.gone = {{3, "ebbtide-gone-long-ago"}, {6, "ebbtide-gone"}};
  snapshot.clusters_version = 4;
  snapshot.troubles_version = 6;
  const auto changes = json::parse(status_changes(snapshot, {}, kAdmin, 5, kNow));
  EXPECT_EQ(changes.at("version"), 7);
  EXPECT_EQ(changes.at("rows").at(0).at("id"), "ebbtide-1");
  EXPECT_EQ(changes.at("gone"), json::array({"ebbtide-gone"}));
  EXPECT_THAT(keys_of(changes.at("parts")), ElementsAre("count", "troubles"));
  EXPECT_EQ(json::parse(status_changes(snapshot, {}, kAdmin, 7, kNow)).at("rows"), json::array());
  EXPECT_TRUE(json::parse(status_changes(snapshot, {}, kAdmin, 1, kNow)).at("whole"));
  EXPECT_TRUE(json::parse(status_changes(snapshot, {}, kAdmin, 8, kNow)).at("whole"));
  const auto other = json::parse(status_changes(snapshot, {.state = "idle"}, kAdmin, 5, kNow));
  EXPECT_EQ(other.at("gone"), json::array({"ebbtide-gone", "ebbtide-1"}));
}

TEST_F(SurfaceTest, APageMayLoadNothingFromElsewhere) {
  for (const auto* path : {"/", "/history", "/agents/none"}) {
    const auto answer = get(path, "Accept: text/html\r\n");
    EXPECT_EQ(answer.header("content-type"), "text/html; charset=utf-8");
    EXPECT_THAT(answer.header("content-security-policy"),
                AllOf(HasSubstr("default-src 'none'"), HasSubstr("script-src 'self'"), HasSubstr("style-src 'self'"),
                      HasSubstr("frame-ancestors 'none'"), HasSubstr("form-action 'self'"), Not(HasSubstr("unsafe"))));
    EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
    EXPECT_EQ(answer.header("referrer-policy"), "no-referrer");
    EXPECT_EQ(answer.header("cache-control"), "no-store");
    EXPECT_THAT(answer.body, AllOf(Not(HasSubstr("<style")), Not(HasSubstr(" style=")), Not(HasSubstr("http://"))));
  }
  EXPECT_EQ(get("/static/style.css").header("content-type"), "text/css; charset=utf-8");
  EXPECT_EQ(get("/static/page.js").header("content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(get("/static/favicon.svg").status, 200);
}

// --- JSON ---

TEST(Views, AClusterHasTheseMembers) {
  auto cluster = cluster_view();
  cluster.info = EngineInfo{.version = "29.0", .api_version = "1.52"};
  const auto view = json::parse(clusters_json({cluster}, {{cluster.key, {.total_bytes = 10, .free_bytes = 5}}})).at(0);
  EXPECT_THAT(keys_of(view), ElementsAre("agents", "connected", "disk", "drained", "draining", "engine", "error",
                                         "gocd", "info", "key", "listed", "max_agents", "queued", "refusals", "since"));
  EXPECT_THAT(keys_of(view.at("info")),
              ElementsAre("api_version", "architecture", "cpus", "memory_bytes", "os", "storage", "version"));
  EXPECT_EQ(view.at("since"), nullptr);
  EXPECT_EQ(view.at("max_agents"), 5);
  EXPECT_FALSE(json::parse(clusters_json({cluster_view()}, {})).at(0).contains("info"));
  EXPECT_EQ(clusters_json({}, {}), "[]\n");
}

TEST(Views, AnAgentHasTheseMembers) {
  auto agent = row_of_agent().view;
  agent.agent.created = TimePoint(std::chrono::hours(1));
  agent.belongings = {{.kind = Kind::kContainer, .id = "c1", .name = "db", .role = Role::kBelonging, .image = "db:1"},
                      {.kind = Kind::kVolume, .id = "v1", .name = "cache", .role = Role::kBelonging}};
  const auto view = json::parse(agent_json(agent, {{"c1", {.cpu_percent = 12.34, .memory_bytes = 5}}}));
  EXPECT_THAT(keys_of(view), ElementsAre("belongings", "cluster", "container", "created", "docker_access", "gocd", "id",
                                         "image", "job", "job_url", "keep_minutes", "kept", "left", "phase",
                                         "reap_tries", "registered", "state", "state_since", "usage"));
  EXPECT_THAT(keys_of(view.at("job")),
              ElementsAre("counter", "id", "job", "label", "pipeline", "stage", "stage_counter"));
  EXPECT_EQ(view.at("state"), "building");
  EXPECT_EQ(view.at("created"), "1970-01-01T01:00:00.000Z");
  EXPECT_EQ(view.at("usage").at("cpu_percent"), 12.3);
  EXPECT_THAT(keys_of(view.at("belongings").at(0)),
              ElementsAre("created", "id", "image", "kind", "name", "ports", "role", "state", "usage"));
  EXPECT_THAT(keys_of(view.at("belongings").at(1)), ElementsAre("created", "id", "kind", "name", "role"));
  EXPECT_FALSE(json::parse(agent_json(agent, {})).contains("usage"));
}

TEST(Views, TextsThatAreNoUtf8AreMended) {
  plugin::HistoryEntry entry{.agent_id = "a", .last_log = "\xff\xfe"};
  const auto view = json::parse(history_json({entry})).at(0);
  EXPECT_THAT(keys_of(view), ElementsAre("cause", "cluster", "created", "ended", "exit_code", "gocd", "id", "image",
                                         "job", "last_log", "left", "number", "oom_killed", "reaped"));
  EXPECT_EQ(view.at("last_log"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_F(SurfaceTest, TheApiTellsOfClustersAgentsAndHistory) {
  const auto id = running(1);
  engine->add_container("job-db", ownership_labels("server-1", id, Role::kBelonging, Kind::kContainer, "job-db", "db"));
  EXPECT_TRUE(eventually([&] { return get("/api/v1/agents/" + id).body.find("\"db\"") != std::string::npos; }));
  EXPECT_EQ(json::parse(get("/api/v1/clusters").body).at(0).at("engine"), "unix:///fake/docker.sock");
  EXPECT_EQ(json::parse(get("/api/v1/agents").body).at(0).at("id"), id);
  EXPECT_EQ(json::parse(get("/api/v1/agents?state=idle").body), json::array());
  EXPECT_EQ(json::parse(get("/api/v1/history").body), json::array());
  EXPECT_EQ(get("/api/v1/agents/ebbtide-0").status, 404);
  complete(id, 1);
  ASSERT_TRUE(ends(id));
  EXPECT_EQ(json::parse(get("/api/v1/agents").body), json::array());
  EXPECT_EQ(json::parse(get("/api/v1/history").body).at(0).at("id"), id);
  EXPECT_EQ(json::parse(get("/api/v1/history?q=UNIT1").body).size(), 1U);
  EXPECT_EQ(json::parse(get("/api/v1/history?q=lint").body), json::array());
  const auto steps = json::parse(get("/api/v1/history/" + id).body).at("steps");
  EXPECT_THAT(steps.front().at("text").get<std::string>(), HasSubstr("accepted"));
  EXPECT_THAT(steps.back().at("text").get<std::string>(), HasSubstr("is gone: removed"));
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
    for (const auto* suffix : {"_sum", "_count", "_bucket"})
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
