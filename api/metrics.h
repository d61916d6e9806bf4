// Prometheus' text of what the fleet and its gateways count. Any thread.
#pragma once

#include <string>

#include "plugin/fleet.h"

namespace ebbtide::api {

std::string metrics_text(plugin::Fleet& fleet);

}  // namespace ebbtide::api
