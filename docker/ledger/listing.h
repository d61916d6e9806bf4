// What of an engine bears our labels, in one listing. Blocks; any thread.
#pragma once

#include <string>

#include "docker/engine/engine.h"
#include "docker/ledger/ledger.h"
#include "docker/ledger/store.h"

namespace ebbtide {

// Everything of ours on the engine, and the images that the store remembers. Fails if any part of it can't be listed:
// a partial listing would look like an end of what is missing in it.
Result<Listing> list_belongings(Engine& engine, Store& store, const std::string& server_id, std::uint64_t mark);

// A container of ours from its labels, as a listing or an event shows it; nothing if it is not ours.
std::optional<Belonging> container_belonging(const std::string& server_id, const ContainerSummary& container,
                                             bool renamed = false);

}  // namespace ebbtide
