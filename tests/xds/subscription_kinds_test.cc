// Kinds beyond the five of every mesh, and the ways of asking beyond streams.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/route/v3/scoped_route.pb.h"
#include "envoy/service/runtime/v3/rtds.pb.h"
#include "filters/api/arena.h"
#include "filters/api/headers.h"
#include "google/protobuf/util/json_util.h"
#include "tests/support/xds/subscribed_world.h"
#include "xds/http_connection_manager.h"
#include "xds/late_virtual_host.h"
#include "xds/runtime_folder.h"
#include "xds/scoped_route.h"

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
using testing::UnorderedElementsAre;
using Kind = UpdateEvent::Kind;

std::string Hcm(const std::string& fields) {
  return absl::StrCat(
      "{name: hcm, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network."
      "http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, ",
      fields, "}}");
}
constexpr char kRouter[] =
    "{name: r, typed_config: {'@type': "
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";

std::string ListenerOf(const std::string& name, const std::string& hcm) {
  return FromYaml<envoy::config::listener::v3::Listener>(
             absl::StrCat("{name: ", name,
                          ", address: {socket_address: {address: 127.0.0.1, port_value: 0}}, "
                          "filter_chains: [{filters: [",
                          Hcm(hcm), "]}]}"))
      .SerializeAsString();
}

std::string ScopedListener(const std::string& name) {
  return ListenerOf(
      name, absl::StrCat("scoped_routes: {name: sc, scope_key_builder: {fragments: "
                         "[{header_value_extractor: {name: X-Scope, index: 0}}]}, "
                         "rds_config_source: {ads: {}}, scoped_rds: {scoped_rds_config_source: "
                         "{ads: {}}}}, http_filters: [",
                         kRouter, "]"));
}

std::string Scope(const std::string& name, const std::string& key, const std::string& table) {
  return FromYaml<envoy::config::route::v3::ScopedRouteConfiguration>(
             absl::StrCat("{name: ", name, ", route_configuration_name: ", table,
                          ", key: {fragments: [{string_key: ", key, "}]}}"))
      .SerializeAsString();
}

// Past the clusters: the listeners are being asked for.
void Settle(World& world) {
  world.Answer(ResourceKind::kCluster, "1", "c", {});
  world.ads().TakeSotw();
}

TEST(SubscriptionKinds, ScopesLeadToTablesAndAListenerWaitsForAllOfThem) {
  World world(AdsBootstrap("GRPC"));
  Settle(world);
  world.Answer(ResourceKind::kListener, "1", "l", {ScopedListener("l")});
  auto sent = world.ads().TakeSotw();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_THAT(sent[1].type_url(), HasSubstr("ScopedRouteConfiguration"));
  EXPECT_THAT(sent[1].resource_names(), IsEmpty()) << "scopes come as a whole";

  world.Answer(ResourceKind::kScopedRoute, "1", "s",
               {Scope("one", "a", "ra"), Scope("two", "b", "rb")});
  sent = world.ads().TakeSotw();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_THAT(sent[1].resource_names(), ElementsAre("ra", "rb"));
  EXPECT_FALSE(world.initialized_);
  world.Answer(ResourceKind::kRouteTable, "1", "r", {Routes("ra", "a"), Routes("rb", "b")});
  EXPECT_TRUE(world.initialized_);
  EXPECT_THAT(*world.catalog_.TakeSnapshot()->scopes, SizeIs(2));

  world.Answer(ResourceKind::kScopedRoute, "2", "s2", {Scope("two", "b", "rb")});
  const auto snapshot = world.catalog_.TakeSnapshot();
  EXPECT_THAT(*snapshot->scopes, SizeIs(1)) << "a scope that is missing is gone";
  EXPECT_EQ(snapshot->routes->count("ra"), 0u) << "its table with it";
}

TEST(SubscriptionKinds, ScopesOfOneKeyAreRefusedTogether) {
  World world(AdsBootstrap("GRPC"));
  Settle(world);
  world.Answer(ResourceKind::kListener, "1", "l", {ScopedListener("l")});
  world.Answer(ResourceKind::kScopedRoute, "1", "s", {Scope("one", "a", "ra")});
  world.ads().TakeSotw();
  world.Answer(ResourceKind::kScopedRoute, "2", "s2",
               {Scope("two", "b", "ra"), Scope("three", "b", "ra")});
  const auto sent = world.ads().TakeSotw();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_THAT(sent[0].error_detail().message(),
              HasSubstr("scope key conflict found, first scope is 'two', second scope is 'three'"));
  EXPECT_THAT(*world.catalog_.TakeSnapshot()->scopes, SizeIs(1)) << "the last good one stays";
}

TEST(SubscriptionKinds, AScopeKeyIsReadOutOfHeaders) {
  Arena arena;
  Headers request(&arena);
  request.set_pseudo(HeaderId::kAuthority, "a.example");
  request.Add("x-scope", "v=1;k=two;k=three");
  const auto build = [&](ScopeKeyBuilder::Fragment fragment) -> std::string {
    ScopeKeyBuilder builder;
    builder.Add(std::move(fragment));
    std::string key;
    return builder.Build(request, &key) ? key : "none";
  };
  EXPECT_EQ(build({"host", "", 0, std::nullopt, ""}), "9:a.example");
  EXPECT_EQ(build({"x-scope", ";", 1, std::nullopt, ""}), "5:k=two");
  EXPECT_EQ(build({"x-scope", ";", 3, std::nullopt, ""}), "none") << "there are three elements";
  EXPECT_EQ(build({"x-scope", ";", 0, "k", "="}), "3:two") << "the first of that key";
  EXPECT_EQ(build({"x-scope", ";", 0, "z", "="}), "none");
  EXPECT_EQ(build({"absent", ";", 0, std::nullopt, ""}), "none");
}

std::string VirtualHostOf(const std::string& domain, const std::string& cluster) {
  return FromYaml<envoy::config::route::v3::VirtualHost>(
             absl::StrCat("{name: v-", domain, ", domains: [", domain,
                          "], routes: [{match: {prefix: /}, route: {cluster: ", cluster, "}}]}"))
      .SerializeAsString();
}

void AnswerDelta(World& world, ResourceKind kind, const std::string& nonce,
                 const std::vector<std::pair<std::string, std::string>>& resources,
                 int64_t ttl_seconds = 0) {
  discovery::DeltaDiscoveryResponse response;
  response.set_type_url(std::string(TypeOf(kind).type_url));
  response.set_nonce(nonce);
  for (const auto& [name, bytes] : resources) {
    auto* resource = response.add_resources();
    resource->set_name(name);
    resource->set_version("1");
    if (ttl_seconds > 0) resource->mutable_ttl()->set_seconds(ttl_seconds);
    resource->mutable_resource()->set_type_url(std::string(TypeOf(kind).type_url));
    resource->mutable_resource()->set_value(bytes);
  }
  world.ads().Answer(response);
  world.Turn();
}

TEST(SubscriptionKinds, VirtualHostsFillTheirTableOneByOne) {
  World world(AdsBootstrap("DELTA_GRPC"));
  AnswerDelta(world, ResourceKind::kCluster, "c", {});
  AnswerDelta(world, ResourceKind::kListener, "l", {{"l", RdsListener("l", "t")}});
  const std::string table = FromYaml<envoy::config::route::v3::RouteConfiguration>(
                                "{name: t, vhds: {config_source: {ads: {}}}}")
                                .SerializeAsString();
  world.ads().TakeDelta();
  AnswerDelta(world, ResourceKind::kRouteTable, "r", {{"t", table}});
  const auto sent = world.ads().TakeDelta();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_THAT(sent[1].type_url(), HasSubstr("VirtualHost"));
  EXPECT_THAT(sent[1].resource_names_subscribe(), IsEmpty()) << "of all tables";
  EXPECT_FALSE(world.initialized_) << "the listener waits for the hosts";

  AnswerDelta(
      world, ResourceKind::kVirtualHost, "v",
      {{"t/a", VirtualHostOf("a.example", "one")}, {"t/b", VirtualHostOf("b.example", "two")}});
  EXPECT_TRUE(world.initialized_);
  const auto whole = world.catalog_.TakeSnapshot()->routes->at("t");
  ASSERT_NE(whole->FindVirtualHost("b.example"), nullptr);
  EXPECT_EQ(whole->FindVirtualHost("b.example")->routes[0].forward()->cluster, "two");

  discovery::DeltaDiscoveryResponse gone;
  gone.set_type_url(std::string(TypeOf(ResourceKind::kVirtualHost).type_url));
  gone.add_removed_resources("t/b");
  world.ads().Answer(gone);
  world.Turn();
  const auto rest = world.catalog_.TakeSnapshot()->routes->at("t");
  EXPECT_EQ(rest->FindVirtualHost("b.example"), nullptr);
  EXPECT_NE(rest->FindVirtualHost("a.example"), nullptr);
}

TEST(SubscriptionKinds, AResourceGoesWhenItsTimeIsOver) {
  World world(AdsBootstrap("DELTA_GRPC"));
  AnswerDelta(world, ResourceKind::kCluster, "c", {{"a", StaticCluster("a")}}, 5);
  world.Advance(seconds(4));
  EXPECT_TRUE(world.catalog_.Has(ResourceKind::kCluster, "a"));
  AnswerDelta(world, ResourceKind::kCluster, "c2", {{"a", StaticCluster("a")}}, 5);
  world.Advance(seconds(4));
  EXPECT_TRUE(world.catalog_.Has(ResourceKind::kCluster, "a")) << "said again in time";
  world.Advance(seconds(2));
  EXPECT_FALSE(world.catalog_.Has(ResourceKind::kCluster, "a"));
}

std::string DiscoveredListener(const std::string& more) {
  return ListenerOf(
      "l", absl::StrCat("route_config: {}, http_filters: [{name: f, config_discovery: "
                        "{config_source: {ads: {}}, type_urls: "
                        "[type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer]",
                        more, "}}, ", kRouter, "]"));
}

std::string FilterConfig(const std::string& name, const std::string& typed) {
  return FromYaml<envoy::config::core::v3::TypedExtensionConfig>(
             absl::StrCat("{name: ", name, ", typed_config: ", typed, "}"))
      .SerializeAsString();
}
constexpr char kBuffer[] =
    "{'@type': type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, "
    "max_request_bytes: 7}";
constexpr char kCors[] =
    "{'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}";

TEST(SubscriptionKinds, AFilterComesLateAndOnlyOfTheTypesThatItsChainTakes) {
  World world(AdsBootstrap("GRPC"));
  Settle(world);
  world.Answer(ResourceKind::kListener, "1", "l", {DiscoveredListener("")});
  auto sent = world.ads().TakeSotw();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_THAT(sent[1].resource_names(), ElementsAre("f"));
  EXPECT_FALSE(world.initialized_);

  world.Answer(ResourceKind::kExtension, "1", "x", {FilterConfig("f", kCors)});
  sent = world.ads().TakeSotw();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_THAT(sent[0].error_detail().message(),
              HasSubstr("Error: filter config has type URL envoy.extensions.filters.http.cors.v3."
                        "Cors but expect envoy.extensions.filters.http.buffer.v3.Buffer."));
  world.Answer(ResourceKind::kExtension, "2", "y", {FilterConfig("f", kBuffer)});
  EXPECT_TRUE(world.initialized_);
  const auto extensions = world.catalog_.TakeSnapshot()->extensions;
  ASSERT_EQ(extensions->count("f"), 1u);
  EXPECT_NE(extensions->at("f")->factory, nullptr);
}

TEST(SubscriptionKinds, ADefaultServesAtOnceWhenTheChainSaysSo) {
  World world(AdsBootstrap("GRPC"));
  Settle(world);
  world.Answer(ResourceKind::kListener, "1", "l",
               {DiscoveredListener(absl::StrCat(", apply_default_config_without_warming: true, "
                                                "default_config: ",
                                                kBuffer))});
  EXPECT_TRUE(world.initialized_);
}

constexpr char kRuntimeFront[] =
    "{node: {id: me, cluster: mine}, static_resources: {clusters: [{name: one, type: STATIC}]}, "
    "layered_runtime: {layers: [{name: l, rtds_layer: {name: late, rtds_config: {ads: {}}}}]}, "
    "dynamic_resources: {cds_config: {ads: {}}, ads_config: {api_type: GRPC, "
    "transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: one}}]}}}";

TEST(SubscriptionKinds, RuntimeLayersComeBeforeClusters) {
  World world(kRuntimeFront);
  auto sent = world.ads().TakeSotw();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_THAT(sent[0].type_url(), HasSubstr("runtime.v3.Runtime"));
  EXPECT_THAT(sent[0].resource_names(), ElementsAre("late"));
  world.Answer(ResourceKind::kRuntime, "1", "r",
               {FromYaml<envoy::service::runtime::v3::Runtime>("{name: late, layer: {a: {b: 7}}}")
                    .SerializeAsString()});
  sent = world.ads().TakeSotw();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_THAT(sent[1].type_url(), HasSubstr("cluster.v3.Cluster"));
  const auto layers = world.catalog_.TakeSnapshot()->runtime;
  ASSERT_EQ(layers->count("late"), 1u);
  EXPECT_EQ(layers->at("late")->values.values.at("a.b").text, "7");
}

TEST(SubscriptionKinds, ALayerThatNeverComesHoldsNothingUpForEver) {
  World world(kRuntimeFront);
  world.ads().TakeSotw();
  world.Advance(seconds(15));
  EXPECT_THAT(world.Events(Kind::kFetchTimeout), ElementsAre("RTDS late"));
  EXPECT_THAT(world.ads().TakeSotw(), SizeIs(1)) << "clusters are asked for";
}

std::string RestBootstrap() {
  return "{node: {id: me, cluster: mine}, static_resources: {clusters: [{name: one, type: "
         "STATIC}]}, dynamic_resources: {cds_config: {api_config_source: {api_type: REST, "
         "transport_api_version: V3, cluster_names: [one], refresh_delay: 1s}}}}";
}

TEST(SubscriptionKinds, ARestSourceIsPolledWithTheVersionInForce) {
  World world(RestBootstrap());
  auto* post = world.fake_.post("/v3/discovery:clusters");
  ASSERT_NE(post, nullptr);
  EXPECT_THAT(post->body, HasSubstr("\"id\":\"me\""));
  post->Answer(
      200,
      R"({"version_info": "1", "type_url": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "resources": [{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a", "type": "STATIC"}]})");
  world.Turn();
  EXPECT_TRUE(world.catalog_.Has(ResourceKind::kCluster, "a"));
  EXPECT_EQ(world.fake_.post("/v3/discovery:clusters"), nullptr) << "it waits";
  world.Advance(seconds(2));
  post = world.fake_.post("/v3/discovery:clusters");
  ASSERT_NE(post, nullptr);
  EXPECT_THAT(post->body, HasSubstr("\"version_info\":\"1\""));

  post->Answer(304, "");
  world.Advance(seconds(2));
  world.fake_.post("/v3/discovery:clusters")->Answer(503, "");
  world.Turn();
  EXPECT_THAT(world.Events(Kind::kFailure), SizeIs(1)) << "not modified is no failure";
  EXPECT_TRUE(world.catalog_.Has(ResourceKind::kCluster, "a"));
  world.Advance(seconds(2));
  EXPECT_NE(world.fake_.post("/v3/discovery:clusters"), nullptr) << "it goes on";
  EXPECT_THAT(world.Events(Kind::kAttempt), SizeIs(4));
}

class Folder {
 public:
  Folder() : path_(testing::TempDir() + "/kinds." + std::to_string(getpid())) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string TableText(const std::string& names) {
  std::string out = "version_info: \"1\"\nresources:\n";
  for (const char name : names) {
    absl::StrAppend(&out,
                    "- {\"@type\": type.googleapis.com/envoy.config.route.v3."
                    "RouteConfiguration, name: ",
                    std::string(1, name), "}\n");
  }
  return out;
}

TEST(SubscriptionKinds, AFileOfOneTableHoldsThatTableAlone) {
  Folder folder;
  const std::string path = folder.Write("r.yaml", TableText("rq"));
  World world(absl::StrCat(
      "{node: {id: me, cluster: mine}, static_resources: {listeners: [{name: l, address: "
      "{socket_address: {address: 127.0.0.1, port_value: 0}}, filter_chains: [{filters: [",
      Hcm(absl::StrCat("rds: {route_config_name: r, config_source: {path_config_source: {path: '",
                       path, "'}}}, http_filters: [", kRouter, "]")),
      "]}]}]}}"));
  world.Advance(milliseconds(1));
  const auto rejected = [&world] {
    std::vector<std::string> out;
    for (const UpdateEvent& event : world.events_) {
      if (event.kind == Kind::kRejected) out.push_back(event.detail);
    }
    world.ForgetEvents();
    return out;
  };
  EXPECT_THAT(rejected(), ElementsAre("Unexpected RDS resource length: 2"));
  EXPECT_TRUE(world.initialized_) << "a bad file holds nothing up";
  folder.Write("r.yaml", TableText("q"));
  world.fake_.Touch(path);
  EXPECT_THAT(rejected(), ElementsAre("Unexpected RDS configuration (expecting r): q"));
  folder.Write("r.yaml", TableText("r"));
  world.fake_.Touch(path);
  EXPECT_THAT(rejected(), IsEmpty());
  EXPECT_TRUE(world.catalog_.Has(ResourceKind::kRouteTable, "r"));
  folder.Write("r.yaml", "version_info: \"2\"\nresources: []\n");
  world.fake_.Touch(path);
  EXPECT_THAT(world.Events(Kind::kEmpty), ElementsAre("RDS r"));
  EXPECT_TRUE(world.catalog_.Has(ResourceKind::kRouteTable, "r")) << "the last good one stays";
}

TEST(RuntimeFolder, FilesAreKeysAndFoldersJoinThem) {
  Folder folder;
  folder.Write("rt/a/b", "# why\n7\n");
  folder.Write("rt/text", "hello world\n");
  folder.Write("rt/share", "numerator: 3\ndenominator: TEN_THOUSAND\n");
  const absl::StatusOr<Runtime::Layer> layer = ReadRuntimeFolder("disk", folder.path() + "/rt");
  ASSERT_TRUE(layer.ok()) << layer.status();
  const Runtime runtime({*layer});
  EXPECT_EQ(runtime.Integer("a.b", 0), 7u);
  EXPECT_EQ(runtime.Find("text")->text, "hello world");
  EXPECT_EQ(runtime.Fraction("share", {}).denominator, 10000u);
}

}  // namespace
}  // namespace remora::xds
