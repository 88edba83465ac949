// Traces with a manual clock: who is probed when, and who rises and falls.

#include "health/active_checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace remora::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ActiveCheckerTest : public ::testing::Test {
 protected:
  ActiveCheckerTest() {
    config_.timeout = seconds(1);
    config_.interval = seconds(10);
    config_.unhealthy_threshold = 3;
    config_.healthy_threshold = 2;
    config_.unhealthy_interval = seconds(20);
    config_.unhealthy_edge_interval = seconds(3);
    config_.healthy_edge_interval = seconds(2);
    for (int i = 1; i <= 3; ++i) {
      hosts_.push_back(
          std::make_shared<lb::Host>(*lb::SocketAddress::Ip(absl::StrCat("10.0.0.", i), 80)));
    }
  }

  void Start(size_t count) {
    checker_ = std::make_unique<ActiveChecker>(config_, 1);
    checker_->SetHosts(absl::MakeSpan(hosts_).first(count), now_);
  }

  std::vector<lb::Host*> Due() {
    std::vector<std::shared_ptr<lb::Host>> due;
    checker_->TakeDue(now_, &due);
    std::vector<lb::Host*> hosts;
    for (const auto& host : due) hosts.push_back(host.get());
    return hosts;
  }

  // Waits until the (only) host is due, and reports; returns how long that took.
  Duration Probe(ProbeKind kind, bool traffic = true) {
    const TimePoint due = checker_->NextDue().value();
    const Duration waited = due - now_;
    now_ = due;
    EXPECT_THAT(Due(), ElementsAre(hosts_[0].get()));
    verdict_ = checker_->OnResult(*hosts_[0], {kind}, now_, traffic);
    return waited;
  }

  uint32_t Flags(int host = 0) { return hosts_[host]->state().flags.load(); }

  ActiveCheckConfig config_;
  std::vector<std::shared_ptr<lb::Host>> hosts_;
  std::unique_ptr<ActiveChecker> checker_;
  TimePoint now_ = seconds(1000);
  CheckVerdict verdict_;
};

TEST_F(ActiveCheckerTest, ANewHostIsFailedAndProbedAtOnce) {
  Start(2);
  EXPECT_EQ(Flags(0), lb::kFailedActiveHc);
  EXPECT_EQ(checker_->NextDue(), now_);
  EXPECT_EQ(Due().size(), 2u);
  EXPECT_THAT(Due(), IsEmpty()) << "both are under way";
  EXPECT_EQ(checker_->NextDue(), std::nullopt);
}

TEST_F(ActiveCheckerTest, TheFirstPassAloneDecides) {
  Start(1);
  Probe(ProbeKind::kPass);
  EXPECT_TRUE(verdict_.became_healthy);
  EXPECT_TRUE(verdict_.first_check);
  EXPECT_TRUE(verdict_.flags_changed);
  EXPECT_EQ(Flags(), 0u);
  EXPECT_EQ(checker_->healthy_count(), 1u);
  EXPECT_EQ(hosts_[0]->state().healthy_since_ns.load(), now_.count());
}

TEST_F(ActiveCheckerTest, AfterAFirstFailureTheThresholdCounts) {
  Start(1);
  Probe(ProbeKind::kNetwork);
  EXPECT_FALSE(verdict_.flags_changed);
  EXPECT_EQ(Probe(ProbeKind::kPass), seconds(20));
  EXPECT_FALSE(verdict_.healthy);
  EXPECT_EQ(Probe(ProbeKind::kPass), seconds(2)) << "healthy edge interval";
  EXPECT_TRUE(verdict_.became_healthy);
  EXPECT_EQ(Probe(ProbeKind::kPass), seconds(10));
  EXPECT_FALSE(verdict_.flags_changed);
}

TEST_F(ActiveCheckerTest, FallsAfterEnoughFailuresInARow) {
  Start(1);
  Probe(ProbeKind::kPass);
  Probe(ProbeKind::kTimeout);
  Probe(ProbeKind::kNetwork);
  EXPECT_TRUE(verdict_.healthy);
  Probe(ProbeKind::kPass);  // starts over
  EXPECT_EQ(Probe(ProbeKind::kTimeout), seconds(10));
  EXPECT_EQ(Probe(ProbeKind::kRetriable), seconds(3)) << "unhealthy edge interval";
  EXPECT_EQ(Probe(ProbeKind::kTimeout), seconds(3));
  EXPECT_TRUE(verdict_.became_unhealthy);
  EXPECT_EQ(Flags(), lb::kFailedActiveHc | lb::kActiveHcTimeout);
  EXPECT_EQ(checker_->healthy_count(), 0u);
  EXPECT_EQ(Probe(ProbeKind::kNetwork), seconds(20));
  EXPECT_EQ(Flags(), lb::kFailedActiveHc) << "no longer because of a timeout";
  Probe(ProbeKind::kPass);
  Probe(ProbeKind::kPass);
  EXPECT_EQ(Flags(), 0u);
}

TEST_F(ActiveCheckerTest, AnAnswerThatSaysUnhealthyNeedsNoThreshold) {
  Start(1);
  Probe(ProbeKind::kPass);
  Probe(ProbeKind::kFail);
  EXPECT_TRUE(verdict_.became_unhealthy);
  EXPECT_FALSE(verdict_.healthy);
}

TEST_F(ActiveCheckerTest, WithoutTrafficItProbesSeldom) {
  Start(1);
  Probe(ProbeKind::kPass, false);
  EXPECT_EQ(Probe(ProbeKind::kPass, false), seconds(60));
  EXPECT_EQ(Probe(ProbeKind::kPass, true), seconds(60));
  EXPECT_EQ(Probe(ProbeKind::kPass, true), seconds(10));

  config_.no_traffic_interval = seconds(40);
  config_.no_traffic_healthy_interval = seconds(90);
  Start(1);
  Probe(ProbeKind::kPass, false);
  EXPECT_EQ(Probe(ProbeKind::kNetwork, false), seconds(90));
  EXPECT_EQ(Probe(ProbeKind::kPass, false), seconds(40));
}

TEST_F(ActiveCheckerTest, UnsetIntervalsFollowTheOnesTheyRefine) {
  config_.unhealthy_interval = config_.unhealthy_edge_interval = config_.healthy_edge_interval =
      Duration(0);
  Start(1);
  Probe(ProbeKind::kNetwork);
  EXPECT_EQ(Probe(ProbeKind::kPass), seconds(10));
  EXPECT_EQ(Probe(ProbeKind::kPass), seconds(10));
  EXPECT_EQ(Probe(ProbeKind::kNetwork), seconds(10));
  EXPECT_EQ(Probe(ProbeKind::kPass), seconds(10));
}

TEST_F(ActiveCheckerTest, JitterOnlyEverAdds) {
  config_.interval_jitter = seconds(2);
  config_.interval_jitter_percent = 50;
  Start(1);
  Probe(ProbeKind::kPass);
  Duration least = seconds(100);
  Duration most{0};
  for (int i = 0; i < 2000; ++i) {
    const Duration waited = Probe(ProbeKind::kPass);
    least = std::min(least, waited);
    most = std::max(most, waited);
  }
  EXPECT_GE(least, seconds(10));
  EXPECT_LT(least, milliseconds(10500));
  EXPECT_LT(most, seconds(17));
  EXPECT_GT(most, milliseconds(16000));
}

TEST_F(ActiveCheckerTest, InitialJitterSpreadsTheFirstProbes) {
  config_.initial_jitter = seconds(5);
  Start(3);
  EXPECT_GT(checker_->NextDue(), now_);
  now_ += seconds(5);
  EXPECT_EQ(Due().size(), 3u);
}

TEST_F(ActiveCheckerTest, PendingHostsAreExcludedUntilTheFirstResult) {
  config_.ignore_new_hosts_until_first_check = true;
  Start(1);
  EXPECT_EQ(Flags(), lb::kFailedActiveHc | lb::kPendingActiveHc);
  Probe(ProbeKind::kNetwork);
  EXPECT_EQ(Flags(), lb::kFailedActiveHc);
  EXPECT_TRUE(verdict_.flags_changed) << "the host set must be built again";
}

TEST_F(ActiveCheckerTest, ADegradedAnswerPasses) {
  Start(1);
  Probe(ProbeKind::kDegraded);
  EXPECT_TRUE(verdict_.became_healthy);
  EXPECT_TRUE(verdict_.became_degraded);
  EXPECT_EQ(Flags(), lb::kDegradedActiveHc);
  Probe(ProbeKind::kPass);
  EXPECT_TRUE(verdict_.no_longer_degraded);
  EXPECT_TRUE(verdict_.flags_changed);
  EXPECT_EQ(Flags(), 0u);
}

TEST_F(ActiveCheckerTest, TrafficMayFailAHostUntilItsNextPasses) {
  Start(1);
  Probe(ProbeKind::kPass);
  EXPECT_TRUE(checker_->OnImmediateFail(*hosts_[0]).became_unhealthy);
  EXPECT_EQ(Flags(), lb::kFailedActiveHc | lb::kExcludedViaImmediateHcFail);
  Probe(ProbeKind::kPass);
  Probe(ProbeKind::kPass);
  EXPECT_EQ(Flags(), 0u);
}

TEST_F(ActiveCheckerTest, HostsThatLeaveAreForgotten) {
  Start(3);
  Due();
  checker_->SetHosts(absl::MakeSpan(hosts_).first(2), now_);
  EXPECT_EQ(Flags(2), 0u) << "what is not probed counts as passing";
  EXPECT_FALSE(checker_->OnResult(*hosts_[2], {ProbeKind::kPass}, now_, true).flags_changed);
  EXPECT_EQ(checker_->NextDue(), std::nullopt);
  checker_->OnResult(*hosts_[0], {ProbeKind::kPass}, now_, true);
  checker_->SetHosts({}, now_);
  EXPECT_EQ(checker_->NextDue(), std::nullopt);
  EXPECT_EQ(checker_->healthy_count(), 0u);
  EXPECT_EQ(Flags(1), 0u);
}

TEST_F(ActiveCheckerTest, AHostThatComesBackIsProbedOncePerInterval) {
  Start(1);
  checker_->SetHosts({}, now_);
  checker_->SetHosts(absl::MakeSpan(hosts_).first(1), now_);
  EXPECT_THAT(Due(), ElementsAre(hosts_[0].get()));
}

TEST_F(ActiveCheckerTest, ANewCheckerMayKeepVerdicts) {
  Start(2);
  Due();
  checker_->OnResult(*hosts_[0], {ProbeKind::kPass}, now_, true);
  auto next = std::make_unique<ActiveChecker>(config_, 2);
  next->SetHosts(absl::MakeSpan(hosts_).first(2), now_, /*keep_verdicts=*/true);
  checker_ = std::move(next);
  EXPECT_EQ(Flags(0), 0u);
  EXPECT_EQ(Flags(1), lb::kFailedActiveHc);
  EXPECT_EQ(checker_->healthy_count(), 1u);
  Due();
  EXPECT_FALSE(checker_->OnResult(*hosts_[1], {ProbeKind::kPass}, now_, true).became_healthy)
      << "it was checked before: the threshold counts";
}

TEST_F(ActiveCheckerTest, ComesBackInOrderOfTime) {
  Start(3);
  Due();
  checker_->OnResult(*hosts_[2], {ProbeKind::kPass}, now_, true);
  checker_->OnResult(*hosts_[0], {ProbeKind::kPass}, now_ + seconds(1), true);
  checker_->OnResult(*hosts_[1], {ProbeKind::kPass}, now_ + milliseconds(500), true);
  now_ += seconds(11);
  EXPECT_THAT(Due(), ElementsAre(hosts_[2].get(), hosts_[1].get(), hosts_[0].get()));
}

}  // namespace
}  // namespace remora::health
