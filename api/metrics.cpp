#include "api/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>

namespace ebbtide::api {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class Families {
 public:
  // Starts a family; values that follow are its.
  void family(const char* name, const char* help, MetricType type) { list_.push_back({name, help, type, {}}); }

  void value(double value, std::vector<ClientMetric::Label> labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (list_.back().type == MetricType::Counter)
      metric.counter.value = value;
    else
      metric.gauge.value = value;
    list_.back().metric.push_back(std::move(metric));
  }

  void histogram(const Histogram& histogram, std::vector<ClientMetric::Label> labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.histogram.sample_count = histogram.count();
    metric.histogram.sample_sum = histogram.sum();
    for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i)
      metric.histogram.bucket.push_back({histogram.at_most(i), Histogram::kBounds[i]});
    metric.histogram.bucket.push_back({histogram.count(), std::numeric_limits<double>::infinity()});
    list_.back().metric.push_back(std::move(metric));
  }

  std::string text() const { return prometheus::TextSerializer().Serialize(list_); }

 private:
  std::vector<MetricFamily> list_;
};

void write_clusters(Families& families, const std::vector<plugin::ClusterView>& clusters) {
  const auto each = [&](auto number) {
    for (const auto& cluster : clusters)
      families.value(static_cast<double>(number(cluster)), {{"engine", cluster.engine}, {"gocd", cluster.gocd}});
  };
  families.family("ebbtide_engine_up", "Whether the engine's event stream is up.", MetricType::Gauge);
  each([](const auto& cluster) { return cluster.state.connected ? 1 : 0; });
  families.family("ebbtide_agents_max", "Most agents that the cluster may have at once.", MetricType::Gauge);
  each([](const auto& cluster) { return cluster.max_agents; });
  families.family("ebbtide_jobs_queued", "Jobs that wait for a place in the cluster.", MetricType::Gauge);
  each([](const auto& cluster) { return cluster.queued; });
  families.family("ebbtide_engine_events_total", "Events of the engine.", MetricType::Counter);
  each([](const auto& cluster) { return cluster.state.events; });
  families.family("ebbtide_engine_listings_total", "Full listings of the engine.", MetricType::Counter);
  each([](const auto& cluster) { return cluster.state.resyncs; });
  families.family("ebbtide_engine_event_lag_seconds", "Time from the last event to its arrival.", MetricType::Gauge);
  each([](const auto& cluster) { return static_cast<double>(cluster.state.last_event_lag_ms) / 1000; });
  families.family("ebbtide_engine_connections_total", "How often the engine's event stream came up.",
                  MetricType::Counter);
  each([](const auto& cluster) { return cluster.state.connections; });
  families.family("ebbtide_cluster_drained", "Whether an admin wants no new agents there.", MetricType::Gauge);
  each([](const auto& cluster) { return cluster.drained ? 1 : 0; });
}

void write_agents(Families& families, const std::vector<plugin::AgentView>& agents) {
  std::map<std::string, int> states;
  std::map<std::string, int> kinds;
  for (int state = 0; state < plugin::kAgentStates; ++state)
    states[std::string(plugin::to_string(static_cast<plugin::AgentState>(state)))] = 0;
  for (const auto& view : agents) {
    ++states[std::string(plugin::to_string(view.agent.state))];
    for (const auto& belonging : view.belongings)
      if (belonging.role == Role::kBelonging) ++kinds[std::string(to_string(belonging.kind))];
  }
  families.family("ebbtide_agents", "Agents by state.", MetricType::Gauge);
  for (const auto& [state, number] : states) families.value(number, {{"state", state}});
  families.family("ebbtide_agents_left", "Agents of which something refuses to go.", MetricType::Gauge);
  families.value(static_cast<double>(
      std::ranges::count_if(agents, [](const auto& view) { return !view.agent.reap_left.empty(); })));
  families.family("ebbtide_belongings", "What agents' jobs have on the engines, by kind.", MetricType::Gauge);
  for (const auto& [kind, number] : kinds) families.value(number, {{"kind", kind}});
}

void write_counters(Families& families, const plugin::FleetCounters& counters) {
  families.family("ebbtide_messages_total", "GoCD's messages by request.", MetricType::Counter);
  for (const auto& [name, number] : counters.messages) families.value(static_cast<double>(number), {{"request", name}});
  families.family("ebbtide_agents_ended_total", "Agents that ended, by cause.", MetricType::Counter);
  for (const auto& [cause, number] : counters.ends) families.value(static_cast<double>(number), {{"cause", cause}});
  families.family("ebbtide_leftovers_total", "Belongings of owners that no longer existed, found and removed.",
                  MetricType::Counter);
  families.value(static_cast<double>(counters.leftovers));
  families.family("ebbtide_audit_lost_total", "Audit records that could not be written.", MetricType::Counter);
  families.value(static_cast<double>(counters.audit_lost));
  families.family("ebbtide_create_seconds", "From create-agent to a started container.", MetricType::Histogram);
  families.histogram(counters.create_seconds);
  families.family("ebbtide_pull_seconds", "Pulls of agents' images, once for each agent that waited.",
                  MetricType::Histogram);
  families.histogram(counters.pull_seconds);
  families.family("ebbtide_reap_seconds", "From the first removal of an agent's belongings to an engine without it.",
                  MetricType::Histogram);
  families.histogram(counters.reap_seconds);
}

// "POST /containers/create 201" in parts.
std::vector<ClientMetric::Label> request_labels(const std::string& engine, const std::string& request) {
  const auto first = request.find(' ');
  const auto last = request.rfind(' ');
  if (first == std::string::npos || first == last) return {{"engine", engine}, {"route", request}};
  return {{"engine", engine},
          {"method", request.substr(0, first)},
          {"route", request.substr(first + 1, last - first - 1)},
          {"status", request.substr(last + 1)}};
}

void write_gateways(Families& families, const std::map<std::string, gateway::GatewayCounters>& gateways) {
  families.family("ebbtide_gateway_requests_total", "Requests to gateways, by route and status.", MetricType::Counter);
  for (const auto& [engine, counters] : gateways)
    for (const auto& [request, number] : counters.requests)
      families.value(static_cast<double>(number), request_labels(engine, request));
  families.family("ebbtide_gateway_refusals_total", "Requests that policy refused, by rule.", MetricType::Counter);
  for (const auto& [engine, counters] : gateways)
    for (const auto& [rule, number] : counters.refusals)
      families.value(static_cast<double>(number), {{"engine", engine}, {"rule", rule}});
  families.family("ebbtide_gateway_connections", "Open connections of gateways.", MetricType::Gauge);
  for (const auto& [engine, counters] : gateways)
    families.value(static_cast<double>(counters.open_connections), {{"engine", engine}});
  families.family("ebbtide_gateway_streams", "Answers and tunnels that are under way.", MetricType::Gauge);
  for (const auto& [engine, counters] : gateways)
    families.value(static_cast<double>(counters.open_streams), {{"engine", engine}});
}

void write_latencies(Families& families, const std::map<std::string, std::map<std::string, Histogram>>& latencies) {
  families.family("ebbtide_engine_request_seconds", "How long engines took to answer Ebbtide's own requests.",
                  MetricType::Histogram);
  for (const auto& [engine, methods] : latencies)
    for (const auto& [method, histogram] : methods)
      families.histogram(histogram, {{"engine", engine}, {"method", method}});
}

void write_channels(Families& families, plugin::Fleet& fleet) {
  std::map<std::string, plugin::ChannelState> states;
  for (const auto& gocd : fleet.gocd_servers()) states[gocd] = fleet.channel(gocd).state();
  const auto each = [&](auto number) {
    for (const auto& [gocd, state] : states) families.value(static_cast<double>(number(state)), {{"gocd", gocd}});
  };
  families.family("ebbtide_bridge_connected", "Whether a bridge holds the processor channel.", MetricType::Gauge);
  each([](const auto& state) { return state.connected ? 1 : 0; });
  families.family("ebbtide_processor_requests_waiting", "Processor requests that no bridge has fetched.",
                  MetricType::Gauge);
  each([](const auto& state) { return state.waiting; });
  families.family("ebbtide_processor_requests_in_flight", "Processor requests that wait for GoCD's answer.",
                  MetricType::Gauge);
  each([](const auto& state) { return state.in_flight; });
  families.family("ebbtide_processor_requests_given_up_total", "Processor requests that were given up.",
                  MetricType::Counter);
  each([](const auto& state) { return state.given_up; });
}

}  // namespace

std::string metrics_text(plugin::Fleet& fleet) {
  Families families;
  write_clusters(families, fleet.clusters());
  write_agents(families, fleet.agents());
  write_counters(families, fleet.counters());
  write_gateways(families, fleet.gateway_counters());
  write_latencies(families, fleet.engine_latencies());
  write_channels(families, fleet);
  return families.text();
}

}  // namespace ebbtide::api
