#include "docker/gateway/session_call.h"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "docker/base/log.h"
#include "docker/gateway/buildkit.h"

namespace ebbtide::gateway {
namespace {

// moby/buildkit session/filesync. The Dockerfile comes from the folder of that name: builds whose own name another are
// refused (build_message.cpp).
constexpr std::string_view kService = "/moby.filesync.v1.FileSync/";
constexpr std::string_view kFiles = "/moby.filesync.v1.FileSync/DiffCopy";
constexpr std::string_view kFolder = "dir-name";
constexpr std::size_t kMaxMessage = 1 << 20;  // clients send files in pieces of 32 KiB

}  // namespace

Task<void> SessionCall::run() {
  const auto path = grpc::value_of(engine_->head(), ":path");
  const bool dockerfiles = grpc::value_of(engine_->head(), kFolder) == kDockerfileFolder;
  // An early way to send files, of which nothing is known here.
  if (path.starts_with(kService) && path != kFiles)
    grpc::answer_error(*engine_, grpc::Code::kUnimplemented, "files are sent by DiffCopy");
  else if (path == kFiles && dockerfiles)
    co_await read_files();
  else
    co_await pass();
}

std::shared_ptr<grpc::Stream> SessionCall::open() {
  auto client = client_.open(engine_->head());
  engine_->when_closed([client] { client->reset(); });
  return client;
}

Task<void> SessionCall::pass() {
  const auto client = open();
  co_await grpc::relay(*engine_, *client);
}

Task<void> SessionCall::read_files() {
  using namespace http::asio::experimental::awaitable_operators;
  const auto client = open();
  const auto files = [&]() -> Task<void> {
    const auto head = co_await client->wait_head();
    if (!head) co_return engine_->reset();
    const bool no_body = client->at_end() && client->trailers().empty();
    engine_->respond(client->head(), no_body);
    SentFiles sent;
    grpc::MessageReader messages(kMaxMessage);
    while (!no_body) {
      const auto bytes = co_await client->read();
      if (!bytes) co_return engine_->reset();
      if (bytes->empty()) co_return engine_->finish(client->trailers());
      auto whole = messages.feed(*bytes);
      if (!whole) co_return co_await refuse({"build-image", whole.error().message});
      for (auto& message : *whole) {
        const auto passed = co_await pass_message(sent, std::move(message));
        if (!passed) co_return client->reset();
      }
    }
  };
  co_await (grpc::relay_request(*engine_, *client) && files());
}

Task<bool> SessionCall::pass_message(SentFiles& files, std::string message) {
  auto step = files.take(message);
  auto refusal = step ? std::nullopt : std::optional(Refusal{"build-image", step.error().message});
  std::string framed;
  if (step && step->message) framed = grpc::frame(*step->message);
  if (step && step->file) {
    auto dockerfile = without_frontend(std::move(*step->file));
    refusal = co_await admit(dockerfile);
    dockerfiles_.push_back(dockerfile);
    for (const auto& whole : SentFiles::whole(step->id, std::move(dockerfile))) framed += grpc::frame(whole);
  }
  // The build begins now, however long ago they were sent: what they name may have changed.
  if (step && step->ends)
    for (const auto& dockerfile : dockerfiles_)
      if (!refusal) refusal = co_await admit(dockerfile);
  if (refusal) co_await refuse(*refusal);
  if (refusal || framed.empty()) co_return !refusal;
  const auto written = co_await engine_->write(std::move(framed));
  co_return written.has_value();
}

Task<std::optional<Refusal>> SessionCall::admit(std::string dockerfile) {
  auto builds = reading_->add_dockerfile(std::move(dockerfile));
  if (!builds) co_return Refusal{"build-image", builds.error().message};
  co_return co_await exchange_.admit_builds(std::move(*builds), logins_of({reading_}));
}

Task<void> SessionCall::refuse(Refusal refusal) {
  auto& context = exchange_.context_;
  auto record = begin_audit(context, exchange_.client_, exchange_.client_state_);
  record.method = "POST";
  record.path = "/session" + std::string(kFiles);
  record.rule = refusal.rule;
  record.status = 403;
  context.counting.refusal(refusal.rule);
  log_info(
      "docker build refused",
      {{"agent", context.spec.owner}, {"caller", record.caller}, {"rule", refusal.rule}, {"why", refusal.message}});
  context.watch.store().audit().add(std::move(record));
  // As the sender of files tells it: an error of the call itself comes to light in the engine beside the call's own
  // end, and now and then (1 of 60, Engine 28.5) a build says only that it was cancelled.
  const auto message = refusal.message + " (rule: " + refusal.rule + ")";
  auto told = grpc::frame(SentFiles::error(message));
  const auto written = co_await engine_->write(std::move(told));
  if (written) grpc::end_with_error(*engine_, grpc::Code::kPermissionDenied, message);
}

}  // namespace ebbtide::gateway
