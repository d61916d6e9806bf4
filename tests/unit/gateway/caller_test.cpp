#include "docker/gateway/caller.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <thread>

#include "docker/base/unique_fd.h"

namespace ebbtide::gateway {
namespace {

const std::string kId(64, 'a');
const std::string kOther(64, 'b');

TEST(Caller, ReadsTheContainerFromEveryLayoutOfCgroups) {
  const std::array<std::string, 8> layouts = {
      "12:memory:/docker/" + kId + "\n11:pids:/docker/" + kId + "\n0::/system.slice/containerd.service\n",
      "0::/system.slice/docker-" + kId + ".scope\n",
      "4:cpu,cpuacct:/system.slice/docker-" + kId + ".scope\n1:name=systemd:/system.slice/docker-" + kId + ".scope\n",
      "0::/../" + kId + "\n",
      "0::/../../docker-" + kId + ".scope\n",
      "9:pids:/ebbtide/eb-1/" + kId + "\n",
      "0::/ebbtide.slice/ebbtide-x.slice/docker-" + kId + ".scope\n",
      "0::/docker/" + kId + "/init.scope\n",
  };
  for (const auto& layout : layouts) EXPECT_EQ(container_in_cgroups(layout), kId) << layout;
}

TEST(Caller, TakesTheInnermostOfNestedContainers) {
  EXPECT_EQ(container_in_cgroups("5:memory:/docker/" + kOther + "/docker/" + kId + "\n"), kId);
  EXPECT_EQ(container_in_cgroups("5:memory:/docker/" + kOther + "/" + kId + "\n"), kId);
}

TEST(Caller, FindsNoContainerWhereThereIsNone) {
  for (const auto& text : {std::string(), std::string("0::/\n"), std::string("0::/user.slice/session-1.scope\n"),
                           "0::/docker/" + kId.substr(1) + "\n", "0::/docker/" + kId + "f\n",
                           "0::/docker/" + std::string(64, 'A') + "\n", "/docker/" + kId + "\n"})
    EXPECT_EQ(container_in_cgroups(text), "") << text;
}

TEST(Caller, OfASocketIsTheProcessThatMadeIt) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  const UniqueFd one(pair[0]);
  const UniqueFd other(pair[1]);
  const auto caller = caller_of(one.get());
  EXPECT_EQ(caller.pid, ::getpid());
  EXPECT_EQ(caller.uid, ::getuid());
}

// Clients that say one thing and go, as most do.
TEST(Caller, OfAProcessThatEndsMeanwhileIsStillTold) {
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const auto name = "ebbtide-caller-" + std::to_string(::getpid());  // abstract: begins with a NUL
  name.copy(&address.sun_path[1], name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const auto* peer = reinterpret_cast<const sockaddr*>(&address);
  ASSERT_EQ(::bind(listener.get(), peer, size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  for (int i = 0; i < 300; ++i) {
    const auto child = ::fork();
    if (child == 0) ::_exit(::connect(::socket(AF_UNIX, SOCK_STREAM, 0), peer, size));
    const UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
    const std::jthread reaper([child] { ::waitpid(child, nullptr, 0); });
    EXPECT_EQ(caller_of(accepted.get()).pid, child);
  }
}

TEST(Caller, OfSomethingElseIsNobody) { EXPECT_EQ(caller_of(-1).pid, 0); }

}  // namespace
}  // namespace ebbtide::gateway
