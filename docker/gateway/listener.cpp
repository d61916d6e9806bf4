#include "docker/gateway/listener.h"

#include <sys/stat.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>

#include "docker/base/log.h"
#include "docker/base/secret.h"

namespace ebbtide::gateway {
namespace {

namespace asio = http::asio;
using asio::local::stream_protocol;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kMaxSocketPath = 107;  // sockaddr_un
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr const char* kSocketName = "docker.sock";

}  // namespace

Listener::Listener(asio::io_context& loop, std::shared_ptr<Context> context)
    : loop_(loop), context_(std::move(context)), acceptor_(loop), pause_(loop) {}

Result<void> Listener::open() {
  const auto& directory = context_->spec.directory;
  const auto path = directory + "/" + kSocketName;
  const auto temporary = directory + "/." + random_hex(4);
  if (temporary.size() > kMaxSocketPath || path.size() > kMaxSocketPath)
    return fail(Error::invalid("the socket " + path + " has a path of more than 107 bytes: choose a shorter run_dir"));
  try {
    std::filesystem::create_directories(directory);
    // Users of agent images are not root; who may reach the directory is decided by its parent.
    std::filesystem::permissions(directory, std::filesystem::perms(0755));
    acceptor_.open(stream_protocol());
    acceptor_.bind(stream_protocol::endpoint(temporary));
    std::filesystem::permissions(temporary, std::filesystem::perms(0666));
    acceptor_.listen();
    std::filesystem::rename(temporary, path);
  } catch (const std::exception& error) {
    return fail(Error::unavailable("listen on " + path + ": " + error.what()));
  }
  spawn(accept_all());
  return {};
}

template <class Work>
void Listener::spawn(Work work) {
  ++running_;
  asio::co_spawn(loop_, std::move(work), [self = shared_from_this()](const std::exception_ptr& fault) {
    if (fault) try {
        std::rethrow_exception(fault);
      } catch (const std::exception& error) {
        log_error("a gateway's request failed: this is a fault of ebbtide",
                  {{"agent", self->context_->spec.owner}, {"what", error.what()}});
      }
    self->one_ended();
  });
}

void Listener::one_ended() {
  --running_;
  std::erase_if(sessions_, [](const std::shared_ptr<Session>& session) { return session.use_count() == 1; });
  if (closing_ && running_ == 0 && ended_) std::exchange(ended_, nullptr)();
}

Task<void> Listener::accept_all() {
  while (!closing_) {
    auto [code, socket] = co_await acceptor_.async_accept(kTuple);
    if (closing_) co_return;
    if (!code) {
      start(std::move(socket));
      continue;
    }
    if (code == asio::error::connection_aborted) continue;
    // Out of descriptors, most likely: those that are open go on, and free some in time.
    log_warning("a gateway can't accept a connection", {{"agent", context_->spec.owner}, {"error", code.message()}});
    pause_.expires_after(kAcceptPause);
    const auto [woken] = co_await pause_.async_wait(kTuple);
    if (woken) co_return;
  }
}

void Listener::start(stream_protocol::socket socket) {
  auto session = std::make_shared<Session>(context_, http::make_unix_stream(std::move(socket)));
  sessions_.insert(session);
  spawn(session->run());
  spawn(session->watch_client());
}

void Listener::close(std::function<void()> ended) {
  closing_ = true;
  ended_ = std::move(ended);
  boost::system::error_code ignored;  // closed is what it shall be
  acceptor_.close(ignored);
  pause_.cancel();
  for (const auto& session : sessions_) session->stop();
  if (running_ == 0 && ended_) std::exchange(ended_, nullptr)();
}

}  // namespace ebbtide::gateway
