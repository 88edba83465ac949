// Numbers worked by hand from the formulas in lb/priority.h, and the example of Envoy's own
// documentation.

#include "lb/priority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/lb/hosts.h"

namespace remora::lb {
namespace {

using ::testing::ElementsAre;
using testing::HostPool;
using testing::MakeHosts;
using testing::TestHost;

struct Level {
  uint32_t healthy = 0;
  uint32_t degraded = 0;
  uint32_t failed = 0;
  uint32_t excluded = 0;
  uint32_t healthy_weight = 1;
};

class PriorityTest : public ::testing::Test {
 protected:
  PriorityState Compute(const std::vector<Level>& levels, double threshold = 50,
                        HostTable::Options options = {}) {
    std::vector<TestHost> hosts;
    for (uint32_t p = 0; p < levels.size(); ++p) {
      uint32_t n = 0;
      const auto add = [&](uint32_t count, uint32_t flags, uint32_t weight) {
        for (uint32_t i = 0; i < count; ++i) {
          hosts.push_back({absl::StrCat("10.", p, ".", n / 250, ".", n % 250), weight, flags, p});
          ++n;
        }
      };
      add(levels[p].healthy, 0, levels[p].healthy_weight);
      add(levels[p].degraded, kDegradedEdsHealth, 1);
      add(levels[p].failed, kFailedActiveHc, 1);
      add(levels[p].excluded, kFailedActiveHc | kPendingActiveHc, 1);
    }
    set_ = MakeHosts(pool_, hosts, options);
    return ComputePriorities(*set_, threshold);
  }

  HostPool pool_;
  std::shared_ptr<const HostSet> set_;
};

TEST_F(PriorityTest, EnoughHealthyHostsTakeEverything) {
  // 140 * 72 / 100 = 100.8: still enough.
  EXPECT_THAT(Compute({{72, 0, 28}, {10}}).load.healthy, ElementsAre(100, 0));
}

TEST_F(PriorityTest, SpillsOverByTheMissingHealth) {
  // 140 * 71 / 100 = 99; the rest to the next.
  EXPECT_THAT(Compute({{71, 0, 29}, {100}}).load.healthy, ElementsAre(99, 1));
  EXPECT_THAT(Compute({{50, 0, 50}, {100}}).load.healthy, ElementsAre(70, 30));
  EXPECT_THAT(Compute({{25, 0, 75}, {100}}).load.healthy, ElementsAre(35, 65));
  EXPECT_THAT(Compute({{0, 0, 100}, {100}}).load.healthy, ElementsAre(0, 100));
  // 35 and 35, so N = 70: 35 * 100 / 70 = 50 each.
  EXPECT_THAT(Compute({{25, 0, 75}, {25, 0, 75}}, 0).load.healthy, ElementsAre(50, 50));
}

TEST_F(PriorityTest, DegradedHostsTakeWhatHealthyOnesCannot) {
  // h = 10/20/10 and d = 20/10/0 of 100 with a factor of 100: N = 70; healthy 14/28/14, degraded
  // 28/14/0, 2 left over to the first.
  HostTable::Options options;
  options.overprovisioning_factor = 100;
  const PriorityState state = Compute({{10, 20, 70}, {20, 10, 70}, {10, 0, 90}}, 0, options);
  EXPECT_THAT(state.load.healthy, ElementsAre(16, 28, 14));
  EXPECT_THAT(state.load.degraded, ElementsAre(28, 14, 0));
}

TEST_F(PriorityTest, ALevelOfDegradedHostsAloneIsUsed) {
  const PriorityState state = Compute({{0, 4, 0}});
  EXPECT_THAT(state.load.healthy, ElementsAre(0));
  EXPECT_THAT(state.load.degraded, ElementsAre(100));
  EXPECT_FALSE(state.panic[0]);
}

TEST_F(PriorityTest, NoPanicWhileAllLevelsTogetherSuffice) {
  // 30 of 100 healthy: below 50, but the second level makes up for it.
  const PriorityState state = Compute({{30, 0, 70}, {100}});
  EXPECT_FALSE(state.panic[0]);
  EXPECT_THAT(state.load.healthy, ElementsAre(42, 58));
}

TEST_F(PriorityTest, PanicsBelowTheThreshold) {
  // h = 42 + 28 = 70 < 100. Both below 50 %: all in panic, load by number of hosts (100 and 300).
  const PriorityState state = Compute({{30, 0, 70}, {60, 0, 240}});
  EXPECT_THAT(state.panic, ElementsAre(true, true));
  EXPECT_THAT(state.load.healthy, ElementsAre(25, 75));
}

TEST_F(PriorityTest, OneLevelInPanicKeepsItsLoad) {
  // h = 7 and 84: N = 91. 7 * 100 / 91 = 7, 84 * 100 / 91 = 92, 1 left over to the first.
  const PriorityState state = Compute({{5, 0, 95}, {60, 0, 40}});
  EXPECT_THAT(state.panic, ElementsAre(true, false));
  EXPECT_THAT(state.load.healthy, ElementsAre(8, 92));
}

TEST_F(PriorityTest, DegradedHostsCountAgainstPanic) {
  // 40 % healthy and 20 % degraded: not below 50. h = 56, d = 28: N = 84.
  const PriorityState state = Compute({{40, 20, 40}});
  EXPECT_FALSE(state.panic[0]);
  EXPECT_THAT(state.load.healthy, ElementsAre(67));  // 56 * 100 / 84 = 66, 1 left over
  EXPECT_THAT(state.load.degraded, ElementsAre(33));
}

TEST_F(PriorityTest, ExcludedHostsDoNotCount) {
  // 5 of 5 that count are healthy.
  const PriorityState state = Compute({{5, 0, 0, 15}, {10}});
  EXPECT_THAT(state.load.healthy, ElementsAre(100, 0));
  EXPECT_FALSE(state.panic[0]);
}

TEST_F(PriorityTest, LevelsOfSeveralSetsAreReckonedTogether) {
  LevelHealth half;
  half.health = 70;
  half.healthy_hosts = 1;
  half.counted_hosts = half.all_hosts = 2;
  LevelHealth whole;
  whole.health = 100;
  whole.healthy_hosts = whole.counted_hosts = whole.all_hosts = 2;
  const LevelHealth levels[] = {half, whole};
  EXPECT_THAT(CombineLevels(levels, 50).load.healthy, ElementsAre(70, 30));
  LevelHealth down;
  down.counted_hosts = down.all_hosts = 3;
  LevelHealth down_too;
  down_too.counted_hosts = down_too.all_hosts = 1;
  const LevelHealth panic[] = {down, down_too};
  const PriorityState state = CombineLevels(panic, 50);
  EXPECT_THAT(state.panic, ElementsAre(true, true));
  EXPECT_THAT(state.load.healthy, ElementsAre(75, 25));
}

TEST_F(PriorityTest, OnlyExcludedHostsMeanPanic) {
  const PriorityState state = Compute({{0, 0, 0, 3}});
  EXPECT_TRUE(state.panic[0]);
  EXPECT_THAT(state.load.healthy, ElementsAre(100));
}

TEST_F(PriorityTest, AThresholdOfZeroNeverPanics) {
  const PriorityState state = Compute({{0, 0, 10}, {0, 0, 10}}, 0);
  EXPECT_THAT(state.panic, ElementsAre(false, false));
  EXPECT_THAT(state.load.healthy, ElementsAre(100, 0));
}

TEST_F(PriorityTest, NobodyAtAll) {
  const PriorityState state = ComputePriorities(*HostSet::Empty(), 50);
  EXPECT_THAT(state.load.healthy, ElementsAre(100));
}

TEST_F(PriorityTest, HealthMayGoByWeight) {
  // One of two healthy, but it carries 9 of 10: 140 * 9 / 10 > 100.
  HostTable::Options options;
  options.weighted_priority_health = true;
  EXPECT_THAT(Compute({{1, 0, 1, 0, 9}, {1}}, 50, options).load.healthy, ElementsAre(100, 0));
  EXPECT_THAT(Compute({{1, 0, 1, 0, 9}, {1}}).load.healthy, ElementsAre(70, 30));
}

TEST_F(PriorityTest, LoadsAlwaysAddUpTo100) {
  RandomSource random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Level> levels(1 + random.Below(4));
    for (Level& level : levels) {
      level = {static_cast<uint32_t>(random.Below(6)), static_cast<uint32_t>(random.Below(4)),
               static_cast<uint32_t>(random.Below(6)), static_cast<uint32_t>(random.Below(2))};
    }
    const PriorityState state = Compute(levels, static_cast<double>(random.Below(101)));
    uint32_t sum = 0;
    for (const uint32_t load : state.load.healthy) sum += load;
    for (const uint32_t load : state.load.degraded) sum += load;
    ASSERT_EQ(sum, 100u) << "round " << round;
  }
}

TEST(ChoosePriority, FollowsTheLoads) {
  PriorityLoad load;
  load.healthy = {30, 20};
  load.degraded = {0, 50};
  std::map<std::pair<uint32_t, bool>, int> counts;
  for (uint64_t hash = 0; hash < 100; ++hash) {
    const ChosenPriority chosen = ChoosePriority(hash, load);
    ++counts[{chosen.priority, chosen.degraded}];
  }
  EXPECT_EQ((counts[{0, false}]), 30);
  EXPECT_EQ((counts[{1, false}]), 20);
  EXPECT_EQ((counts[{1, true}]), 50);
}

}  // namespace
}  // namespace remora::lb
