#include "docker/gateway/filter.h"

#include <gtest/gtest.h>

namespace ebbtide::gateway {
namespace {

Filters filters(std::string_view text) { return *Filters::parse(text); }

Result<std::string> resolve(Kind kind, std::string_view reference) {
  if (reference != "own") return fail(Error::not_found("No such container: " + std::string(reference)));
  return std::string(to_string(kind)) + "#own";
}

TEST(Filters, ReadsBothFormsAndWritesOne) {
  for (const auto* text :
       {R"({"label":["a=b","c"],"name":["x"]})", R"({"label":{"a=b":true,"c":false},"name":{"x":true}})"})
    EXPECT_EQ(filters(text).to_text(), R"({"label":{"a=b":true,"c":true},"name":{"x":true}})");
}

TEST(Filters, TakesNothingAsNoFilters) {
  for (const auto* text : {"", "{}", "null"}) EXPECT_TRUE(filters(text).empty()) << text;
}

TEST(Filters, RefusesOtherForms) {
  for (const auto* text : {"[]", "x", R"({"a":"b"})", R"({"a":[1]})", R"({"a":{"b":1}})", R"({"a":["b"]} x)"})
    EXPECT_FALSE(Filters::parse(text)) << text;
}

TEST(Filters, AddTheOwnersLabelsToTheJobs) {
  auto list = filters(R"({"label":["a=b"]})");
  ASSERT_TRUE(refuse_reserved_labels(list));
  add_owner(list, "s1", "eb-1");
  EXPECT_EQ(list.to_text(), R"({"label":{"a=b":true,"ebbtide.agent=eb-1":true,"ebbtide.server=s1":true}})");
  Filters images;
  add_image_owner(images, "s1/eb-1");
  EXPECT_TRUE(images.has("label", "ebbtide.image-agent=s1/eb-1"));
}

TEST(Filters, HideReservedLabelsFromJobs) {
  for (const auto* text : {R"({"label":["ebbtide.agent=other"]})", R"({"label":["a","ebbtide.role"]})"}) {
    auto list = filters(text);
    EXPECT_FALSE(refuse_reserved_labels(list)) << text;
  }
  auto absent = filters(R"({"label!":["ebbtide.agent=eb-1","keep"],"until":["1h"]})");
  ASSERT_TRUE(refuse_reserved_labels(absent));
  EXPECT_EQ(absent.to_text(), R"({"label!":{"keep":true},"until":{"1h":true}})");
}

TEST(Filters, NamesOfOwnObjectsBecomeIds) {
  auto list = filters(R"({"before":["own"],"network":["own","bridge"],"volume":["own","/own"],"name":["own"]})");
  ASSERT_TRUE(resolve_container_filters(list, resolve));
  EXPECT_EQ(list.to_text(),
            R"({"before":{"container#own":true},"name":{"own":true},)"
            R"("network":{"bridge":true,"network#own":true},"volume":{"/own":true,"volume#own":true}})");
}

TEST(Filters, AForeignContainerIsUnknown) {
  auto list = filters(R"({"since":["other"]})");
  const auto done = resolve_container_filters(list, resolve);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "No such container: other");
}

TEST(Filters, EventsKeepWhatIsUnknown) {
  auto list = filters(R"({"container":["own","other"],"type":["container"]})");
  resolve_event_filters(list, resolve);
  EXPECT_EQ(list.to_text(), R"({"container":{"container#own":true,"other":true},"type":{"container":true}})");
}

}  // namespace
}  // namespace ebbtide::gateway
