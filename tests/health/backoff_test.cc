#include "health/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "health/success_window.h"

namespace remora::health {
namespace {

using std::chrono::milliseconds;

// The largest of many draws comes close to the interval it was drawn from.
Duration LargestAt(int attempt, Backoff backoff) {
  Duration largest{0};
  lb::RandomSource random(3);
  for (int i = 0; i < 4000; ++i) {
    Backoff copy = backoff;
    for (int a = 0; a < attempt; ++a) copy.Next(random);
    largest = std::max(largest, copy.Next(random));
  }
  return largest;
}

TEST(Backoff, DoublesUpToTheMaximum) {
  const Backoff retry = Backoff::ForRetries();
  const std::vector<int> intervals = {25, 50, 100, 200, 250, 250};
  for (size_t attempt = 0; attempt < intervals.size(); ++attempt) {
    const Duration largest = LargestAt(static_cast<int>(attempt), retry);
    EXPECT_LT(largest, milliseconds(intervals[attempt]));
    EXPECT_GE(largest, milliseconds(intervals[attempt] * 98 / 100 - 1));
  }
}

TEST(Backoff, ReachesThirtySecondsForXds) {
  EXPECT_LT(LargestAt(0, Backoff::ForXds()), milliseconds(500));
  EXPECT_GT(LargestAt(20, Backoff::ForXds()), milliseconds(29500));
  EXPECT_LT(LargestAt(20, Backoff::ForXds()), milliseconds(30000));
}

TEST(Backoff, StartsOverAfterASuccess) {
  lb::RandomSource random(1);
  Backoff backoff = Backoff::ForXds();
  for (int i = 0; i < 10; ++i) backoff.Next(random);
  backoff.Reset();
  EXPECT_LT(backoff.Next(random), milliseconds(500));
}

TEST(SuccessWindow, IsExactOverItsIntervalsAndSurvivesWrapping) {
  SuccessWindow<2> window;
  EXPECT_EQ(window.total(), 0u);
  window.Advance(UINT32_MAX - 4, UINT32_MAX - 9);
  window.Advance(5, 0);
  window.Advance(15, 9);
  // The two last intervals: 10 then 10 requests, 10 then 9 successes.
  EXPECT_EQ(window.total(), 20u);
  EXPECT_EQ(window.success(), 19u);
  EXPECT_DOUBLE_EQ(window.success_percent(), 95.0);
  window.Advance(15, 9);
  EXPECT_DOUBLE_EQ(window.success_percent(), 90.0);
}

}  // namespace
}  // namespace remora::health
