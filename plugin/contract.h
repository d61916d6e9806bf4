// Contract: GoCD's request names to what answers them. The one place that knows status codes and bodies of
// the plugin endpoint; the HTTP surface only carries them. Any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "plugin/fleet.h"

namespace ebbtide::plugin {

struct PluginAnswer {
  int status = 200;
  std::string body;
};

class Contract {
 public:
  // page_url: the address of the status page for links in reports; may be empty.
  Contract(Fleet& fleet, std::string page_url);

  // name with or without the prefix "cd.go.elastic-agent.". 200 with GoCD's body; 404 for an unknown name,
  // 400 for a body that can't be read, with {"message": …}.
  PluginAnswer handle(const std::string& gocd, std::string_view name, std::string_view body);

 private:
  PluginAnswer act(const std::string& gocd, std::string_view name, std::string_view body);
  PluginAnswer report(const std::string& gocd, std::string_view name, std::string_view body) const;
  std::vector<ClusterView> clusters_of(const std::string& gocd) const;
  std::optional<AgentView> find_agent(const std::string& gocd, const AgentReport& message) const;

  Fleet& fleet_;
  std::string page_url_;
};

}  // namespace ebbtide::plugin
