// Picks and table builds of every policy.
//
// A pick includes what a request costs in tallies: one up on picking (active, total), one down and
// a success when done, each on a host chosen up to 64 requests earlier, so that least request sees
// hosts at work. Hosts lie in memory in random order, each in an allocation of its own, and 100,000
// of them (25 MB with their entries) do not fit the L2 cache; weights are even ("w1") or skewed
// ("wN": 1 to 10).

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lb/host_set.h"
#include "lb/policy.h"
#include "lb/random_source.h"

namespace remora::lb {
namespace {

// Labels for subsets: a host is of one of eight stages.
const std::vector<std::shared_ptr<const HostAttributes>>& Stages() {
  static const auto& stages = *[] {
    auto* made = new std::vector<std::shared_ptr<const HostAttributes>>();
    for (int i = 0; i < 8; ++i) {
      auto attributes = std::make_shared<HostAttributes>();
      attributes->labels.push_back({"stage", absl::StrCat("\"", i, "\""), {}});
      made->push_back(std::move(attributes));
    }
    return made;
  }();
  return stages;
}

std::shared_ptr<const HostTable> MakeTable(uint32_t count, bool skewed) {
  RandomSource random(count);
  std::vector<std::shared_ptr<Host>> hosts;
  hosts.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    const std::string ip = absl::StrCat("10.", i >> 16, ".", i >> 8 & 255, ".", i & 255);
    hosts.push_back(std::make_shared<Host>(*SocketAddress::Ip(ip, 8080)));
  }
  for (size_t i = hosts.size(); i > 1; --i) std::swap(hosts[i - 1], hosts[random.Below(i)]);
  HostTable::Builder builder({});
  for (std::shared_ptr<Host>& host : hosts) {
    const auto weight = static_cast<uint32_t>(skewed ? 1 + random.Below(10) : 1);
    builder.Add(std::move(host), weight, 0, {}, Stages()[random.Below(Stages().size())]);
  }
  return builder.Build();
}

// Made once per size: building 100,000 hosts takes longer than measuring them.
std::shared_ptr<const HostSet> Hosts(uint32_t count, bool skewed) {
  static auto& made = *new std::map<std::pair<uint32_t, bool>, std::shared_ptr<const HostSet>>();
  std::shared_ptr<const HostSet>& hosts = made[{count, skewed}];
  if (hosts == nullptr) hosts = HostSet::Make(MakeTable(count, skewed));
  return hosts;
}

PolicyConfig RingFor(uint32_t hosts) {
  RingHashConfig config;
  config.minimum_ring_size = hosts >= 100'000 ? 1'000'000 : 65'536;
  return {config};
}

PolicyConfig MaglevFor(uint32_t hosts) {
  MaglevConfig config;
  config.table_size = hosts >= 100'000 ? 1'000'003 : 65'537;
  return {config};
}

void Pick(benchmark::State& state, const PolicyConfig& config, bool skewed,
          const Criteria* criteria = nullptr) {
  const auto hosts = Hosts(static_cast<uint32_t>(state.range(0)), skewed);
  const auto policy = *MakePolicy(config, hosts, nullptr);
  const auto picker = policy->MakePicker(nullptr, 987654321, TimePoint(0));
  RandomSource random(1);
  RandomSource keys(2);
  std::array<Host*, 64> under_way = {};
  size_t at = 0;
  for (auto _ : state) {
    PickContext ctx(random, TimePoint(0));
    ctx.has_hash = true;
    ctx.hash = keys.Next();
    ctx.criteria = criteria;
    Host* host = picker->Pick(ctx).host;
    host->state().rq_active.fetch_add(1, std::memory_order_relaxed);
    host->state().rq_total.fetch_add(1, std::memory_order_relaxed);
    Host*& done = under_way[at++ % under_way.size()];
    if (done != nullptr) {
      done->state().rq_active.fetch_sub(1, std::memory_order_relaxed);
      done->state().rq_success.fetch_add(1, std::memory_order_relaxed);
    }
    done = host;
  }
  for (Host* host : under_way) {
    if (host != nullptr) host->state().rq_active.fetch_sub(1, std::memory_order_relaxed);
  }
}

void BM_RoundRobin(benchmark::State& state) { Pick(state, {RoundRobinConfig()}, false); }
void BM_RoundRobinWeighted(benchmark::State& state) { Pick(state, {RoundRobinConfig()}, true); }
void BM_LeastRequest(benchmark::State& state) { Pick(state, {LeastRequestConfig()}, false); }
void BM_LeastRequestWeighted(benchmark::State& state) { Pick(state, {LeastRequestConfig()}, true); }
void BM_Random(benchmark::State& state) { Pick(state, {RandomConfig()}, false); }
void BM_RingHash(benchmark::State& state) {
  Pick(state, RingFor(static_cast<uint32_t>(state.range(0))), false);
}
void BM_RingHashWeighted(benchmark::State& state) {
  Pick(state, RingFor(static_cast<uint32_t>(state.range(0))), true);
}
void BM_Maglev(benchmark::State& state) {
  Pick(state, MaglevFor(static_cast<uint32_t>(state.range(0))), false);
}
void BM_MaglevWeighted(benchmark::State& state) {
  Pick(state, MaglevFor(static_cast<uint32_t>(state.range(0))), true);
}
// One of eight subsets: two look-ups of text before the rotation.
void BM_SubsetRoundRobin(benchmark::State& state) {
  SubsetConfig subsets;
  subsets.selectors.resize(1);
  subsets.selectors[0].keys = {"stage"};
  subsets.fallback = SubsetConfig::Fallback::kAny;
  PolicyConfig config = {RoundRobinConfig()};
  config.subset = std::make_shared<const SubsetConfig>(subsets);
  Criteria criteria;
  criteria.all = {{"stage", "\"3\""}};
  Pick(state, config, false, &criteria);
}
// What the tallies alone cost, on the next host in memory order of the set.
void BM_TalliesOnly(benchmark::State& state) {
  const auto hosts = Hosts(static_cast<uint32_t>(state.range(0)), false);
  uint32_t at = 0;
  for (auto _ : state) {
    HostState& tallies = hosts->host(at)->state();
    tallies.rq_active.fetch_add(1, std::memory_order_relaxed);
    tallies.rq_total.fetch_add(1, std::memory_order_relaxed);
    tallies.rq_active.fetch_sub(1, std::memory_order_relaxed);
    tallies.rq_success.fetch_add(1, std::memory_order_relaxed);
    if (++at == hosts->size()) at = 0;
  }
}

#define REMORA_SIZES ->Arg(10)->Arg(1'000)->Arg(100'000)
BENCHMARK(BM_TalliesOnly) REMORA_SIZES;
BENCHMARK(BM_RoundRobin) REMORA_SIZES;
BENCHMARK(BM_RoundRobinWeighted) REMORA_SIZES;
BENCHMARK(BM_LeastRequest) REMORA_SIZES;
BENCHMARK(BM_LeastRequestWeighted) REMORA_SIZES;
BENCHMARK(BM_Random) REMORA_SIZES;
BENCHMARK(BM_SubsetRoundRobin) REMORA_SIZES;
BENCHMARK(BM_RingHash) REMORA_SIZES;
BENCHMARK(BM_RingHashWeighted) REMORA_SIZES;
BENCHMARK(BM_Maglev) REMORA_SIZES;
BENCHMARK(BM_MaglevWeighted) REMORA_SIZES;

// On main, for each host set that changed.
void Build(benchmark::State& state, const PolicyConfig& config, bool skewed) {
  const auto hosts = Hosts(static_cast<uint32_t>(state.range(0)), skewed);
  for (auto _ : state) {
    benchmark::DoNotOptimize(MakePolicy(config, hosts, nullptr));
  }
}

void BM_BuildMaglev(benchmark::State& state) {
  Build(state, MaglevFor(static_cast<uint32_t>(state.range(0))), false);
}
void BM_BuildMaglevWeighted(benchmark::State& state) {
  Build(state, MaglevFor(static_cast<uint32_t>(state.range(0))), true);
}
void BM_BuildRing(benchmark::State& state) {
  Build(state, RingFor(static_cast<uint32_t>(state.range(0))), false);
}
// A change of health: the same table parted anew, and the policy on it.
void BM_BuildHostSet(benchmark::State& state) {
  const auto table = Hosts(static_cast<uint32_t>(state.range(0)), true)->table();
  for (auto _ : state) benchmark::DoNotOptimize(HostSet::Make(table));
}
// On a worker, when a snapshot is installed; the first picker and a successor.
void BM_MakeWeightedPicker(benchmark::State& state) {
  const auto hosts = Hosts(static_cast<uint32_t>(state.range(0)), true);
  const auto policy = *MakePolicy({RoundRobinConfig()}, hosts, nullptr);
  for (auto _ : state) {
    benchmark::DoNotOptimize(policy->MakePicker(nullptr, 987654321, TimePoint(0)));
  }
}
void BM_MakeWeightedSuccessor(benchmark::State& state) {
  const auto hosts = Hosts(static_cast<uint32_t>(state.range(0)), true);
  const auto policy = *MakePolicy({RoundRobinConfig()}, hosts, nullptr);
  const auto before = policy->MakePicker(nullptr, 987654321, TimePoint(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(policy->MakePicker(before.get(), 1, TimePoint(0)));
  }
}

#define REMORA_BUILD_SIZES ->Arg(10)->Arg(500)->Arg(100'000)->Unit(benchmark::kMicrosecond)
BENCHMARK(BM_BuildMaglev) REMORA_BUILD_SIZES;
BENCHMARK(BM_BuildMaglevWeighted) REMORA_BUILD_SIZES;
BENCHMARK(BM_BuildRing) REMORA_BUILD_SIZES;
BENCHMARK(BM_BuildHostSet) REMORA_BUILD_SIZES;
BENCHMARK(BM_MakeWeightedPicker) REMORA_BUILD_SIZES;
BENCHMARK(BM_MakeWeightedSuccessor) REMORA_BUILD_SIZES;

}  // namespace
}  // namespace remora::lb
