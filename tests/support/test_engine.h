// The real engine of the engine tests: the one that DOCKER_HOST names, else one of this program's own, which ends with
// it. Images as tests/support/images.sh makes them. Any thread.
#pragma once

#include "docker/engine/address.h"

namespace ebbtide::testing_support {

EngineAddress engine_address();

}  // namespace ebbtide::testing_support
