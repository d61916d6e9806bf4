// What GoCD is told of profiles agrees with what is read from them.
#include "plugin/resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "docker/base/text.h"
#include "plugin/keys.h"

namespace ebbtide::plugin {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

struct Form {
  const char* name;
  std::vector<ProfileKey> keys;
};

const Form kForms[] = {{"cluster-profile", {kClusterKeys.begin(), kClusterKeys.end()}},
                       {"elastic-agent-profile", {kAgentKeys.begin(), kAgentKeys.end()}}};

std::string metadata_of(const Form& form) {
  return std::string(resource(std::string(form.name) + "-metadata.json").value());
}
std::string view_of(const Form& form) { return std::string(resource(std::string(form.name) + "-view.html").value()); }

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

std::string tag_of(const ProfileKey& key) {
  switch (key.input) {
    case Input::kLines:
      return "<textarea ";
    case Input::kChoice:
      return "<select ";
    case Input::kFlag:
      return "<input type=\"checkbox\"";
    case Input::kText:
      break;
  }
  return key.secure ? "<input type=\"password\"" : "<input type=\"text\"";
}

class Resources : public testing::TestWithParam<Form> {};

TEST_P(Resources, MetadataHasExactlyTheKeysThatAreRead) {
  const auto metadata = json::parse(metadata_of(GetParam()));
  EXPECT_EQ(metadata.size(), GetParam().keys.size());
  for (const auto& key : GetParam().keys) {
    const auto found = std::ranges::find_if(metadata, [&](const json& each) { return each.at("key") == key.name; });
    ASSERT_NE(found, metadata.end()) << key.name;
    EXPECT_EQ(found->at("metadata"), (json{{"required", key.required}, {"secure", key.secure}})) << key.name;
  }
}

// GoCD makes each key a variable of the form.
TEST_P(Resources, KeysAreIdentifiers) {
  for (const auto& key : GetParam().keys)
    EXPECT_TRUE(std::ranges::all_of(key.name, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; }))
        << key.name;
}

TEST_P(Resources, TheFormBindsEachKeyOnceAndShowsItsError) {
  const auto view = view_of(GetParam());
  for (const auto& key : GetParam().keys) {
    const std::string name(key.name);
    EXPECT_EQ(count_of(view, "ng-model=\"" + name + "\""), 1U) << name;
    EXPECT_THAT(view, HasSubstr("{{GOINPUTNAME[" + name + "].$error.server}}"));
  }
  EXPECT_EQ(count_of(view, "ng-model="), GetParam().keys.size());
}

// Each field has a name and a help that a screen reader finds, and is of the kind that its values need.
TEST_P(Resources, EachFieldIsLabelledExplainedAndOfItsKind) {
  const auto view = view_of(GetParam());
  for (const auto& key : GetParam().keys) {
    const auto id = "ebbtide-" + std::string(key.name);
    EXPECT_EQ(count_of(view, "<label for=\"" + id + "\""), 1U) << id;
    EXPECT_THAT(view, HasSubstr("<p class=\"ebbtide-help\" id=\"" + id + "-help\">"));
    const auto tag = view.rfind('<', view.find(" id=\"" + id + "\""));
    EXPECT_TRUE(view.substr(tag).starts_with(tag_of(key))) << view.substr(tag, 80);
  }
}

TEST_P(Resources, ItsExampleStandsInAnEmptyField) {
  const auto view = view_of(GetParam());
  for (const auto& key : GetParam().keys) {
    const auto field = view.substr(view.find("id=\"ebbtide-" + std::string(key.name) + "\""));
    const auto tag = field.substr(0, field.find('>'));
    if (tag.find("placeholder=") == std::string::npos) continue;
    EXPECT_THAT(tag, HasSubstr("placeholder=\"" + replace_all(std::string(key.example), "\n", "&#10;") + "\""));
  }
}

TEST_P(Resources, TheDocsExplainEachKeyWithItsExample) {
  std::ifstream file("docs/profiles.md");
  const std::string docs((std::istreambuf_iterator<char>(file)), {});
  for (const auto& key : GetParam().keys) {
    const auto at = docs.find("\n#### `" + std::string(key.name) + "`");
    ASSERT_NE(at, std::string::npos) << "docs/profiles.md has no section on " << key.name;
    const auto section = docs.substr(at, docs.find("\n#", at + 2) - at);
    EXPECT_THAT(section, HasSubstr("```text\n" + std::string(key.example) + "\n")) << key.name;
    EXPECT_EQ(section.find("required") != std::string::npos, key.required) << key.name;
  }
}

TEST_P(Resources, TheFormMarksWhatIsRequired) {
  const auto required = std::ranges::count_if(GetParam().keys, [](const ProfileKey& key) { return key.required; });
  EXPECT_EQ(count_of(view_of(GetParam()), "class=\"asterix\""), static_cast<std::size_t>(required));
}

TEST_P(Resources, CheckBoxesYieldTexts) {
  const auto view = view_of(GetParam());
  EXPECT_EQ(count_of(view, "type=\"checkbox\""), count_of(view, "ng-true-value=\"true\" ng-false-value=\"false\""));
}

TEST_P(Resources, TheFormRunsNoScriptAndKeepsItsStyleToItself) {
  const auto view = view_of(GetParam());
  EXPECT_THAT(view, Not(HasSubstr("<script")));
  EXPECT_TRUE(view.starts_with("<div data-ebbtide>"));
  const auto begin = view.find("<style>") + 7;
  for (const auto& line : lines_of(view.substr(begin, view.find("</style>") - begin)))
    EXPECT_TRUE(line.starts_with("[data-ebbtide]")) << line;
}

INSTANTIATE_TEST_SUITE_P(Forms, Resources, testing::ValuesIn(kForms),
                         [](const auto& test) { return test.index == 0 ? "ClusterProfile" : "ElasticAgentProfile"; });

TEST(Capabilities, NameTheThreeReports) {
  EXPECT_EQ(json::parse(resource("capabilities.json").value()), json::parse(R"({
    "supports_plugin_status_report": true, "supports_cluster_status_report": true,
    "supports_agent_status_report": true})"));
}

TEST(Icon, IsAPictureWithoutScripts) {
  const auto icon = std::string(resource("icon.svg").value());
  EXPECT_TRUE(icon.starts_with("<svg "));
  EXPECT_THAT(icon, Not(HasSubstr("<script")));
  EXPECT_THAT(base64_encode(icon), Not(HasSubstr("\n")));
}

TEST(ResourceFiles, AnUnknownNameIsNoFile) { EXPECT_FALSE(resource("../keys.h")); }

}  // namespace
}  // namespace ebbtide::plugin
