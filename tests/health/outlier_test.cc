// Hand-worked traces of the five rules, with a manual clock.

#include "health/outlier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace remora::health {
namespace {

using std::chrono::seconds;

constexpr Suspicion Bits(OutlierRule rule) {
  return static_cast<Suspicion>(1u << static_cast<int>(rule));
}

class OutlierTest : public ::testing::Test {
 protected:
  OutlierTest() { config_.ejection.max_percent = 100; }

  void Start(int count) {
    hosts_.clear();
    for (int i = 1; i <= count; ++i) {
      hosts_.push_back(std::make_shared<lb::Host>(
          *lb::SocketAddress::Ip(absl::StrCat("10.0.", i / 250, ".", i % 250), 80)));
    }
    detector_ = std::make_unique<OutlierDetector>(config_, 1);
    detector_->SetHosts(hosts_);
  }

  // What a worker and then main do with `times` answers.
  bool Answer(int host, uint32_t status, int times = 1) {
    bool changed = false;
    for (int i = 0; i < times; ++i) {
      const Suspicion suspicion = ReportStatus(hosts_[host]->state(), config_.thresholds, status);
      if (suspicion != 0)
        changed |= detector_->OnSuspicion(*hosts_[host], suspicion, now_, &events_);
    }
    return changed;
  }

  bool Report(int host, Outcome outcome, int times = 1) {
    bool changed = false;
    for (int i = 0; i < times; ++i) {
      const Suspicion suspicion = ReportResult(hosts_[host]->state(), config_.thresholds, outcome);
      if (suspicion != 0)
        changed |= detector_->OnSuspicion(*hosts_[host], suspicion, now_, &events_);
    }
    return changed;
  }

  bool Sweep(seconds later = seconds(10)) {
    now_ += later;
    return detector_->OnSweep(now_, &events_);
  }

  bool IsOut(int host) { return hosts_[host]->state().HasFlag(lb::kFailedOutlierCheck); }

  // `percent` successes of 100 requests.
  void Traffic(int host, int percent, int volume = 100) {
    Answer(host, 200, volume * percent / 100);
    for (int i = 0; i < volume - volume * percent / 100; ++i) {
      Answer(host, 500);
      // Keeps the row short, but not in the window.
      hosts_[host]->state().consecutive_5xx.store(0);
    }
  }

  OutlierConfig config_;
  std::vector<std::shared_ptr<lb::Host>> hosts_;
  std::unique_ptr<OutlierDetector> detector_;
  std::vector<OutlierEvent> events_;
  TimePoint now_ = seconds(5000);
};

TEST_F(OutlierTest, FiveServerErrorsInARowEject) {
  Start(4);
  EXPECT_FALSE(Answer(0, 500, 4));
  EXPECT_FALSE(Answer(0, 404)) << "any other answer clears the row";
  EXPECT_FALSE(Answer(0, 500, 4));
  EXPECT_TRUE(Answer(0, 503));
  EXPECT_TRUE(IsOut(0));
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].rule, OutlierRule::kConsecutive5xx);
  EXPECT_TRUE(events_[0].enforced);
  EXPECT_EQ(events_[0].ejections, 1u);
  EXPECT_EQ(events_[0].seconds_since_last_action, -1);
  EXPECT_EQ(detector_->ejections_active(), 1u);
  EXPECT_EQ(detector_->counters().enforced[0], 1u);
}

TEST_F(OutlierTest, ExactlyOneReportOfARowIsSuspicious) {
  Start(1);
  int suspicious = 0;
  for (int i = 0; i < 50; ++i) {
    suspicious += ReportStatus(hosts_[0]->state(), config_.thresholds, 500) != 0;
  }
  EXPECT_EQ(suspicious, 1);
}

TEST_F(OutlierTest, GatewayFailuresAreOnlyReportedByDefault) {
  config_.thresholds.consecutive_5xx = 100;
  Start(4);
  Answer(0, 502, 2);
  Answer(0, 500);  // clears the row of gateway failures
  EXPECT_FALSE(Answer(0, 504, 4));
  EXPECT_TRUE(events_.empty());
  EXPECT_FALSE(Answer(0, 503));
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].rule, OutlierRule::kConsecutiveGatewayFailure);
  EXPECT_FALSE(events_[0].enforced);
  EXPECT_FALSE(IsOut(0));
  EXPECT_EQ(detector_->counters().detected[1], 1u);
}

TEST_F(OutlierTest, GatewayFailuresEjectWhenEnforced) {
  config_.enforcing_consecutive_gateway_failure = 100;
  Start(4);
  EXPECT_TRUE(Answer(0, 503, 5));
  ASSERT_EQ(events_.size(), 1u) << "the same answer crosses two rules: one ejection";
  EXPECT_EQ(events_[0].rule, OutlierRule::kConsecutiveGatewayFailure);
}

TEST_F(OutlierTest, LocalFailuresCountAsServerErrorsUnlessSplit) {
  Start(4);
  EXPECT_TRUE(Report(0, Outcome::kConnectFailed, 5));
  EXPECT_EQ(events_[0].rule, OutlierRule::kConsecutiveGatewayFailure) << "503s: reported";
  EXPECT_EQ(events_[1].rule, OutlierRule::kConsecutive5xx) << "and enforced";
  EXPECT_TRUE(IsOut(0));
  // A connection that stands says nothing about the answer.
  Report(1, Outcome::kRequestFailed, 4);
  Report(1, Outcome::kConnected);
  EXPECT_TRUE(Report(1, Outcome::kRequestFailed));
}

TEST_F(OutlierTest, SplitLocalFailuresHaveTheirOwnRow) {
  config_.thresholds.split_local_origin = true;
  Start(4);
  Report(0, Outcome::kConnectTimeout, 4);
  Answer(0, 500, 4);
  Report(0, Outcome::kConnected);  // clears the local row, not the other
  Report(0, Outcome::kConnectFailed, 4);
  EXPECT_TRUE(events_.empty());
  EXPECT_TRUE(Report(0, Outcome::kConnectFailed));
  EXPECT_EQ(events_[0].rule, OutlierRule::kConsecutiveLocalOriginFailure);
}

TEST_F(OutlierTest, NeverEjectsMoreThanItsShare) {
  config_.ejection.max_percent = 10;
  Start(9);
  EXPECT_FALSE(Answer(0, 500, 5)) << "100 * 1 / 9 > 10";
  EXPECT_TRUE(events_.empty());
  EXPECT_EQ(detector_->counters().overflow, 1u);
  Start(20);
  EXPECT_TRUE(Answer(0, 500, 5));
  EXPECT_TRUE(Answer(1, 500, 5)) << "100 * 2 / 20 = 10";
  EXPECT_FALSE(Answer(2, 500, 5));
}

TEST_F(OutlierTest, MayAlwaysEjectOne) {
  config_.ejection.max_percent = 10;
  config_.ejection.always_one = true;
  Start(3);
  EXPECT_TRUE(Answer(0, 500, 5));
  EXPECT_FALSE(Answer(1, 500, 5));
}

TEST_F(OutlierTest, ARowThatGoesOnIsNoticedAgain) {
  config_.ejection.max_percent = 10;
  Start(5);
  Answer(0, 500, 15);
  EXPECT_EQ(detector_->counters().overflow, 3u);
}

TEST_F(OutlierTest, ReturnsAtASweepWhenItsTimeIsOver) {
  Start(4);
  Answer(0, 500, 5);
  Answer(0, 502, 3);  // still under way
  EXPECT_FALSE(Sweep());
  EXPECT_FALSE(Sweep());
  EXPECT_TRUE(Sweep()) << "30 s";
  EXPECT_FALSE(IsOut(0));
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_EQ(events_[1].action, OutlierEvent::Action::kReturn);
  EXPECT_EQ(events_[1].seconds_since_last_action, 30);
  EXPECT_FALSE(Answer(0, 500, 4)) << "the rows start over";
  EXPECT_TRUE(Answer(0, 500));
  EXPECT_EQ(events_[2].ejections, 2u);
  EXPECT_EQ(events_[2].seconds_since_last_action, 0);
}

TEST_F(OutlierTest, StaysOutLongerEachTimeAndIsForgivenByQuietSweeps) {
  config_.ejection.max_time = seconds(70);
  Start(4);
  const auto time_out = [&] {
    Answer(0, 500, 5);
    int sweeps = 0;
    while (IsOut(0)) {
      Sweep();
      ++sweeps;
    }
    return 10 * sweeps;
  };
  EXPECT_EQ(time_out(), 30);
  EXPECT_EQ(time_out(), 60);
  EXPECT_EQ(time_out(), 70) << "at most max_ejection_time";
  EXPECT_EQ(time_out(), 70);
  // The multiplier stopped at 4 (30 * 4 >= 70 + 30); two quiet sweeps bring it to 2.
  Sweep();
  Sweep();
  EXPECT_EQ(time_out(), 70) << "2 + 1";
  for (int i = 0; i < 3; ++i) Sweep();
  EXPECT_EQ(time_out(), 30);
}

TEST_F(OutlierTest, AMaximumBelowTheBaseMeansTheBase) {
  config_.ejection.base_time = seconds(400);
  Start(4);
  Answer(0, 500, 5);
  EXPECT_FALSE(Sweep(seconds(399)));
  EXPECT_TRUE(Sweep(seconds(1)));
}

TEST_F(OutlierTest, JitterKeepsThemFromReturningTogether) {
  config_.ejection.jitter = seconds(30);
  Start(40);
  for (int i = 0; i < 40; ++i) Answer(i, 500, 5);
  Sweep(seconds(30));
  EXPECT_GT(detector_->ejections_active(), 30u);
  Sweep(seconds(15));
  EXPECT_GT(detector_->ejections_active(), 5u);
  EXPECT_LT(detector_->ejections_active(), 35u);
  Sweep(seconds(16));
  EXPECT_EQ(detector_->ejections_active(), 0u);
}

TEST_F(OutlierTest, APassingActiveCheckReturnsTheHost) {
  Start(4);
  Answer(0, 500, 5);
  hosts_[0]->state().SetFlag(lb::kFailedActiveHc);
  EXPECT_FALSE(detector_->OnActiveCheckPassed(*hosts_[0], now_, &events_));
  hosts_[0]->state().ClearFlag(lb::kFailedActiveHc);
  EXPECT_TRUE(detector_->OnActiveCheckPassed(*hosts_[0], now_, &events_));
  EXPECT_FALSE(IsOut(0));

  config_.successful_active_health_check_uneject_host = false;
  Start(4);
  Answer(0, 500, 5);
  EXPECT_FALSE(detector_->OnActiveCheckPassed(*hosts_[0], now_, &events_));
}

TEST_F(OutlierTest, SuccessRateEjectsBelowMeanLessDeviations) {
  // {50, 100, 100, 100, 100}: mean 90, deviation 20, threshold 90 - 1.9 * 20 = 52.
  Start(5);
  Traffic(0, 50);
  for (int i = 1; i < 5; ++i) Traffic(i, 100);
  EXPECT_TRUE(Sweep());
  EXPECT_TRUE(IsOut(0));
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].rule, OutlierRule::kSuccessRate);
  EXPECT_DOUBLE_EQ(events_[0].host_success_rate, 50);
  EXPECT_DOUBLE_EQ(events_[0].average_success_rate, 90);
  EXPECT_DOUBLE_EQ(events_[0].success_rate_threshold, 52);
  EXPECT_EQ(hosts_[1]->state().success_rate.load(), 100);
  EXPECT_DOUBLE_EQ(detector_->success_rates().average, 90);

  // Nothing happened in the next interval: nobody is judged.
  EXPECT_FALSE(Sweep());
  EXPECT_EQ(hosts_[1]->state().success_rate.load(), -1);
  EXPECT_DOUBLE_EQ(detector_->success_rates().average, -1);
}

TEST_F(OutlierTest, SuccessRateNeedsEnoughHostsWithEnoughRequests) {
  Start(5);
  Traffic(0, 50);
  for (int i = 1; i < 4; ++i) Traffic(i, 100);
  Traffic(4, 100, 99);
  EXPECT_FALSE(Sweep());
  EXPECT_EQ(hosts_[0]->state().success_rate.load(), 50);

  Start(4);
  Traffic(0, 0);
  for (int i = 1; i < 4; ++i) Traffic(i, 100);
  EXPECT_FALSE(Sweep());
}

TEST_F(OutlierTest, FailurePercentageEjectsFromItsShareOn) {
  config_.enforcing_failure_percentage = 100;
  config_.enforcing_success_rate = 0;
  Start(5);
  Traffic(0, 14, 50);
  Traffic(1, 16, 50);
  for (int i = 2; i < 5; ++i) Traffic(i, 100, 50);
  EXPECT_TRUE(Sweep());
  EXPECT_TRUE(IsOut(0)) << "86 % failed";
  EXPECT_FALSE(IsOut(1)) << "84 % failed";
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].rule, OutlierRule::kFailurePercentage);
}

TEST_F(OutlierTest, LocalOriginIsJudgedByItselfWhenSplit) {
  config_.thresholds.split_local_origin = true;
  config_.thresholds.consecutive_local_origin_failure = 1000;
  Start(5);
  for (int i = 0; i < 5; ++i) {
    Report(i, Outcome::kConnected, i == 0 ? 50 : 100);
    Report(i, Outcome::kConnectFailed, i == 0 ? 50 : 0);
  }
  EXPECT_TRUE(Sweep());
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].rule, OutlierRule::kSuccessRateLocalOrigin);
  EXPECT_EQ(hosts_[0]->state().local_origin_success_rate.load(), 50);
  EXPECT_EQ(hosts_[0]->state().success_rate.load(), -1);
}

TEST_F(OutlierTest, HostsThatLeaveFreeTheirPlace) {
  config_.ejection.max_percent = 50;
  Start(2);
  Answer(0, 500, 5);
  EXPECT_FALSE(Answer(1, 500, 5));
  const std::shared_ptr<lb::Host> gone = hosts_[0];
  hosts_.erase(hosts_.begin());
  hosts_.push_back(std::make_shared<lb::Host>(*lb::SocketAddress::Ip("10.0.0.9", 80)));
  detector_->SetHosts(hosts_);
  EXPECT_FALSE(gone->state().HasFlag(lb::kFailedOutlierCheck));
  EXPECT_EQ(detector_->ejections_active(), 0u);
  EXPECT_FALSE(detector_->OnSuspicion(*gone, Bits(OutlierRule::kConsecutive5xx), now_, &events_));
  EXPECT_TRUE(Answer(0, 500, 5)) << "the row of the one that stayed";
}

TEST_F(OutlierTest, EnforcesOnlyAPart) {
  config_.enforcing_consecutive_5xx = 30;
  Start(1000);
  for (int i = 0; i < 1000; ++i) Answer(i, 500, 5);
  EXPECT_NEAR(static_cast<double>(detector_->ejections_active()), 300, 50);
  EXPECT_EQ(detector_->counters().detected[0], 1000u);
}

TEST_F(OutlierTest, RulesAreSpelledAsInStatistics) {
  EXPECT_EQ(OutlierRuleName(OutlierRule::kConsecutive5xx), "consecutive_5xx");
  EXPECT_EQ(OutlierRuleName(OutlierRule::kFailurePercentageLocalOrigin),
            "local_origin_failure_percentage");
}

}  // namespace
}  // namespace remora::health
