// Picking does not allocate: every policy, weighted and not, in panic, over localities, bounded.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

#include "lb/policy.h"
#include "tests/support/alloc_counter.h"
#include "tests/support/lb/hosts.h"

namespace remora::lb {
namespace {

using testing::HostPool;
using testing::MakeHosts;
using testing::TestHost;

int AllocationsOf(const PolicyConfig& config, const std::vector<TestHost>& hosts) {
  HostPool pool;
  const auto policy =
      *MakePolicy(config, MakeHosts(pool, hosts, {}, {{"a", 1}, {"b", 2}}), nullptr);
  const auto picker = policy->MakePicker(nullptr, 7, TimePoint(0));
  RandomSource random(1);
  std::atomic<uint32_t> active{1};
  const auto pick = [&](int times) {
    for (int i = 0; i < times; ++i) {
      PickContext ctx(random, TimePoint(0));
      ctx.has_hash = true;
      ctx.hash = random.Next();
      ctx.cluster_rq_active = &active;
      Host* host = picker->Pick(ctx).host;
      host->state().rq_active.fetch_add(1);
    }
  };
  pick(100);  // warm-up: bounded load grows its scratch space once
  const uint64_t before = AllocationCount();
  pick(1000);
  return static_cast<int>(AllocationCount() - before);
}

TEST(Picking, DoesNotAllocate) {
  if (!AllocationsAreCounted()) GTEST_SKIP() << "counted in builds without sanitizers";
  std::vector<TestHost> hosts;
  for (uint32_t i = 0; i < 12; ++i) {
    hosts.push_back({"10.0.0." + std::to_string(i), 1 + i % 3, i % 4 == 0 ? kDegradedEdsHealth : 0u,
                     i % 2, i % 3 == 0 ? "a" : "b"});
  }
  std::vector<TestHost> panicking = hosts;
  for (TestHost& host : panicking) host.flags = kFailedActiveHc;
  MaglevConfig bounded;
  bounded.hashing.hash_balance_factor = 110;
  LeastRequestConfig full_scan;
  full_scan.full_scan = true;
  RoundRobinConfig slow_start;
  slow_start.slow_start.window = std::chrono::seconds(10);
  for (const PolicyConfig& config :
       {PolicyConfig{RoundRobinConfig()}, PolicyConfig{LeastRequestConfig()},
        PolicyConfig{RandomConfig()}, PolicyConfig{RingHashConfig()}, PolicyConfig{MaglevConfig()},
        PolicyConfig{bounded}, PolicyConfig{full_scan}, PolicyConfig{slow_start}}) {
    for (const LocalityMode mode : {LocalityMode::kIgnore, LocalityMode::kWeighted}) {
      PolicyConfig with_mode = config;
      with_mode.locality_mode = mode;
      EXPECT_EQ(AllocationsOf(with_mode, hosts), 0);
      EXPECT_EQ(AllocationsOf(with_mode, panicking), 0);
    }
  }
}

}  // namespace
}  // namespace remora::lb
