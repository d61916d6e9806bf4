#include "docker/gateway/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "docker/base/secret.h"

namespace ebbtide::gateway {
namespace {

using testing::HasSubstr;

class AuthorityTest : public testing::Test {
 protected:
  AuthorityTest() { std::filesystem::create_directory(folder); }
  ~AuthorityTest() override { std::filesystem::remove_all(folder); }

  std::string text() const {
    std::ifstream stream(file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("ebbtide-ca-" + random_hex(4));
  const std::string file = folder / "ca.pem";
};

TEST_F(AuthorityTest, IsKeptForItsOwnerOnly) {
  const auto made = Authority::open(file);
  ASSERT_TRUE(made) << made.error().message;
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const auto before = text();
  const auto again = Authority::open(file);
  ASSERT_TRUE(again);
  EXPECT_EQ(text(), before);
  EXPECT_EQ((*made)->for_agent("eb-1")->ca_pem, (*again)->for_agent("eb-1")->ca_pem);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}

TEST_F(AuthorityTest, KeepsNoKeyOfOthers) {
  const auto authority = Authority::open(file);
  const auto first = (*authority)->for_agent("eb-1");
  const auto second = (*authority)->for_agent("eb-1");
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->key_pem, second->key_pem);
  EXPECT_EQ(text().find(first->key_pem), std::string::npos);
}

TEST_F(AuthorityTest, ADamagedFileIsToldAndNotReplaced) {
  std::ofstream(file) << "-----BEGIN nothing";
  const auto authority = Authority::open(file);
  ASSERT_FALSE(authority);
  EXPECT_THAT(authority.error().message, HasSubstr(file));
  EXPECT_EQ(text(), "-----BEGIN nothing");
}

TEST_F(AuthorityTest, AFolderThatIsNotThereIsTold) {
  const auto authority = Authority::open(folder / "absent" / "ca.pem");
  ASSERT_FALSE(authority);
  EXPECT_EQ(authority.error().kind, ErrorKind::kUnavailable);
}

}  // namespace
}  // namespace ebbtide::gateway
