#include "lb/host_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/lb/hosts.h"

namespace remora::lb {
namespace {

using ::testing::ElementsAre;
using testing::HostPool;
using ::testing::IsEmpty;
using testing::MakeHosts;

std::vector<uint32_t> Members(const HostSet& set, uint32_t id) {
  std::vector<uint32_t> members;
  for (size_t i = 0; i < set.list(id).size(); ++i) members.push_back(set.list(id).At(i));
  return members;
}

TEST(HostSet, AClusterWithoutHostsHasOneEmptyPriority) {
  const auto set = HostSet::Empty();
  ASSERT_EQ(set->priorities().size(), 1u);
  EXPECT_TRUE(set->list(set->priorities()[0].all).empty());
}

TEST(HostSet, PartsHostsByHealthInOrder) {
  HostPool pool;
  const auto set = MakeHosts(pool, {{"10.0.0.1"},
                                    {"10.0.0.2", 1, kFailedActiveHc},
                                    {"10.0.0.3", 1, kDegradedEdsHealth},
                                    {"10.0.0.4", 1, kFailedActiveHc | kPendingActiveHc},
                                    {"10.0.0.5"}});
  const PriorityHosts& p0 = set->priorities()[0];
  EXPECT_THAT(Members(*set, p0.all), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(Members(*set, p0.healthy), ElementsAre(0, 4));
  EXPECT_THAT(Members(*set, p0.degraded), ElementsAre(2));
  EXPECT_EQ(p0.excluded_count, 1u);
  EXPECT_EQ(set->healthy_count(), 2u);
  EXPECT_EQ(set->degraded_count(), 1u);
  EXPECT_EQ(set->excluded_count(), 1u);
  EXPECT_EQ(set->health(2), Health::kDegraded);
}

TEST(HostSet, ANewPartitionSharesTheTableAndReadsFlagsOnce) {
  HostPool pool;
  const auto before = MakeHosts(pool, {{"10.0.0.1"}, {"10.0.0.2"}});
  pool.Get("10.0.0.1")->state().SetFlag(kFailedOutlierCheck);
  const auto after = HostSet::Make(before->table());
  EXPECT_EQ(after->table(), before->table());
  EXPECT_EQ(before->list(before->priorities()[0].healthy).size(), 2u);
  EXPECT_THAT(Members(*after, after->priorities()[0].healthy), ElementsAre(1));
  EXPECT_EQ(after->host(0), before->host(0));
}

TEST(HostSet, OrdersByPriorityAndKeepsGaps) {
  HostPool pool;
  const auto set =
      MakeHosts(pool, {{"10.0.0.1", 1, 0, 2}, {"10.0.0.2", 1, 0, 0}, {"10.0.0.3", 1, 0, 2}});
  ASSERT_EQ(set->priorities().size(), 3u);
  EXPECT_EQ(set->entry(0).host->address_string(), "10.0.0.2:80");
  EXPECT_THAT(Members(*set, set->priorities()[1].all), IsEmpty());
  EXPECT_THAT(Members(*set, set->priorities()[2].all), ElementsAre(1, 2));
}

TEST(HostSet, PutsItsOwnLocalityFirstAndTheOthersInOrder) {
  HostPool pool;
  HostTable::Options options;
  options.local = {"", "m", ""};
  const auto set = MakeHosts(pool,
                             {{"10.0.0.1", 1, 0, 0, "z"},
                              {"10.0.0.2", 1, 0, 0, "m"},
                              {"10.0.0.3", 1, 0, 0, "a"},
                              {"10.0.0.4", 1, kFailedActiveHc, 0, "z"}},
                             options, {{"z", 7}});
  const PriorityHosts& p0 = set->priorities()[0];
  ASSERT_EQ(p0.localities.size(), 3u);
  EXPECT_TRUE(p0.has_local);
  EXPECT_EQ(p0.localities[0].locality.zone, "m");
  EXPECT_EQ(p0.localities[1].locality.zone, "a");
  EXPECT_EQ(p0.localities[2].locality.zone, "z");
  EXPECT_EQ(p0.localities[2].weight, 7u);
  EXPECT_THAT(Members(*set, p0.localities[2].all), ElementsAre(0, 3));
  EXPECT_THAT(Members(*set, p0.localities[2].healthy), ElementsAre(0));
  // Rotation over the whole priority keeps the configuration's order.
  EXPECT_EQ(set->entry(0).host->address_string(), "10.0.0.1:80");
  EXPECT_EQ(set->entry(0).locality, 2u);
}

TEST(HostSet, KnowsWhetherWeightsDifferAndTheirSum) {
  HostPool pool;
  const auto set =
      MakeHosts(pool, {{"10.0.0.1", 3}, {"10.0.0.2", 3}, {"10.0.0.3", 5, kFailedEdsHealth}});
  const PriorityHosts& p0 = set->priorities()[0];
  EXPECT_FALSE(set->list(p0.all).equal_weights());
  EXPECT_EQ(set->list(p0.all).total_weight(), 11u);
  EXPECT_TRUE(set->list(p0.healthy).equal_weights());
  EXPECT_EQ(set->table()->Find("10.0.0.3:80"), 2);
  EXPECT_EQ(set->table()->Find("10.0.0.9:80"), -1);
}

}  // namespace
}  // namespace remora::lb
