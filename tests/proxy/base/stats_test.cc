#include "proxy/base/stats.h"

#include <map>
#include <string>
#include <thread>

#include "gtest/gtest.h"

namespace remora::proxy {
namespace {

enum class Stat { kRequests, kActive, kTime, kCode, kRare, kRareTime };
constexpr StatDef kSchema[] = {
    {"rq", StatKind::kCounter},       {"active", StatKind::kGauge},
    {"time", StatKind::kHistogram},   {"rq_", StatKind::kCodes},
    {"rare", StatKind::kRareCounter}, {"rare_time", StatKind::kRareHistogram}};

std::map<std::string, uint64_t> Numbers(const StatStore& store) {
  std::map<std::string, uint64_t> out;
  StatStore::Visitor visitor;
  visitor.counter =
      visitor.gauge = [&](const std::string& name, uint64_t value, bool) { out[name] = value; };
  store.Visit(visitor);
  return out;
}

TEST(StatsTest, SumsThreadsAndNamesByPrefix) {
  StatStore store;
  const StatBlock* block = store.Register("cluster.web.", kSchema);
  StatScope<Stat> main = store.MainScope<Stat>(block);
  StatScope<Stat> worker(store.AddSlab()->Cells(*block));
  main.Add(Stat::kRequests, 2);
  worker.Add(Stat::kRequests);
  main.Add(Stat::kActive);
  worker.Add(Stat::kActive, 2);
  // A connection opened on one thread's count may close on another's: the sum counts.
  main.Sub(Stat::kActive, 2);
  EXPECT_EQ(store.Value("cluster.web.rq"), 3u);
  EXPECT_EQ(store.Value("cluster.web.active"), 1u);
}

TEST(StatsTest, EqualRegistrationsShareABlock) {
  StatStore store;
  EXPECT_EQ(store.Register("a.", kSchema), store.Register("a.", kSchema));
  EXPECT_NE(store.Register("a.", kSchema), store.Register("b.", kSchema));
}

TEST(StatsTest, RareCountersShowOnceCounted) {
  StatStore store;
  StatScope<Stat> scope = store.MainScope<Stat>(store.Register("x.", kSchema));
  EXPECT_EQ(Numbers(store).count("x.rare"), 0u);
  scope.Add(Stat::kRare);
  EXPECT_EQ(Numbers(store)["x.rare"], 1u);
}

TEST(StatsTest, RareHistogramsShowOnceRecorded) {
  StatStore store;
  StatScope<Stat> scope = store.MainScope<Stat>(store.Register("x.", kSchema));
  std::vector<std::string> names;
  StatStore::Visitor visitor;
  visitor.histogram = [&](const std::string& name, const Histogram::Sum&) {
    names.push_back(name);
  };
  store.Visit(visitor);
  EXPECT_EQ(names, std::vector<std::string>{"x.time"});
  scope.Record(Stat::kRareTime, 0);
  names.clear();
  store.Visit(visitor);
  EXPECT_EQ(names, (std::vector<std::string>{"x.time", "x.rare_time"}));
}

TEST(StatsTest, CodesAreCountersOfTheirOwn) {
  StatStore store;
  StatScope<Stat> scope = store.MainScope<Stat>(store.Register("x.", kSchema));
  scope.AddCode(Stat::kCode, 200);
  scope.AddCode(Stat::kCode, 200);
  scope.AddCode(Stat::kCode, 503);
  scope.AddCode(Stat::kCode, 99);
  scope.AddCode(Stat::kCode, 600);
  const auto numbers = Numbers(store);
  EXPECT_EQ(numbers.at("x.rq_200"), 2u);
  EXPECT_EQ(numbers.at("x.rq_503"), 1u);
  EXPECT_EQ(numbers.count("x.rq_404"), 0u);
}

TEST(StatsTest, ResetCountersLeavesGauges) {
  StatStore store;
  StatScope<Stat> scope = store.MainScope<Stat>(store.Register("x.", kSchema));
  scope.Add(Stat::kRequests, 5);
  scope.Set(Stat::kActive, 7);
  store.ResetCounters();
  EXPECT_EQ(store.Value("x.rq"), 0u);
  scope.Add(Stat::kRequests);
  EXPECT_EQ(store.Value("x.rq"), 1u);
  EXPECT_EQ(store.Value("x.active"), 7u);
}

TEST(StatsTest, HistogramBucketsAreTwoDigits) {
  Histogram histogram;
  for (const uint64_t value : {0, 1, 9, 10, 19, 99, 100, 109, 110, 12345}) histogram.Record(value);
  Histogram::Sum sum;
  histogram.AddTo(sum);
  EXPECT_EQ(sum.zeros, 1u);
  EXPECT_EQ(sum.count, 10u);
  EXPECT_EQ(sum.sum, 0 + 1 + 9 + 10 + 19 + 99 + 100 + 109 + 110 + 12345);
  std::map<double, uint64_t> buckets;
  for (size_t i = 0; i < sum.buckets.size(); ++i) {
    if (sum.buckets[i] > 0) buckets[Histogram::BucketStart(static_cast<int>(i))] = sum.buckets[i];
  }
  const std::map<double, uint64_t> expected = {{1, 1},  {9, 1},   {10, 1},  {19, 1},
                                               {99, 1}, {100, 2}, {110, 1}, {12000, 1}};
  ASSERT_EQ(buckets.size(), expected.size());
  auto at = buckets.begin();
  for (const auto& [start, count] : expected) {
    EXPECT_NEAR(at->first, start, start * 1e-9);
    EXPECT_EQ(at->second, count);
    ++at;
  }
}

TEST(StatsTest, EveryPowerOfTenFindsItsBucket) {
  uint64_t power = 1;
  for (int decade = 0; decade < Histogram::kDecades; ++decade, power *= 10) {
    Histogram histogram;
    histogram.Record(power);
    Histogram::Sum sum;
    histogram.AddTo(sum);
    EXPECT_EQ(sum.buckets[decade * 90], 1u) << power;
  }
}

TEST(StatsTest, MainReadsWhileWorkersCount) {
  StatStore store;
  const StatBlock* block = store.Register("x.", kSchema);
  StatSlab* slab = store.AddSlab();
  std::thread worker([&] {
    StatScope<Stat> scope(slab->Cells(*block));
    for (int i = 0; i < 100000; ++i) {
      scope.Add(Stat::kRequests);
      scope.Record(Stat::kTime, static_cast<uint64_t>(i));
      scope.AddCode(Stat::kCode, 200);
    }
  });
  while (store.Value("x.rq") < 100000) Numbers(store);
  worker.join();
  EXPECT_EQ(store.Value("x.rq_200"), 100000u);
}

TEST(StatsTest, BlocksMayWaitForTheirFirstUseAndHideNames) {
  static constexpr StatDef kHiding[] = {{"rq", StatKind::kCounter}, {"no", StatKind::kHidden}};
  StatStore store;
  const StatBlock* block = store.Register("http1.", kHiding, /*when_touched=*/true);
  EXPECT_TRUE(Numbers(store).empty());
  store.AddSlab()->Cells(*block);
  EXPECT_EQ(Numbers(store), (std::map<std::string, uint64_t>{{"http1.rq", 0}}));
}

}  // namespace
}  // namespace remora::proxy
