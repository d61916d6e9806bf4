#include "tests/support/test_engine.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace ebbtide::testing_support {
namespace {

// Runs a command of the project's own scripts; the first line of what it prints. Throws if it fails.
std::string script(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("can't run " + command);
  std::array<char, 4096> line{};
  std::string first = std::fgets(line.data(), line.size(), pipe) != nullptr ? line.data() : "";
  if (::pclose(pipe) != 0) throw std::runtime_error("failed: " + command);
  if (first.ends_with('\n')) first.pop_back();
  return first;
}

class OwnEngine {
 public:
  OwnEngine() {
    folder_ = script("mktemp -d /tmp/ebbtide-engine.XXXXXX");
    host_ = script("tests/support/engine.sh start " + folder_);
    script("DOCKER_HOST=" + host_ + " tests/support/images.sh");
  }
  OwnEngine(const OwnEngine&) = delete;
  OwnEngine& operator=(const OwnEngine&) = delete;
  ~OwnEngine() {
    if (std::system(("tests/support/engine.sh stop " + folder_).c_str()) != 0)
      std::fprintf(stderr, "the engine in %s could not be stopped\n", folder_.c_str());
  }
  const std::string& host() const { return host_; }

 private:
  std::string folder_;
  std::string host_;
};

std::string host() {
  if (const char* given = std::getenv("DOCKER_HOST"); given != nullptr && *given != '\0') return given;
  static const OwnEngine engine;
  return engine.host();
}

}  // namespace

EngineAddress engine_address() {
  const auto address = EngineAddress::parse(host());
  if (!address) throw std::runtime_error("DOCKER_HOST: " + address.error().message);
  return *address;
}

}  // namespace ebbtide::testing_support
