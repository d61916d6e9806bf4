#include "api/status_page.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/rows.h"

namespace ebbtide::api {
namespace {

using plugin::Html;
using Json = nlohmann::ordered_json;

constexpr std::size_t kWithTrees = 25;  // up to so many agents, their belongings are shown at once

void write_choice(Html& html, std::string_view value, std::string_view text, bool chosen) {
  if (chosen)
    html.element("option", text, {{"value", value}, {"selected", ""}});
  else
    html.element("option", text, {{"value", value}});
}

void write_filter(Html& html, const Snapshot& snapshot, const Filter& filter) {
  html.raw("<form class=\"filter\" id=\"filter\" method=\"get\" action=\"/\" role=\"search\"><label>Search ");
  html.open(
      "input",
      {{"type", "search"}, {"name", "q"}, {"value", filter.text}, {"placeholder", "job, agent, image, belonging"}});
  html.raw("</label><label>State <select name=\"state\">");
  write_choice(html, "", "any", filter.state.empty());
  for (const auto state : kGroups)
    write_choice(html, plugin::to_string(state), plugin::to_string(state), filter.state == plugin::to_string(state));
  html.raw("</select></label><label>Cluster <select name=\"cluster\">");
  write_choice(html, "", "any", filter.cluster.empty());
  for (const auto& cluster : snapshot.clusters)
    write_choice(html, cluster.key, shown(cluster.key, 80), filter.cluster == cluster.key);
  html.raw("</select></label><button>Show</button></form>");
}

void write_group(Html& html, plugin::AgentState state, const Html& rows, std::size_t number) {
  const auto name = plugin::to_string(state);
  html.open("section", {{"class", number > 0 ? "group" : "group empty"},
                        {"data-state", name},
                        {"aria-labelledby", "group-" + std::string(name)}});
  html.open("h3", {{"id", "group-" + std::string(name)}}).text(std::string(name) + " ");
  html.element("span", std::to_string(number), {{"class", "count"}}).close("h3");
  html.raw("<ul class=\"agents\">").add(rows).raw("</ul></section>");
}

std::vector<std::shared_ptr<const Row>> taken(const Snapshot& snapshot, const Filter& filter) {
  auto rows = snapshot.rows;
  if (!filter.empty()) std::erase_if(rows, [&](const auto& row) { return !filter.takes(*row); });
  return rows;
}

void write_agents(Html& html, const std::vector<std::shared_ptr<const Row>>& rows, TimePoint now) {
  const bool with_trees = rows.size() <= kWithTrees;
  html.raw("<div id=\"agents\">");
  for (const auto state : kGroups) {
    Html group;
    std::size_t number = 0;
    for (const auto& row : rows)
      if (row->view.agent.state == state && ++number > 0) write_agent(group, *row, now, with_trees);
    write_group(html, state, group, number);
  }
  html.raw("</div>");
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string status_page(const Snapshot& snapshot, const Filter& filter, const Frame& frame, TimePoint now) {
  const auto rows = taken(snapshot, filter);
  Html body;
  body.raw("<h1 class=\"unseen\">What runs now</h1>");
  body.open("div", {{"id", "status"}, {"data-version", std::to_string(snapshot.version)}});
  body.raw("<div id=\"part-troubles\">");
  write_troubles(body, snapshot.troubles);
  body.raw("</div><h2>Clusters</h2><div id=\"part-clusters\">");
  write_clusters(body, snapshot, *frame.visitor);
  body.raw("</div><h2>Agents <span class=\"count\" id=\"part-count\">");
  body.text(std::to_string(rows.size())).raw("</span></h2>");
  write_filter(body, snapshot, filter);
  body.open("p", {{"class", rows.empty() ? "quiet none" : "quiet none empty"}, {"id", "none"}});
  body.text(filter.empty() ? "None." : "None that this search finds.").close("p");
  write_agents(body, rows, now);
  body.close("div");
  return framed(frame, body);
}

std::string status_changes(const Snapshot& snapshot, const Filter& filter, const Visitor& visitor, std::uint64_t since,
                           TimePoint now) {
  const bool whole = !snapshot.reaches(since);
  const auto rows = taken(snapshot, filter);
  Json json{{"version", snapshot.version}, {"whole", whole}, {"rows", Json::array()}, {"gone", Json::array()}};
  for (const auto& row : rows) {
    if (!whole && row->version <= since) continue;
    Html html;
    write_agent(html, *row, now, rows.size() <= kWithTrees);
    json["rows"].push_back({{"id", row->view.agent.id},
                            {"state", plugin::to_string(row->view.agent.state)},
                            {"html", written_out(html.str())}});
  }
  if (!whole) {
    for (const auto& [version, id] : snapshot.gone)
      if (version > since) json["gone"].push_back(id);
    for (const auto& row : snapshot.rows)
      if (row->version > since && !filter.takes(*row)) json["gone"].push_back(row->view.agent.id);
  }
  json["parts"] = {{"count", std::to_string(rows.size())}};
  if (whole || snapshot.clusters_version > since) {
    Html html;
    write_clusters(html, snapshot, visitor);
    json["parts"]["clusters"] = written_out(html.str());
  }
  if (whole || snapshot.troubles_version > since) {
    Html html;
    write_troubles(html, snapshot.troubles);
    json["parts"]["troubles"] = written_out(html.str());
  }
  return text_of(json);
}

}  // namespace ebbtide::api
