#include <gtest/gtest.h>

#include "proxy/upstream/cluster_view.h"
#include "tests/support/upstream_fixture.h"

namespace remora::proxy {
namespace {

using testing::UpstreamFixture;

class ClusterPickTest : public ::testing::Test {
 protected:
  Picked Pick(const std::string& cluster, const PickWish& wish = PickWish()) {
    lb::PickContext context(random_, lb::TimePoint(0));
    return f_.view_of(cluster)->PickHost(context, wish);
  }

  void Aggregate(std::vector<std::string> members) {
    f_.AddCluster("all", 0, [&](xds::Cluster& config) {
      config.type = xds::Cluster::Type::kAggregate;
      config.aggregate_clusters = members;
    });
  }

  void OriginalDst() {
    f_.AddCluster("dst", 0,
                  [](xds::Cluster& config) { config.type = xds::Cluster::Type::kOriginalDst; });
  }

  void Fail(const std::string& cluster) {
    for (const auto& entry : f_.cluster(cluster)->policy->hosts().table()->entries()) {
      entry.host->state().SetFlag(lb::kFailedActiveHc);
    }
  }

  UpstreamFixture f_;
  lb::RandomSource random_{3};
};

TEST_F(ClusterPickTest, AnAggregatePicksFromItsFirstMemberThatIsWell) {
  f_.AddCluster("a", 1);
  f_.AddCluster("b", 1);
  Aggregate({"a", "b"});
  f_.Install();
  EXPECT_EQ(Pick("all").view, f_.view_of("a"));
  Fail("a");
  f_.AddCluster("a", 1);
  f_.Install();
  EXPECT_EQ(Pick("all").view, f_.view_of("b"));
}

TEST_F(ClusterPickTest, MembersWithoutHostsOrUnknownArePassedOver) {
  f_.AddCluster("empty", 0);
  f_.AddCluster("b", 2);
  Aggregate({"unknown", "empty", "b"});
  f_.Install();
  EXPECT_EQ(Pick("all").view, f_.view_of("b"));
  f_.RemoveCluster("b");
  f_.Install();
  EXPECT_FALSE(Pick("all"));
  EXPECT_EQ(f_.Stat("cluster.all.upstream_cx_none_healthy"), 1u);
}

TEST_F(ClusterPickTest, ADestinationBecomesAHostThatUpdatesKeep) {
  OriginalDst();
  f_.Install();
  EXPECT_FALSE(Pick("dst"));
  const auto address = *lb::SocketAddress::Ip("10.1.1.1", 99);
  PickWish wish;
  wish.destination = &address;
  const Picked first = Pick("dst", wish);
  ASSERT_TRUE(first);
  EXPECT_EQ(first.choice.host->address_string(), "10.1.1.1:99");
  EXPECT_EQ(first.choice.entry->attributes->hostname, "dst10.1.1.1:99");
  EXPECT_TRUE(first.choice.host->state().used);
  OriginalDst();
  f_.Install();
  EXPECT_EQ(Pick("dst", wish).choice.host, first.choice.host);
}

TEST_F(ClusterPickTest, ANamedHostIsUsedWhenItsStateIsOneOfThoseAllowed) {
  f_.AddCluster("a", 3);
  f_.Install();
  PickWish wish;
  wish.override_host = "10.0.0.3:80";
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(Pick("a", wish).choice.host->address_string(), "10.0.0.3:80");
  }
  f_.view_of("a")->FindHost("10.0.0.3:80")->host->state().SetFlag(lb::kFailedActiveHc);
  wish.override_strict = true;
  EXPECT_FALSE(Pick("a", wish));
  f_.AddCluster("a", 3, [](xds::Cluster& config) { config.override_statuses = 1u << 2; });
  f_.Install();
  EXPECT_EQ(Pick("a", wish).choice.host->address_string(), "10.0.0.3:80");
}

TEST_F(ClusterPickTest, HostsAreFoundByAddressAlsoAfterAnUpdate) {
  f_.AddCluster("a", 1);
  f_.Install();
  EXPECT_EQ(f_.view_of("a")->FindHost("10.0.0.2:80"), nullptr);
  f_.AddCluster("a", 2);
  f_.Install();
  EXPECT_NE(f_.view_of("a")->FindHost("10.0.0.2:80"), nullptr);
}

TEST_F(ClusterPickTest, PoolsAreLimitedAndIdleOnesMakeRoom) {
  f_.AddCluster("a", 2,
                [](xds::Cluster& config) { config.default_breaker.max_connection_pools = 1; });
  f_.Install();
  ClusterView& view = *f_.view_of("a");
  const lb::HostEntry* first = view.FindHost("10.0.0.1:80");
  const lb::HostEntry* second = view.FindHost("10.0.0.2:80");
  const lb::Choice one{first->host.get(), first};
  const lb::Choice other{second->host.get(), second};
  ASSERT_TRUE(view.MayPool(one, PoolKey()));
  view.PoolFor(one, PoolKey());
  EXPECT_TRUE(view.MayPool(one, PoolKey()));
  // The first pool has no connection: it goes.
  EXPECT_TRUE(view.MayPool(other, PoolKey()));
}

}  // namespace
}  // namespace remora::proxy
