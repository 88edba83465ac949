// What counting costs on the request path, and a scrape on main.

#include "proxy/base/stats.h"

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

enum class Stat { kRequests, kActive, kTime, kCode };
constexpr StatDef kSchema[] = {{"rq", StatKind::kCounter},
                               {"active", StatKind::kGauge},
                               {"time", StatKind::kHistogram},
                               {"rq_", StatKind::kCodes}};

void BM_Count(benchmark::State& state) {
  StatStore store;
  const StatScope<Stat> scope = store.MainScope<Stat>(store.Register("x.", kSchema));
  for (auto _ : state) scope.Add(Stat::kRequests);
}
BENCHMARK(BM_Count);

void BM_CountCode(benchmark::State& state) {
  StatStore store;
  const StatScope<Stat> scope = store.MainScope<Stat>(store.Register("x.", kSchema));
  for (auto _ : state) scope.AddCode(Stat::kCode, 200);
}
BENCHMARK(BM_CountCode);

void BM_RecordHistogram(benchmark::State& state) {
  StatStore store;
  const StatScope<Stat> scope = store.MainScope<Stat>(store.Register("x.", kSchema));
  uint64_t value = 1;
  for (auto _ : state) {
    scope.Record(Stat::kTime, value);
    value = value * 7 % 100003;
  }
}
BENCHMARK(BM_RecordHistogram);

void BM_Scrape(benchmark::State& state) {
  StatStore store;
  for (int64_t i = 0; i < state.range(0); ++i) {
    store.MainScope<Stat>(store.Register(absl::StrCat("cluster.c", i, "."), kSchema))
        .Add(Stat::kRequests);
  }
  for (auto _ : state) {
    uint64_t total = 0;
    StatStore::Visitor visitor;
    visitor.counter =
        visitor.gauge = [&](const std::string&, uint64_t value, bool) { total += value; };
    store.Visit(visitor);
    benchmark::DoNotOptimize(total);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Scrape)->Arg(100)->Arg(10000);

}  // namespace
}  // namespace remora::proxy
