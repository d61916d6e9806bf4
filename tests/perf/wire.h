// A blocking HTTP client over a unix socket and a synthetic engine, for the measurements: as little between the clock
// and the socket as possible.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "docker/base/unique_fd.h"

namespace ebbtide::perf {

// One connection; the program ends with a message on any error: a measurement with errors is none.
class Client {
 public:
  explicit Client(const std::string& socket_path);
  // Sends a request and reads the whole answer; the number of body bytes. Fails unless the status is 2xx.
  std::uint64_t get(const std::string& target);
  // A body of so many zero bytes, framed by its length.
  void upload(const std::string& target, std::uint64_t bytes);

 private:
  void send(std::string_view bytes);
  std::string read_head();
  std::uint64_t read_body(const std::string& head);
  std::uint64_t read_chunks();
  std::string read_line();
  void skip(std::uint64_t bytes);
  void fill();

  UniqueFd socket_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Answers GET …/fixed/get with a body of a known length, GET …/chunked/get with chunks of 32 KiB, as dockerd writes
// them, and reads what is posted. One thread a connection.
class SyntheticEngine {
 public:
  SyntheticEngine(std::string socket_path, std::uint64_t body_bytes);
  ~SyntheticEngine();
  const std::string& path() const { return path_; }

 private:
  void serve(int connection);
  bool answer(int connection, std::string& buffer);

  std::string path_;
  std::uint64_t body_bytes_;
  UniqueFd listener_;
  std::atomic<bool> stopping_ = false;
  std::thread acceptor_;
  std::vector<std::thread> servers_;
  std::vector<int> connections_;
};

[[noreturn]] void give_up(std::string_view what);

// Seconds that work took.
double seconds(const std::function<void()>& work);

struct Spread {
  double p50 = 0;
  double p99 = 0;
};
// Of the samples; reorders them.
Spread spread_of(std::vector<double>& samples);

}  // namespace ebbtide::perf
