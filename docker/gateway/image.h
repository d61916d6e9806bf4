// Images: their references as the engine lists them, and what an inspected one tells. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "docker/gateway/model.h"
#include "docker/ledger/labels.h"

namespace ebbtide::gateway {

// "app" and "docker.io/library/app" are "app:latest" to the engine.
std::string familiar(std::string_view reference);
bool is_full_id(std::string_view reference);
bool is_id(std::string_view reference);
// GET /images/{name}/json
std::string image_path(std::string_view reference);

// Whether the engine may take it for (the beginning of) an id where no image bears it as a name.
bool may_mean_an_id(std::string_view reference);

// Of an image as inspected.
Labels labels_of_image(const Json& image);
// Whether reference is one of its tags or digests, or its full id. Engines find images by less: a name that isn't there
// by the id that begins like it.
bool bears(const Json& image, std::string_view reference);
// Instructions for those who build upon it (ONBUILD).
std::vector<std::string> triggers_of(const Json& image);

}  // namespace ebbtide::gateway
