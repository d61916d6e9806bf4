#include "api/accounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "docker/base/password.h"
#include "tests/unit/plugin/fleet_harness.h"

namespace ebbtide::api::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

constexpr const char* kPassword = "a long password";

class AccountsTest : public testing::Test {
 protected:
  std::shared_ptr<plugin::test::ManualClock> clock = std::make_shared<plugin::test::ManualClock>();
  std::shared_ptr<Database> database = Database::in_memory();
  Accounts accounts{database, clock};
};

TEST(Passwords, AHashTakesItsPasswordOnly) {
  const auto hash = hash_password(kPassword);
  EXPECT_THAT(hash, testing::StartsWith("$scrypt$ln=15,r=8,p=1$"));
  EXPECT_NE(hash, hash_password(kPassword));
  EXPECT_TRUE(is_password(kPassword, hash));
  EXPECT_FALSE(is_password("a long passwore", hash));
  EXPECT_FALSE(is_password("", hash));
}

TEST(Passwords, WhatIsNoHashTakesNone) {
  for (const auto* hash : {"", "$", "$scrypt$ln=15,r=8,p=1$$", "$scrypt$ln=99,r=8,p=1$QQ$QQ",
                           "$argon2id$ln=1,r=8,p=1$QQ$QQ", "$scrypt$ln=x,r=8,p=1$QQ$QQ", "a long password"})
    EXPECT_FALSE(is_password(kPassword, hash)) << hash;
}

TEST_F(AccountsTest, AnAccountSignsInWithItsPassword) {
  EXPECT_FALSE(accounts.any());
  ASSERT_TRUE(accounts.add("anna", Rights::kAct, kPassword));
  EXPECT_TRUE(accounts.any());
  EXPECT_TRUE(accounts.check("anna", kPassword));
  EXPECT_FALSE(accounts.check("anna", "another password"));
  EXPECT_FALSE(accounts.check("ben", kPassword));
  EXPECT_EQ(accounts.list().at(0).rights, Rights::kAct);
}

TEST_F(AccountsTest, NamesAndPasswordsAreChecked) {
  EXPECT_THAT(accounts.add("anna", Rights::kAct, "short").error().message, HasSubstr("at least 10"));
  for (const auto& name : {std::string(), std::string("a b"), std::string("<x>"), std::string(65, 'x')})
    EXPECT_FALSE(accounts.add(name, Rights::kView, kPassword)) << name;
  ASSERT_TRUE(accounts.add("anna", Rights::kView, kPassword));
  EXPECT_EQ(accounts.add("anna", Rights::kAct, kPassword).error().kind, ErrorKind::kConflict);
  EXPECT_EQ(accounts.list().at(0).rights, Rights::kView);
}

TEST_F(AccountsTest, ASessionLastsItsTimeAndCanBeEnded) {
  ASSERT_TRUE(accounts.add("anna", Rights::kAct, kPassword));
  const auto secret = accounts.open_session("anna", "127.0.0.1", 12h);
  ASSERT_TRUE(secret);
  ASSERT_TRUE(accounts.session(*secret));
  EXPECT_EQ(accounts.session(*secret)->user, "anna");
  EXPECT_FALSE(accounts.session(std::string(64, '0')));
  const auto other = accounts.open_session("anna", "127.0.0.2", 12h);
  accounts.end_session(accounts.session(*other)->number);
  EXPECT_FALSE(accounts.session(*other));
  EXPECT_THAT(accounts.sessions(), SizeIs(1));
  clock->forward(12h);
  EXPECT_FALSE(accounts.session(*secret));
  EXPECT_THAT(accounts.sessions(), SizeIs(0));
}

TEST_F(AccountsTest, ANewPasswordAndARemovalEndTheSessions) {
  ASSERT_TRUE(accounts.add("anna", Rights::kAct, kPassword));
  auto secret = accounts.open_session("anna", "p", 12h);
  ASSERT_TRUE(accounts.set_password("anna", "a longer password"));
  EXPECT_FALSE(accounts.session(*secret));
  EXPECT_FALSE(accounts.check("anna", kPassword));
  secret = accounts.open_session("anna", "p", 12h);
  ASSERT_TRUE(accounts.remove("anna"));
  EXPECT_FALSE(accounts.session(*secret));
  EXPECT_EQ(accounts.remove("anna").error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(accounts.any()) << "the last one's removal must not open the door";
}

TEST_F(AccountsTest, ATokenHasScopeAndEnd) {
  const auto secret = accounts.add_token("prometheus", Rights::kView, std::chrono::days(30));
  ASSERT_TRUE(secret);
  EXPECT_THAT(*secret, testing::StartsWith("ebt_"));
  EXPECT_EQ(accounts.token(*secret)->rights, Rights::kView);
  EXPECT_FALSE(accounts.token("ebt_0"));
  EXPECT_FALSE(accounts.add_token("prometheus", Rights::kAct, std::chrono::days(30)));
  EXPECT_TRUE(accounts.tokens().at(0).used);
  clock->forward(std::chrono::days(30));
  EXPECT_FALSE(accounts.token(*secret));
  EXPECT_TRUE(accounts.remove_token("prometheus"));
  EXPECT_THAT(accounts.tokens(), SizeIs(0));
}

TEST_F(AccountsTest, TheDatabaseHoldsNoSecretThatIsGoodForAnything) {
  ASSERT_TRUE(accounts.add("anna", Rights::kAct, kPassword));
  const auto session = accounts.open_session("anna", "p", 12h);
  const auto token = accounts.add_token("t", Rights::kView, std::chrono::days(1));
  // Another process over the same database knows them by their digests only.
  Accounts others{database, clock};
  EXPECT_TRUE(others.session(*session));
  EXPECT_TRUE(others.token(*token));
  EXPECT_FALSE(others.session(sha256_hex(*session)));
  EXPECT_FALSE(others.token(sha256_hex(*token)));
}

}  // namespace
}  // namespace ebbtide::api::test
