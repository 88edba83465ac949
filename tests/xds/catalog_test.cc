#include "xds/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/xds/resources.h"

namespace remora::xds {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr ResourceKind kCds = ResourceKind::kCluster;
constexpr ResourceKind kEds = ResourceKind::kEndpoints;
constexpr ResourceKind kLds = ResourceKind::kListener;
constexpr ResourceKind kRds = ResourceKind::kRouteTable;
constexpr ResourceKind kSds = ResourceKind::kSecret;

class CatalogTest : public testing::Test {
 protected:
  explicit CatalogTest(const std::string& bootstrap = "{}")
      : catalog_(BootstrapOf(bootstrap),
                 {[this] { ++changes_; }, [this](ResourceKind kind) { interest_.insert(kind); }}) {}

  std::vector<Catalog::Refusal> Apply(ResourceKind kind, const std::string& version,
                                      const std::vector<std::string>& all) {
    return catalog_.Apply(UpdateOf(kind, version, all), ++now_ms_);
  }
  void Remove(ResourceKind kind, const std::vector<std::string>& names) {
    Update update{kind, "", {}, false, names, {}};
    catalog_.Apply(update, ++now_ms_);
  }
  std::vector<std::string> Clusters() {
    std::vector<std::string> names;
    for (const auto& [name, cluster] : *catalog_.TakeSnapshot()->clusters) names.push_back(name);
    std::sort(names.begin(), names.end());
    return names;
  }
  std::vector<std::string> Listeners() {
    std::vector<std::string> names;
    for (const ListenerResource& listener : catalog_.TakeSnapshot()->listeners)
      names.push_back(listener.config->name);
    return names;
  }
  std::vector<std::string> Wanted(ResourceKind kind) {
    std::vector<std::string> names;
    for (const auto& [name, source] : catalog_.Wanted(kind)) names.push_back(name);
    return names;
  }
  Catalog::Status StatusOf(ResourceKind kind, const std::string& name,
                           Catalog::Stage stage = Catalog::Stage::kActive) {
    for (const Catalog::Status& status : catalog_.Statuses(kind)) {
      if (status.name == name && status.stage == stage) return status;
    }
    return {};
  }

  int changes_ = 0;
  std::set<ResourceKind> interest_;
  int64_t now_ms_ = 100;
  Catalog catalog_;
};

TEST_F(CatalogTest, AClusterServesOnceItsEndpointsAreHere) {
  EXPECT_THAT(Apply(kCds, "1", {EdsCluster("a"), StaticCluster("b")}), IsEmpty());
  EXPECT_THAT(Clusters(), ElementsAre("b"));
  EXPECT_EQ(catalog_.warming_count(kCds), 1u);
  EXPECT_FALSE(catalog_.clusters_settled());
  EXPECT_THAT(Wanted(kEds), ElementsAre("a"));
  EXPECT_EQ(interest_.count(kEds), 1u);
  Apply(kEds, "1", {Endpoints("a", 80)});
  EXPECT_THAT(Clusters(), ElementsAre("a", "b"));
  EXPECT_TRUE(catalog_.clusters_settled());
  const auto snapshot = catalog_.TakeSnapshot();
  EXPECT_NE(snapshot->clusters->at("a").assignment, nullptr);
  EXPECT_TRUE(snapshot->clusters->at("a").added_via_api);
}

TEST_F(CatalogTest, AClusterWaitsForItsSecretsToo) {
  Apply(kCds, "1", {StaticCluster("a", SdsClient("s"))});
  EXPECT_THAT(Clusters(), IsEmpty());
  EXPECT_THAT(Wanted(kSds), ElementsAre("s"));
  Apply(kSds, "1", {SecretValue("s", "x")});
  EXPECT_THAT(Clusters(), ElementsAre("a"));
}

TEST_F(CatalogTest, TheOldVersionServesWhileTheNewOneWarms) {
  Apply(kCds, "1", {EdsCluster("a", "connect_timeout: 1s")});
  Apply(kEds, "1", {Endpoints("a", 80)});
  const std::string changed = EdsCluster("a", "connect_timeout: 2s, " + SdsClient("s"));
  Apply(kCds, "2", {changed});
  EXPECT_EQ(catalog_.TakeSnapshot()->clusters->at("a").config->connect_timeout, absl::Seconds(1));
  EXPECT_EQ(catalog_.warming_count(kCds), 1u);
  Apply(kSds, "1", {SecretValue("s", "x")});
  const auto snapshot = catalog_.TakeSnapshot();
  EXPECT_EQ(snapshot->clusters->at("a").config->connect_timeout, absl::Seconds(2));
  EXPECT_NE(snapshot->clusters->at("a").assignment, nullptr) << "known endpoints are used again";
}

TEST_F(CatalogTest, WhatIsTakenBackWhileItWarmsIsDropped) {
  const std::string first = StaticCluster("a", "connect_timeout: 1s");
  Apply(kCds, "1", {first});
  Apply(kCds, "2", {StaticCluster("a", SdsClient("s"))});
  EXPECT_THAT(Wanted(kSds), ElementsAre("s"));
  Apply(kCds, "3", {first});
  EXPECT_EQ(catalog_.warming_count(kCds), 0u);
  EXPECT_THAT(Wanted(kSds), IsEmpty());
}

TEST_F(CatalogTest, WhatAReplacedClusterReferredToIsWantedNoLonger) {
  Apply(kCds, "1", {EdsCluster("a")});
  Apply(kEds, "1", {Endpoints("a", 80)});
  Apply(
      kCds, "2",
      {FromYaml<envoy::config::cluster::v3::Cluster>(
           "{name: a, type: EDS, eds_cluster_config: {service_name: other, eds_config: {ads: {}}}}")
           .SerializeAsString()});
  EXPECT_THAT(Wanted(kEds), ElementsAre("a", "other"));
  Apply(kEds, "2", {Endpoints("other", 81)});
  EXPECT_THAT(Wanted(kEds), ElementsAre("other"));
  EXPECT_FALSE(catalog_.Has(kEds, "a"));
}

TEST_F(CatalogTest, AFullSetRemovesWhatIsMissing) {
  Apply(kCds, "1", {StaticCluster("a"), StaticCluster("b"), EdsCluster("warm")});
  Apply(kCds, "2", {StaticCluster("b")});
  EXPECT_THAT(Clusters(), ElementsAre("b"));
  EXPECT_EQ(catalog_.warming_count(kCds), 0u);
  EXPECT_THAT(Wanted(kEds), IsEmpty());
}

TEST_F(CatalogTest, AHeartbeatKeepsItsResourceInAFullSet) {
  Apply(kCds, "1", {StaticCluster("a"), StaticCluster("b")});
  Update update = UpdateOf(kCds, "1", {StaticCluster("b")});
  update.confirmed = {"a"};
  catalog_.Apply(update, 1);
  EXPECT_THAT(Clusters(), ElementsAre("a", "b"));
}

TEST_F(CatalogTest, ARemovalByNameEndsTheResourceAndTheWaiting) {
  Apply(kCds, "1", {StaticCluster("a"), EdsCluster("b")});
  Remove(kCds, {"a"});
  EXPECT_THAT(Clusters(), IsEmpty());
  // The control plane says that there are no endpoints: the cluster is there without hosts.
  Remove(kEds, {"b"});
  EXPECT_THAT(Clusters(), ElementsAre("b"));
  EXPECT_EQ(catalog_.TakeSnapshot()->clusters->at("b").assignment, nullptr);
}

TEST_F(CatalogTest, EndpointsAndSecretsInUseOutliveTheirRemoval) {
  Apply(kCds, "1", {EdsCluster("a", SdsClient("s"))});
  Apply(kEds, "1", {Endpoints("a", 80)});
  Apply(kSds, "1", {SecretValue("s", "x")});
  Remove(kEds, {"a"});
  Remove(kSds, {"s"});
  EXPECT_NE(catalog_.TakeSnapshot()->clusters->at("a").assignment, nullptr);
  EXPECT_EQ(catalog_.TakeSnapshot()->secrets->count("s"), 1u);
}

TEST_F(CatalogTest, ARefusalKeepsThePredecessor) {
  Apply(kCds, "1", {StaticCluster("a"), StaticCluster("b")});
  const std::string bad = BadCluster("a");
  const auto refusals = Apply(kCds, "2", {bad, StaticCluster("b"), StaticCluster("c")});
  ASSERT_THAT(refusals, SizeIs(1));
  EXPECT_EQ(refusals[0].name, "a");
  EXPECT_THAT(refusals[0].error, HasSubstr("eds"));
  EXPECT_THAT(Clusters(), ElementsAre("a", "b", "c")) << "the good ones of the batch apply";
  EXPECT_EQ(StatusOf(kCds, "a").version, "1");
  EXPECT_EQ(catalog_.version(kCds), "2") << "something of it is in force";
  Apply(kCds, "3", {StaticCluster("a"), StaticCluster("b"), StaticCluster("c"), BadCluster("x")});
  EXPECT_EQ(catalog_.version(kCds), "2") << "nothing of it is new";
}

TEST_F(CatalogTest, WhatListenersWereRefusedForIsRemembered) {
  Apply(kLds, "1", {PlainListener("l", 81)});
  Apply(kRds, "1", {});
  const std::string bad = PlainListener("m", 81);
  const auto refusals = Apply(kLds, "2", {PlainListener("l", 81), bad});
  ASSERT_THAT(refusals, SizeIs(1));
  EXPECT_THAT(refusals[0].error, HasSubstr("'m' has duplicate address '127.0.0.1:81'"));
  const Catalog::Status status = StatusOf(kLds, "m");
  ASSERT_NE(status.failure, nullptr);
  EXPECT_EQ(status.failure->bytes, bad);
  EXPECT_THAT(catalog_.listener_failures(), SizeIs(1));
  Apply(kLds, "3", {PlainListener("m", 81)});
  EXPECT_THAT(Listeners(), ElementsAre("m")) << "the other went first";
  EXPECT_THAT(catalog_.listener_failures(), IsEmpty());
}

TEST_F(CatalogTest, AResponseWithAPartThatBreaksTheProtosRulesIsRefusedWhole) {
  Apply(kCds, "1", {StaticCluster("a")});
  const auto refusals = Apply(kCds, "2", {StaticCluster("b"), StaticCluster("''")});
  ASSERT_THAT(refusals, SizeIs(1));
  EXPECT_THAT(Clusters(), ElementsAre("a"));
  EXPECT_EQ(catalog_.version(kCds), "1");
}

TEST_F(CatalogTest, ATableThatAsksForItNamesKnownClustersAlone) {
  Apply(kCds, "1", {StaticCluster("a")});
  Apply(kLds, "1", {RdsListener("l", "r")});
  auto strict = FromYaml<envoy::config::route::v3::RouteConfiguration>("{validate_clusters: true}");
  envoy::config::route::v3::RouteConfiguration routes;
  routes.ParseFromString(Routes("r", "none"));
  strict.MergeFrom(routes);
  const auto refusals = Apply(kRds, "1", {strict.SerializeAsString()});
  ASSERT_THAT(refusals, SizeIs(1));
  EXPECT_EQ(refusals[0].error, "route: unknown cluster 'none'");
  EXPECT_THAT(Apply(kRds, "2", {Routes("r", "none")}), IsEmpty()) << "others may come later";
}

TEST_F(CatalogTest, OfDuplicatesTheFirstCountsAndTheOtherIsRefused) {
  const auto refusals =
      Apply(kCds, "1",
            {StaticCluster("a", "connect_timeout: 1s"), StaticCluster("a", "connect_timeout: 2s")});
  ASSERT_THAT(refusals, SizeIs(1));
  EXPECT_THAT(refusals[0].error, HasSubstr("duplicate"));
  EXPECT_EQ(catalog_.TakeSnapshot()->clusters->at("a").config->connect_timeout, absl::Seconds(1));
}

TEST_F(CatalogTest, EqualResourcesChangeNothing) {
  Apply(kCds, "1", {EdsCluster("a")});
  Apply(kEds, "1", {Endpoints("a", 80)});
  Apply(kLds, "1", {RdsListener("l", "r")});
  Apply(kRds, "1", {Routes("r", "a")});
  const auto before = catalog_.TakeSnapshot();
  changes_ = 0;
  Apply(kCds, "2", {EdsCluster("a")});
  Apply(kEds, "2", {Endpoints("a", 80)});
  Apply(kLds, "2", {RdsListener("l", "r")});
  Apply(kRds, "2", {Routes("r", "a")});
  EXPECT_EQ(changes_, 0);
  EXPECT_EQ(StatusOf(kCds, "a").version, "1");
  const auto after = catalog_.TakeSnapshot();
  EXPECT_EQ(before->clusters, after->clusters) << "the same object";
  EXPECT_EQ(before->routes, after->routes);
  EXPECT_EQ(before->listeners[0].config, after->listeners[0].config);
}

TEST_F(CatalogTest, AChangeOfEndpointsLeavesTheClusterTheSame) {
  Apply(kCds, "1", {EdsCluster("a"), StaticCluster("b")});
  Apply(kEds, "1", {Endpoints("a", 80)});
  const auto before = catalog_.TakeSnapshot();
  Apply(kEds, "2", {Endpoints("a", 81)});
  const auto after = catalog_.TakeSnapshot();
  EXPECT_EQ(before->clusters->at("a").config, after->clusters->at("a").config);
  EXPECT_NE(before->clusters->at("a").assignment, after->clusters->at("a").assignment);
  EXPECT_EQ(before->routes, after->routes);
}

TEST_F(CatalogTest, AListenerServesOnceItsRoutesAreHere) {
  Apply(kLds, "1", {RdsListener("l", "r")});
  EXPECT_THAT(Listeners(), IsEmpty());
  EXPECT_FALSE(catalog_.listeners_settled());
  const auto unready = catalog_.UnreadyListeners();
  ASSERT_THAT(unready, SizeIs(1));
  EXPECT_EQ(unready[0].first, "l");
  EXPECT_THAT(unready[0].second, ElementsAre("RDS r"));
  Apply(kRds, "1", {Routes("r", "nowhere")});
  EXPECT_THAT(Listeners(), ElementsAre("l")) << "routes do not wait for clusters";
  EXPECT_THAT(catalog_.UnreadyListeners(), IsEmpty());
}

TEST_F(CatalogTest, AListenerThatChangesKeepsItsPlace) {
  Apply(kLds, "1", {RdsListener("z", "r"), RdsListener("a", "r")});
  Apply(kRds, "1", {Routes("r", "c")});
  EXPECT_THAT(Listeners(), ElementsAre("z", "a"));
  Apply(kLds, "2",
        {RdsListener("z", "r", "per_connection_buffer_limit_bytes: 7"), RdsListener("a", "r")});
  EXPECT_THAT(Listeners(), ElementsAre("z", "a"));
  EXPECT_EQ(catalog_.TakeSnapshot()->listeners[0].config->per_connection_buffer_limit, 7u);
}

TEST_F(CatalogTest, WhatNeverComesIsGivenUp) {
  Apply(kCds, "1", {EdsCluster("a")});
  Apply(kLds, "1", {RdsListener("l", "r")});
  catalog_.OnFetchTimeout(kEds, "a");
  catalog_.OnFetchTimeout(kRds, "r");
  EXPECT_THAT(Clusters(), ElementsAre("a"));
  EXPECT_THAT(Listeners(), ElementsAre("l"));
  // Late is better than never.
  Apply(kEds, "1", {Endpoints("a", 80)});
  EXPECT_NE(catalog_.TakeSnapshot()->clusters->at("a").assignment, nullptr);
}

TEST_F(CatalogTest, WhatNobodyRefersToIsNotKept) {
  Apply(kEds, "1", {Endpoints("stranger", 80)});
  EXPECT_FALSE(catalog_.Has(kEds, "stranger"));
  EXPECT_EQ(changes_, 0);
  Apply(kCds, "1", {EdsCluster("a")});
  Apply(kEds, "1", {Endpoints("a", 80)});
  Apply(kCds, "2", {});
  EXPECT_FALSE(catalog_.Has(kEds, "a"));
  // When it comes back it waits anew.
  Apply(kCds, "3", {EdsCluster("a")});
  EXPECT_THAT(Clusters(), IsEmpty());
}

class CatalogWithStatics : public CatalogTest {
 protected:
  CatalogWithStatics()
      : CatalogTest(
            "{static_resources: {clusters: [{name: s, connect_timeout: 1s}], secrets: [{name: k, "
            "generic_secret: "
            "{secret: {inline_string: v}}}]}}") {}
};

TEST_F(CatalogWithStatics, StaticResourcesAreNeitherReplacedNorRemoved) {
  EXPECT_THAT(Apply(kCds, "1", {StaticCluster("s", "connect_timeout: 9s"), StaticCluster("a")}),
              IsEmpty());
  const auto snapshot = catalog_.TakeSnapshot();
  EXPECT_EQ(snapshot->clusters->at("s").config->connect_timeout, absl::Seconds(1));
  EXPECT_FALSE(snapshot->clusters->at("s").added_via_api);
  Apply(kCds, "2", {});
  Remove(kCds, {"s"});
  EXPECT_THAT(Clusters(), ElementsAre("s"));
  EXPECT_EQ(catalog_.TakeSnapshot()->secrets->count("k"), 1u);
}

}  // namespace
}  // namespace remora::xds
