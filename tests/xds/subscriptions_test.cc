#include "xds/subscriptions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/xds/resources.h"
#include "tests/support/xds/subscribed_world.h"

namespace remora::xds {
namespace {

namespace discovery = envoy::service::discovery::v3;
using World = SubscribedWorld;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kCds[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
constexpr char kEds[] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
constexpr char kLds[] = "type.googleapis.com/envoy.config.listener.v3.Listener";
constexpr char kRds[] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

std::vector<std::string> Types(const std::vector<discovery::DiscoveryRequest>& requests) {
  std::vector<std::string> types;
  for (const auto& request : requests) types.push_back(request.type_url());
  return types;
}

TEST(Subscriptions, StartAsksForClustersThenEndpointsThenListenersThenRoutes) {
  World world(AdsBootstrap("GRPC"));
  EXPECT_THAT(world.ads().method, HasSubstr("StreamAggregatedResources"));
  auto sent = world.ads().TakeSotw();
  EXPECT_THAT(Types(sent), ElementsAre(kCds)) << "listeners wait for clusters";
  EXPECT_EQ(sent[0].node().id(), "me");

  world.Answer(ResourceKind::kCluster, "1", "c1", {EdsCluster("a")});
  sent = world.ads().TakeSotw();
  ASSERT_THAT(Types(sent), ElementsAre(kCds, kEds))
      << "the answer goes out before what follows from it";
  EXPECT_EQ(sent[0].response_nonce(), "c1");
  EXPECT_EQ(sent[0].version_info(), "1");
  EXPECT_THAT(sent[1].resource_names(), ElementsAre("a"));

  world.Answer(ResourceKind::kEndpoints, "1", "e1", {Endpoints("a", 80)});
  EXPECT_THAT(Types(world.ads().TakeSotw()), ElementsAre(kEds, kLds)) << "clusters have settled";

  world.Answer(ResourceKind::kListener, "1", "l1", {RdsListener("l", "r")});
  EXPECT_THAT(Types(world.ads().TakeSotw()), ElementsAre(kLds, kRds));
  EXPECT_FALSE(world.initialized_);
  world.Answer(ResourceKind::kRouteTable, "1", "r1", {Routes("r", "a")});
  EXPECT_TRUE(world.initialized_);
  EXPECT_TRUE(world.connected_);
  EXPECT_THAT(Types(world.ads().TakeSotw()), ElementsAre(kRds));
  const auto snapshot = world.catalog_.TakeSnapshot();
  EXPECT_THAT(snapshot->listeners, SizeIs(1));
  EXPECT_EQ(snapshot->clusters->count("a"), 1u);
}

TEST(Subscriptions, SecretsOfClustersAndListenersAreAskedFor) {
  World world(AdsBootstrap("GRPC"));
  world.ads().TakeSotw();
  world.Answer(ResourceKind::kCluster, "1", "c1",
               {StaticCluster("a", SdsClient("s1")), StaticCluster("b", SdsClient("s2"))});
  const auto sent = world.ads().TakeSotw();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_THAT(sent[1].resource_names(), ElementsAre("s1", "s2"));
  EXPECT_FALSE(world.catalog_.clusters_settled());
  world.Answer(ResourceKind::kSecret, "1", "s1", {SecretValue("s1", "x"), SecretValue("s2", "z")});
  EXPECT_TRUE(world.catalog_.clusters_settled());
}

TEST(Subscriptions, ARefusalNamesEveryBadResourceAndTheGoodOnesApply) {
  World world(AdsBootstrap("GRPC"));
  world.ads().TakeSotw();
  world.Answer(ResourceKind::kCluster, "1", "c1",
               {BadCluster("bad1"), StaticCluster("good"), BadCluster("bad2")});
  const auto sent = world.ads().TakeSotw();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0].version_info(), "") << "no version is in force yet";
  EXPECT_EQ(sent[0].response_nonce(), "c1");
  EXPECT_THAT(sent[0].error_detail().message(), HasSubstr("bad1: "));
  EXPECT_THAT(sent[0].error_detail().message(), HasSubstr("bad2: "));
  EXPECT_EQ(world.catalog_.TakeSnapshot()->clusters->count("good"), 1u);
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kRejected), ElementsAre("CDS"));
}

TEST(Subscriptions, AResourceOfAnotherTypeIsRefused) {
  World world(AdsBootstrap("GRPC"));
  world.ads().TakeSotw();
  discovery::DiscoveryResponse response;
  response.set_type_url(kCds);
  response.set_nonce("x");
  response.add_resources()->set_type_url(kEds);
  world.ads().Answer(response);
  EXPECT_THAT(world.ads().TakeSotw()[0].error_detail().message(),
              HasSubstr("does not match the message-wide type URL"));
}

TEST(Subscriptions, DeltaAppliesRemovalsAndKeepsTheRest) {
  World world(AdsBootstrap("DELTA_GRPC"));
  EXPECT_THAT(world.ads().method, HasSubstr("DeltaAggregatedResources"));
  world.ads().TakeDelta();
  discovery::DeltaDiscoveryResponse response;
  response.set_type_url(kCds);
  response.set_nonce("d1");
  for (const char* name : {"a", "b"}) {
    auto* resource = response.add_resources();
    resource->set_name(name);
    resource->set_version("1");
    resource->mutable_resource()->set_type_url(kCds);
    resource->mutable_resource()->set_value(StaticCluster(name));
  }
  world.ads().Answer(response);
  world.Turn();
  response.clear_resources();
  response.set_nonce("d2");
  response.add_removed_resources("a");
  world.ads().Answer(response);
  world.Turn();
  const auto snapshot = world.catalog_.TakeSnapshot();
  EXPECT_EQ(snapshot->clusters->count("a"), 0u);
  EXPECT_EQ(snapshot->clusters->count("b"), 1u) << "a delta response is no full set";
  std::vector<std::string> nonces;
  for (const auto& request : world.ads().TakeDelta()) {
    if (!request.response_nonce().empty()) nonces.push_back(request.response_nonce());
  }
  EXPECT_THAT(nonces, ElementsAre("d1", "d2"));
}

TEST(Subscriptions, InterestThatEndsIsUnsubscribed) {
  World world(AdsBootstrap("GRPC"));
  world.Answer(ResourceKind::kCluster, "1", "c1", {EdsCluster("a"), EdsCluster("b")});
  world.ads().TakeSotw();
  world.Answer(ResourceKind::kCluster, "2", "c2", {EdsCluster("b")});
  const auto sent = world.ads().TakeSotw();
  ASSERT_THAT(Types(sent), ElementsAre(kCds, kEds));
  EXPECT_THAT(sent[1].resource_names(), ElementsAre("b"));
}

TEST(Subscriptions, WhatNeverComesIsGivenUpAfterTheInitialFetchTimeout) {
  World world(AdsBootstrap("GRPC"));
  world.Answer(ResourceKind::kCluster, "1", "c1", {EdsCluster("a")});
  world.ads().TakeSotw();
  world.Advance(milliseconds(14999));
  EXPECT_FALSE(world.catalog_.clusters_settled());
  world.Advance(milliseconds(2));
  EXPECT_TRUE(world.catalog_.clusters_settled());
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kFetchTimeout), ElementsAre("EDS a"));
  EXPECT_THAT(Types(world.ads().TakeSotw()), ElementsAre(kLds));
  world.Advance(seconds(15));
  EXPECT_TRUE(world.initialized_) << "no listeners came either";
  // Another change of interest does not start the timer anew.
  world.ForgetEvents();
  world.Answer(ResourceKind::kCluster, "2", "c2", {EdsCluster("a"), StaticCluster("b")});
  world.Answer(ResourceKind::kCluster, "3", "c3", {EdsCluster("a"), EdsCluster("c")});
  world.Answer(ResourceKind::kEndpoints, "1", "e1", {Endpoints("c", 80)});
  world.Advance(seconds(20));
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kFetchTimeout), IsEmpty());
}

TEST(Subscriptions, NothingAnsweredAtAllStartsTheServerAfterTheTimeouts) {
  World world(AdsBootstrap("GRPC"));
  world.Advance(seconds(15));
  world.Advance(seconds(15));
  EXPECT_TRUE(world.initialized_);
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kFetchTimeout), ElementsAre("CDS", "LDS"));
}

TEST(Subscriptions, ABrokenStreamIsOpenedAgainAfterABackOffThatGrows) {
  World world(AdsBootstrap("GRPC"));
  world.Answer(ResourceKind::kCluster, "1", "c1", {StaticCluster("a")});
  world.ads().TakeSotw();
  world.ads().End();
  EXPECT_EQ(world.fake_.ads(), nullptr);
  EXPECT_FALSE(world.connected_);
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kFailure), ElementsAre("CDS", "LDS"));
  world.Advance(milliseconds(500));
  auto sent = world.ads().TakeSotw();
  ASSERT_THAT(Types(sent), ElementsAre(kCds, kLds));
  EXPECT_EQ(sent[0].version_info(), "1");
  EXPECT_EQ(sent[0].response_nonce(), "");
  EXPECT_EQ(world.catalog_.TakeSnapshot()->clusters->count("a"), 1u)
      << "the last good version stays";
  // A server that never answers is asked less and less often.
  const int before = world.fake_.opened;
  for (int i = 0; i < 200; ++i) {
    if (world.fake_.ads() != nullptr) world.ads().End();
    world.Advance(seconds(1));
  }
  const int attempts = world.fake_.opened - before;
  EXPECT_GT(attempts, 6) << "jittered between 0 and 30 s";
  EXPECT_LT(attempts, 60);
}

TEST(Subscriptions, FallbackServersAreTriedInTurn) {
  World world(AdsBootstrap("GRPC", ", {envoy_grpc: {cluster_name: two}}"));
  EXPECT_EQ(world.ads().server, "one");
  world.ads().End();
  world.Advance(seconds(1));
  EXPECT_EQ(world.ads().server, "two") << "the first never answered";
  world.Answer(ResourceKind::kCluster, "1", "c1", {});
  world.ads().End();
  world.Advance(seconds(1));
  EXPECT_EQ(world.ads().server, "two") << "it did answer";
  world.ads().End();
  world.Advance(seconds(2));
  EXPECT_EQ(world.ads().server, "one");
}

TEST(Subscriptions, BytesThatAreNoResponseEndTheStream) {
  World world(AdsBootstrap("GRPC"));
  world.ads().events->OnCallMessage("\xff\xff\xff");
  EXPECT_EQ(world.fake_.ads(), nullptr);
  world.Advance(milliseconds(500));
  EXPECT_NE(world.fake_.ads(), nullptr);
}

TEST(Subscriptions, AttemptsAndSuccessesAreCountedAsEnvoyDoes) {
  World world(AdsBootstrap("GRPC"));
  world.Answer(ResourceKind::kCluster, "1", "c1", {EdsCluster("a"), EdsCluster("b")});
  world.Answer(ResourceKind::kEndpoints, "1", "e1", {Endpoints("a", 80)});
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kAttempt),
              ElementsAre("CDS", "EDS a", "EDS b", "CDS", "EDS a"));
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kSuccess), ElementsAre("CDS", "EDS a"));
}

TEST(Subscriptions, AStreamOfItsOwnForEachTypeWhenSoConfigured) {
  const std::string own =
      "{api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: "
      "[{envoy_grpc: {cluster_name: "
      "one}}]}}";
  World world(absl::StrCat(kFront, "{cds_config: ", own, ", lds_config: ", own, "}}"));
  FakeWorld::FakeCall* cds = world.fake_.Find("ClusterDiscoveryService/StreamClusters");
  ASSERT_NE(cds, nullptr);
  EXPECT_EQ(world.fake_.ads(), nullptr);
  cds->Answer(ResourceKind::kCluster, "1", "c1", {});
  world.Turn();
  EXPECT_NE(world.fake_.Find("ListenerDiscoveryService/StreamListeners"), nullptr);
}

// Files of a folder of their own, gone at the end.
class FileSubscriptions : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/remora-files-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    for (const char* name : {"cds.yaml", "eds.yaml", "lds.yaml"}) unlink(Path(name).c_str());
    rmdir(folder_.c_str());
  }
  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(Path(name)) << text;
  }
  void WriteCds(const std::string& version, const std::vector<std::string>& clusters) {
    std::string text = absl::StrCat("version_info: '", version, "'\nresources:\n");
    for (const std::string& cluster : clusters) {
      absl::StrAppend(&text, "- {'@type': ", kCds, ", ", cluster, "}\n");
    }
    Write("cds.yaml", text);
  }
  std::string Bootstrap() const {
    return absl::StrCat(kFront, "{cds_config: {path_config_source: {path: ", Path("cds.yaml"),
                        "}}}}");
  }
  std::string EdsFields(const std::string& name) const {
    return absl::StrCat(
        "name: ", name,
        ", type: EDS, eds_cluster_config: {eds_config: {path_config_source: {path: ",
        Path("eds.yaml"), "}}}");
  }

  std::string folder_;
};

TEST_F(FileSubscriptions, AreReadAtStartAndWhenMoved) {
  WriteCds("1", {"name: a, type: STATIC", EdsFields("e")});
  Write("eds.yaml",
        absl::StrCat("{version_info: '1', resources: [{'@type': ", kEds, ", cluster_name: e}]}"));
  World world(Bootstrap());
  EXPECT_FALSE(world.initialized_);
  world.Advance(milliseconds(1));
  EXPECT_TRUE(world.initialized_) << "no listeners are configured";
  EXPECT_EQ(world.catalog_.TakeSnapshot()->clusters->size(), 4u) << "with the static ones";
  EXPECT_EQ(world.fake_.watches(), 2u);
  WriteCds("2", {"name: b, type: STATIC"});
  world.fake_.Touch(Path("cds.yaml"));
  world.Turn();
  const auto snapshot = world.catalog_.TakeSnapshot();
  EXPECT_EQ(snapshot->clusters->count("b"), 1u);
  EXPECT_EQ(snapshot->clusters->size(), 3u) << "a file is the full set";
  EXPECT_EQ(world.fake_.watches(), 1u) << "the endpoints' file is of no interest any more";
  EXPECT_EQ(world.catalog_.version(ResourceKind::kCluster), "2");
}

TEST_F(FileSubscriptions, ABadFileChangesNothingAndDoesNotHoldUpTheStart) {
  Write("cds.yaml", "resources: [");
  World world(Bootstrap());
  world.Advance(milliseconds(1));
  EXPECT_TRUE(world.initialized_);
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kFailure), ElementsAre("CDS"));
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kRejected), ElementsAre());
  WriteCds("1", {"name: a, type: STATIC"});
  world.fake_.Touch(Path("cds.yaml"));
  Write("cds.yaml", "resources: [");
  world.fake_.Touch(Path("cds.yaml"));
  EXPECT_EQ(world.catalog_.TakeSnapshot()->clusters->count("a"), 1u);
}

TEST_F(FileSubscriptions, OneBadResourceIsRefusedAlone) {
  WriteCds("1", {"name: a, type: STATIC", "name: b, type: EDS"});
  World world(Bootstrap());
  world.Advance(milliseconds(1));
  EXPECT_EQ(world.catalog_.TakeSnapshot()->clusters->count("a"), 1u);
  EXPECT_THAT(world.Events(UpdateEvent::Kind::kRejected), ElementsAre("CDS"));
}

TEST_F(FileSubscriptions, ANameThatTheFileDoesNotHoldIsNotWaitedFor) {
  WriteCds("1", {EdsFields("other")});
  Write("eds.yaml", absl::StrCat("{resources: [{'@type': ", kEds, ", cluster_name: e}]}"));
  World world(Bootstrap());
  world.Advance(milliseconds(1));
  EXPECT_TRUE(world.initialized_);
  EXPECT_EQ(world.catalog_.TakeSnapshot()->clusters->count("other"), 1u);
}

}  // namespace
}  // namespace remora::xds
