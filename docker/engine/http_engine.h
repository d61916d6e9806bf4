// HttpEngine: an Engine over libcurl. Keeps a few connections warm; negotiates the API version on the first
// call and again after the engine was away (API 1.41 … kNewestApi, the engine's own minimum respected). Any
// thread.
#pragma once

#include <memory>

#include "docker/engine/engine.h"

namespace ebbtide {

// The newest API version whose shapes Ebbtide knows.
inline constexpr const char* kNewestApi = "1.52";

std::unique_ptr<Engine> make_http_engine(EngineAddress address);

}  // namespace ebbtide
