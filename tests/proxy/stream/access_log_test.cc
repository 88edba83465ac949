#include "proxy/stream/access_log.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "filters/api/headers.h"
#include "gtest/gtest.h"

namespace remora::proxy {
namespace {

using Filter = xds::AccessLogFilter;

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class AccessLogTest : public testing::Test {
 protected:
  AccessLogTest() {
    char name[] = "/tmp/remora_log_XXXXXX";
    dir_ = ::mkdtemp(name);
    block_ = stats_.Register("filesystem.", FileStatSchema());
    request_.Add("x-log", "1");
    info_.request_headers = &request_;
    info_.response_code = 503;
  }
  ~AccessLogTest() override {
    const std::string command = "rm -rf " + dir_;
    EXPECT_EQ(std::system(command.c_str()), 0);
  }

  xds::AccessLog FileLog(const std::string& name, const std::string& text) {
    xds::AccessLog config;
    config.sink = xds::AccessLog::Sink::kFile;
    config.path = dir_ + "/" + name;
    config.format.kind = xds::Format::Kind::kText;
    config.format.formatter = *Formatter::Parse(text);
    return config;
  }
  bool Passes(const Filter& filter) { return PassesLogFilter(filter, {info_}); }

  std::string dir_;
  Loop loop_;
  StatStore stats_;
  const StatBlock* block_;
  LogFiles files_;
  Arena arena_;
  Headers request_{&arena_};
  StreamInfo info_;
};

TEST_F(AccessLogTest, LinesWaitUntilTheyAreFlushed) {
  auto log = AccessLog::Make({FileLog("a.log", "%RESPONSE_CODE% %ACCESS_LOG_TYPE%\n")}, files_);
  ASSERT_TRUE(log.ok()) << log.status();
  LogWriter writer(&loop_, 10000, stats_.MainScope<FileStat>(block_));
  info_.access_log_type = LogMomentName(LogMoment::kDownstreamEnd);
  log->Log(info_, LogMoment::kDownstreamEnd, nullptr, 0, writer);
  EXPECT_EQ(Contents(dir_ + "/a.log"), "");
  EXPECT_EQ(stats_.Value("filesystem.write_total_buffered"), 18u);
  writer.Flush();
  EXPECT_EQ(Contents(dir_ + "/a.log"), "503 DownstreamEnd\n");
  EXPECT_EQ(stats_.Value("filesystem.write_total_buffered"), 0u);
  EXPECT_EQ(stats_.Value("filesystem.write_completed"), 1u);
}

TEST_F(AccessLogTest, LinesAreFlushedByTheTimer) {
  auto log = AccessLog::Make({FileLog("a.log", "x\n")}, files_);
  LogWriter writer(&loop_, 1, stats_.MainScope<FileStat>(block_));
  log->Log(info_, LogMoment::kDownstreamEnd, nullptr, 0, writer);
  while (stats_.Value("filesystem.flushed_by_timer") == 0) loop_.RunOnce(true);
  EXPECT_EQ(Contents(dir_ + "/a.log"), "x\n");
}

TEST_F(AccessLogTest, ManyLinesAreWrittenBeforeTheTimer) {
  auto log = AccessLog::Make({FileLog("a.log", "0123456789012345678901234567890\n")}, files_);
  LogWriter writer(&loop_, 10000, stats_.MainScope<FileStat>(block_));
  for (int i = 0; i < 2048; ++i) {
    log->Log(info_, LogMoment::kDownstreamEnd, nullptr, 0, writer);
  }
  EXPECT_EQ(Contents(dir_ + "/a.log").size(), 65536u);
}

TEST_F(AccessLogTest, AfterRotationLinesGoToTheNewFile) {
  auto log = AccessLog::Make({FileLog("a.log", "x\n")}, files_);
  LogWriter writer(&loop_, 10000, stats_.MainScope<FileStat>(block_));
  log->Log(info_, LogMoment::kDownstreamEnd, nullptr, 0, writer);
  writer.Flush();
  ASSERT_EQ(std::rename((dir_ + "/a.log").c_str(), (dir_ + "/old.log").c_str()), 0);
  EXPECT_EQ(files_.Reopen(), 0u);
  log->Log(info_, LogMoment::kDownstreamEnd, nullptr, 0, writer);
  writer.Flush();
  EXPECT_EQ(Contents(dir_ + "/old.log"), "x\n");
  EXPECT_EQ(Contents(dir_ + "/a.log"), "x\n");
}

TEST_F(AccessLogTest, OneFileForOnePath) {
  auto first = files_.Open(dir_ + "/a.log");
  auto second = files_.Open(dir_ + "/a.log");
  EXPECT_EQ(first->get(), second->get());
  EXPECT_FALSE(files_.Open(dir_ + "/no/such/dir").ok());
}

TEST_F(AccessLogTest, UnknownSinksAreRefusedByName) {
  xds::AccessLog config;
  config.name = "grpc";
  config.extension.type_url = "type.googleapis.com/some.Sink";
  EXPECT_EQ(AccessLog::Make({config}, files_).status().message(),
            "access log 'grpc' of type some.Sink is not supported");
}

TEST_F(AccessLogTest, StatusAndDurationFilters) {
  Filter filter;
  filter.kind = Filter::Kind::kStatusCode;
  filter.op = Filter::Op::kGe;
  filter.value = 500;
  EXPECT_TRUE(Passes(filter));
  info_.response_code = 499;
  EXPECT_FALSE(Passes(filter));
  filter.op = Filter::Op::kNe;
  EXPECT_TRUE(Passes(filter));
  filter.kind = Filter::Kind::kDuration;
  filter.op = Filter::Op::kLe;
  filter.value = 10;
  info_.timing.start_ns = 1;
  info_.timing.end_ns = 10000001;
  EXPECT_TRUE(Passes(filter));
  info_.timing.end_ns = 11000001;
  EXPECT_FALSE(Passes(filter));
}

TEST_F(AccessLogTest, FlagFilters) {
  Filter any;
  any.kind = Filter::Kind::kResponseFlag;
  Filter some = any;
  some.names = {"UF", "NR"};
  EXPECT_FALSE(Passes(any));
  info_.flags.Add(ResponseFlag::kUpstreamOverflow);
  EXPECT_TRUE(Passes(any));
  EXPECT_FALSE(Passes(some));
  info_.flags.Add(ResponseFlag::kNoRouteFound);
  EXPECT_TRUE(Passes(some));
}

TEST_F(AccessLogTest, CombinedFilters) {
  Filter no;
  no.kind = Filter::Kind::kNotHealthCheck;
  info_.health_check = true;
  Filter yes;
  yes.kind = Filter::Kind::kStatusCode;
  yes.value = 503;
  Filter both;
  both.kind = Filter::Kind::kAnd;
  both.children = {yes, no};
  EXPECT_FALSE(Passes(both));
  both.kind = Filter::Kind::kOr;
  EXPECT_TRUE(Passes(both));
}

TEST_F(AccessLogTest, RuntimeFiltersFollowTheRequestId) {
  Filter filter;
  filter.kind = Filter::Kind::kRuntime;
  filter.fraction = {50, 100};
  info_.request_id = "00000031-0000-4000-8000-000000000000";  // 49
  EXPECT_TRUE(Passes(filter));
  info_.request_id = "00000032-0000-4000-8000-000000000000";  // 50
  EXPECT_FALSE(Passes(filter));
}

TEST_F(AccessLogTest, GrpcStatusFilters) {
  Filter filter;
  filter.kind = Filter::Kind::kGrpcStatus;
  filter.codes = {14};
  EXPECT_TRUE(Passes(filter));  // 503 stands for UNAVAILABLE
  filter.exclude = true;
  EXPECT_FALSE(Passes(filter));
}

}  // namespace
}  // namespace remora::proxy
