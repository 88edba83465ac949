#include "proxy/base/log.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace remora::proxy {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class LogTest : public ::testing::Test {
 protected:
  LogTest() : path_(absl::StrCat(::testing::TempDir(), "log_test.", getpid())) {
    unlink(path_.c_str());
  }
  ~LogTest() override {
    unlink(path_.c_str());
    for (LogComponent* component : LogComponent::All()) component->set_level(LogLevel::kInfo);
  }
  std::string Text() const {
    std::ifstream file(path_);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string path_;
};

TEST_F(LogTest, LinesLookLikeEnvoys) {
  LogSettings settings;
  settings.path = path_;
  ASSERT_TRUE(StartLog(settings).ok());
  REMORA_LOG(kInfo, "main", "hello");
  REMORA_LOG(kDebug, "main", "not this");
  EXPECT_THAT(
      Text(),
      MatchesRegex("\\[20[0-9][0-9]-[0-9-]+ [0-9:]+\\.[0-9]+\\]\\[[0-9]+\\]\\[info\\]\\[main\\] "
                   "\\[tests/proxy/base/log_test.cc:[0-9]+\\] hello\n"));
}

TEST_F(LogTest, LevelsByComponent) {
  LogSettings settings;
  settings.path = path_;
  settings.level = "warning";
  settings.component_levels = {{"upstream", "trace"}};
  ASSERT_TRUE(StartLog(settings).ok());
  REMORA_LOG(kInfo, "main", "hidden");
  REMORA_LOG(kTrace, "upstream", "shown");
  REMORA_LOG(kError, "main", "broken");
  EXPECT_THAT(Text(), HasSubstr("shown"));
  EXPECT_THAT(Text(), HasSubstr("[error][main]"));
  EXPECT_THAT(Text(), Not(HasSubstr("hidden")));
}

TEST_F(LogTest, FormatAndEscapes) {
  LogSettings settings;
  settings.path = path_;
  settings.format = "%l|%n|%j|%v";
  settings.escape = false;
  ASSERT_TRUE(StartLog(settings).ok());
  REMORA_LOG(kInfo, "config", "a\"b\nc");
  EXPECT_EQ(Text(), "info|config|a\\\"b\\nc|a\"b\nc\n");
  settings.escape = true;
  settings.format = "%v";
  ASSERT_TRUE(StartLog(settings).ok());
  REMORA_LOG(kInfo, "config", "x\ny");
  EXPECT_THAT(Text(), HasSubstr("x\\ny\n"));
}

TEST_F(LogTest, ARotatedFileIsOpenedAnew) {
  LogSettings settings;
  settings.path = path_;
  settings.format = "%v";
  ASSERT_TRUE(StartLog(settings).ok());
  REMORA_LOG(kInfo, "main", "old");
  rename(path_.c_str(), (path_ + ".1").c_str());
  ReopenLog();
  REMORA_LOG(kInfo, "main", "new");
  EXPECT_EQ(Text(), "new\n");
  unlink((path_ + ".1").c_str());
}

TEST_F(LogTest, RefusesWhatDoesNotExist) {
  LogSettings settings;
  settings.level = "loud";
  EXPECT_THAT(std::string(StartLog(settings).message()), HasSubstr("loud"));
  settings.level = "info";
  settings.component_levels = {{"kitchen", "info"}};
  EXPECT_THAT(std::string(StartLog(settings).message()),
              HasSubstr("invalid component specified 'kitchen'"));
  settings.component_levels.clear();
  settings.path = "/nonexistent/folder/x.log";
  EXPECT_FALSE(StartLog(settings).ok());
}

}  // namespace
}  // namespace remora::proxy
