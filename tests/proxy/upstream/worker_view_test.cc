#include "proxy/upstream/worker_view.h"

#include <gtest/gtest.h>

#include "tests/support/upstream_fixture.h"

namespace remora::proxy {
namespace {

using testing::UpstreamFixture;

TEST(WorkerViewTest, FindsWhatWasInstalled) {
  UpstreamFixture f;
  EXPECT_EQ(f.view->FindCluster("a"), nullptr);
  f.AddCluster("a", 1);
  f.Install();
  ClusterView* a = f.view->FindCluster("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(f.view->FindCluster("a"), a);
  EXPECT_EQ(f.view->FindCluster("b"), nullptr);
  EXPECT_EQ(f.view->FindRoutes("r"), nullptr);
}

TEST(WorkerViewTest, UpdateKeepsTheViewAndSendsTheOldClusterHome) {
  UpstreamFixture f;
  f.AddCluster("a", 1);
  f.Install();
  f.retired.clear();
  ClusterView* a = f.view->FindCluster("a");
  const Cluster* first = &a->cluster();
  f.AddCluster("a", 2);
  f.Install();
  EXPECT_EQ(f.view->FindCluster("a"), a);
  EXPECT_NE(&a->cluster(), first);
  ASSERT_EQ(f.retired.size(), 1u);
  ASSERT_EQ(f.retired[0].left_over.size(), 1u);
  EXPECT_EQ(f.retired[0].left_over[0].get(), first);
}

TEST(WorkerViewTest, APinKeepsItsSnapshotAndNoOther) {
  UpstreamFixture f;
  f.AddCluster("a", 1);
  f.Install();
  f.retired.clear();
  const ClusterMap* pinned_map = nullptr;
  SnapshotPin pin = f.view->Pin();
  f.AddCluster("a", 2);
  f.Install();
  EXPECT_TRUE(f.retired.empty());
  SnapshotPin second = f.view->Pin();
  f.AddCluster("a", 3);
  f.Install();
  EXPECT_TRUE(f.retired.empty());
  second.Release();
  ASSERT_EQ(f.retired.size(), 1u);
  pinned_map = f.retired[0].clusters.get();
  EXPECT_EQ(pinned_map->at("a")->policy->hosts().size(), 2u);
  pin.Release();
  ASSERT_EQ(f.retired.size(), 2u);
  EXPECT_EQ(f.retired[1].clusters->at("a")->policy->hosts().size(), 1u);
}

TEST(WorkerViewTest, ARemovedClusterLivesWhileReferredTo) {
  UpstreamFixture f;
  f.AddCluster("a", 1);
  f.Install();
  ClusterRef ref(f.view->FindCluster("a"));
  f.RemoveCluster("a");
  f.Install();
  f.retired.clear();
  f.Turn();
  EXPECT_EQ(f.view->FindCluster("a"), nullptr);
  EXPECT_EQ(ref->name(), "a");
  EXPECT_TRUE(ref->removed());
  EXPECT_TRUE(f.retired.empty());
  ref.Release();
  f.Turn();
  ASSERT_EQ(f.retired.size(), 1u);
  EXPECT_EQ(f.retired[0].left_over.size(), 1u);
}

TEST(WorkerViewTest, CountsOutliveUpdates) {
  UpstreamFixture f;
  f.AddCluster("a", 1);
  f.Install();
  f.view->FindCluster("a")->stats().Add(ClusterStat::kRqTotal, 3);
  const auto shared = f.cluster("a")->shared;
  f.AddCluster("a", 2, [](xds::Cluster& c) { c.default_breaker.max_requests = 7; });
  f.Install();
  EXPECT_EQ(f.cluster("a")->shared, shared);
  EXPECT_EQ(shared->breakers.default_priority.limit(health::Resource::kRequests), 7u);
  f.view->FindCluster("a")->stats().Add(ClusterStat::kRqTotal);
  EXPECT_EQ(f.Stat("cluster.a.upstream_rq_total"), 4u);
}

TEST(WorkerViewTest, ThePolicyServesOnWhenNothingOfItChanged) {
  UpstreamFixture f;
  f.AddCluster("a", 2);
  const auto first = f.cluster("a");
  ClusterInput input;
  input.config = first->config;
  input.hosts = lb::HostSet::Make(first->policy->hosts().table());
  input.previous = first;
  const auto changed = *BuildCluster(input, f.stats);
  EXPECT_NE(changed->policy, first->policy);
  EXPECT_EQ(changed->members, first->members);
}

TEST(WorkerViewTest, MembershipGauges) {
  UpstreamFixture f;
  f.AddCluster("a", 2);
  const auto first = f.cluster("a");
  PublishMembership(*first, nullptr, f.stats);
  EXPECT_EQ(f.Stat("cluster.a.membership_total"), 2u);
  EXPECT_EQ(f.Stat("cluster.a.membership_healthy"), 2u);
  EXPECT_EQ(f.Stat("cluster.a.membership_change"), 1u);
  f.AddCluster("a", 3);
  PublishMembership(*f.cluster("a"), first.get(), f.stats);
  EXPECT_EQ(f.Stat("cluster.a.membership_total"), 3u);
  EXPECT_EQ(f.Stat("cluster.a.membership_change"), 2u);
}

TEST(WorkerViewTest, BreakerGauges) {
  UpstreamFixture f;
  f.AddCluster("a", 1, [](xds::Cluster& c) {
    c.default_breaker.max_requests = 1;
    c.track_remaining_default = true;
  });
  const auto cluster = f.cluster("a");
  RefreshBreakerGauges(*cluster, f.stats);
  EXPECT_EQ(f.Stat("cluster.a.circuit_breakers.default.rq_open"), 0u);
  EXPECT_EQ(f.Stat("cluster.a.circuit_breakers.default.remaining_rq"), 1u);
  const health::Ticket ticket =
      cluster->shared->breakers.default_priority.TryTake(health::Resource::kRequests);
  RefreshBreakerGauges(*cluster, f.stats);
  EXPECT_EQ(f.Stat("cluster.a.circuit_breakers.default.rq_open"), 1u);
  EXPECT_EQ(f.Stat("cluster.a.circuit_breakers.default.remaining_rq"), 0u);
  EXPECT_EQ(f.Stat("cluster.a.circuit_breakers.default.remaining_cx_pools"), UINT64_MAX);
}

TEST(WorkerViewTest, NoHostIsCounted) {
  UpstreamFixture f;
  f.AddCluster("a", 0);
  f.Install();
  lb::PickContext context(f.view->random(), lb::TimePoint(0));
  EXPECT_FALSE(f.view_of("a")->Pick(context));
  EXPECT_EQ(f.Stat("cluster.a.upstream_cx_none_healthy"), 1u);
}

TEST(WorkerViewTest, SuspicionReachesMainOnce) {
  UpstreamFixture f;
  f.AddCluster("a", 1, [](xds::Cluster& c) {
    c.outlier.emplace();
    c.outlier->thresholds.consecutive_5xx = 2;
  });
  f.Install();
  ClusterView* a = f.view_of("a");
  HostPools& host = a->PoolsOf(a->cluster().policy->hosts().entry(0));
  a->ReportStatus(host, 500);
  EXPECT_TRUE(f.suspects.empty());
  a->ReportStatus(host, 500);
  a->ReportStatus(host, 500);
  ASSERT_EQ(f.suspects.size(), 1u);
  EXPECT_EQ(f.suspects[0], std::make_pair(std::string("a"), std::string("10.0.0.1:80")));
  a->ReportImmediateFail(host);
  a->ReportImmediateFail(host);
  EXPECT_EQ(f.immediate_fails.size(), 1u);
}

}  // namespace
}  // namespace remora::proxy
