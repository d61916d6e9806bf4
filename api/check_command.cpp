// ebbtide check-config: the settings that `serve` would run with, and where each comes from.
#include <cstdio>

#include "api/commands.h"
#include "api/process.h"

namespace ebbtide::api {

int check_config(const Settings& settings) {
  const auto listen = parse_listen(settings);
  if (!listen) return complain(listen.error(), kWrongSettings);
  if (const auto token = access_token(settings, *listen); !token) return complain(token.error(), kWrongSettings);
  if (const auto gateways = parse_gateway_addresses(settings); !gateways)
    return complain(gateways.error(), kWrongSettings);
  for (const auto& setting : all_settings()) {
    const auto found = settings.values().find(setting.name);
    if (found == settings.values().end()) continue;
    const auto& value = found->second;
    const bool hidden = setting.secret && !value.text.empty();
    std::printf("%-18s %-36s (%s)\n", std::string(setting.name).c_str(), hidden ? "********" : value.text.c_str(),
                value.origin.c_str());
  }
  std::puts("the settings are sound");
  return kDone;
}

}  // namespace ebbtide::api
