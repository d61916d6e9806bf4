#include "docker/ledger/listing.h"

#include <set>

namespace ebbtide {
namespace {

Belonging belonging_of(const Ownership& ownership, Kind kind, const std::string& id, const std::string& real_name) {
  return {.kind = kind,
          .id = id,
          .name = ownership.given_name.empty() ? real_name : ownership.given_name,
          .real_name = real_name,
          .owner = ownership.owner,
          .role = ownership.role,
          .parent = ownership.parent};
}

Result<void> add_containers(Listing& listing, Engine& engine, Store& store, const std::string& server_id,
                            const LabelFilter& ours) {
  const auto renamed = store.renamed_containers(engine.address().text());
  if (!renamed) return fail(renamed.error());
  const std::set<std::string> renamed_ids(renamed->begin(), renamed->end());
  const auto containers = engine.list_containers(ours);
  if (!containers) return fail(containers.error());
  for (const auto& container : *containers)
    if (auto belonging = container_belonging(server_id, container, renamed_ids.contains(container.id)))
      listing.belongings.push_back(std::move(*belonging));
  return {};
}

Result<void> add_networks(Listing& listing, Engine& engine, const std::string& server_id, const LabelFilter& ours) {
  const auto networks = engine.list_networks(ours);
  if (!networks) return fail(networks.error());
  for (const auto& network : *networks) {
    const auto ownership = ownership_of(server_id, Kind::kNetwork, network.name, network.labels);
    if (!ownership) continue;
    listing.belongings.push_back(belonging_of(*ownership, Kind::kNetwork, network.id, network.name));
    listing.belongings.back().created = network.created;
  }
  return {};
}

Result<void> add_volumes(Listing& listing, Engine& engine, const std::string& server_id, const LabelFilter& ours) {
  const auto volumes = engine.list_volumes(ours);
  if (!volumes) return fail(volumes.error());
  for (const auto& volume : *volumes) {
    const auto ownership = ownership_of(server_id, Kind::kVolume, volume.name, volume.labels);
    if (!ownership) continue;
    listing.belongings.push_back(belonging_of(*ownership, Kind::kVolume, volume.name, volume.name));
    listing.belongings.back().created = volume.created;
  }
  return {};
}

Result<void> add_images(Listing& listing, Engine& engine, Store& store, const std::string& server_id) {
  const auto images = engine.list_images({label::kImageAgent});
  if (!images) return fail(images.error());
  for (const auto& image : *images) {
    const auto owner = image_owner_of(server_id, image.labels);
    if (!owner) continue;
    const auto name = image.references.empty() ? image.id.substr(0, 19) : image.references.front();
    listing.belongings.push_back(
        {.kind = Kind::kImage, .id = image.id, .name = name, .real_name = name, .owner = *owner});
    listing.belongings.back().created = image.created;
  }
  const auto name = engine.address().text();
  const auto owners = store.image_owners(name);
  if (!owners) return fail(owners.error());
  for (const auto& owner : *owners) {
    const auto records = store.images_of(name, owner);
    if (!records) return fail(records.error());
    for (const auto& record : *records)
      listing.belongings.push_back({.kind = Kind::kImage,
                                    .id = record.reference,
                                    .name = record.reference,
                                    .real_name = record.reference,
                                    .owner = owner});
  }
  return {};
}

}  // namespace

std::optional<Belonging> container_belonging(const std::string& server_id, const ContainerSummary& container,
                                             bool renamed) {
  const auto ownership = renamed ? claimed_ownership_of(server_id, container.labels)
                                 : ownership_of(server_id, Kind::kContainer, container.name, container.labels);
  if (!ownership) return std::nullopt;
  auto belonging = belonging_of(*ownership, Kind::kContainer, container.id, container.name);
  if (renamed) belonging.name = without_scope(name_scope(server_id, belonging.owner), container.name);
  belonging.image = container.image;
  belonging.state = container.state;
  belonging.ports = container.ports;
  belonging.created = container.created;
  return belonging;
}

Result<Listing> list_belongings(Engine& engine, Store& store, const std::string& server_id, std::uint64_t mark) {
  Listing listing{.belongings = {}, .began = mark};
  const LabelFilter ours{std::string(label::kServer) + "=" + server_id};
  if (const auto done = add_containers(listing, engine, store, server_id, ours); !done) return fail(done.error());
  if (const auto done = add_networks(listing, engine, server_id, ours); !done) return fail(done.error());
  if (const auto done = add_volumes(listing, engine, server_id, ours); !done) return fail(done.error());
  if (const auto done = add_images(listing, engine, store, server_id); !done) return fail(done.error());
  return listing;
}

}  // namespace ebbtide
