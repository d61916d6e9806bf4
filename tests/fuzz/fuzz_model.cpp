// Any bytes as any model: what decodes, decodes to itself once written, and policy and stamping take it.
#include <cstdint>
#include <cstdlib>

#include "docker/gateway/policy.h"
#include "docker/gateway/stamp.h"

namespace {

using namespace ebbtide;
using namespace ebbtide::gateway;

void require(bool holds) {
  if (!holds) std::abort();
}

void work_container(Json body) {
  check_container({}, body);
  point_sockets_at(body, "/srv/gateways/eb-1");
  named_volumes(body);
  label_anonymous_volumes(body, {"/image"}, {{label::kAgent, "eb-1"}});
  const auto resolved = resolve_references(body, [](Kind kind, std::string_view reference) -> Result<std::string> {
    if (reference.size() > 8) return fail(Error::not_found("none"));
    return std::string(to_string(kind));
  });
  put_labels(body, {{label::kAgent, "eb-1"}});
  if (resolved) require(decode(ModelName::kContainerCreate, body.dump()).has_value());
}

void work_on(ModelName model, const Json& body) {
  auto copy = body;
  switch (model) {
    case ModelName::kContainerCreate:
      return work_container(body);
    case ModelName::kContainerUpdate:
      check_update({}, body);
      return;
    case ModelName::kNetworkCreate:
      check_network({}, body);
      return put_labels(copy, {{label::kAgent, "eb-1"}});
    case ModelName::kNetworkConnect:
    case ModelName::kNetworkDisconnect:
      check_connect({}, body);
      return;
    case ModelName::kVolumeCreate:
      check_volume({}, body);
      return put_labels(copy, {{label::kAgent, "eb-1"}});
    case ModelName::kExecCreate:
    case ModelName::kExecStart:
      check_exec({}, body);
      return;
    case ModelName::kCommit:
      return put_commit_labels(copy, "s/eb-1");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr int kModels = static_cast<int>(ModelName::kCommit) + 1;
  const auto model = static_cast<ModelName>(data[0] % kModels);
  const auto body = decode(model, std::string_view(reinterpret_cast<const char*>(data + 1), size - 1));
  if (!body) return 0;
  const auto again = decode(model, body->dump());
  require(again && *again == *body);
  work_on(model, *body);
  return 0;
}
