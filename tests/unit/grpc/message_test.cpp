#include "docker/grpc/message.h"

#include <gmock/gmock.h>

namespace ebbtide::grpc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(GrpcMessage, IsFramedByItsLength) {
  EXPECT_EQ(frame("abc"), std::string("\0\0\0\0\3abc", 8));
  EXPECT_EQ(frame(""), std::string(5, '\0'));
  const std::string large(70000, 'x');
  EXPECT_EQ(unframe(frame(large)), large);
}

TEST(GrpcMessage, IsTheOnlyOneAndNotCompressed) {
  EXPECT_FALSE(unframe(""));
  EXPECT_FALSE(unframe(std::string(4, '\0')));
  EXPECT_FALSE(unframe(frame("a") + frame("b")));
  EXPECT_FALSE(unframe(frame("abc").substr(0, 7)));
  EXPECT_FALSE(unframe(std::string("\1\0\0\0\1a", 6)));
}

TEST(GrpcMessages, AreReadFromPiecesCutAnywhere) {
  const auto all = frame("abc") + frame("") + frame("de");
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    MessageReader reader(10);
    auto found = *reader.feed(all.substr(0, cut));
    const auto rest = reader.feed(all.substr(cut));
    ASSERT_TRUE(rest);
    found.insert(found.end(), rest->begin(), rest->end());
    EXPECT_THAT(found, ElementsAre("abc", "", "de")) << cut;
  }
}

TEST(GrpcMessages, AreNeitherCompressedNorOverTheLimit) {
  EXPECT_FALSE(MessageReader(10).feed(std::string("\1\0\0\0\1a", 6)));
  EXPECT_FALSE(MessageReader(2).feed(frame("abc").substr(0, 5)));
  EXPECT_THAT(*MessageReader(3).feed(frame("abc").substr(0, 7)), IsEmpty());
}

}  // namespace
}  // namespace ebbtide::grpc
