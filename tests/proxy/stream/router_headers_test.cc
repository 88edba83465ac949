#include "proxy/stream/router_headers.h"

#include <gtest/gtest.h>

#include "filters/api/arena.h"
#include "filters/grpc_status.h"

namespace remora::proxy {
namespace {

class RouterHeadersTest : public ::testing::Test {
 protected:
  RouterHeadersTest() {
    request_.set_pseudo(HeaderId::kAuthority, "old.test:81");
    request_.set_pseudo(HeaderId::kPath, "/a/b?q=1");
  }

  xds::ForwardAction& action() { return std::get<xds::ForwardAction>(route_.action); }

  Arena arena_;
  Headers request_{&arena_};
  StreamInfo info_;
  xds::Route route_;
};

TEST_F(RouterHeadersTest, GrpcByContentType) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "application/grpc; x=1"}) {
    request_.Set(HeaderId::kContentType, type);
    EXPECT_TRUE(IsGrpcRequest(request_)) << type;
  }
  for (const char* type : {"application/grpc-web", "application/json", ""}) {
    request_.Set(HeaderId::kContentType, type);
    EXPECT_FALSE(IsGrpcRequest(request_)) << type;
  }
}

TEST_F(RouterHeadersTest, GrpcTimeoutUnits) {
  const std::pair<const char*, std::optional<int64_t>> cases[] = {
      {"1H", 3600000},     {"2M", 120000},        {"3S", 3000},        {"4m", 4},
      {"1u", 1},           {"1000001u", 1001},    {"5n", 1},           {"123456789m", std::nullopt},
      {"m", std::nullopt}, {"-1m", std::nullopt}, {"5x", std::nullopt}};
  for (const auto& [text, expected] : cases) {
    request_.Set(HeaderId::kGrpcTimeout, text);
    EXPECT_EQ(GrpcTimeoutMs(request_), expected) << text;
  }
}

TEST_F(RouterHeadersTest, TheExpectedTimeoutMayBeTheLimit) {
  request_.Add(HeaderId::kXEnvoyExpectedRqTimeoutMs, "300");
  EXPECT_EQ(ReadTimeouts(action(), nullptr, false, request_, false).global_ms, 15000);
  request_.Set(HeaderId::kXEnvoyExpectedRqTimeoutMs, "300");
  EXPECT_EQ(ReadTimeouts(action(), nullptr, true, request_, false).global_ms, 300);
}

TEST_F(RouterHeadersTest, TimeoutsOfRouteAndHeaders) {
  RequestTimeouts timeouts = ReadTimeouts(action(), request_, false);
  EXPECT_EQ(timeouts.global_ms, 15000);
  EXPECT_EQ(timeouts.status, 504);

  request_.Add(HeaderId::kXEnvoyUpstreamRqTimeoutMs, "700");
  request_.Add(HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs, "200");
  request_.Add(HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse, "1");
  timeouts = ReadTimeouts(action(), request_, false);
  EXPECT_EQ(timeouts.global_ms, 700);
  EXPECT_EQ(timeouts.per_try_ms, 200);
  EXPECT_EQ(timeouts.status, 204);
  EXPECT_FALSE(request_.Has(HeaderId::kXEnvoyUpstreamRqTimeoutMs));
  EXPECT_FALSE(request_.Has(HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs));
}

TEST_F(RouterHeadersTest, PerTryTimeoutBeyondTheWholeIsNone) {
  action().retry.emplace();
  action().retry->per_try_timeout = absl::Seconds(20);
  EXPECT_EQ(ReadTimeouts(action(), request_, false).per_try_ms, 0);
  action().timeout = absl::ZeroDuration();
  EXPECT_EQ(ReadTimeouts(action(), request_, false).per_try_ms, 20000);
}

TEST_F(RouterHeadersTest, GrpcTimeoutIsCappedAndShortened) {
  action().grpc_timeout.header_max = absl::Seconds(10);
  request_.Add(HeaderId::kGrpcTimeout, "60S");
  EXPECT_EQ(ReadTimeouts(action(), request_, true).global_ms, 10000);
  request_.Set(HeaderId::kGrpcTimeout, "5S");
  action().grpc_timeout.header_offset = absl::Seconds(1);
  EXPECT_EQ(ReadTimeouts(action(), request_, true).global_ms, 4000);
  request_.Set(HeaderId::kGrpcTimeout, "1S");
  EXPECT_EQ(ReadTimeouts(action(), request_, true).global_ms, 1000);
}

TEST_F(RouterHeadersTest, AStreamIsLimitedByTheRouteElseByTheConnection) {
  EXPECT_EQ(LimitStream(action(), std::nullopt, request_), std::nullopt);
  EXPECT_EQ(LimitStream(action(), absl::Seconds(2), request_), 2000);
  xds::StreamDuration& limit = action().stream_duration.emplace();
  EXPECT_EQ(LimitStream(action(), absl::Seconds(2), request_), 2000);
  limit.most = absl::Seconds(1);
  EXPECT_EQ(LimitStream(action(), absl::Seconds(2), request_), 1000);
  limit.most = absl::ZeroDuration();
  EXPECT_EQ(LimitStream(action(), absl::Seconds(2), request_), std::nullopt);
}

TEST_F(RouterHeadersTest, GrpcTimeoutLimitsAStreamWhereTheRouteSaysSo) {
  request_.Add(HeaderId::kGrpcTimeout, "60S");
  xds::StreamDuration& limit = action().stream_duration.emplace();
  limit.most = absl::Seconds(1);
  EXPECT_EQ(LimitStream(action(), std::nullopt, request_), 1000) << "the header does not count";
  EXPECT_EQ(request_.Value(HeaderId::kGrpcTimeout), "1000m") << "but hears of it";
  request_.Set(HeaderId::kGrpcTimeout, "60S");
  limit.grpc.header_max = absl::ZeroDuration();
  EXPECT_EQ(LimitStream(action(), std::nullopt, request_), 60000);
  limit.grpc.header_max = absl::Seconds(10);
  EXPECT_EQ(LimitStream(action(), std::nullopt, request_), 10000);
  limit.grpc.header_offset = absl::Seconds(3);
  EXPECT_EQ(LimitStream(action(), std::nullopt, request_), 7000);
  request_.Set(HeaderId::kGrpcTimeout, "2S");
  EXPECT_EQ(LimitStream(action(), std::nullopt, request_), 0) << "nothing is left";
  // The router's own timeout stays out of it.
  EXPECT_EQ(ReadTimeouts(action(), request_, true).global_ms, 15000);
}

TEST_F(RouterHeadersTest, ExpectedTimeoutShrinksWithTime) {
  RequestTimeouts timeouts;
  timeouts.global_ms = 1000;
  WriteTimeouts(timeouts, action(), 0, true, false, request_);
  EXPECT_EQ(request_.Value(HeaderId::kXEnvoyExpectedRqTimeoutMs), "1000");
  WriteTimeouts(timeouts, action(), 400, true, false, request_);
  EXPECT_EQ(request_.Value(HeaderId::kXEnvoyExpectedRqTimeoutMs), "600");
  WriteTimeouts(timeouts, action(), 2000, true, false, request_);
  EXPECT_EQ(request_.Value(HeaderId::kXEnvoyExpectedRqTimeoutMs), "1");
  timeouts.per_try_ms = 50;
  WriteTimeouts(timeouts, action(), 0, true, false, request_);
  EXPECT_EQ(request_.Value(HeaderId::kXEnvoyExpectedRqTimeoutMs), "50");
}

TEST_F(RouterHeadersTest, NoLimitSaysNothing) {
  WriteTimeouts(RequestTimeouts(), action(), 0, true, false, request_);
  EXPECT_FALSE(request_.Has(HeaderId::kXEnvoyExpectedRqTimeoutMs));
}

TEST_F(RouterHeadersTest, HostRewriteKeepsTheOriginal) {
  action().host_rewrite_literal = "new.test";
  action().append_x_forwarded_host = true;
  RewriteHost(action(), nullptr, info_, true, request_);
  EXPECT_EQ(request_.authority(), "new.test");
  EXPECT_EQ(request_.Value(HeaderId::kXEnvoyOriginalHost), "old.test:81");
  EXPECT_EQ(request_.Value(HeaderId::kXForwardedHost), "old.test:81");
}

TEST_F(RouterHeadersTest, HostFromWeightedClusterThenHeader) {
  xds::WeightedCluster weighted;
  weighted.host_rewrite = "w.test";
  action().host_rewrite_literal = "new.test";
  RewriteHost(action(), &weighted, info_, false, request_);
  EXPECT_EQ(request_.authority(), "w.test");
  EXPECT_FALSE(request_.Has(HeaderId::kXEnvoyOriginalHost));
  action().host_rewrite_literal.clear();
  action().host_rewrite_header = "x-host";
  RewriteHost(action(), nullptr, info_, false, request_);
  EXPECT_EQ(request_.authority(), "w.test");
  request_.Add("x-host", "h.test");
  RewriteHost(action(), nullptr, info_, false, request_);
  EXPECT_EQ(request_.authority(), "h.test");
}

TEST_F(RouterHeadersTest, RegexRewriteSparesTheQuery) {
  action().regex_rewrite.emplace(RegexSubstitution{*Regex::Compile("^/a/(.*)$"), "/z/\\1"});
  RewritePath(route_, info_, true, request_);
  EXPECT_EQ(request_.path(), "/z/b?q=1");
  EXPECT_EQ(request_.Value(HeaderId::kXEnvoyOriginalPath), "/a/b?q=1");
}

TEST_F(RouterHeadersTest, SchemeFromForwardedProtoOrTls) {
  EnsureScheme(false, request_);
  EXPECT_EQ(request_.scheme(), "http");
  Headers second(&arena_);
  second.Add(HeaderId::kXForwardedProto, "https");
  EnsureScheme(false, second);
  EXPECT_EQ(second.scheme(), "https");
}

}  // namespace
}  // namespace remora::proxy
