#include "proxy/stream/retry.h"

#include <gtest/gtest.h>

#include <vector>

#include "filters/api/arena.h"

namespace remora::proxy {
namespace {

using Verdict = Retry::Verdict;

class RetryTest : public ::testing::Test {
 protected:
  Verdict Answer(int status, std::vector<std::pair<std::string, std::string>> headers = {}) {
    auto* answer = arena_.New<Headers>(&arena_);
    answer->set_status(status);
    for (const auto& [name, value] : headers) answer->Add(name, value);
    return retry_.OnAnswer(*answer, breakers_);
  }
  Verdict Fail(AttemptFailure failure, bool sent = true, bool timed_out = false) {
    return retry_.OnFailure(failure, sent, timed_out, breakers_);
  }
  void Begin(uint32_t retry_on, uint32_t tries = 1) {
    policy_.retry_on = retry_on;
    policy_.num_retries = tries;
    retry_.Reset();
    retry_.Begin(&policy_, request_);
  }

  Arena arena_;
  Headers request_{&arena_};
  xds::RetryPolicy policy_;
  health::BreakerLimits limits_;
  health::Breakers breakers_{limits_};
  Retry retry_;
};

TEST_F(RetryTest, WithoutPolicyAndHeadersNothingIsRetried) {
  retry_.Begin(nullptr, request_);
  EXPECT_FALSE(retry_.enabled());
  EXPECT_EQ(Answer(503), Verdict::kNo);
}

TEST_F(RetryTest, EachConditionRetriesWhatItNames) {
  struct Case {
    uint32_t on;
    int status;
    Verdict verdict;
  };
  for (const Case& c : std::vector<Case>{{xds::kRetry5xx, 500, Verdict::kYes},
                                         {xds::kRetry5xx, 404, Verdict::kNo},
                                         {xds::kRetryGatewayError, 502, Verdict::kYes},
                                         {xds::kRetryGatewayError, 500, Verdict::kNo},
                                         {xds::kRetryRetriable4xx, 409, Verdict::kYes},
                                         {xds::kRetryRetriable4xx, 404, Verdict::kNo},
                                         {xds::kRetryReset, 503, Verdict::kNo}}) {
    Begin(c.on);
    EXPECT_EQ(Answer(c.status), c.verdict) << c.on << " " << c.status;
  }
}

TEST_F(RetryTest, FailuresByCondition) {
  Begin(xds::kRetryConnectFailure);
  EXPECT_EQ(Fail(AttemptFailure::kConnectionTerminated), Verdict::kNo);
  EXPECT_EQ(Fail(AttemptFailure::kConnectTimeout), Verdict::kYes);
  Begin(xds::kRetryRefusedStream);
  EXPECT_EQ(Fail(AttemptFailure::kRemoteReset), Verdict::kNo);
  EXPECT_EQ(Fail(AttemptFailure::kRemoteRefused), Verdict::kYes);
  Begin(xds::kRetryResetBeforeRequest);
  EXPECT_EQ(Fail(AttemptFailure::kConnectionTerminated, /*sent=*/true), Verdict::kNo);
  EXPECT_EQ(Fail(AttemptFailure::kRemoteConnectFailed, /*sent=*/false), Verdict::kYes);
}

TEST_F(RetryTest, OverflowIsNeverRetried) {
  Begin(xds::kRetry5xx | xds::kRetryReset | xds::kRetryConnectFailure, 5);
  EXPECT_EQ(Fail(AttemptFailure::kOverflow, /*sent=*/false), Verdict::kNo);
}

TEST_F(RetryTest, PerTryTimeoutIsRetriedBy5xxNotByConnectFailure) {
  Begin(xds::kRetryConnectFailure | xds::kRetryRefusedStream);
  EXPECT_EQ(Fail(AttemptFailure::kLocalReset, true, /*timed_out=*/true), Verdict::kNo);
  Begin(xds::kRetry5xx);
  EXPECT_EQ(Fail(AttemptFailure::kLocalReset, true, /*timed_out=*/true), Verdict::kYes);
}

TEST_F(RetryTest, TriesRunOutAndSuccessIsNoticed) {
  Begin(xds::kRetry5xx, 2);
  EXPECT_EQ(Answer(503), Verdict::kYes);
  EXPECT_FALSE(retry_.succeeded());
  EXPECT_EQ(Answer(503), Verdict::kYes);
  EXPECT_EQ(Answer(503), Verdict::kExhausted);
  Begin(xds::kRetry5xx, 2);
  EXPECT_EQ(Answer(503), Verdict::kYes);
  EXPECT_EQ(Answer(200), Verdict::kNo);
  EXPECT_TRUE(retry_.succeeded());
}

TEST_F(RetryTest, ConcurrentRetriesAreLimitedAndGivenBack) {
  limits_.max_retries = 1;
  breakers_.SetLimits(limits_);
  Begin(xds::kRetry5xx, 3);
  EXPECT_EQ(Answer(503), Verdict::kYes);
  Retry other;
  Headers request(&arena_);
  other.Begin(&policy_, request);
  Headers answer(&arena_);
  answer.set_status(503);
  EXPECT_EQ(other.OnAnswer(answer, breakers_), Verdict::kOverflow);
  retry_.Reset();
  EXPECT_EQ(other.OnAnswer(answer, breakers_), Verdict::kYes);
}

TEST_F(RetryTest, HeadersOfTheRequestSteerAndAreTakenOut) {
  request_.Add(HeaderId::kXEnvoyRetryOn, "nonsense,gateway-error");
  request_.Add(HeaderId::kXEnvoyMaxRetries, "2");
  request_.Add(HeaderId::kXEnvoyRetryGrpcOn, "cancelled");
  retry_.Begin(nullptr, request_);
  EXPECT_TRUE(retry_.enabled());
  EXPECT_EQ(request_.size(), 0u);
  EXPECT_EQ(Answer(503), Verdict::kYes);
  EXPECT_EQ(Answer(200, {{"grpc-status", "1"}}), Verdict::kYes);
  EXPECT_EQ(Answer(503), Verdict::kExhausted);
}

TEST_F(RetryTest, StatusCodesOfPolicyAndHeader) {
  request_.Add(HeaderId::kXEnvoyRetriableStatusCodes, "418, 419");
  policy_.retriable_status_codes = {420};
  Begin(xds::kRetryRetriableStatusCodes, 9);
  EXPECT_EQ(Answer(418), Verdict::kYes);
  EXPECT_EQ(Answer(419), Verdict::kYes);
  EXPECT_EQ(Answer(420), Verdict::kYes);
  EXPECT_EQ(Answer(503), Verdict::kNo);
}

TEST_F(RetryTest, MaxRetriesAloneDoesNothing) {
  request_.Add(HeaderId::kXEnvoyMaxRetries, "2");
  retry_.Begin(nullptr, request_);
  EXPECT_FALSE(retry_.enabled());
}

TEST_F(RetryTest, OverloadedIsNotRetriedAndRatelimitedOnlyWhenAsked) {
  Begin(xds::kRetry5xx, 9);
  EXPECT_EQ(Answer(503, {{"x-envoy-overloaded", "true"}}), Verdict::kNo);
  EXPECT_EQ(Answer(503, {{"x-envoy-ratelimited", "true"}}), Verdict::kNo);
  Begin(xds::kRetryEnvoyRatelimited, 9);
  EXPECT_EQ(Answer(200, {{"x-envoy-ratelimited", "true"}}), Verdict::kYes);
}

TEST_F(RetryTest, BackoffGrowsAndAnswersMaySayWhen) {
  policy_.backoff_base = absl::Milliseconds(100);
  policy_.reset_headers.push_back({"retry-after", false});
  Begin(xds::kRetry5xx, 9);
  lb::RandomSource random(1);
  bool limited = true;
  EXPECT_EQ(Answer(503), Verdict::kYes);
  EXPECT_LT(retry_.NextDelay(random, &limited), std::chrono::milliseconds(100));
  EXPECT_FALSE(limited);
  EXPECT_EQ(Answer(503, {{"retry-after", "2"}}), Verdict::kYes);
  const auto told = retry_.NextDelay(random, &limited);
  EXPECT_TRUE(limited);
  EXPECT_GE(told, std::chrono::seconds(2));
  EXPECT_LT(told, std::chrono::seconds(3));
  // Beyond the maximum it is not believed.
  EXPECT_EQ(Answer(503, {{"retry-after", "1000"}}), Verdict::kYes);
  retry_.NextDelay(random, &limited);
  EXPECT_FALSE(limited);
}

TEST_F(RetryTest, PreviousHostsAndCanariesAreRejected) {
  policy_.avoid_previous_hosts = true;
  policy_.omit_canary_hosts = true;
  Begin(xds::kRetry5xx);
  lb::HostEntry first, second;
  first.host = std::make_shared<lb::Host>(*lb::SocketAddress::Ip("10.0.0.1", 80));
  second.host = std::make_shared<lb::Host>(*lb::SocketAddress::Ip("10.0.0.2", 80));
  first.attributes = std::make_shared<lb::HostAttributes>();
  auto canary = std::make_shared<lb::HostAttributes>();
  canary->canary = true;
  second.attributes = first.attributes;
  retry_.Tried(first.host.get());
  EXPECT_TRUE(retry_.Rejects(first));
  EXPECT_FALSE(retry_.Rejects(second));
  second.attributes = canary;
  EXPECT_TRUE(retry_.Rejects(second));
}

}  // namespace
}  // namespace remora::proxy
