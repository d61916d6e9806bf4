#include "docker/gateway/build_message.h"

#include <algorithm>
#include <array>

#include "buildkit.pb.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide::gateway {
namespace {

using Attributes = google::protobuf::Map<std::string, std::string>;
using Definitions = google::protobuf::Map<std::string, buildkit::Definition>;
using Verdict = std::optional<Refusal>;

constexpr std::string_view kImageConfig = "containerimage.config";
constexpr std::string_view kLabel = "label:";
constexpr std::string_view kArgument = "build-arg:";
constexpr std::string_view kContext = "context:";
constexpr std::string_view kSessionOf = "local-sessionid:";
constexpr std::string_view kImageSource = "docker-image://";
constexpr int kDeepest = 8;  // builds within builds

tl::unexpected<WrongMessage> wrong(std::string message) {
  return tl::unexpected(WrongMessage{.refusal = {}, .message = std::move(message)});
}
tl::unexpected<WrongMessage> refused(Refusal refusal) {
  return tl::unexpected(WrongMessage{.refusal = std::move(refusal), .message = {}});
}

// Our own copy of the message, or nothing if it can't be read. Fields that are not in buildkit.proto are kept.
template <class Message>
std::optional<Message> parse(std::string_view bytes) {
  Message message;
  if (bytes.size() > INT32_MAX || !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return std::nullopt;
  return message;
}

bool has_unknown_fields(const google::protobuf::Message& message) {
  return !message.GetReflection()->GetUnknownFields(message).empty();
}

Refusal no_host_network() {
  return {"host-network", "the host's network is not allowed in builds: leave out --network=host and --allow"};
}
Refusal no_insecure() {
  return {"privileged", "insecure build steps are not allowed: leave out --security=insecure and --allow"};
}
Refusal no_device() { return {"device", "devices are not allowed in builds: leave out --device and --allow"}; }
Refusal no_remote_context() {
  return {"remote-context",
          "the engine does not fetch build contexts for jobs: check the sources out and build from there"};
}
Refusal no_cgroup() {
  return {"cgroup-parent", "the cgroup parent is the engine's own in builds: leave out --cgroup-parent"};
}

Refusal unread(std::string message) { return {"build-image", std::move(message)}; }

// The engine fetches it, as the classic builder's `remote`. An archive that the client sends stands behind the first.
bool is_remote(std::string_view context) {
  return !context.starts_with("http://buildkit-session/") &&
         (context.find("://") != std::string_view::npos || context.find('@') != std::string_view::npos ||
          context.starts_with("github.com/"));
}

bool is_fetched(std::string_view source) {
  constexpr std::array<std::string_view, 3> kFetched = {"git://", "http://", "https://"};
  return std::ranges::any_of(kFetched, [&](auto scheme) { return source.starts_with(scheme); });
}

// Mounts for all steps, and SBOM scanners (moby/buildkit frontend/attestations, which folds case).
bool takes_an_image(std::string_view key) {
  const auto folded = to_lower(key);
  return folded.starts_with("automount:") || folded.starts_with("attest:sbom") ||
         folded.starts_with(to_lower(std::string(kArgument) + std::string(kAttestArgument)));
}

// What one message asks for, gathered as it is read.
class Reading {
 public:
  explicit Reading(const BuildRules& rules) : rules_(rules), open_(rules.policy.level == PolicyLevel::kTrusted) {}

  void session(const std::string& id) {
    if (!id.empty()) checked.sessions.push_back(id);
  }
  void definition(buildkit::Definition& definition);
  void definitions(Definitions& inputs) {
    for (auto& [name, input] : inputs) definition(input);
  }
  void frontend(const std::string& name, Attributes& attributes);
  void inputs(Definitions& inputs);
  void source_policy(bool given);
  void image(const std::string& reference, std::string_view resolve_mode);
  void entitlement(const std::string& name);
  void output(const std::string& type, Attributes& attributes);
  void source(const buildkit::SourceOp& source);
  void image_config(std::string& text);
  void refuse(Refusal refusal) {
    if (!refusal_ && !open_) refusal_ = std::move(refusal);
  }
  void fault(std::string message) {
    if (fault_.empty()) fault_ = std::move(message);
  }

  template <class Message>
  MessageCheck result(const Message& message) {
    if (!fault_.empty()) return wrong(fault_);
    if (refusal_) return refused(*refusal_);
    checked.bytes = message.SerializeAsString();
    return std::move(checked);
  }

  CheckedMessage checked;

 private:
  // Also where policy refuses nothing: whose images a job sees is not policy's.
  void refuse_unread(std::string message) {
    if (!refusal_) refusal_ = unread(std::move(message));
  }
  void operations(const buildkit::Definition& definition, int depth);
  void exec(const buildkit::ExecOp& exec);
  void known_source(std::string_view identifier, const buildkit::SourceOp& source);
  void named_context(std::string_view value);
  void main_context(const Attributes& attributes);
  void dockerfile(const std::string& name, Attributes& attributes);
  void attribute(const std::string& key, const std::string& value);
  std::string image_owner() const {
    return rules_.images == ImageMode::kShared ? "" : image_owner_value(rules_.server_id, rules_.owner);
  }

  const BuildRules& rules_;
  bool open_;  // nothing is refused
  Verdict refusal_;
  std::string fault_;
};

// The engine asks for entitlements for these two as well, by those of the whole build.
void Reading::exec(const buildkit::ExecOp& exec) {
  if (exec.network() == 1 && !rules_.policy.host_network) refuse(no_host_network());
  if (exec.security() == 1 && !rules_.policy.privileged) refuse(no_insecure());
  if (!exec.cdi_devices().empty()) refuse(no_device());
  if (!exec.meta().cgroup_parent().empty()) refuse(no_cgroup());
}

void Reading::source(const buildkit::SourceOp& source) {
  for (const auto* name : {"local.session", "oci.session"})
    if (const auto found = source.attrs().find(name); found != source.attrs().end()) session(found->second);
  const auto& identifier = source.identifier();
  if (rules_.reads_builds) known_source(identifier, source);
  // Newer clients describe a remote context themselves, as a source to look at before the build (buildx 0.38).
  if (is_fetched(identifier)) refuse(no_remote_context());
  if (!identifier.starts_with(kImageSource)) return;
  const auto mode = source.attrs().find("image.resolvemode");
  image(identifier.substr(kImageSource.size()), mode == source.attrs().end() ? "" : mode->second);
}

void Reading::definition(buildkit::Definition& definition) {
  operations(definition, 0);
  if (rules_.images != ImageMode::kIsolated) return;
  // As a frontend's no-cache.
  for (const auto& operation : definition.def())
    (*definition.mutable_metadata())["sha256:" + sha256_hex(operation)].set_ignore_cache(true);
}

// Of a later BuildKit's nobody knows what they take.
void Reading::known_source(std::string_view identifier, const buildkit::SourceOp& source) {
  constexpr std::array<std::string_view, 6> kKnown = {kImageSource, "oci-layout://", "local://",
                                                      "git://",     "http://",       "https://"};
  const bool known = std::ranges::any_of(kKnown, [&](auto scheme) { return identifier.starts_with(scheme); });
  const bool bundled = std::ranges::any_of(
      source.attrs(), [](const auto& attribute) { return attribute.first.find("bundle") != std::string::npos; });
  if (!known || bundled) refuse_unread("a source of the build is not known to the gateway: use an older client");
}

void Reading::operations(const buildkit::Definition& definition, int depth) {
  if (depth > kDeepest) return fault("builds are nested too deeply");
  for (const auto& bytes : definition.def()) {
    const auto op = parse<buildkit::Op>(bytes);
    if (!op) return fault("an operation can't be read");
    if (op->has_exec()) exec(op->exec());
    if (op->has_source()) source(op->source());
    // Its definition may also be a file that another step has written.
    if (op->has_build() && rules_.reads_builds) refuse_unread("builds within builds are not for this job");
    if (op->has_build()) operations(op->build().def(), depth + 1);
  }
}

void Reading::attribute(const std::string& key, const std::string& value) {
  if (key == "force-network-mode" && value == "host" && !rules_.policy.host_network) refuse(no_host_network());
  if (key == "cgroup-parent" && !value.empty()) refuse(no_cgroup());
  if (key.starts_with(kSessionOf)) session(value);
  if (key.starts_with(kContext)) named_context(value);
}

// A folder, an image or another build by a name that the Dockerfile uses. (moby/buildkit frontend/dockerui: what comes
// before the colon decides.)
void Reading::named_context(std::string_view value) {
  constexpr std::array<std::string_view, 3> kOwn = {"oci-layout", "local", "input"};
  const auto colon = value.find(':');
  const auto type = value.substr(0, colon);
  if (type == "docker-image") {
    value.remove_prefix(std::min(value.size(), colon + 1));
    if (value.starts_with("//")) value.remove_prefix(2);
    image(std::string(value), "");
  } else if (std::ranges::find(kOwn, type) == kOwn.end()) {
    refuse(no_remote_context());
  }
}

// Which attribute tells the context is itself one. (moby/buildkit frontend/dockerui, all versions.)
void Reading::main_context(const Attributes& attributes) {
  const auto named = attributes.find("contextkey");
  const auto context = attributes.find(named == attributes.end() ? "context" : named->second);
  if (context == attributes.end() || context->second.empty()) return;
  if (is_remote(context->second)) refuse(no_remote_context());
  if (rules_.reads_builds)
    refuse_unread("the Dockerfile can't be read: build from a folder, not from an archive or from elsewhere");
}

// What makes the engine take a Dockerfile, or images, in a way that the gateway doesn't follow.
void Reading::dockerfile(const std::string& name, Attributes& attributes) {
  if (name != "dockerfile.v0") return refuse_unread("frontends that are images are not for this job: leave them out");
  BuildArguments arguments{.values = {}, .own_frontend = true};
  for (const auto& [key, value] : attributes) {
    if (key.starts_with(kArgument)) arguments.values[key.substr(kArgument.size())] = value;
    if (takes_an_image(key)) refuse_unread(key + " takes an image of its own: leave it out");
    if (key == "dockerfilekey" && value != kDockerfileFolder)
      refuse_unread("the Dockerfile must come from the folder \"" + std::string(kDockerfileFolder) +
                    "\" of the client");
    if (auto wrong = key == "filename" ? check_dockerfile_name(value) : std::nullopt) refuse_unread(wrong->message);
  }
  checked.arguments = std::move(arguments);
  if (const auto from = attributes.find(std::string(kSessionOf) + std::string(kDockerfileFolder));
      from != attributes.end())
    checked.dockerfiles_from.push_back(from->second);
  // With it, the engine reads the Dockerfile itself and does not follow its syntax line. (moby/buildkit
  // frontend/dockerfile/builder, all versions.)
  attributes["cmdline"] = "";
  // Images that are there are taken as they are: their registries need not be asked.
  if (limits_registries(rules_.policy)) attributes.erase("image-resolve-mode");
}

void Reading::image(const std::string& reference, std::string_view resolve_mode) {
  if (!rules_.reads_builds || reference == "scratch") return;
  if (resolve_mode == "pull")
    if (auto refusal = check_registry(rules_.policy, reference)) refuse(std::move(*refusal));
  checked.images.push_back(reference);
}

void Reading::inputs(Definitions& inputs) {
  definitions(inputs);
  if (rules_.reads_builds && inputs.contains(std::string(kDockerfileFolder)))
    refuse_unread("the Dockerfile can't be read: build from a folder, not from another build's result");
}

void Reading::source_policy(bool given) {
  if (given && rules_.reads_builds) refuse_unread("source policies put images in place of others: leave them out");
}

void Reading::frontend(const std::string& name, Attributes& attributes) {
  for (const auto& [key, value] : attributes) attribute(key, value);
  main_context(attributes);
  if (rules_.reads_builds && !name.empty()) dockerfile(name, attributes);
  for (auto each = attributes.begin(); each != attributes.end();) {
    const bool reserved = each->first.starts_with(kLabel) && is_reserved_label(each->first.substr(kLabel.size()));
    each = reserved ? attributes.erase(each) : std::next(each);
  }
  if (const auto owner = image_owner(); !owner.empty()) attributes[std::string(kLabel) + label::kImageAgent] = owner;
  if (rules_.reads_builds || rules_.images == ImageMode::kIsolated)
    for (const auto* imported : {"cache-from", "cache-imports"}) attributes.erase(imported);
  if (rules_.images != ImageMode::kIsolated) return;
  attributes["no-cache"] = "";
  attributes[std::string(kCacheNamespace)] = own_build_id(rules_.server_id, rules_.owner, "");
}

void Reading::entitlement(const std::string& name) {
  if (name == "network.host") {
    if (!rules_.policy.host_network) refuse(no_host_network());
  } else if (name == "security.insecure") {
    if (!rules_.policy.privileged) refuse(no_insecure());
  } else if (name == "device" || name.starts_with("device=")) {
    refuse(no_device());
  } else {
    refuse({"entitlement", "the entitlement " + name + " is not known to the gateway: leave out --allow"});
  }
}

// An image's configuration as a client wrote it: with our label, and with no other spelling that the engine would take.
void Reading::image_config(std::string& text) {
  const auto owner = image_owner();
  auto config = Json::parse(text, nullptr, false);
  if (!config.is_object()) return fault("an image's configuration can't be read");
  const auto member = [this](Json& object, const std::string& name) -> Json* {
    for (const auto& [key, value] : object.items())
      if (key != name && fold(key) == fold(name)) fault("an image's configuration has a doubtful " + key);
    auto& found = object[name];
    if (found.is_null()) found = Json::object();
    if (!found.is_object()) fault("an image's configuration has a doubtful " + name);
    return found.is_object() ? &found : nullptr;
  };
  auto* inner = member(config, "config");
  auto* labels = inner == nullptr ? nullptr : member(*inner, "Labels");
  if (labels == nullptr) return;
  std::vector<std::string> reserved;
  for (const auto& [key, value] : labels->items())
    if (is_reserved_label(key)) reserved.push_back(key);
  for (const auto& key : reserved) labels->erase(key);
  if (!owner.empty()) (*labels)[label::kImageAgent] = owner;
  text = config.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void Reading::output(const std::string& type, Attributes& attributes) {
  BuildOutput output{.type = type, .attributes = {}};
  for (const auto& [key, value] : attributes) output.attributes[key] = value;
  if (auto refusal = check_output(rules_.policy, output)) refuse(std::move(*refusal));
  for (auto& name : names_of(output)) checked.references.push_back(std::move(name));
  checked.makes_image = checked.makes_image || is_image(type);
  for (auto& [key, value] : attributes)
    if (key.starts_with(kImageConfig) && key.find("digest") == std::string::npos) image_config(value);
}

constexpr std::string_view kBridge = "/moby.buildkit.v1.frontend.LLBBridge/";

constexpr std::array kCalls = {
    BuildCallRoute{"/moby.buildkit.v1.Control/Solve", CallHandling::kSolve, check_solve},
    BuildCallRoute{"/moby.buildkit.v1.Control/Status", CallHandling::kInspect, check_status},
    BuildCallRoute{"/moby.buildkit.v1.Control/Session", CallHandling::kSession},
    BuildCallRoute{"/moby.buildkit.v1.Control/ListWorkers", CallHandling::kPass},
    BuildCallRoute{"/moby.buildkit.v1.Control/Info", CallHandling::kPass},
    // The build cache has no owner: as if there were none.
    BuildCallRoute{"/moby.buildkit.v1.Control/Prune", CallHandling::kEmptyStream},
    BuildCallRoute{"/moby.buildkit.v1.Control/DiskUsage", CallHandling::kEmptyMessage},
    BuildCallRoute{"/moby.buildkit.v1.Control/ListenBuildHistory", CallHandling::kEmptyStream},
    BuildCallRoute{"/moby.buildkit.v1.Control/UpdateBuildHistory", CallHandling::kEmptyMessage},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/Solve", CallHandling::kInspect, check_frontend_solve},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/Return", CallHandling::kInspect, check_return},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/ResolveImageConfig", CallHandling::kInspect,
                   check_resolve_image},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/ResolveSourceMeta", CallHandling::kInspect,
                   check_resolve_source},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/Ping", CallHandling::kPass},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/ReadFile", CallHandling::kPass},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/ReadDir", CallHandling::kPass},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/StatFile", CallHandling::kPass},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/Evaluate", CallHandling::kPass},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/Inputs", CallHandling::kPass},
    BuildCallRoute{"/moby.buildkit.v1.frontend.LLBBridge/Warn", CallHandling::kPass},
    BuildCallRoute{"/grpc.health.v1.Health/Check", CallHandling::kPass},
    // Clients send what they measured of themselves; nobody asked for it.
    BuildCallRoute{"/opentelemetry.proto.collector.trace.v1.TraceService/Export", CallHandling::kEmptyMessage},
};

}  // namespace

const BuildCallRoute* find_call(std::string_view path) {
  const auto found = std::ranges::find(kCalls, path, &BuildCallRoute::path);
  return found == kCalls.end() ? nullptr : &*found;
}

bool is_of_a_build(std::string_view path) { return path.starts_with(kBridge); }

MessageCheck check_solve(const BuildRules& rules, std::string_view message) {
  auto request = parse<buildkit::SolveRequest>(message);
  if (!request) return wrong("the build can't be read");
  // A later BuildKit's, of which nobody knows what it allows.
  if (has_unknown_fields(*request))
    return refused(
        {"build-field", "the build asks for something that is not known to the gateway: use an older client"});
  Reading reading(rules);
  reading.session(request->session());
  reading.session(request->source_policy_session());
  for (const auto& name : request->entitlements()) reading.entitlement(name);
  if (request->has_definition()) reading.definition(*request->mutable_definition());
  reading.inputs(*request->mutable_frontend_inputs());
  reading.frontend(request->frontend(), *request->mutable_frontend_attrs());
  if ((rules.reads_builds || rules.images == ImageMode::kIsolated) && request->has_cache()) {
    request->mutable_cache()->clear_import_refs();
    request->mutable_cache()->clear_imports();
  }
  reading.source_policy(!request->source_policy().empty() || !request->source_policy_session().empty());
  if (!request->session().empty()) reading.checked.dockerfiles_from.push_back(request->session());
  reading.output(request->exporter(), *request->mutable_exporter_attrs());
  for (auto& exporter : *request->mutable_exporters()) reading.output(exporter.type(), *exporter.mutable_attrs());
  request->set_ref(own_build_id(rules.server_id, rules.owner, request->ref()));
  reading.checked.build = request->ref();
  return reading.result(*request);
}

MessageCheck check_status(const BuildRules& rules, std::string_view message) {
  auto request = parse<buildkit::StatusRequest>(message);
  if (!request) return wrong("the call can't be read");
  request->set_ref(own_build_id(rules.server_id, rules.owner, request->ref()));
  return Reading(rules).result(*request);
}

MessageCheck check_frontend_solve(const BuildRules& rules, std::string_view message) {
  auto request = parse<buildkit::FrontendSolveRequest>(message);
  if (!request) return wrong("the build can't be read");
  // A way of early frontends to hand over an image's configuration; clients never had it.
  if (has_unknown_fields(*request) || request->final() || !request->exporter_attr().empty())
    return refused(
        {"build-field", "the build asks for something that is not known to the gateway: use an older client"});
  Reading reading(rules);
  if (request->has_definition()) reading.definition(*request->mutable_definition());
  reading.inputs(*request->mutable_frontend_inputs());
  reading.frontend(request->frontend(), *request->mutable_frontend_opt());
  if (rules.reads_builds || rules.images == ImageMode::kIsolated) request->clear_cache_imports();
  reading.source_policy(request->source_policies_size() > 0);
  return reading.result(*request);
}

MessageCheck check_return(const BuildRules& rules, std::string_view message) {
  auto request = parse<buildkit::ReturnRequest>(message);
  if (!request) return wrong("the result can't be read");
  Reading reading(rules);
  if (request->has_result())  // else it failed
    for (auto& [key, value] : *request->mutable_result()->mutable_metadata())
      if (key == kImageConfig || key.starts_with(std::string(kImageConfig) + "/")) reading.image_config(value);
  return reading.result(*request);
}

MessageCheck check_resolve_image(const BuildRules& rules, std::string_view message) {
  const auto request = parse<buildkit::ResolveImageConfigRequest>(message);
  if (!request) return wrong("the call can't be read");
  Reading reading(rules);
  reading.session(request->session_id());
  reading.image(request->ref(), request->resolve_mode());
  return reading.result(*request);
}

MessageCheck check_resolve_source(const BuildRules& rules, std::string_view message) {
  const auto request = parse<buildkit::ResolveSourceMetaRequest>(message);
  if (!request) return wrong("the call can't be read");
  Reading reading(rules);
  reading.source(request->source());
  return reading.result(*request);
}

std::vector<std::string> images_of(std::string_view solve_response) {
  std::vector<std::string> ids;
  const auto response = parse<buildkit::SolveResponse>(solve_response);
  if (!response) return ids;
  for (const auto* key : {"containerimage.digest", "containerimage.config.digest"})
    if (const auto found = response->exporter_response().find(key); found != response->exporter_response().end())
      ids.push_back(found->second);
  return ids;
}

}  // namespace ebbtide::gateway
