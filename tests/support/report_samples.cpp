// Prints one JSON object: GoCD's reports, by name, over names, logs and errors that would do harm if they got to run.
// tests/browser/reports.py shows them in a browser.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "plugin/report.h"

namespace {

using namespace ebbtide;
using namespace ebbtide::plugin;

const std::string kHostile[] = {
    "<script>alert('script')</script>",
    "{{constructor.constructor('alert(1)')()}}",
    "{{{{7*191}}}} {{'a'.constructor.prototype.charAt=[].join;$eval('x=alert(1)')}}",
    "\"><img src=x onerror=alert(2)><b ng-init=\"constructor.constructor('alert(3)')()\">",
    "</pre></td></table><style>*{display:none}</style><svg onload=alert(4)>",
    "javascript:alert(5)",
    "\u202etxt.exe\u2066 \u202dright to left",
    "-->]]><!--&#123;&#123;7*191&#125;&#125;&lt;script&gt;",
    "ng-click=alert(6) data-ng-bind-html-unsafe=x class='ng-bind: alert(7);'",
};

AgentView agent_named(const std::string& text, int number) {
  AgentView view;
  view.agent = {.id = "ebbtide-" + std::to_string(number),
                .cluster = "g|e",
                .job = {.pipeline_name = text, .stage_name = text, .stage_counter = text, .job_name = text},
                .state = AgentState::kReaping,
                .created = std::chrono::system_clock::now(),
                .state_since = std::chrono::system_clock::now(),
                .image = text,
                .phase = text,
                .end_cause = EndCause::kContainerDied,
                .last_log = text + "\n" + std::string(8 << 10, '{') + text,
                .reap_left = {text}};
  view.belongings = {
      {.kind = Kind::kContainer, .name = text, .image = text, .state = text, .ports = {text}},
      {.kind = Kind::kVolume, .name = text},
  };
  return view;
}

}  // namespace

int main() {
  nlohmann::json reports;
  std::vector<AgentView> agents;
  ClusterView cluster{.key = "g|e", .engine = kHostile[0]};
  cluster.state.error = kHostile[1];
  cluster.info = EngineInfo{.version = kHostile[3], .os = kHostile[2], .architecture = kHostile[4]};
  int number = 0;
  for (const auto& text : kHostile) {
    agents.push_back(agent_named(text, ++number));
    reports["agent " + std::to_string(number)] = agent_report(agents.back(), "https://ebbtide.example/");
    reports["error " + std::to_string(number)] = error_report(text);
  }
  auto long_line = agent_named(std::string(255, 'x'), 0);
  long_line.agent.last_log = std::string(1 << 20, 'x');
  reports["agent with lines of a megabyte"] = agent_report(long_line, "https://ebbtide.example/");
  reports["cluster"] = cluster_report({cluster}, agents, "https://ebbtide.example/");
  reports["plugin"] = cluster_report({cluster, cluster}, agents, "");
  reports["nothing"] = agent_report(std::nullopt, "https://ebbtide.example/");
  std::puts(reports.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).c_str());
  return 0;
}
