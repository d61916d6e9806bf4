// ebbtide gateway: one gateway alone, for one owner, with no GoCD.
#include <algorithm>
#include <filesystem>

#include "api/commands.h"
#include "api/process.h"
#include "docker/base/log.h"
#include "docker/engine/http_engine.h"
#include "docker/gateway/gateway.h"

namespace ebbtide::api {
namespace {

struct Wishes {
  EngineAddress engine;
  std::string socket;  // where clients connect
  gateway::GatewaySpec spec;
};

Error wrong(const Settings& settings, const char* name, const std::string& remedy) {
  return Error::invalid(std::string(name) + " (" + settings.origin(name) + ") " + remedy);
}

Result<Wishes> read_wishes(const Settings& settings) {
  Wishes wishes;
  auto engine = EngineAddress::parse(settings.text("engine"));
  if (!engine) return fail(wrong(settings, "engine", engine.error().message));
  wishes.engine = *engine;
  const auto listen = EngineAddress::parse(settings.text("listen"));
  if (!listen || listen->kind != EngineAddress::Kind::kUnix)
    return fail(wrong(settings, "listen", "must be the socket to make, as --listen unix:///tmp/job/docker.sock"));
  wishes.socket = listen->path;
  // The directory is what children mount; the socket that was asked for is a link into it.
  wishes.spec.directory = listen->path + ".d";
  wishes.spec.contexts = settings.text("state_dir");
  wishes.spec.owner = settings.text("owner");
  const bool named = !wishes.spec.owner.empty() && wishes.spec.owner.size() <= 100 &&
                     std::ranges::all_of(wishes.spec.owner, [](unsigned char c) {
                       return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
                     });
  if (!named)
    return fail(wrong(settings, "owner", "must be a name of letters, digits, '.', '_' and '-', as --owner job-17"));
  const auto level = gateway::policy_level(settings.text("policy"));
  if (!level) return fail(wrong(settings, "policy", "must be strict, ci or trusted"));
  wishes.spec.policy.level = *level;
  const auto publish = gateway::publish_named(settings.text("publish"));
  if (!publish) return fail(wrong(settings, "publish", "must be ephemeral, loopback or any"));
  wishes.spec.policy.publish = *publish;
  for (const auto mode : {ImageMode::kShared, ImageMode::kClean, ImageMode::kIsolated})
    if (settings.text("images") == to_string(mode)) {
      wishes.spec.images = mode;
      return wishes;
    }
  return fail(wrong(settings, "images", "must be clean, shared or isolated"));
}

Result<void> link_socket(const Wishes& wishes) {
  std::error_code failed;
  if (std::filesystem::is_symlink(wishes.socket, failed)) std::filesystem::remove(wishes.socket, failed);
  std::filesystem::create_symlink(wishes.spec.directory + "/docker.sock", wishes.socket, failed);
  if (failed) return fail(Error::unavailable("can't make " + wishes.socket + ": " + failed.message()));
  return {};
}

int reap_owner(EngineWatch& watch, const Wishes& wishes) {
  const auto report = reap(watch, wishes.spec.owner, {.images = wishes.spec.images});
  if (!report) return complain(report.error(), kFailed);
  log_info("reaped", {{"owner", wishes.spec.owner}, {"removed", report->summary()}});
  for (const auto& left : report->left) log_error("refuses to go", {{"object", left}});
  return report->complete() ? kDone : kFailed;
}

}  // namespace

int run_gateway(const Settings& settings) {
  StopSignals signals;
  const auto wishes = read_wishes(settings);
  if (!wishes) return complain(wishes.error(), kWrongSettings);
  const auto state = open_state(settings);
  if (!state) return complain(state.error(), kFailed);
  if (const auto made = make_folder(settings.text("state_dir") + "/owners", "--state-dir"); !made)
    return complain(made.error(), kFailed);
  const auto lock = lock_file(owner_lock(settings, wishes->spec.owner));
  if (!lock) return complain(lock.error(), kFailed);
  state->store->audit().configure(audit_settings(settings));
  EngineWatch watch(make_http_engine(wishes->engine), state->store, state->server_id);
  watch.start({});
  if (const auto listed = watch.resync(); !listed) return complain(listed.error(), kFailed);
  int exit_code = kDone;
  {
    gateway::GatewayHost host(watch, 2);
    if (const auto opened = host.open(wishes->spec); !opened) return complain(opened.error(), kFailed);
    if (const auto linked = link_socket(*wishes); !linked) return complain(linked.error(), kFailed);
    log_info("listening", {{"address", "unix://" + wishes->socket}, {"owner", wishes->spec.owner}});
    signals.wait();
    host.close(wishes->spec.owner);
    std::error_code ignored;  // somebody else removed the link
    std::filesystem::remove(wishes->socket, ignored);
    if (settings.flag("reap_on_exit")) exit_code = reap_owner(watch, *wishes);
    // One in which nothing runs is of no further use; with the owner's containers it stays.
    if (const auto groups = watch.cgroups())
      if (const auto removed = groups->remove(wishes->spec.owner); !removed) log_info(removed.error().message);
  }
  watch.stop();
  return exit_code;
}

}  // namespace ebbtide::api
