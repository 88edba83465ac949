#include "lb/locality.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lb/policy.h"
#include "tests/support/lb/hosts.h"

namespace remora::lb {
namespace {

using testing::Count;
using testing::HostPool;
using testing::MakeHosts;
using testing::TestHost;

// `healthy` and `failed` hosts in a zone; "10.Z.0.N" with Z the zone's letter.
void AddZone(const std::string& zone, int healthy, int failed, std::vector<TestHost>* hosts) {
  for (int i = 0; i < healthy + failed; ++i) {
    hosts->push_back({absl::StrCat("10.", static_cast<int>(zone[0]), ".0.", i), 1,
                      i < healthy ? 0u : uint32_t{kFailedActiveHc}, 0, zone});
  }
}

// Picks per zone.
std::map<std::string, int> CountZones(const Policy& policy, int picks, uint32_t* notes = nullptr) {
  const auto picker = policy.MakePicker(nullptr, 12345, TimePoint(0));
  RandomSource random(1);
  std::map<std::string, int> counts;
  for (int i = 0; i < picks; ++i) {
    PickContext ctx(random, TimePoint(0));
    const Choice choice = picker->Pick(ctx);
    const HostSet& hosts = policy.hosts();
    const PriorityHosts& priority = hosts.priorities()[choice.entry->priority];
    ++counts[priority.localities[choice.entry->locality].locality.zone];
    if (notes != nullptr) *notes |= ctx.notes;
  }
  return counts;
}

class LocalityTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Policy> Make(const std::vector<TestHost>& hosts,
                                     const std::map<std::string, uint32_t>& weights,
                                     LocalityMode mode,
                                     std::shared_ptr<const HostSet> local = nullptr) {
    PolicyConfig config{RoundRobinConfig()};
    config.locality_mode = mode;
    config.zone_aware = zone_aware_;
    HostTable::Options options;
    options.local = {"", "a", ""};
    return *MakePolicy(config, MakeHosts(pool_, hosts, options, weights), local);
  }

  // The local cluster: so many hosts in each zone.
  std::shared_ptr<const HostSet> Local(const std::map<std::string, int>& zones) {
    std::vector<TestHost> hosts;
    for (const auto& [zone, count] : zones) AddZone(zone, count, 0, &hosts);
    HostTable::Options options;
    options.local = {"", "a", ""};
    return MakeHosts(local_pool_, hosts, options);
  }

  HostPool pool_;
  HostPool local_pool_;
  ZoneAwareConfig zone_aware_;
};

TEST_F(LocalityTest, SharesByLocalityWeight) {
  std::vector<TestHost> hosts;
  AddZone("a", 1, 0, &hosts);
  AddZone("b", 5, 0, &hosts);
  const auto policy = Make(hosts, {{"a", 1}, {"b", 2}}, LocalityMode::kWeighted);
  std::map<std::string, int> counts = CountZones(*policy, 3000);
  EXPECT_NEAR(counts["a"], 1000, 1);
  EXPECT_NEAR(counts["b"], 2000, 1);
}

TEST_F(LocalityTest, WeightsWithoutTheModeDoNothing) {
  std::vector<TestHost> hosts;
  AddZone("a", 1, 0, &hosts);
  AddZone("b", 5, 0, &hosts);
  const auto policy = Make(hosts, {{"a", 100}, {"b", 1}}, LocalityMode::kIgnore);
  EXPECT_EQ(CountZones(*policy, 600)["a"], 100);
}

TEST_F(LocalityTest, ALocalityLosesWeightWithItsHealth) {
  // b: 1.4 * 2 / 4 = 0.7 of its weight; a has room: 1.4 * 3 / 4 > 1. 100 : 70.
  std::vector<TestHost> hosts;
  AddZone("a", 3, 1, &hosts);
  AddZone("b", 2, 2, &hosts);
  const auto policy = Make(hosts, {{"a", 1}, {"b", 1}}, LocalityMode::kWeighted);
  std::map<std::string, int> counts = CountZones(*policy, 1700);
  EXPECT_NEAR(counts["a"], 1000, 1);
  EXPECT_NEAR(counts["b"], 700, 1);
}

TEST_F(LocalityTest, ALocalityWithoutWeightGetsNothing) {
  std::vector<TestHost> hosts;
  AddZone("a", 3, 0, &hosts);
  AddZone("b", 3, 0, &hosts);
  const auto policy = Make(hosts, {{"a", 1}}, LocalityMode::kWeighted);
  EXPECT_EQ(CountZones(*policy, 300)["a"], 300);
}

TEST_F(LocalityTest, PanicIgnoresLocalityWeights) {
  std::vector<TestHost> hosts;
  AddZone("a", 1, 4, &hosts);
  AddZone("b", 0, 5, &hosts);
  const auto policy = Make(hosts, {{"a", 1}, {"b", 1}}, LocalityMode::kWeighted);
  EXPECT_EQ(CountZones(*policy, 1000)["b"], 500);
}

TEST_F(LocalityTest, StaysInItsZoneWhenTheUpstreamHasItsShare) {
  std::vector<TestHost> hosts;
  AddZone("a", 4, 0, &hosts);
  AddZone("b", 4, 0, &hosts);
  uint32_t notes = 0;
  const auto policy = Make(hosts, {}, LocalityMode::kZoneAware, Local({{"a", 2}, {"b", 2}}));
  EXPECT_EQ(CountZones(*policy, 500, &notes)["a"], 500);
  EXPECT_EQ(notes, uint32_t{kNoteZoneRoutingAllDirectly});
}

TEST_F(LocalityTest, SendsTheRestToZonesWithRoom) {
  // Upstream 25 % / 50 % / 25 %, local 40 % / 40 % / 20 %: 25 / 40 = 62.5 % stay; b has 10, c 5 of
  // room: 25 % and 12.5 %.
  std::vector<TestHost> hosts;
  AddZone("a", 5, 0, &hosts);
  AddZone("b", 10, 0, &hosts);
  AddZone("c", 5, 0, &hosts);
  uint32_t notes = 0;
  const auto policy =
      Make(hosts, {}, LocalityMode::kZoneAware, Local({{"a", 4}, {"b", 4}, {"c", 2}}));
  std::map<std::string, int> counts = CountZones(*policy, 40000, &notes);
  EXPECT_NEAR(counts["a"], 25000, 400);
  EXPECT_NEAR(counts["b"], 10000, 400);
  EXPECT_NEAR(counts["c"], 5000, 300);
  EXPECT_EQ(notes, kNoteZoneRoutingSampled | kNoteZoneRoutingCrossZone);
}

TEST_F(LocalityTest, ZoneRoutingNeedsEnoughHostsAndALocalCluster) {
  std::vector<TestHost> hosts;
  AddZone("a", 3, 0, &hosts);
  AddZone("b", 2, 0, &hosts);
  const auto local = Local({{"a", 2}, {"b", 2}});
  const auto policy = Make(hosts, {}, LocalityMode::kZoneAware, local);
  EXPECT_EQ(CountZones(*policy, 500)["b"], 200);
  EXPECT_EQ(policy->figures().notes, uint32_t{kNoteZoneClusterTooSmall});
  EXPECT_EQ(CountZones(*Make(hosts, {}, LocalityMode::kZoneAware), 500)["b"], 200);
  EXPECT_EQ(CountZones(*Make(hosts, {}, LocalityMode::kZoneAware, Local({{"a", 2}})), 500)["b"],
            200);
  zone_aware_.min_cluster_size = 5;
  EXPECT_EQ(CountZones(*Make(hosts, {}, LocalityMode::kZoneAware, local), 500)["b"], 0);
}

TEST_F(LocalityTest, ZoneRoutingMayBeEnabledInPart) {
  std::vector<TestHost> hosts;
  AddZone("a", 4, 0, &hosts);
  AddZone("b", 4, 0, &hosts);
  zone_aware_.routing_enabled_percent = 50;
  const auto policy = Make(hosts, {}, LocalityMode::kZoneAware, Local({{"a", 2}, {"b", 2}}));
  EXPECT_NEAR(CountZones(*policy, 20000)["b"], 5000, 250);
}

TEST_F(LocalityTest, ARetrysOwnLoadReachesListsNotPrepared) {
  std::vector<TestHost> hosts = {
      {"10.0.0.1", 1}, {"10.0.0.2", 2}, {"10.0.1.1", 3, 0, 1}, {"10.0.1.2", 1, 0, 1}};
  const auto policy = Make(hosts, {}, LocalityMode::kIgnore);
  const auto picker = policy->MakePicker(nullptr, 1, TimePoint(0));
  PriorityLoad second;
  second.healthy = {0, 100};
  second.degraded = {0, 0};
  RandomSource random(1);
  std::map<std::string, int> counts;
  for (int i = 0; i < 400; ++i) {
    PickContext ctx(random, TimePoint(0));
    ctx.priority_load = &second;
    ++counts[testing::IpOf(picker->Pick(ctx))];
  }
  EXPECT_NEAR(counts["10.0.1.1"], 300, 1);
  EXPECT_NEAR(counts["10.0.1.2"], 100, 1);
}

}  // namespace
}  // namespace remora::lb
