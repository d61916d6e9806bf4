// Every pair of tests/fixtures/rewrite: what a client sends in request.json, and in expected.json what the engine gets,
// or {"refused": rule}, or {"invalid": message}. The word after the number names the model.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "docker/gateway/policy.h"
#include "docker/gateway/stamp.h"

namespace ebbtide::gateway {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = "tests/fixtures/rewrite";

std::string content(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

std::vector<std::string> fixture_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kFixtures)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

struct Subject {
  ModelName model;
  std::optional<Refusal> (*check)(const Policy&, const Json&);
};

Subject subject_of(const std::string& name) {
  const auto model = std::string_view(name).substr(3);
  if (model.starts_with("network-")) return {ModelName::kNetworkCreate, check_network};
  if (model.starts_with("volume-")) return {ModelName::kVolumeCreate, check_volume};
  return {ModelName::kContainerCreate, check_container};
}

// The owner has the container db, the network ci and every volume.
Result<std::string> resolve(Kind kind, std::string_view reference) {
  if (kind == Kind::kVolume) return std::string(reference);
  if (reference == "db" || reference == "ci") return "id-of-" + std::string(reference);
  return fail(Error::not_found("No such " + std::string(to_string(kind)) + ": " + std::string(reference)));
}

Json rewritten(const Subject& subject, const std::string& request) {
  auto body = decode(subject.model, request);
  if (!body) return {{"invalid", body.error().message}};
  if (const auto refusal = subject.check({}, *body)) return {{"refused", refusal->rule}};
  const Labels labels = {{label::kAgent, "eb-1"}};
  if (subject.model == ModelName::kContainerCreate) {
    point_sockets_at(*body, "/srv/gateways/eb-1");
    label_anonymous_volumes(*body, {}, labels);
    if (const auto done = resolve_references(*body, resolve); !done) return {{"invalid", done.error().message}};
  }
  put_labels(*body, labels);
  return *body;
}

class Rewrite : public testing::TestWithParam<std::string> {};

TEST_P(Rewrite, GivesTheEngineWhatIsExpected) {
  const auto folder = kFixtures / GetParam();
  const auto actual = rewritten(subject_of(GetParam()), content(folder / "request.json"));
  EXPECT_EQ(actual.dump(2), Json::parse(content(folder / "expected.json")).dump(2));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Rewrite, testing::ValuesIn(fixture_names()), [](const auto& test) {
  auto name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace ebbtide::gateway
