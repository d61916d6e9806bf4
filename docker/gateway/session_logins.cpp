#include "docker/gateway/session_logins.h"

#include <boost/asio/steady_timer.hpp>

#include "buildkit.pb.h"
#include "docker/grpc/message.h"

namespace ebbtide::gateway {
namespace {

// moby/buildkit session/auth (BuildKit 0.8 and later).
constexpr std::string_view kCredentials = "/moby.filesync.v1.Auth/Credentials";
// How clients know Docker Hub there.
constexpr std::string_view kHub = "docker.io";
constexpr std::string_view kHubHost = "registry-1.docker.io";
constexpr std::size_t kMaxAnswer = 64 << 10;
constexpr std::chrono::seconds kAnswerLimit{10};
constexpr std::chrono::seconds kBeginLimit{5};
constexpr std::chrono::milliseconds kBeginPause{10};

Json to_login(const buildkit::Credentials& credentials) {
  if (credentials.secret().empty()) return {};
  if (credentials.username().empty()) return {{"identitytoken", credentials.secret()}};
  return {{"username", credentials.username()}, {"password", credentials.secret()}};
}

// A client begins its build and its session at the same time.
Task<std::shared_ptr<SessionLogins>> begun(std::shared_ptr<BuildReading> session) {
  http::asio::steady_timer pause(co_await http::asio::this_coro::executor);
  const auto end = std::chrono::steady_clock::now() + kBeginLimit;
  while (!session->logins && !session->ended && std::chrono::steady_clock::now() < end) {
    pause.expires_after(kBeginPause);
    co_await pause.async_wait(http::asio::use_awaitable);
  }
  co_return session->logins;
}

}  // namespace

LoginFor no_logins() {
  return [](std::string) -> Task<Json> { co_return Json(); };
}

Task<Json> SessionLogins::login(std::string registry) {
  const auto host = registry == kHub ? std::string(kHubHost) : std::move(registry);
  Turn asking(asking_);
  auto answer = co_await ask(host);
  answered_.notify();  // whoever waits looks when this has ended
  co_return answer;
}

Task<Json> SessionLogins::ask(const std::string& host) {
  buildkit::CredentialsRequest request;
  request.set_host(host);
  const grpc::Headers head{{":method", "POST"},
                           {":scheme", "http"},
                           {":path", std::string(kCredentials)},
                           {":authority", "localhost"},
                           {"content-type", "application/grpc"},
                           {"te", "trailers"}};
  const auto call = client_.open(head);
  http::asio::steady_timer limit(executor_, kAnswerLimit);
  limit.async_wait([call](const auto& cancelled) {
    if (!cancelled) call->reset();
  });
  auto framed = grpc::frame(request.SerializeAsString());
  const auto sent = co_await call->write(std::move(framed));
  if (!sent) co_return Json();
  call->finish();
  const auto body = co_await grpc::read_all(*call, kMaxAnswer);
  call->reset();  // does nothing where all has come
  const auto message = body ? grpc::unframe(*body) : fail(body.error());
  buildkit::Credentials credentials;
  if (!message || !credentials.ParseFromString(*message)) co_return Json();
  co_return to_login(credentials);
}

Task<void> SessionLogins::end() {
  while (asking_ > 0) co_await answered_.wait();
}

LoginFor logins_of(std::vector<std::shared_ptr<BuildReading>> sessions) {
  return [sessions = std::move(sessions)](std::string registry) -> Task<Json> {
    for (const auto& session : sessions) {
      const auto logins = co_await begun(session);
      if (!logins) continue;
      auto login = co_await logins->login(registry);
      if (!login.is_null()) co_return login;
    }
    co_return Json();
  };
}

}  // namespace ebbtide::gateway
