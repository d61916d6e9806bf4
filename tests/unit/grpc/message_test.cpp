#include "docker/grpc/message.h"

#include <gtest/gtest.h>

namespace ebbtide::grpc {
namespace {

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

}  // namespace
}  // namespace ebbtide::grpc
