// Where builds are read: which images their messages take, and what can't be followed, whatever policy allows.
#include <gmock/gmock.h>

#include <functional>

#include "buildkit.pb.h"
#include "docker/gateway/build_message.h"

namespace ebbtide::gateway {
namespace {

using buildkit::FrontendSolveRequest;
using buildkit::SolveRequest;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

const Policy kPolicy{.level = PolicyLevel::kTrusted};
const BuildRules kRules{
    .policy = kPolicy, .images = ImageMode::kIsolated, .server_id = "s1", .owner = "a1", .reads_builds = true};

SolveRequest plain_build() {
  SolveRequest request;
  request.set_ref("r");
  request.set_session("mine");
  request.set_frontend("dockerfile.v0");
  (*request.mutable_frontend_attrs())["build-arg:A"] = "b";
  return request;
}

std::string rule_of(const SolveRequest& request) {
  const auto result = check_solve(kRules, request.SerializeAsString());
  return result ? "" : result.error().refusal ? result.error().refusal->rule : "not read";
}

buildkit::Op image_source(const std::string& reference) {
  buildkit::Op op;
  op.mutable_source()->set_identifier("docker-image://" + reference);
  return op;
}

void add_op(buildkit::Definition& definition, const buildkit::Op& op) { definition.add_def(op.SerializeAsString()); }

TEST(ReadBuildMessage, TellsItsArgumentsAndWhereItsDockerfileComesFrom) {
  auto request = plain_build();
  (*request.mutable_frontend_attrs())["local-sessionid:dockerfile"] = "shared";
  (*request.mutable_frontend_attrs())["local-sessionid:context"] = "other";
  const auto result = check_solve(kRules, request.SerializeAsString());
  ASSERT_TRUE(result);
  ASSERT_TRUE(result->arguments);
  EXPECT_THAT(result->arguments->values, ElementsAre(Pair("A", "b")));
  EXPECT_THAT(result->dockerfiles_from, ElementsAre("shared", "mine"));
  EXPECT_EQ(result->build, own_build_id("s1", "a1", "r"));
}

TEST(ReadBuildMessage, TheEngineReadsTheDockerfileItselfWhateverFrontendThatAsksFor) {
  auto request = plain_build();
  (*request.mutable_frontend_attrs())["build-arg:BUILDKIT_SYNTAX"] = "theirs:1";
  const auto result = check_solve(kRules, request.SerializeAsString());
  ASSERT_TRUE(result && result->arguments && result->arguments->own_frontend);
  SolveRequest sent;
  ASSERT_TRUE(sent.ParseFromString(result->bytes));
  EXPECT_EQ(sent.frontend_attrs().at("cmdline"), "");

  FrontendSolveRequest inner;
  inner.set_frontend("dockerfile.v0");
  (*inner.mutable_frontend_opt())["cmdline"] = "theirs";
  const auto inner_result = check_frontend_solve(kRules, inner.SerializeAsString());
  ASSERT_TRUE(inner_result && inner_result->arguments);
  ASSERT_TRUE(inner.ParseFromString(inner_result->bytes));
  EXPECT_EQ(inner.frontend_opt().at("cmdline"), "");
}

TEST(ReadBuildMessage, TellsEveryImageThatItTakes) {
  auto request = plain_build();
  (*request.mutable_frontend_attrs())["context:a"] = "docker-image://named:1";
  (*request.mutable_frontend_attrs())["context:b"] = "docker-image:plain:1";
  (*request.mutable_frontend_attrs())["context:c"] = "docker-image://scratch";
  add_op(*request.mutable_definition(), image_source("step:1"));
  add_op((*request.mutable_frontend_inputs())["other"], image_source("input:1"));
  EXPECT_THAT(check_solve(kRules, request.SerializeAsString())->images,
              testing::UnorderedElementsAre("named:1", "plain:1", "step:1", "input:1"));

  buildkit::ResolveImageConfigRequest config;
  config.set_ref("looked-at:1");
  EXPECT_THAT(check_resolve_image(kRules, config.SerializeAsString())->images, ElementsAre("looked-at:1"));
  buildkit::ResolveSourceMetaRequest source;
  *source.mutable_source() = image_source("looked-at:2").source();
  EXPECT_THAT(check_resolve_source(kRules, source.SerializeAsString())->images, ElementsAre("looked-at:2"));
}

TEST(ReadBuildMessage, NothingIsToldWhereBuildsAreNotRead) {
  auto rules = kRules;
  rules.reads_builds = false;
  auto request = plain_build();
  add_op(*request.mutable_definition(), image_source("step:1"));
  request.set_source_policy("x");
  const auto result = check_solve(rules, request.SerializeAsString());
  ASSERT_TRUE(result);
  EXPECT_THAT(result->images, IsEmpty());
  EXPECT_FALSE(result->arguments);
}

TEST(ReadBuildMessage, ARegistryThatIsAskedThoughTheImageIsThereMustBeAllowed) {
  const Policy policy{.registries = {"own.example"}};
  const BuildRules rules{
      .policy = policy, .images = ImageMode::kClean, .server_id = "s1", .owner = "a1", .reads_builds = true};
  SolveRequest request;
  auto op = image_source("app:1");
  (*op.mutable_source()->mutable_attrs())["image.resolvemode"] = "pull";
  add_op(*request.mutable_definition(), op);
  const auto result = check_solve(rules, request.SerializeAsString());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().refusal->rule, "registry");
  auto build = plain_build();
  (*build.mutable_frontend_attrs())["image-resolve-mode"] = "pull";
  SolveRequest sent;
  ASSERT_TRUE(sent.ParseFromString(check_solve(rules, build.SerializeAsString())->bytes));
  EXPECT_FALSE(sent.frontend_attrs().contains("image-resolve-mode"));
}

struct Unread {
  const char* name;
  std::function<void(SolveRequest&)> ask;
};

class UnreadBuild : public testing::TestWithParam<Unread> {};

TEST_P(UnreadBuild, IsRefusedAlsoWherePolicyRefusesNothing) {
  auto request = plain_build();
  GetParam().ask(request);
  EXPECT_EQ(rule_of(request), "build-image");
}

template <class Request>
void set(Request& request, const std::string& key, const std::string& value) {
  (*request.mutable_frontend_attrs())[key] = value;
}

INSTANTIATE_TEST_SUITE_P(
    Ways, UnreadBuild,
    testing::Values(
        Unread{"FrontendImage", [](auto& r) { r.set_frontend("gateway.v0"); }},
        Unread{"RemoteContext", [](auto& r) { set(r, "context", "https://example.org/x.git"); }},
        Unread{"UploadedContext", [](auto& r) { set(r, "context", "http://buildkit-session/x"); }},
        Unread{"ContextOfAnotherName",
               [](auto& r) {
                 set(r, "contextkey", "x");
                 set(r, "x", "https://example.org/x.git");
               }},
        Unread{"DockerfileOfAnotherFolder", [](auto& r) { set(r, "dockerfilekey", "context"); }},
        Unread{"DockerfileNamedAsAnIgnoreFile", [](auto& r) { set(r, "filename", "x.dockerignore"); }},
        Unread{"DockerfileNamedAsAnIgnoreFileByALongerWay", [](auto& r) { set(r, "filename", "x.dockerignore/."); }},
        Unread{"DockerfileOfAnInput", [](auto& r) { (*r.mutable_frontend_inputs())["dockerfile"]; }},
        Unread{"MountsForAllSteps", [](auto& r) { set(r, "automount:x", "type=bind,from=theirs:1"); }},
        Unread{"Scanner", [](auto& r) { set(r, "attest:sbom", "generator=theirs:1"); }},
        Unread{"ScannerInCapitals", [](auto& r) { set(r, "attest:SBOM", "generator=theirs:1"); }},
        Unread{"ScannerByAnArgument", [](auto& r) { set(r, "build-arg:BUILDKIT_ATTEST_SBOM", "generator=theirs:1"); }},
        Unread{"SourceOfALaterBuildKit",
               [](auto& r) {
                 buildkit::Op op;
                 op.mutable_source()->set_identifier("docker-image+blob://theirs@sha256:1");
                 add_op(*r.mutable_definition(), op);
               }},
        Unread{"BundleInPlaceOfARepository",
               [](auto& r) {
                 buildkit::Op op;
                 op.mutable_source()->set_identifier("git://example.org/x");
                 (*op.mutable_source()->mutable_attrs())["git.bundle"] = "docker-image://theirs:1";
                 add_op(*r.mutable_definition(), op);
               }},
        Unread{"SourcePolicy", [](auto& r) { r.set_source_policy("x"); }},
        Unread{"SourcePolicyOfTheClient", [](auto& r) { r.set_source_policy_session("mine"); }},
        Unread{"BuildThatAStepWrites",
               [](auto& r) {
                 buildkit::Op op;
                 op.mutable_build();
                 add_op(*r.mutable_definition(), op);
               }}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(ReadBuildMessage, SourcePoliciesOfAClientsFrontendAreRefusedToo) {
  FrontendSolveRequest request;
  request.add_source_policies("x");
  EXPECT_FALSE(check_frontend_solve(kRules, request.SerializeAsString()));
}

}  // namespace
}  // namespace ebbtide::gateway
