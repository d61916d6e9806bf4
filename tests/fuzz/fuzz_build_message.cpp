// Any bytes as a message of BuildKit's API: what is let through asks for nothing that the policy refuses, bears our
// label and nobody else's, and is let through again unchanged but for its build's id.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "buildkit.pb.h"
#include "docker/gateway/build_message.h"

namespace {

using namespace ebbtide;
using namespace ebbtide::gateway;

void require(bool holds) {
  if (!holds) std::abort();
}

const Policy kPolicy;
const BuildRules kRules{.policy = kPolicy, .images = ImageMode::kClean, .server_id = "s1", .owner = "a1"};

const BuildRules kReadingRules{
    .policy = kPolicy, .images = ImageMode::kIsolated, .server_id = "s1", .owner = "a1", .reads_builds = true};

void require_own_labels(const google::protobuf::Map<std::string, std::string>& attributes) {
  require(attributes.at("label:ebbtide.image-agent") == "s1/a1");
  for (const auto& [key, value] : attributes)
    require(!key.starts_with("label:ebbtide.") || key == "label:ebbtide.image-agent");
  const auto network = attributes.find("force-network-mode");
  require(network == attributes.end() || network->second != "host");
}

void fuzz_solve(std::string_view message) {
  const auto checked = check_solve(kRules, message);
  if (!checked) return;
  buildkit::SolveRequest request;
  require(request.ParseFromString(checked->bytes));
  require(request.entitlements().empty());  // each that there is needs an allowance
  require(request.ref().starts_with(own_build_id("s1", "a1", "").substr(0, 17)) ||
          request.ref().starts_with("upload-request:"));
  require_own_labels(request.frontend_attrs());
  const auto again = check_solve(kRules, checked->bytes);
  require(again && again->sessions.size() == checked->sessions.size() && again->references == checked->references);
}

// Where builds are read, nothing goes on that takes images in a way that isn't followed.
void fuzz_read_solve(std::string_view message) {
  const auto checked = check_solve(kReadingRules, message);
  if (!checked) return;
  buildkit::SolveRequest request;
  require(request.ParseFromString(checked->bytes));
  require(request.frontend().empty() || request.frontend() == "dockerfile.v0");
  require(request.frontend().empty() ||
          (checked->arguments && checked->arguments->own_frontend && request.frontend_attrs().at("cmdline").empty()));
  require(request.source_policy().empty() && request.source_policy_session().empty());
  require(request.cache().imports().empty() && request.cache().import_refs().empty());
  require(!request.frontend_inputs().contains("dockerfile"));
  for (const auto& bytes : request.definition().def()) {
    buildkit::Op op;
    require(op.ParseFromString(bytes) && !op.has_build());
  }
}

void fuzz_frontend_solve(std::string_view message) {
  const auto checked = check_frontend_solve(kRules, message);
  if (!checked) return;
  buildkit::FrontendSolveRequest request;
  require(request.ParseFromString(checked->bytes));
  require_own_labels(request.frontend_opt());
}

void fuzz_return(std::string_view message) {
  const auto checked = check_return(kRules, message);
  if (!checked) return;
  buildkit::ReturnRequest request;
  require(request.ParseFromString(checked->bytes));
  const auto config = request.result().metadata().find("containerimage.config");
  if (config != request.result().metadata().end())
    require(Json::parse(config->second)["config"]["Labels"]["ebbtide.image-agent"] == "s1/a1");
}

}  // namespace

// The first byte tells which message.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view message(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      fuzz_solve(message);
      break;
    case 1:
      fuzz_frontend_solve(message);
      break;
    case 2:
      fuzz_return(message);
      break;
    case 3:
      static_cast<void>(check_status(kRules, message));
      break;
    case 5:
      fuzz_read_solve(message);
      break;
    case 4:
      static_cast<void>(check_resolve_source(kRules, message));
      break;
    default:
      static_cast<void>(images_of(message));
  }
  return 0;
}
