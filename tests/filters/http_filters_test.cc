#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "envoy/extensions/filters/http/buffer/v3/buffer.pb.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "filters/api/cluster_health.h"
#include "filters/registry.h"
#include "filters/token_bucket.h"
#include "tests/support/filters/filter_harness.h"

namespace remora {
namespace {

using testing::FilterHarness;
namespace http = envoy::extensions::filters::http;

template <typename Proto>
std::string Serialized(const std::string& text) {
  Proto proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto.SerializeAsString();
}

template <typename Proto>
std::string Name() {
  return Proto::descriptor()->full_name();
}

template <typename Proto>
struct Harness : FilterHarness {
  explicit Harness(const std::string& text = "")
      : FilterHarness(Name<Proto>(), Serialized<Proto>(text)) {}
};

TEST(RegistryTest, UnknownTypesAreRefusedByName) {
  EXPECT_EQ(MakeHttpFilter("mine", "type.googleapis.com/some.Filter", "").status().message(),
            "Didn't find a registered implementation for 'mine' with type URL: 'some.Filter'");
  EXPECT_NE(FindHttpFilter("type.googleapis.com/" + Name<http::cors::v3::Cors>()), nullptr);
  EXPECT_NE(FindHttpFilterByRouteType(Name<http::cors::v3::CorsPolicy>()), nullptr);
  EXPECT_EQ(FindHttpFilterByRouteType(""), nullptr);
}

class CorsTest : public ::testing::Test {
 protected:
  void Allow() {
    harness_.AddRouteConfig(Name<http::cors::v3::CorsPolicy>(),
                            Serialized<http::cors::v3::CorsPolicy>(R"(
      allow_origin_string_match { exact: "https://a.com" }
      allow_origin_string_match { suffix: ".b.com" }
      allow_methods: "GET,POST" allow_headers: "x-h" expose_headers: "x-e" max_age: "99"
      allow_credentials { value: true })"));
  }
  Harness<http::cors::v3::Cors> harness_;
};

TEST_F(CorsTest, AnAllowedOriginMayReadTheResponse) {
  Allow();
  harness_.request.Add("origin", "https://x.b.com");
  EXPECT_EQ(harness_.Request(), Verdict::kContinue);
  harness_.Response();
  EXPECT_EQ(harness_.Value(harness_.response, "access-control-allow-origin"), "https://x.b.com");
  EXPECT_EQ(harness_.Value(harness_.response, "access-control-allow-credentials"), "true");
  EXPECT_EQ(harness_.Value(harness_.response, "access-control-expose-headers"), "x-e");
  EXPECT_EQ(harness_.Stat("origin_valid"), 1u);
}

TEST_F(CorsTest, AnotherOriginGetsNothing) {
  Allow();
  harness_.request.Add("origin", "https://evil.com");
  EXPECT_EQ(harness_.Request(), Verdict::kContinue);
  harness_.Response();
  EXPECT_EQ(harness_.Value(harness_.response, "access-control-allow-origin"), "(none)");
  EXPECT_EQ(harness_.Stat("origin_invalid"), 1u);
}

TEST_F(CorsTest, PreflightsAreAnswered) {
  Allow();
  harness_.request.set_pseudo(HeaderId::kMethod, "OPTIONS");
  harness_.request.Add("origin", "https://a.com");
  harness_.request.Add("access-control-request-method", "GET");
  EXPECT_EQ(harness_.Request(), Verdict::kReplied);
  EXPECT_EQ(harness_.reply_status, 200);
  EXPECT_EQ(harness_.Value(harness_.response, "access-control-allow-methods"), "GET,POST");
  EXPECT_EQ(harness_.Value(harness_.response, "access-control-max-age"), "99");
}

TEST_F(CorsTest, WithoutPolicyItIsOff) {
  harness_.request.Add("origin", "https://a.com");
  EXPECT_EQ(harness_.Request(), Verdict::kContinue);
  harness_.Response();
  EXPECT_EQ(harness_.Value(harness_.response, "access-control-allow-origin"), "(none)");
}

using HeaderMutation = http::header_mutation::v3::HeaderMutation;
using HeaderMutationPerRoute = http::header_mutation::v3::HeaderMutationPerRoute;

std::string Append(const std::string& value) {
  return "mutations { request_mutations { append { header { key: \"x\" value: \"" + value +
         "\" } } } }";
}

TEST(HeaderMutationTest, TheLeastSpecificLevelComesLast) {
  Harness<HeaderMutation> harness(Append("filter"));
  harness.AddRouteConfig(Name<HeaderMutationPerRoute>(),
                         Serialized<HeaderMutationPerRoute>(Append("vhost")));
  harness.AddRouteConfig(Name<HeaderMutationPerRoute>(),
                         Serialized<HeaderMutationPerRoute>(Append("route")));
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Value(harness.request, "x"), "filter,route,vhost");
}

TEST(HeaderMutationTest, ActionsAndRemovals) {
  Harness<HeaderMutation> harness(R"(mutations {
    response_mutations { remove: "gone" }
    response_mutations { append { header { key: "set" value: "%RESPONSE_CODE%" }
                                  append_action: OVERWRITE_IF_EXISTS_OR_ADD } }
    response_mutations { append { header { key: "absent" value: "new" }
                                  append_action: ADD_IF_ABSENT } }
    response_mutations { append { header { key: "none" value: "new" }
                                  append_action: OVERWRITE_IF_EXISTS } }
    response_mutations { remove_on_match { key_matcher { prefix: "x-" } } } })");
  harness.response.Add("gone", "1");
  harness.response.Add("set", "old");
  harness.response.Add("absent", "old");
  harness.response.Add("x-a", "1");
  harness.info().response_code = 204;
  harness.Response();
  EXPECT_EQ(harness.Value(harness.response, "gone"), "(none)");
  EXPECT_EQ(harness.Value(harness.response, "set"), "204");
  EXPECT_EQ(harness.Value(harness.response, "absent"), "old");
  EXPECT_EQ(harness.Value(harness.response, "none"), "(none)");
  EXPECT_EQ(harness.Value(harness.response, "x-a"), "(none)");
}

using Fault = http::fault::v3::HTTPFault;

TEST(FaultTest, AbortsByShareAndHeader) {
  Harness<Fault> harness(R"(abort { http_status: 418 percentage { numerator: 50 } }
                            headers { name: "x-fault" present_match: true })");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  harness.request.Add("x-fault", "1");
  harness.random_number = 50;
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  harness.random_number = 49;
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 418);
  EXPECT_EQ(harness.reply_body, "fault filter abort");
  EXPECT_TRUE(harness.info().flags.Has(ResponseFlag::kFaultInjected));
  EXPECT_EQ(harness.Stat("aborts_injected"), 1u);
}

TEST(FaultTest, DelaysThenGoesOn) {
  Harness<Fault> harness("delay { fixed_delay { nanos: 5000000 } percentage { numerator: 100 } }");
  EXPECT_EQ(harness.Request(), Verdict::kPause);
  EXPECT_EQ(harness.timer, 5000000);
  EXPECT_EQ(harness.Stat("active_faults"), 1u);
  harness.filter->OnTimer();
  EXPECT_EQ(harness.resumed, 1);
  EXPECT_EQ(harness.Stat("active_faults"), 0u);
  EXPECT_EQ(harness.Stat("delays_injected"), 1u);
}

TEST(FaultTest, NotMoreAtOnceThanAllowed) {
  Harness<Fault> harness(R"(delay { fixed_delay { seconds: 1 } percentage { numerator: 100 } }
                            max_active_faults { value: 0 })");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Stat("faults_overflow"), 1u);
}

TEST(FaultTest, HeadersMayAskForFaultsWhereConfigured) {
  Harness<Fault> harness("abort { header_abort {} percentage { numerator: 100 } }");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  harness.request.Add("x-envoy-fault-abort-request", "599");
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 599);
}

TEST(FaultTest, OtherClustersAreLeftAlone) {
  Harness<Fault> harness(R"(abort { http_status: 500 percentage { numerator: 100 } }
                            upstream_cluster: "c")");
  harness.cluster = "other";
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  harness.cluster = "c";
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
}

TEST(FaultTest, RateLimitsAreRefused) {
  const auto made = MakeHttpFilter("f", Name<Fault>(), Serialized<Fault>(R"(response_rate_limit {
      fixed_limit { limit_kbps: 1 } percentage { numerator: 100 } })"));
  EXPECT_EQ(made.status().message(), "fault: response_rate_limit is not supported");
}

using BufferConfig = http::buffer::v3::Buffer;

TEST(BufferTest, HoldsUntilTheEndAndTellsTheLength) {
  Harness<BufferConfig> harness("max_request_bytes { value: 10 }");
  EXPECT_EQ(harness.Request(/*end=*/false), Verdict::kBuffer);
  EXPECT_EQ(harness.buffer_limit, 10u);
  EXPECT_EQ(harness.RequestBody("abc", false), Verdict::kBuffer);
  EXPECT_EQ(harness.RequestBody("de", true), Verdict::kContinue);
  EXPECT_EQ(harness.Value(harness.request, "content-length"), "5");
}

TEST(BufferTest, MayBeOffForARoute) {
  Harness<BufferConfig> harness("max_request_bytes { value: 10 }");
  harness.AddRouteConfig(Name<http::buffer::v3::BufferPerRoute>(),
                         Serialized<http::buffer::v3::BufferPerRoute>("disabled: true"));
  EXPECT_EQ(harness.Request(/*end=*/false), Verdict::kContinue);
}

using HealthCheck = http::health_check::v3::HealthCheck;
constexpr char kPath[] = "headers { name: \":path\" string_match { exact: \"/hz\" } } ";

TEST(HealthCheckTest, AnswersByItself) {
  Harness<HealthCheck> harness(std::string(kPath) + "pass_through_mode { value: false }");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  harness.request.set_pseudo(HeaderId::kPath, "/hz");
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 200);
  EXPECT_TRUE(harness.info().health_check);
  harness.failing = true;
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 503);
  EXPECT_EQ(harness.reply_details, "health_check_failed");
  EXPECT_TRUE(harness.info().flags.Has(ResponseFlag::kFailedLocalHealthCheck));
  harness.Response();
  EXPECT_EQ(harness.Value(harness.response, "x-envoy-immediate-health-check-fail"), "true");
  EXPECT_EQ(harness.Value(harness.response, "x-envoy-upstream-healthchecked-cluster"), "us");
}

struct HarnessWithHosts : Harness<HealthCheck>, ClusterHealth {
  using Harness<HealthCheck>::Harness;
  std::optional<Hosts> HostsOf(absl::string_view name) const override {
    return name == "c" ? std::optional<Hosts>(hosts) : std::nullopt;
  }
  Hosts hosts{4, 2};
};

TEST(HealthCheckTest, SpeaksForItsClusters) {
  HarnessWithHosts harness(std::string(kPath) + R"(pass_through_mode { value: false }
      cluster_min_healthy_percentages { key: "c" value { value: 50 } })");
  harness.request.set_pseudo(HeaderId::kPath, "/hz");
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 200);
  harness.hosts = {4, 1};
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 503);
  EXPECT_EQ(harness.reply_details, "health_check_failed_cluster_unhealthy");
  harness.hosts = {0, 0};
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_details, "health_check_failed_cluster_empty");
}

TEST(HealthCheckTest, RemembersTheUpstreamsAnswerForAWhile) {
  Harness<HealthCheck> harness(std::string(kPath) +
                               "pass_through_mode { value: true } cache_time { seconds: 1 }");
  harness.request.set_pseudo(HeaderId::kPath, "/hz");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  harness.response.set_status(404);
  harness.Response();
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 404);
  harness.now += 1000000000;
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
}

using LocalRateLimit = http::local_ratelimit::v3::LocalRateLimit;
constexpr char kTwoTokens[] = R"(stat_prefix: "rl"
    token_bucket { max_tokens: 2 tokens_per_fill { value: 2 } fill_interval { seconds: 60 } }
    filter_enabled { default_value { numerator: 100 } }
    response_headers_to_add { header { key: "x-limited" value: "yes" } }
    request_headers_to_add_when_not_enforced { header { key: "x-over" value: "yes" } } )";

TEST(LocalRateLimitTest, RefusesWhatIsTooMuch) {
  Harness<LocalRateLimit> harness(std::string(kTwoTokens) +
                                  "filter_enforced { default_value { numerator: 100 } }");
  EXPECT_EQ(harness.factory->stat_prefix(), ".rl.http_local_rate_limit.");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 429);
  EXPECT_EQ(harness.Value(harness.response, "x-limited"), "yes");
  EXPECT_TRUE(harness.info().flags.Has(ResponseFlag::kRateLimited));
  EXPECT_EQ(harness.Stat("ok"), 2u);
  EXPECT_EQ(harness.Stat("enforced"), 1u);
  harness.now += 30000000000;
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
}

TEST(LocalRateLimitTest, MayOnlyCount) {
  Harness<LocalRateLimit> harness(kTwoTokens);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Value(harness.request, "x-over"), "yes");
  EXPECT_EQ(harness.Stat("rate_limited"), 1u);
  EXPECT_EQ(harness.Stat("enforced"), 0u);
}

TEST(LocalRateLimitTest, FillsThatAreTooShortAreRefused) {
  const auto made = MakeHttpFilter(
      "f", Name<LocalRateLimit>(),
      Serialized<LocalRateLimit>("token_bucket { max_tokens: 1 fill_interval { nanos: 1 } }"));
  EXPECT_EQ(made.status().message(), "local rate limit token bucket fill timer must be >= 50ms");
}

TEST(TokenBucketTest, FillsSteadilyUpToItsDepth) {
  TokenBucket bucket(3, 1, 10);
  EXPECT_EQ(bucket.Tokens(1000), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(1000));
  EXPECT_FALSE(bucket.Take(1000));
  EXPECT_FALSE(bucket.Take(1009));
  EXPECT_TRUE(bucket.Take(1010));
  EXPECT_EQ(bucket.Tokens(1000000), 3u);
}

}  // namespace
}  // namespace remora
