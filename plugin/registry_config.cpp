#include "plugin/registry_config.h"

#include <cstdlib>
#include <fstream>

#include "docker/base/text.h"

namespace ebbtide::plugin {
namespace {

using nlohmann::json;

constexpr const char* kDockerHub = "https://index.docker.io/v1/";  // its key in the file

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

json read(const std::string& path) {
  std::ifstream file(path);
  return file ? json::parse(file, nullptr, false) : json();
}

}  // namespace

std::string docker_config_path() {
  if (const auto folder = variable("DOCKER_CONFIG"); !folder.empty()) return folder + "/config.json";
  const auto home = variable("HOME");
  return home.empty() ? home : home + "/.docker/config.json";
}

std::string registry_of(const std::string& image) {
  const auto slash = image.find('/');
  if (slash == std::string::npos) return {};
  const auto first = image.substr(0, slash);
  // The rule of the docker CLI: a host has a dot or a port, or is localhost.
  const bool is_host = first.find_first_of(".:") != std::string::npos || first == "localhost";
  return is_host && first != "docker.io" ? first : std::string();
}

std::optional<RegistryLogin> login_from_config(const std::string& path, const std::string& image) {
  const auto config = read(path);
  const auto registry = registry_of(image);
  const auto auths = config.is_object() ? config.value("auths", json::object()) : json::object();
  for (const auto& key : {registry.empty() ? kDockerHub : registry, "https://" + registry}) {
    if (!auths.is_object() || !auths.contains(key) || !auths[key].is_object()) continue;
    const auto pair = base64_decode(auths[key].value("auth", ""));
    const auto colon = pair ? pair->find(':') : std::string::npos;
    if (colon == std::string::npos) continue;
    return RegistryLogin{.server = registry, .username = pair->substr(0, colon), .password = pair->substr(colon + 1)};
  }
  return std::nullopt;
}

}  // namespace ebbtide::plugin
