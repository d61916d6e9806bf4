// Measures the site with 2,000 agents of 10 belongings each: how long /api/v1/agents takes, while nothing changes and
// while agents do; then serves on for a browser until its input ends (tests/perf/site_perf.py).
//   site_perf [agents]
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <thread>

#include "api/surface.h"
#include "docker/base/log.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"
#include "docker/ledger/labels.h"
#include "tests/support/fake_engine.h"
#include "tests/unit/api/raw_client.h"

using namespace ebbtide;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr int kBelongings = 10;
constexpr int kRequests = 200;
constexpr const char* kServer = "perf";
constexpr const char* kImage = "ci/agent:1";

struct Site {
  explicit Site(int agents) : folder(std::filesystem::temp_directory_path() / ("ebbtide-perf-" + random_hex(4))) {
    engine->add_image(kImage);
    fleet.start();
    for (int i = 0; i < agents; ++i) create(i);
    while (std::ranges::count_if(fleet.agents(), [](const auto& view) {
             return view.agent.state == plugin::AgentState::kRegistering;
           }) < agents)
      std::this_thread::yield();
    for (const auto& view : fleet.agents()) add_belongings(view.agent.id);
  }
  ~Site() {
    surface.stop();
    fleet.stop();
    server.stop();
    std::filesystem::remove_all(folder);
  }

  void create(int number) {
    fleet.create_agent("gocd-1", {.profile = {{"Image", kImage}, {"DockerAccess", "none"}},
                                  .cluster = {{"go_server_url", "http://gocd.example:8153/go"},
                                              {"docker_uri", "unix:///fake/docker.sock"},
                                              {"max_docker_containers", "100000"},
                                              {"auto_register_timeout", "10"}},
                                  .job = {.pipeline_name = "pipeline-" + std::to_string(number % 40),
                                          .pipeline_label = "1",
                                          .pipeline_counter = number,
                                          .stage_name = "test",
                                          .stage_counter = "1",
                                          .job_name = "integration-tests",
                                          .job_id = number}});
  }

  void add_belongings(const std::string& owner) {
    for (int i = 0; i < kBelongings; ++i) {
      const auto given = "service-" + std::to_string(i);
      const auto real = given + "." + owner;
      const auto id = engine->add_container(
          real, ownership_labels(kServer, owner, Role::kBelonging, Kind::kContainer, real, given));
      containers.push_back(id);
    }
  }

  // One belonging starts or ends, as jobs' do all the time.
  void change() {
    const auto& id = containers[changed % containers.size()];
    if (changed++ % 2 == 0)
      engine->die(id, 1);
    else
      engine->start_container(id);
  }

  const std::string folder;
  std::shared_ptr<test::FakeEngine> engine = std::make_shared<test::FakeEngine>();
  std::shared_ptr<Database> database = Database::in_memory();
  plugin::Fleet fleet{{.server_id = kServer, .run_dir = folder},
                      database,
                      std::make_shared<SystemClock>(),
                      [this](const EngineAddress&) { return std::static_pointer_cast<Engine>(engine); }};
  plugin::Contract contract{fleet, ""};
  api::Surface surface{fleet, contract, std::make_shared<api::Accounts>(database, std::make_shared<SystemClock>()), {}};
  api::HttpServer server{{}, [this](const api::HttpRequest& request) { return surface.handle(request); }};
  std::vector<std::string> containers;
  std::size_t changed = 0;
};

void measure(Site& site, const char* what, bool changing) {
  std::vector<double> milliseconds;
  std::size_t bytes = 0;
  api::test::RawClient client(site.server.port());
  for (int i = 0; i < kRequests; ++i) {
    if (changing) site.change();
    const auto began = steady_clock::now();
    client.send("GET /api/v1/agents HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    bytes = client.answer().body.size();
    milliseconds.push_back(std::chrono::duration<double, std::milli>(steady_clock::now() - began).count());
  }
  std::ranges::sort(milliseconds);
  std::printf("/api/v1/agents, %s: %.1f MB, half within %.1f ms, 99 of 100 within %.1f ms\n", what,
              static_cast<double>(bytes) / 1e6, milliseconds[kRequests / 2], milliseconds[kRequests * 99 / 100]);
}

}  // namespace

int main(int argc, char** argv) {
  const auto agents = argc > 1 ? parse_number(argv[1]).value_or(2000) : 2000;
  configure_log(LogFormat::kText, LogLevel::kError);
  Site site(static_cast<int>(agents));
  if (!site.server.start("127.0.0.1", 0)) return 1;
  std::printf("%zu agents, %d belongings each\n", site.fleet.agents().size(), kBelongings);
  measure(site, "nothing changes", false);
  measure(site, "one belonging changes before each", true);
  std::printf("http://127.0.0.1:%d/\n", site.server.port());
  std::fflush(stdout);
  // Each line asks for one change.
  for (std::string line; std::getline(std::cin, line);) site.change();
}
