// Picking does not allocate: every policy, weighted and not, in panic, over localities, bounded.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "lb/policy.h"
#include "tests/support/lb/hosts.h"

// Sanitizers bring an allocator of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define REMORA_SANITIZERS_ALLOCATE
#endif

namespace {

std::atomic<int> allocations{0};

[[maybe_unused]] void* CountedAllocation(size_t size, size_t alignment) {
  ++allocations;
  void* memory = alignment > alignof(std::max_align_t)
                     ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
                     : std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

#ifndef REMORA_SANITIZERS_ALLOCATE
[[gnu::noinline]] void* operator new(size_t size) { return CountedAllocation(size, 0); }
[[gnu::noinline]] void* operator new(size_t size, std::align_val_t alignment) {
  return CountedAllocation(size, static_cast<size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}
#endif

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
  const int before = allocations.load();
  pick(1000);
  return allocations.load() - before;
}

TEST(Picking, DoesNotAllocate) {
#ifdef REMORA_SANITIZERS_ALLOCATE
  GTEST_SKIP() << "counted in builds without sanitizers";
#endif
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
