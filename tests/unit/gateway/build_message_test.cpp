// What a build with BuildKit may ask for inside of its messages, and what becomes of them.
#include "docker/gateway/build_message.h"

#include <gmock/gmock.h>

#include <functional>

#include "buildkit.pb.h"
#include "docker/base/secret.h"

namespace ebbtide::gateway {
namespace {

using buildkit::FrontendSolveRequest;
using buildkit::ReturnRequest;
using buildkit::SolveRequest;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kConfig = "containerimage.config";

// With an owner a1 of the server s1.
BuildRules rules(const Policy& policy, ImageMode images = ImageMode::kClean) {
  return {.policy = policy, .images = images, .server_id = "s1", .owner = "a1"};
}

SolveRequest plain_build() {
  SolveRequest request;
  request.set_ref("r");
  request.set_session("mine");
  request.set_exporter("moby");
  (*request.mutable_exporter_attrs())["name"] = "app:1,app:2";
  request.set_frontend("dockerfile.v0");
  (*request.mutable_frontend_attrs())["build-arg:A"] = "b";
  return request;
}

MessageCheck checked(const SolveRequest& request, const Policy& policy = {}, ImageMode images = ImageMode::kClean) {
  return check_solve(rules(policy, images), request.SerializeAsString());
}

SolveRequest passed(const SolveRequest& request, const Policy& policy = {}, ImageMode images = ImageMode::kClean) {
  const auto result = checked(request, policy, images);
  SolveRequest sent;
  EXPECT_TRUE(result) << result.error().message;
  if (result) EXPECT_TRUE(sent.ParseFromString(result->bytes));
  return sent;
}

std::string rule_of(const MessageCheck& result) {
  return result ? "" : result.error().refusal ? result.error().refusal->rule : "not read";
}

void add_op(buildkit::Definition& definition, const buildkit::Op& op) { definition.add_def(op.SerializeAsString()); }

buildkit::Op exec(const std::function<void(buildkit::ExecOp&)>& set) {
  buildkit::Op op;
  set(*op.mutable_exec());
  return op;
}

buildkit::Op local_source(const std::string& session) {
  buildkit::Op op;
  op.mutable_source()->set_identifier("local://context");
  (*op.mutable_source()->mutable_attrs())["local.session"] = session;
  return op;
}

buildkit::Op source_of(const std::string& identifier) {
  buildkit::Op op;
  op.mutable_source()->set_identifier(identifier);
  return op;
}

TEST(BuildMessage, APlainBuildGoesOnInItsOwnersName) {
  const auto result = checked(plain_build());
  ASSERT_TRUE(result);
  EXPECT_THAT(result->sessions, ElementsAre("mine"));
  EXPECT_THAT(result->references, ElementsAre("app:1", "app:2"));
  EXPECT_TRUE(result->makes_image);
  const auto sent = passed(plain_build());
  EXPECT_EQ(sent.ref(), own_build_id("s1", "a1", "r"));
  EXPECT_EQ(sent.session(), "mine");
  EXPECT_EQ(sent.frontend_attrs().at("build-arg:A"), "b");
  EXPECT_EQ(sent.frontend_attrs().at("label:ebbtide.image-agent"), "s1/a1");
  EXPECT_FALSE(sent.frontend_attrs().contains("no-cache"));
}

TEST(BuildMessage, ReservedLabelsAreOursAlone) {
  auto request = plain_build();
  auto& attributes = *request.mutable_frontend_attrs();
  attributes["label:ebbtide.image-agent"] = "s1/a2";
  attributes["label:ebbtide.agent"] = "a2";
  attributes["label:mine"] = "stays";
  const auto sent = passed(request);
  EXPECT_EQ(sent.frontend_attrs().at("label:ebbtide.image-agent"), "s1/a1");
  EXPECT_FALSE(sent.frontend_attrs().contains("label:ebbtide.agent"));
  EXPECT_EQ(sent.frontend_attrs().at("label:mine"), "stays");
  EXPECT_FALSE(passed(request, {}, ImageMode::kShared).frontend_attrs().contains("label:ebbtide.image-agent"));
}

TEST(BuildMessage, IsolatedImagesShareNoCache) {
  auto request = plain_build();
  (*request.mutable_frontend_attrs())[std::string(kCacheNamespace)] = "of-a2";
  const auto sent = passed(request, {}, ImageMode::kIsolated);
  EXPECT_TRUE(sent.frontend_attrs().contains("no-cache"));
  EXPECT_EQ(sent.frontend_attrs().at(std::string(kCacheNamespace)), own_build_id("s1", "a1", ""));
  EXPECT_EQ(passed(request).frontend_attrs().at(std::string(kCacheNamespace)), "of-a2");
}

TEST(BuildMessage, IsolatedImagesTakeNoStepFromTheCacheThatAClientDescribesItself) {
  SolveRequest request;
  add_op(*request.mutable_definition(), local_source("mine"));
  const auto digest = "sha256:" + sha256_hex(request.definition().def(0));
  EXPECT_TRUE(passed(request, {}, ImageMode::kIsolated).definition().metadata().at(digest).ignore_cache());
  EXPECT_TRUE(passed(request).definition().metadata().empty());
}

TEST(BuildMessage, IsolatedImagesImportNoCacheThatAnotherImageMayHold) {
  auto request = plain_build();
  request.mutable_cache()->add_import_refs("theirs:1");
  request.mutable_cache()->add_imports("\x0a\x08registry");
  (*request.mutable_frontend_attrs())["cache-from"] = "theirs:1";
  const auto sent = passed(request, {}, ImageMode::kIsolated);
  EXPECT_TRUE(sent.cache().import_refs().empty() && sent.cache().imports().empty());
  EXPECT_FALSE(sent.frontend_attrs().contains("cache-from"));
  EXPECT_EQ(passed(request).cache().import_refs_size(), 1);
}

struct Bypass {
  const char* name;
  const char* rule;
  std::function<void(SolveRequest&)> ask;
};

class BuildBypass : public testing::TestWithParam<Bypass> {};

TEST_P(BuildBypass, IsRefusedAndNamesItsRule) {
  auto request = plain_build();
  GetParam().ask(request);
  EXPECT_EQ(rule_of(checked(request)), GetParam().rule);
}

TEST_P(BuildBypass, IsLetThroughWhereNothingIsRefused) {
  auto request = plain_build();
  GetParam().ask(request);
  EXPECT_EQ(rule_of(checked(request, {.level = PolicyLevel::kTrusted})), "");
}

INSTANTIATE_TEST_SUITE_P(
    Ways, BuildBypass,
    testing::Values(
        Bypass{"HostNetwork", "host-network", [](auto& r) { r.add_entitlements("network.host"); }},
        Bypass{"Insecure", "privileged", [](auto& r) { r.add_entitlements("security.insecure"); }},
        Bypass{"Device", "device", [](auto& r) { r.add_entitlements("device"); }},
        Bypass{"OneDevice", "device", [](auto& r) { r.add_entitlements("device=vendor.com/gpu"); }},
        Bypass{"UnknownEntitlement", "entitlement", [](auto& r) { r.add_entitlements("host.all"); }},
        Bypass{"ForcedNetwork", "host-network",
               [](auto& r) { (*r.mutable_frontend_attrs())["force-network-mode"] = "host"; }},
        Bypass{"CgroupParent", "cgroup-parent", [](auto& r) { (*r.mutable_frontend_attrs())["cgroup-parent"] = "/"; }},
        Bypass{"RemoteContext", "remote-context",
               [](auto& r) { (*r.mutable_frontend_attrs())["context"] = "http://169.254.169.254/"; }},
        Bypass{"GitContext", "remote-context",
               [](auto& r) { (*r.mutable_frontend_attrs())["context"] = "git@internal:x.git"; }},
        Bypass{"ContextOfAnotherName", "remote-context",
               [](auto& r) {
                 (*r.mutable_frontend_attrs())["contextkey"] = "label:x";
                 (*r.mutable_frontend_attrs())["label:x"] = "http://169.254.169.254/";
               }},
        Bypass{"GitContextOfAnyUser", "remote-context",
               [](auto& r) { (*r.mutable_frontend_attrs())["context"] = "me@internal:x.git"; }},
        Bypass{"NamedContextWithoutSlashes", "remote-context",
               [](auto& r) { (*r.mutable_frontend_attrs())["context:x"] = "git:internal/x"; }},
        Bypass{"RemoteNamedContext", "remote-context",
               [](auto& r) { (*r.mutable_frontend_attrs())["context:x"] = "https://internal/x.tar"; }},
        Bypass{"ContextThatTheClientDescribes", "remote-context",
               [](auto& r) { add_op(*r.mutable_definition(), source_of("git://169.254.169.254/x.git")); }},
        Bypass{"ArchiveThatTheClientDescribes", "remote-context",
               [](auto& r) { add_op(*r.mutable_definition(), source_of("http://169.254.169.254/")); }},
        Bypass{"UnknownOutput", "build-output", [](auto& r) { r.set_exporter("containerd"); }},
        Bypass{"UnknownSecondOutput", "build-output", [](auto& r) { r.add_exporters()->set_type("containerd"); }},
        Bypass{"StepOnTheHostsNetwork", "host-network",
               [](auto& r) { add_op(*r.mutable_definition(), exec([](auto& e) { e.set_network(1); })); }},
        Bypass{"InsecureStep", "privileged",
               [](auto& r) { add_op(*r.mutable_definition(), exec([](auto& e) { e.set_security(1); })); }},
        Bypass{"StepWithADevice", "device",
               [](auto& r) { add_op(*r.mutable_definition(), exec([](auto& e) { e.add_cdi_devices("x"); })); }},
        Bypass{"StepInACgroup", "cgroup-parent",
               [](auto& r) {
                 add_op(*r.mutable_definition(), exec([](auto& e) { e.mutable_meta()->set_cgroup_parent("/"); }));
               }},
        Bypass{"StepOfAnInput", "host-network",
               [](auto& r) { add_op((*r.mutable_frontend_inputs())["x"], exec([](auto& e) { e.set_network(1); })); }},
        Bypass{"StepOfAnInnerBuild", "host-network",
               [](auto& r) {
                 buildkit::Op op;
                 add_op(*op.mutable_build()->mutable_def(), exec([](auto& e) { e.set_network(1); }));
                 add_op(*r.mutable_definition(), op);
               }}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(BuildMessage, TheProfilesAllowancesCount) {
  auto request = plain_build();
  request.add_entitlements("network.host");
  (*request.mutable_frontend_attrs())["force-network-mode"] = "host";
  EXPECT_EQ(rule_of(checked(request, {.host_network = true})), "");
  request.add_entitlements("security.insecure");
  EXPECT_EQ(rule_of(checked(request, {.host_network = true})), "privileged");
  EXPECT_EQ(rule_of(checked(request, {.privileged = true, .host_network = true})), "");
}

TEST(BuildMessage, WhatIsNotAWayOutGoesThrough) {
  auto request = plain_build();
  auto& attributes = *request.mutable_frontend_attrs();
  attributes["force-network-mode"] = "none";
  attributes["context"] = "http://buildkit-session/x";  // an archive that the client sends
  attributes["context:base"] = "docker-image://app:1";
  attributes["context:other"] = "local:other";
  EXPECT_EQ(rule_of(checked(request)), "");
}

TEST(BuildMessage, EverySessionThatIsNamedMustBeTheOwners) {
  auto request = plain_build();
  request.set_source_policy_session("policy");
  (*request.mutable_frontend_attrs())["local-sessionid:context"] = "shared";
  add_op(*request.mutable_definition(), local_source("source"));
  (*request.mutable_exporter_attrs())["x"] = "y";
  const auto result = checked(request);
  ASSERT_TRUE(result);
  EXPECT_THAT(result->sessions, testing::UnorderedElementsAre("mine", "policy", "shared", "source"));

  buildkit::ResolveImageConfigRequest image;
  image.set_session_id("theirs");
  EXPECT_THAT(check_resolve_image(rules({}), image.SerializeAsString())->sessions, ElementsAre("theirs"));
  buildkit::ResolveSourceMetaRequest source;
  *source.mutable_source() = local_source("theirs").source();
  EXPECT_THAT(check_resolve_source(rules({}), source.SerializeAsString())->sessions, ElementsAre("theirs"));
}

TEST(BuildMessage, FieldsOfALaterBuildKitAreRefused) {
  const std::string later = plain_build().SerializeAsString() + "\x82\x06\x01x";  // field 96: "x"
  EXPECT_EQ(rule_of(check_solve(rules({}), later)), "build-field");
  EXPECT_EQ(rule_of(check_frontend_solve(rules({}), "\x82\x06\x01x")), "build-field");
}

TEST(BuildMessage, WhatOnlyThePolicyDoesNotReadStaysAsItIs) {
  SolveRequest request = plain_build();
  ASSERT_TRUE(request.mutable_cache()->ParseFromString("\x0a\x01x"));
  // A definition's metadata and source, fields 2 and 3.
  const std::string rest("\x12\x05\x0a\x01k\x12\x00\x1a\x02\x0a\x00", 11);
  ASSERT_TRUE(request.mutable_definition()->ParseFromString(rest));
  const auto sent = passed(request);
  EXPECT_EQ(sent.cache().SerializeAsString(), "\x0a\x01x");
  EXPECT_EQ(sent.definition().SerializeAsString(), rest);
}

TEST(BuildMessage, GarbageIsNotRead) {
  EXPECT_EQ(rule_of(check_solve(rules({}), "\xff\xff")), "not read");
  SolveRequest request;
  request.mutable_definition()->add_def("\xff\xff");
  EXPECT_EQ(rule_of(checked(request)), "not read");
}

TEST(BuildMessage, BuildsWithinBuildsHaveAnEnd) {
  buildkit::Definition definition;
  for (int i = 0; i < 20; ++i) {
    buildkit::Op op;
    *op.mutable_build()->mutable_def() = definition;
    definition.Clear();
    add_op(definition, op);
  }
  SolveRequest request;
  *request.mutable_definition() = definition;
  EXPECT_EQ(rule_of(checked(request)), "not read");
}

TEST(BuildMessage, TheBuildThatAClientsFrontendAsksForIsCheckedAndLabelledToo) {
  FrontendSolveRequest request;
  request.set_frontend("dockerfile.v0");
  (*request.mutable_frontend_opt())["label:ebbtide.agent"] = "a2";
  const auto result = check_frontend_solve(rules({}), request.SerializeAsString());
  ASSERT_TRUE(result);
  FrontendSolveRequest sent;
  ASSERT_TRUE(sent.ParseFromString(result->bytes));
  EXPECT_EQ(sent.frontend_opt().at("label:ebbtide.image-agent"), "s1/a1");
  EXPECT_EQ(sent.frontend_opt().size(), 1U);

  (*request.mutable_frontend_opt())["force-network-mode"] = "host";
  EXPECT_EQ(rule_of(check_frontend_solve(rules({}), request.SerializeAsString())), "host-network");
  FrontendSolveRequest inlined;
  inlined.set_exporter_attr("{}");
  EXPECT_EQ(rule_of(check_frontend_solve(rules({}), inlined.SerializeAsString())), "build-field");
  FrontendSolveRequest step;
  add_op(*step.mutable_definition(), exec([](auto& e) { e.set_network(1); }));
  EXPECT_EQ(rule_of(check_frontend_solve(rules({}), step.SerializeAsString())), "host-network");
}

std::string returned(const std::string& config, ImageMode images = ImageMode::kClean) {
  ReturnRequest request;
  (*request.mutable_result()->mutable_metadata())[kConfig + "/linux/amd64"] = config;
  (*request.mutable_result()->mutable_metadata())["other"] = "{}";
  const auto result = check_return(rules({}, images), request.SerializeAsString());
  if (!result) return rule_of(result);
  ReturnRequest sent;
  EXPECT_TRUE(sent.ParseFromString(result->bytes));
  EXPECT_EQ(sent.result().metadata().at("other"), "{}");
  return sent.result().metadata().at(kConfig + "/linux/amd64");
}

TEST(BuildMessage, AnImagesConfigurationFromAClientGetsOurLabel) {
  EXPECT_EQ(returned(R"({"os":"linux","config":{"Labels":{"ebbtide.image-agent":"s1/a2","a":"b"}}})"),
            R"({"os":"linux","config":{"Labels":{"a":"b","ebbtide.image-agent":"s1/a1"}}})");
  EXPECT_EQ(returned(R"({"config":null})"), R"({"config":{"Labels":{"ebbtide.image-agent":"s1/a1"}}})");
  EXPECT_EQ(returned("{}", ImageMode::kShared), R"({"config":{"Labels":{}}})");
  for (const auto* text : {"x", "[]", R"({"config":{},"Config":{"Labels":null}})", R"({"config":{"labels":null}})",
                           "{\"config\":{\"Label\u017f\":null}}", R"({"config":1})"})
    EXPECT_EQ(returned(text), "not read") << text;

  auto request = plain_build();
  (*request.mutable_exporter_attrs())[kConfig] = "{}";
  EXPECT_EQ(passed(request).exporter_attrs().at(kConfig), R"({"config":{"Labels":{"ebbtide.image-agent":"s1/a1"}}})");
}

TEST(BuildMessage, AFailedResultIsReturnedAsItIs) {
  const std::string failed("\x12\x02\x08\x01", 4);  // an error, and no result
  EXPECT_EQ(check_return(rules({}), failed)->bytes, failed);
}

TEST(BuildMessage, TheStatusIsThatOfAnOwnBuild) {
  buildkit::StatusRequest request;
  request.set_ref("theirs");
  const auto result = check_status(rules({}), request.SerializeAsString());
  ASSERT_TRUE(result);
  ASSERT_TRUE(request.ParseFromString(result->bytes));
  EXPECT_EQ(request.ref(), own_build_id("s1", "a1", "theirs"));
}

TEST(BuildMessage, AnAnswerTellsItsImages) {
  buildkit::SolveResponse response;
  (*response.mutable_exporter_response())["containerimage.digest"] = "sha256:1";
  (*response.mutable_exporter_response())["other"] = "x";
  EXPECT_THAT(images_of(response.SerializeAsString()), ElementsAre("sha256:1"));
  EXPECT_THAT(images_of("\xff"), IsEmpty());
}

TEST(BuildCalls, ThatAreNotForJobsAreUnknown) {
  for (const auto* path :
       {"/moby.buildkit.v1.frontend.LLBBridge/NewContainer", "/moby.buildkit.v1.frontend.LLBBridge/ExecProcess",
        "/containerd.services.content.v1.Content/Read", "/moby.buildkit.v1.Control/Anything",
        "/moby.buildkit.v1.control/Solve", "/moby.buildkit.v1.Control/Solve/", "moby.buildkit.v1.Control/Solve", ""})
    EXPECT_EQ(find_call(path), nullptr) << path;
}

TEST(BuildCalls, HaveACheckWhereTheyAreLookedInto) {
  for (const auto* path : {"/moby.buildkit.v1.Control/Solve", "/moby.buildkit.v1.Control/Status",
                           "/moby.buildkit.v1.frontend.LLBBridge/Solve", "/moby.buildkit.v1.frontend.LLBBridge/Return",
                           "/moby.buildkit.v1.frontend.LLBBridge/ResolveImageConfig"}) {
    ASSERT_NE(find_call(path), nullptr) << path;
    EXPECT_NE(find_call(path)->check, nullptr) << path;
  }
  EXPECT_EQ(find_call("/moby.buildkit.v1.Control/Prune")->handling, CallHandling::kEmptyStream);
  EXPECT_EQ(find_call("/moby.buildkit.v1.Control/DiskUsage")->handling, CallHandling::kEmptyMessage);
}

}  // namespace
}  // namespace ebbtide::gateway
