// An engine that answers every request with "OK" on a unix socket of its own: enough for a ping. Its thread ends with
// it.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include "docker/base/secret.h"
#include "docker/base/unique_fd.h"

namespace ebbtide::plugin::test {

class TinyEngine {
 public:
  TinyEngine() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    const auto* generic = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    if (::bind(listener_.get(), generic, sizeof address) != 0 || ::listen(listener_.get(), 8) != 0) std::abort();
    thread_ = std::thread([this] { serve(); });
  }
  ~TinyEngine() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    std::filesystem::remove(path_);
  }

  std::string uri() const { return "unix://" + path_; }

 private:
  void serve() const {
    while (true) {
      const UniqueFd client(::accept(listener_.get(), nullptr, nullptr));
      if (!client) return;
      std::string head;
      char piece[1024];
      while (head.find("\r\n\r\n") == std::string::npos) {
        const auto got = ::read(client.get(), piece, sizeof piece);
        if (got <= 0) break;
        head.append(piece, static_cast<std::size_t>(got));
      }
      const std::string answer =
          "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";
      ::send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  const std::string path_ = std::filesystem::temp_directory_path() / ("ebbtide-tiny-" + random_hex(4) + ".sock");
  UniqueFd listener_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::thread thread_;
};

}  // namespace ebbtide::plugin::test
