#include "api/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "api/commands.h"
#include "api/process.h"
#include "docker/base/log.h"
#include "docker/base/secret.h"
#include "docker/base/text.h"

namespace ebbtide::api {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::map<std::string, std::string> variables;

std::optional<std::string> lookup(const std::string& name) {
  const auto found = variables.find(name);
  return found == variables.end() ? std::nullopt : std::optional(found->second);
}

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() {
    variables.clear();
    std::filesystem::create_directory(folder);
  }
  ~SettingsTest() override { std::filesystem::remove_all(folder); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name) << text;
    return folder / name;
  }
  Result<Settings> gather(const Settings::Given& flags = {}, unsigned command = kServe) const {
    return Settings::gather(command, flags, lookup, toml);
  }
  std::string error(const Settings::Given& flags = {}) const {
    const auto settings = gather(flags);
    return settings ? "" : settings.error().message;
  }
  void file(const std::string& text) { toml = write("ebbtide.toml", text); }

  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("ebbtide-settings-" + random_hex(4));
  std::string toml;
};

TEST_F(SettingsTest, AgentsOnOtherMachinesReachWhatGatewayHostSays) {
  const auto addresses = [&](const Settings::Given& flags) {
    const auto parsed = parse_gateway_addresses(*gather(flags));
    if (!parsed) return parsed.error().message;
    return *parsed ? (*parsed)->listen.text() + " as " + (*parsed)->reached.text() : "none";
  };
  EXPECT_EQ(addresses({}), "none");
  EXPECT_EQ(addresses({{"gateway_listen", "10.0.0.7:8161"}}), "10.0.0.7:8161 as 10.0.0.7:8161");
  EXPECT_EQ(addresses({{"gateway_listen", "0.0.0.0:8161"}, {"gateway_host", "ci.example"}}),
            "0.0.0.0:8161 as ci.example:8161");
  EXPECT_EQ(addresses({{"gateway_listen", "[::]:8161"}, {"gateway_host", "ci.example:443"}}),
            "[::]:8161 as ci.example:443");
  EXPECT_EQ(addresses({{"gateway_listen", "[::]:8161"}, {"gateway_host", "[fd00::7]"}}), "[::]:8161 as [fd00::7]:8161");
  for (const auto* wildcard : {"0.0.0.0:8161", "[::]:8161"})
    EXPECT_THAT(addresses({{"gateway_listen", wildcard}}), HasSubstr("set gateway_host"));
  EXPECT_THAT(addresses({{"gateway_host", "ci.example"}}), HasSubstr("gateway_listen"));
  EXPECT_THAT(addresses({{"gateway_listen", "ci.example"}}), HasSubstr("an address and a port"));
  EXPECT_THAT(addresses({{"gateway_listen", "ci.example:0"}}), HasSubstr("not 0"));
  for (const auto* host : {"a,DNS:b", "fd00::7", "ci.example:0", "ci.example:port"})
    EXPECT_THAT(addresses({{"gateway_listen", "0.0.0.0:1"}, {"gateway_host", host}}), HasSubstr("gateway_host"));
}

TEST_F(SettingsTest, WithNothingSetItServesOnLoopback) {
  const auto settings = gather();
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->text("listen"), "127.0.0.1:8160");
  EXPECT_EQ(settings->origin("listen"), "default");
  EXPECT_EQ(settings->number("sweep"), 60U);
  EXPECT_EQ(settings->text("token"), "");
  EXPECT_TRUE(parse_listen(*settings)->is_loopback());
  EXPECT_EQ(access_token(*settings, *parse_listen(*settings)), "");
}

TEST_F(SettingsTest, FlagsGoOverTheEnvironmentAndThatOverTheFile) {
  file("sweep = 10\nidle_limit = 11\nlost_limit = 12\n");
  variables = {{"EBBTIDE_SWEEP", "20"}, {"EBBTIDE_IDLE_LIMIT", "21"}};
  const auto settings = gather({{"sweep", "30"}});
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->number("sweep"), 30U);
  EXPECT_EQ(settings->origin("sweep"), "flag --sweep");
  EXPECT_EQ(settings->number("idle_limit"), 21U);
  EXPECT_EQ(settings->origin("idle_limit"), "EBBTIDE_IDLE_LIMIT");
  EXPECT_EQ(settings->number("lost_limit"), 12U);
  EXPECT_EQ(settings->origin("lost_limit"), toml + ", line 3");
}

TEST_F(SettingsTest, AnEmptyVariableIsAsNone) {
  variables = {{"EBBTIDE_SWEEP", ""}};
  EXPECT_EQ(gather()->number("sweep"), 60U);
}

TEST_F(SettingsTest, EverySettingHasItsFlagAndVariable) {
  for (const auto& setting : all_settings()) {
    EXPECT_TRUE(flag_of(setting).starts_with("--") && flag_of(setting).find('_') == std::string::npos) << setting.name;
    EXPECT_TRUE(variable_of(setting).starts_with("EBBTIDE_")) << setting.name;
    EXPECT_NE(setting.help, "");
    EXPECT_NE(setting.commands & kAll, 0U);
  }
}

TEST_F(SettingsTest, AWrongNumberNamesKeyOriginAndRemedy) {
  EXPECT_EQ(error({{"sweep", "often"}}), "sweep (flag --sweep) must be a whole number from 1 to 100000");
  variables = {{"EBBTIDE_HTTP_THREADS", "0"}};
  EXPECT_EQ(error(), "http_threads (EBBTIDE_HTTP_THREADS) must be a whole number from 1 to 100000");
  variables.clear();
  file("\n\ncreate_workers = -4\n");
  EXPECT_EQ(error(), "create_workers (" + toml + ", line 3) must be a whole number from 1 to 100000");
  file("completion_grace = 0\n");
  EXPECT_EQ(error(), "");
}

TEST_F(SettingsTest, AnUnknownKeyNamesItsLineAndTheNearest) {
  file("sweep = 10\nlog_fromat = \"json\"\n");
  EXPECT_EQ(error(), toml + ", line 2: unknown key log_fromat; did you mean log_format?");
  file("[database]\npath = 1\n");
  EXPECT_THAT(error(), AllOf(HasSubstr("unknown key database"), HasSubstr("lists the settings")));
}

TEST_F(SettingsTest, AValueOfAWrongTypeNamesItsLine) {
  file("listen = [\"127.0.0.1:1\"]\n");
  EXPECT_THAT(error(), AllOf(HasSubstr("line 1: listen"), HasSubstr("must be a text, a number or true/false")));
  file("reap_on_exit = \"perhaps\"\n");
  EXPECT_THAT(error(), HasSubstr("reap_on_exit (" + toml + ", line 1) must be true or false"));
}

TEST_F(SettingsTest, AFileThatIsNoTomlNamesItsLine) {
  file("sweep = 10\nlisten = \n");
  EXPECT_THAT(error(), HasSubstr("line 2"));
  file("token = \"hunter2\nlisten = 1\n");
  EXPECT_THAT(error(), Not(HasSubstr("hunter2")));
  toml = folder / "missing.toml";
  EXPECT_THAT(error(), HasSubstr("missing.toml"));
}

TEST_F(SettingsTest, AFileMayHoldSettingsOfOtherCommands) {
  file("owner = \"job-17\"\nsweep = 7\n");
  EXPECT_EQ(gather({}, kGateway)->text("owner"), "job-17");
  EXPECT_EQ(gather({}, kServe)->number("sweep"), 7U);
  EXPECT_FALSE(gather({}, kReap)->values().contains("sweep"));
}

TEST_F(SettingsTest, AddressesAreReadWithTheirPort) {
  const auto listen = [&](const std::string& text) { return parse_listen(*gather({{"listen", text}})); };
  EXPECT_EQ(listen("[::1]:8160")->host, "::1");
  EXPECT_EQ(listen("0.0.0.0:80")->port, 80);
  EXPECT_TRUE(listen("localhost:1")->is_loopback());
  EXPECT_TRUE(listen("127.5.0.1:1")->is_loopback());
  EXPECT_FALSE(listen("127.example.com:1")->is_loopback());
  EXPECT_FALSE(listen("0.0.0.0:1")->is_loopback());
  for (const auto* wrong : {"8160", ":8160", "host", "host:", "host:99999", "host:http"}) {
    EXPECT_FALSE(listen(wrong)) << wrong;
    EXPECT_THAT(listen(wrong).error().message, HasSubstr("as 127.0.0.1:8160")) << wrong;
  }
}

TEST_F(SettingsTest, BeyondLoopbackATokenIsNeeded) {
  Settings::Given flags{{"listen", "0.0.0.0:8160"}};
  const auto token = [&] { return access_token(*gather(flags), *parse_listen(*gather(flags))); };
  ASSERT_FALSE(token());
  EXPECT_THAT(token().error().message, HasSubstr("set token_file"));
  flags["token"] = "t0ken";
  EXPECT_EQ(token(), "t0ken");
}

TEST_F(SettingsTest, ATokenMayLieInAFile) {
  const auto token = [&](const std::string& path) {
    const auto settings = gather({{"token_file", path}});
    return access_token(*settings, *parse_listen(*settings));
  };
  EXPECT_EQ(token(write("token", "  t0ken\n")), "t0ken");
  EXPECT_THAT(token(write("empty", "\n")).error().message, HasSubstr("is empty"));
  EXPECT_THAT(token(folder / "missing").error().message, HasSubstr("token_file (flag --token-file) can't be read"));
}

TEST_F(SettingsTest, CheckConfigShowsOriginsAndHidesTheToken) {
  variables = {{"EBBTIDE_TOKEN", "hunter2"}};
  testing::internal::CaptureStdout();
  EXPECT_EQ(check_config(*gather({{"sweep", "9"}})), kDone);
  const auto shown = testing::internal::GetCapturedStdout();
  EXPECT_THAT(shown, AllOf(HasSubstr("********"), HasSubstr("(EBBTIDE_TOKEN)"), HasSubstr("(flag --sweep)"),
                           Not(HasSubstr("hunter2"))));
}

TEST_F(SettingsTest, CheckConfigRefusesWhatServeRefuses) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(check_config(*gather({{"listen", "0.0.0.0:8160"}})), kWrongSettings);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("a token is needed"));
}

TEST_F(SettingsTest, LogSettingsAreWords) {
  EXPECT_THAT(configure_log(*gather({{"log_format", "xml"}})).error().message,
              HasSubstr("log_format (flag --log-format) must be text or json"));
  EXPECT_THAT(configure_log(*gather({{"log_level", "loud"}})).error().message,
              HasSubstr("must be debug, info, warning or error"));
}

TEST_F(SettingsTest, AJsonLogIsOneObjectALine) {
  ASSERT_TRUE(configure_log(*gather({{"log_format", "json"}, {"log_level", "warning"}})));
  testing::internal::CaptureStderr();
  log_info("not shown");
  log_warning("fields", {{"text", "a\nb \"c\" {{d}} \x1b[0m"}, {"bytes", "\xff\xfe"}, {"time", "noon"}});
  log_error("none");
  const auto lines = lines_of(testing::internal::GetCapturedStderr());
  ASSERT_TRUE(configure_log(*gather()));
  ASSERT_EQ(lines.size(), 2U);
  for (const auto& line : lines) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(json.is_object()) << line;
    for (const auto* key : {"time", "level", "message"}) EXPECT_TRUE(json.contains(key)) << line;
  }
  EXPECT_EQ(nlohmann::json::parse(lines[0]).at("text"), "a\nb \"c\" {{d}} \x1b[0m");
  EXPECT_EQ(nlohmann::json::parse(lines[0]).at("level"), "warning");
}

// What a job writes must not move the cursor of whoever reads the log.
TEST_F(SettingsTest, ATextLogIsOneLineWithoutControlCharacters) {
  testing::internal::CaptureStderr();
  log_warning("fields", {{"text", "a\nb\r\x1b[2Jc"}, {"escape", "\x1b[2J"}, {"plain", "x"}});
  const auto log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(lines_of(log).size(), 1U);
  EXPECT_THAT(log, AllOf(Not(HasSubstr("\x1b")), HasSubstr("plain=x")));
}

TEST_F(SettingsTest, FoldersAreForTheirOwnerOnlyAndLocksAreHeldOnce) {
  const std::string path = folder / "state";
  ASSERT_TRUE(make_folder(path, "--state-dir"));
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
  EXPECT_THAT(make_folder("/proc/nothing", "--state-dir").error().message,
              HasSubstr("Choose another with --state-dir"));
  const auto lock = lock_file(path + "/lock");
  ASSERT_TRUE(lock);
  EXPECT_TRUE(is_locked(path + "/lock"));
  EXPECT_THAT(lock_file(path + "/lock").error().message, HasSubstr("another ebbtide"));
  EXPECT_FALSE(is_locked(path + "/none"));
}

}  // namespace
}  // namespace ebbtide::api
