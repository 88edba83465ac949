#include <gtest/gtest.h>

#include <string>

#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/common/matching/v3/extension_matcher.pb.h"
#include "envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency.pb.h"
#include "envoy/extensions/filters/http/admission_control/v3/admission_control.pb.h"
#include "envoy/extensions/filters/http/bandwidth_limit/v3/bandwidth_limit.pb.h"
#include "envoy/extensions/filters/http/composite/v3/composite.pb.h"
#include "envoy/extensions/filters/http/custom_response/v3/custom_response.pb.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "envoy/extensions/filters/http/ratelimit/v3/rate_limit.pb.h"
#include "envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.pb.h"
#include "envoy/extensions/filters/http/stateful_session/v3/stateful_session.pb.h"
#include "envoy/extensions/http/custom_response/local_response_policy/v3/local_response_policy.pb.h"
#include "envoy/extensions/http/stateful_session/cookie/v3/cookie.pb.h"
#include "envoy/extensions/http/stateful_session/header/v3/header.pb.h"
#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "envoy/type/matcher/v3/http_inputs.pb.h"
#include "envoy/type/matcher/v3/status_code_input.pb.h"
#include "filters/rate_limits.h"
#include "tests/support/filters/typed_harness.h"

namespace remora {
namespace {

namespace http = envoy::extensions::filters::http;
using testing::Serialized;
using testing::TypedHarness;

// A typed configuration inside another one, as text.
template <typename Proto>
std::string Any(const std::string& text) {
  return "[type.googleapis.com/" + Proto::descriptor()->full_name() + "] {" + text + "}";
}

TEST(SetFilterStateTest, EveryLevelNotes) {
  using Config = http::set_filter_state::v3::Config;
  const auto value = [](const std::string& key, const std::string& text) {
    return "on_request_headers { object_key: \"" + key +
           "\" factory_key: \"envoy.string\" format_string { text_format_source { "
           "inline_string: \"" +
           text + "\" } } }";
  };
  TypedHarness<Config> harness(value("k", "%REQ(x-a)%") + value("l", "own"));
  harness.AddRouteConfig(Config::descriptor()->full_name(),
                         Serialized<Config>(value("l", "route") + "clear_route_cache: true"));
  harness.request.Add("x-a", "v");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.state.texts["k"], "v");
  EXPECT_EQ(harness.state.texts["l"], "route");
  EXPECT_EQ(harness.cleared, 1);
}

class RateLimitsTest : public ::testing::Test {
 protected:
  std::string Describe(const std::string& text) {
    envoy::config::route::v3::VirtualHost host;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("rate_limits {" + text + "}", &host));
    auto limits = RateLimits::Parse(host.rate_limits());
    EXPECT_TRUE(limits.ok()) << limits.status();
    std::vector<RateLimitDescriptor> found;
    (*limits)->Describe(0, false, harness_, harness_.request, &found);
    std::string out;
    for (const RateLimitDescriptor& descriptor : found) {
      for (const auto& [key, value] : descriptor.entries) out += key + "=" + value + " ";
      if (descriptor.hits) out += "hits " + std::to_string(*descriptor.hits) + " ";
      if (descriptor.limit_unit != 0) {
        out += std::to_string(descriptor.limit_requests) + " a unit " +
               std::to_string(descriptor.limit_unit) + " ";
      }
    }
    return out;
  }
  TypedHarness<http::set_filter_state::v3::Config> harness_;
};

TEST_F(RateLimitsTest, EntriesOfARequest) {
  harness_.request.Add("x-h", "v");
  harness_.request.set_pseudo(HeaderId::kPath, "/p?q=1");
  harness_.cluster = "c";
  harness_.info().remote = *Address::FromIp("10.1.2.3", 80);
  EXPECT_EQ(Describe("actions { source_cluster {} } actions { destination_cluster {} }"),
            "source_cluster=us destination_cluster=c ");
  EXPECT_EQ(Describe(R"(actions { request_headers { header_name: "X-H" descriptor_key: "h" } }
                        actions { generic_key { descriptor_value: "g" } })"),
            "h=v generic_key=g ");
  EXPECT_EQ(Describe(R"(actions { request_headers { header_name: "x-no" descriptor_key: "h" } })"),
            "")
      << "without the header there is no descriptor";
  EXPECT_EQ(Describe(R"(actions { request_headers { header_name: "x-no" descriptor_key: "h"
                                                    skip_if_absent: true } }
                        actions { remote_address {} })"),
            "remote_address=10.1.2.3 ");
  EXPECT_EQ(Describe("actions { masked_remote_address { v4_prefix_mask_len { value: 16 } } }"),
            "masked_remote_address=10.1.0.0/16 ");
  EXPECT_EQ(Describe(R"(actions { query_parameters { query_parameter_name: "q"
                                                     descriptor_key: "k" } })"),
            "k=1 ");
  EXPECT_EQ(Describe(R"(actions { header_value_match { descriptor_value: "m" headers {
                            name: "x-h" string_match { exact: "v" } } } })"),
            "header_match=m ");
  EXPECT_EQ(Describe(R"(actions { header_value_match { descriptor_value: "m"
                            expect_match { value: false } headers {
                            name: "x-h" string_match { exact: "v" } } } })"),
            "");
}

TEST_F(RateLimitsTest, MetadataHitsAndLimits) {
  MetadataValue::Fields fields;
  fields["k"] = "v";
  MetadataValue::Fields limit;
  limit["requests_per_unit"] = 42.0;
  limit["unit"] = "HOUR";
  fields["l"] = limit;
  harness_.metadata.namespaces["ns"] = fields;
  harness_.request.Add("x-n", "7");
  EXPECT_EQ(Describe(R"(actions { metadata { descriptor_key: "d" metadata_key {
                            key: "ns" path { key: "k" } } } }
                        hits_addend { format: "%REQ(x-n)%" }
                        limit { dynamic_metadata { metadata_key { key: "ns" path { key: "l" } } } })"),
            "d=v hits 7 42 a unit 3 ");
  EXPECT_EQ(Describe(R"(stage { value: 1 } actions { remote_address {} })"), "");
}

using RateLimit = TypedHarness<http::ratelimit::v3::RateLimit>;

class RateLimitFilterTest : public ::testing::Test {
 protected:
  std::unique_ptr<RateLimit> Make(const std::string& text = "") {
    auto out = std::make_unique<RateLimit>(R"(domain: "d" rate_limit_service { grpc_service {
        envoy_grpc { cluster_name: "rl" } } }
        rate_limits { actions { generic_key { descriptor_value: "g" } } })" +
                                           text);
    out->cluster_prefix = "cluster.c.";
    return out;
  }
  void Answer(RateLimit& harness, const std::string& text) {
    const std::string message = Serialized<envoy::service::ratelimit::v3::RateLimitResponse>(text);
    auto done = harness.grpc_done;
    done({0, "", message});
  }
};

TEST_F(RateLimitFilterTest, WhatTheServiceIsAskedAndAConsent) {
  auto harness = Make("enable_x_ratelimit_headers: DRAFT_VERSION_03");
  EXPECT_EQ(harness->Request(), Verdict::kPause);
  envoy::service::ratelimit::v3::RateLimitRequest asked;
  ASSERT_TRUE(asked.ParseFromString(harness->call_body));
  EXPECT_EQ(asked.domain(), "d");
  EXPECT_EQ(asked.descriptors(0).entries(0).value(), "g");
  EXPECT_EQ(harness->call_timeout_ms, 20);
  Answer(*harness, R"(overall_code: OK
      statuses { code: OK limit_remaining: 7 duration_until_reset { seconds: 30 }
                 current_limit { requests_per_unit: 10 unit: MINUTE name: "n" } }
      request_headers_to_add { key: "X-Q" value: "q" }
      response_headers_to_add { key: "X-R" value: "r" })");
  EXPECT_EQ(harness->resumed, 1);
  EXPECT_EQ(harness->Value(harness->request, "x-q"), "q");
  harness->ResponseHeaders();
  EXPECT_EQ(harness->Value(harness->response, "x-r"), "r");
  EXPECT_EQ(harness->Value(harness->response, "x-ratelimit-limit"), "10, 10;w=60;name=\"n\"");
  EXPECT_EQ(harness->Value(harness->response, "x-ratelimit-reset"), "30");
  EXPECT_EQ(harness->cluster_counts[ClusterCount::kRateLimitOk], 1);
}

TEST_F(RateLimitFilterTest, OverTheLimit) {
  auto harness = Make("rate_limited_as_resource_exhausted: true enable_retry_after_header: true");
  harness->Request();
  Answer(*harness, R"(overall_code: OVER_LIMIT raw_body: "stop"
      statuses { code: OVER_LIMIT duration_until_reset { seconds: 9 } })");
  EXPECT_EQ(harness->reply_status, 429);
  EXPECT_EQ(harness->reply_body, "stop");
  EXPECT_EQ(harness->reply_details, "request_rate_limited");
  EXPECT_EQ(harness->reply_grpc, 8);
  EXPECT_EQ(harness->Value(harness->response, "x-envoy-ratelimited"), "true");
  EXPECT_EQ(harness->Value(harness->response, "retry-after"), "9");
  EXPECT_TRUE(harness->info().flags.Has(ResponseFlag::kRateLimited));
  EXPECT_EQ(harness->charged, std::vector<int>{429});
}

TEST_F(RateLimitFilterTest, AServiceThatFails) {
  for (const bool denies : {false, true}) {
    auto harness = Make(denies ? "failure_mode_deny: true" : "");
    harness->Request();
    auto done = harness->grpc_done;
    done({14, "gone", ""});
    EXPECT_EQ(harness->resumed, denies ? 0 : 1);
    EXPECT_EQ(harness->replies, denies ? 1 : 0);
    EXPECT_EQ(harness->info().flags.Has(ResponseFlag::kRateLimitServiceError), denies);
    EXPECT_EQ(harness->cluster_counts[ClusterCount::kRateLimitFailureModeAllowed], denies ? 0 : 1);
  }
}

TEST_F(RateLimitFilterTest, ARequestToNoClusterIsNotAsked) {
  auto harness = Make();
  harness->cluster_prefix = "";
  EXPECT_EQ(harness->Request(), Verdict::kContinue);
}

using LocalLimit = TypedHarness<http::local_ratelimit::v3::LocalRateLimit>;

TEST(LocalLimitTest, DescriptorsHaveBucketsOfTheirOwn) {
  LocalLimit harness(R"(stat_prefix: "s"
      filter_enabled { default_value { numerator: 100 } }
      filter_enforced { default_value { numerator: 100 } }
      enable_x_ratelimit_headers: DRAFT_VERSION_03
      token_bucket { max_tokens: 10 fill_interval { seconds: 1000 } }
      rate_limits { actions { request_headers { header_name: "x-h" descriptor_key: "h" } } }
      descriptors { entries { key: "h" value: "a" }
                    token_bucket { max_tokens: 1 fill_interval { seconds: 1000 } } }
      descriptors { entries { key: "h" value: "" }
                    token_bucket { max_tokens: 1 fill_interval { seconds: 1000 } } })");
  const auto ask = [&](const char* value) {
    harness.request.Set("x-h", value);
    return harness.Request();
  };
  EXPECT_EQ(ask("b"), Verdict::kContinue);
  EXPECT_EQ(ask("c"), Verdict::kContinue) << "each value has its own";
  EXPECT_EQ(ask("b"), Verdict::kReplied);
  EXPECT_EQ(harness.Value(harness.response, "x-ratelimit-limit"), "1");
  EXPECT_EQ(harness.Value(harness.response, "x-ratelimit-remaining"), "0");
  EXPECT_EQ(harness.Value(harness.response, "x-ratelimit-reset"), "1000");
  EXPECT_EQ(harness.Stat("ok"), 2u);
}

TEST(LocalLimitTest, AShadowedLimitOnlyCounts) {
  LocalLimit harness(R"(stat_prefix: "s"
      filter_enabled { default_value { numerator: 100 } }
      filter_enforced { default_value { numerator: 100 } }
      rate_limits { actions { generic_key { descriptor_value: "g" } } }
      descriptors { entries { key: "generic_key" value: "g" } shadow_mode: true
                    token_bucket { max_tokens: 1 fill_interval { seconds: 1000 } } })");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Stat("shadow_mode"), 1u);
  EXPECT_EQ(harness.Stat("rate_limited"), 1u);
}

TEST(LocalLimitTest, EachConnectionItsOwnBucket) {
  LocalLimit harness(R"(stat_prefix: "s" local_rate_limit_per_downstream_connection: true
      filter_enabled { default_value { numerator: 100 } }
      filter_enforced { default_value { numerator: 100 } }
      token_bucket { max_tokens: 1 fill_interval { seconds: 1000 } })");
  ConnectionInfo one;
  one.id = 1;
  ConnectionInfo two;
  two.id = 2;
  harness.info().downstream = &one;
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  harness.info().downstream = &two;
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  harness.info().downstream = nullptr;
}

using Session = TypedHarness<http::stateful_session::v3::StatefulSession>;
namespace session = envoy::extensions::http::stateful_session;

TEST(StatefulSessionTest, AHeaderNamesTheHost) {
  Session harness("strict: true session_state { name: \"h\" typed_config {" +
                  Any<session::header::v3::HeaderBasedSessionState>("name: \"X-S\"") + "} }");
  harness.request.Add("x-s", "MTI3LjAuMC4xOjE=");
  harness.Request();
  EXPECT_EQ(harness.named_host, "127.0.0.1:1");
  EXPECT_TRUE(harness.named_strict);
  harness.info().upstream_host = "127.0.0.1:2";
  harness.ResponseHeaders();
  EXPECT_EQ(harness.Value(harness.response, "x-s"), "MTI3LjAuMC4xOjI=");
}

TEST(StatefulSessionTest, ACookieComesBackWithTheHost) {
  const std::string config = "stat_prefix: \"p\" session_state { name: \"c\" typed_config {" +
                             Any<session::cookie::v3::CookieBasedSessionState>(
                                 "cookie { name: \"s\" path: \"/p\" ttl { seconds: 10 } }") +
                             "} }";
  Session first(config);
  first.request.set_pseudo(HeaderId::kPath, "/p/x");
  first.Request();
  EXPECT_EQ(first.named_host, "");
  first.info().upstream_host = "10.0.0.1:80";
  first.ResponseHeaders();
  const std::string cookie = first.Value(first.response, "set-cookie");
  EXPECT_NE(cookie.find("; Max-Age=10; Path=/p; HttpOnly"), std::string::npos) << cookie;
  const std::string pair = cookie.substr(0, cookie.find(';'));

  Session second(config);
  second.request.set_pseudo(HeaderId::kPath, "/p");
  second.request.Add("cookie", pair);
  second.Request();
  EXPECT_EQ(second.named_host, "10.0.0.1:80");
  second.info().upstream_host = "10.0.0.1:80";
  second.ResponseHeaders();
  EXPECT_EQ(second.Value(second.response, "set-cookie"), "(none)");
  EXPECT_EQ(second.Stat("routed"), 1u);

  Session late(config);
  late.now += 12'000'000'000;
  late.request.set_pseudo(HeaderId::kPath, "/p");
  late.request.Add("cookie", pair);
  late.Request();
  EXPECT_EQ(late.named_host, "") << "the cookie is over";

  Session elsewhere(config);
  elsewhere.request.set_pseudo(HeaderId::kPath, "/px");
  elsewhere.request.Add("cookie", pair);
  elsewhere.Request();
  EXPECT_EQ(elsewhere.named_host, "");
}

using Bandwidth = TypedHarness<http::bandwidth_limit::v3::BandwidthLimit>;

TEST(BandwidthLimitTest, ABodyGoesSliceBySlice) {
  Bandwidth harness(R"(stat_prefix: "b" enable_mode: RESPONSE limit_kbps { value: 10 }
                       enable_response_trailers: true)");
  harness.Request();
  harness.ResponseHeaders();
  std::string body(1000, 'x');
  EXPECT_EQ(harness.ResponseBody(&body, true), Verdict::kBuffer);
  EXPECT_EQ(harness.timer, 0);
  harness.filter->OnTimer();
  EXPECT_EQ(harness.injected_response.size(), 512u);
  EXPECT_EQ(harness.timer, 50'000'000);
  EXPECT_EQ(harness.response_resumed, 0);
  harness.now += 50'000'000;
  harness.filter->OnTimer();
  EXPECT_EQ(harness.injected_response.size(), 1000u);
  EXPECT_EQ(harness.response_resumed, 1);
  EXPECT_EQ(harness.Stat("response_enforced"), 1u);
  EXPECT_EQ(harness.Stat("response_pending"), 0u);
  ASSERT_TRUE(harness.added_response_trailers.has_value());
  EXPECT_EQ(harness.Value(*harness.added_response_trailers, "bandwidth-response-filter-delay-ms"),
            "50");
}

TEST(BandwidthLimitTest, OtherDirectionsAreLeftAlone) {
  Bandwidth harness(R"(stat_prefix: "b" enable_mode: REQUEST limit_kbps { value: 10 })");
  harness.Request(false);
  EXPECT_EQ(harness.RequestBody("x", true), Verdict::kBuffer);
  harness.ResponseHeaders();
  std::string body = "y";
  EXPECT_EQ(harness.ResponseBody(&body, true), Verdict::kContinue);
}

TEST(CustomResponseTest, AnAnswerInPlaceOfOne) {
  using Policy =
      envoy::extensions::http::custom_response::local_response_policy::v3::LocalResponsePolicy;
  namespace matcher = envoy::type::matcher::v3;
  TypedHarness<http::custom_response::v3::CustomResponse> harness(
      "custom_response_matcher { matcher_list { matchers { predicate { single_predicate { input { "
      "name: \"s\" typed_config {" +
      Any<matcher::HttpResponseStatusCodeClassMatchInput>("") +
      "} } value_match { exact: \"5xx\" } } } on_match { action { name: \"a\" typed_config {" +
      Any<Policy>(R"(status_code { value: 499 } body { inline_string: "b" }
          body_format { text_format_source { inline_string: "%LOCAL_REPLY_BODY% %RESPONSE_CODE%" } }
          response_headers_to_add { header { key: "x-c" value: "%RESPONSE_CODE%" } })") +
      "} } } } } }");
  harness.Request();
  EXPECT_EQ(harness.ResponseHeaders(), Verdict::kContinue);
  harness.response.set_status(503);
  EXPECT_EQ(harness.ResponseHeaders(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 499);
  EXPECT_EQ(harness.reply_body, "b 503");
  EXPECT_EQ(harness.Value(harness.response, "x-c"), "503");
}

TEST(AdmissionControlTest, WhoFailsIsAskedLess) {
  TypedHarness<http::admission_control::v3::AdmissionControl> harness(R"(
      max_rejection_probability { default_value { value: 100 } })");
  harness.random_number = 0;
  for (int i = 0; i < 3; ++i) {
    harness.filter->OnRequestHeaders(harness.request, true);
    harness.response.set_status(503);
    harness.ResponseHeaders(true);
  }
  EXPECT_GE(harness.Stat("rq_failure"), 1u);
  EXPECT_GE(harness.Stat("rq_rejected"), 1u);
  EXPECT_EQ(harness.reply_details, "denied_by_admission_control");
  harness.now += 40'000'000'000;
  const int before = harness.replies;
  harness.Request();
  EXPECT_EQ(harness.replies, before) << "what was long ago does not count";
}

TEST(AdaptiveConcurrencyTest, SoManyAtOnceWhileTheLeastLatencyIsMeasured) {
  const std::string text = R"(gradient_controller_config {
      concurrency_limit_params { concurrency_update_interval { nanos: 100000000 } }
      min_rtt_calc_params { interval { seconds: 60 } request_count { value: 2 } } })";
  TypedHarness<http::adaptive_concurrency::v3::AdaptiveConcurrency> harness(text);
  std::vector<HttpFilter*> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(harness.factory->Create(harness.arena()));
    others.back()->Attach(&harness);
    EXPECT_EQ(others.back()->OnRequestHeaders(harness.request, true), Verdict::kContinue);
  }
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_details, "reached_concurrency_limit");
  EXPECT_EQ(harness.Stat("rq_blocked"), 1u);
  for (HttpFilter* other : others) {
    other->OnEnd();
    harness.factory->Destroy(other);
  }
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
}

namespace composite = http::composite::v3;
using Matched = TypedHarness<envoy::extensions::common::matching::v3::ExtensionWithMatcher>;

std::string ByHeader(const std::string& value, const std::string& action) {
  return "xds_matcher { matcher_list { matchers { predicate { single_predicate { input { name: "
         "\"h\" typed_config {" +
         Any<envoy::type::matcher::v3::HttpRequestHeaderMatchInput>("header_name: \"x-pick\"") +
         "} } value_match { exact: \"" + value +
         "\" } } } on_match { action { name: \"a\" typed_config {" + action + "} } } } } }";
}

TEST(CompositeTest, AMatchNamesTheFilter) {
  const std::string fault =
      Any<http::fault::v3::HTTPFault>("abort { http_status: 418 percentage { numerator: 100 } }");
  Matched harness("extension_config { name: \"c\" typed_config {" + Any<composite::Composite>("") +
                  "} }" +
                  ByHeader("f", Any<composite::ExecuteFilterAction>(
                                    "typed_config { name: \"f\" typed_config {" + fault + "} }")));
  EXPECT_EQ(harness.Request(), Verdict::kContinue) << "nothing matches";
  harness.request.Add("x-pick", "f");
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 418);
  EXPECT_EQ(harness.Stat("composite.filter_delegation_success"), 1u);
  EXPECT_EQ(harness.Stat("fault.aborts_injected"), 1u);
}

}  // namespace
}  // namespace remora
