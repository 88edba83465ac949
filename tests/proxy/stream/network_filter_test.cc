#include "proxy/stream/network_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "filters/runtime.h"
#include "proxy/net/transport.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/token_buckets.h"
#include "tests/support/memory_stream.h"
#include "tests/support/recording_events.h"
#include "tests/support/upstream_fixture.h"
#include "tests/support/xds/parsing.h"

namespace remora::proxy {
namespace {

using testing::FarEnd;
using testing::MemoryStream;
using testing::RecordingEvents;
using testing::UpstreamFixture;

constexpr char kFilters[] = "type.googleapis.com/envoy.extensions.filters.network.";

// One accepted connection behind the filters of a chain.
class NetworkFilterTest : public ::testing::Test {
 protected:
  NetworkFilterTest() {
    f_.Install();
    worker_ = std::make_unique<HttpWorker>(f_.view.get(), nullptr);
  }
  ~NetworkFilterTest() override {
    for (auto& client : clients_) client->chain.reset();
  }

  // `filters`: "rbac.v3.RBAC, fields...", one string each.
  void Configure(const std::vector<std::string>& filters) {
    std::string list;
    for (const std::string& filter : filters) {
      absl::StrAppend(&list, "{name: f, typed_config: {'@type': ", kFilters, filter, "}},");
    }
    xds::ParseContext context;
    const auto proto = xds::FromYaml<envoy::config::listener::v3::FilterChain>(absl::StrCat(
        "filters: [", list, "{name: e, typed_config: {'@type': ", kFilters, "echo.v3.Echo}}]"));
    chain_ = xds::FilterChain::Parse(proto, context);
    ASSERT_TRUE(context.ok()) << context.status();
    factories_.clear();
    // The echo only ends the chain as configuration must; the test stands in its place.
    for (size_t i = 0; i + 1 < chain_->filters.size(); ++i) {
      auto factory = MakeNetworkFactory(chain_->filters[i], {&f_.stats, &buckets_});
      ASSERT_TRUE(factory.ok()) << factory.status();
      factories_.push_back(*std::move(factory));
    }
  }

  struct Client {
    std::shared_ptr<FarEnd> far = std::make_shared<FarEnd>();
    RecordingEvents events;
    StreamInfo info;
    std::unique_ptr<NetworkChain> chain;
    bool begun = false;
    ConnectionInfo& connection() { return events.connection->info(); }
  };
  Client& Connect(absl::string_view peer = "10.9.9.9", absl::string_view sni = "") {
    clients_.push_back(std::make_unique<Client>());
    Client& client = *clients_.back();
    client.events.connection = std::make_unique<Connection>(
        &f_.loop, std::make_unique<MemoryStream>(&f_.loop, client.far, false), MakeRawTransport(),
        1000);
    ConnectionInfo& info = client.connection();
    info.remote = info.direct_remote = *Address::FromIp(peer, 5);
    info.requested_server_name = sni;
    client.info.downstream = &info;
    client.info.remote = info.remote;
    client.chain = std::make_unique<NetworkChain>(worker_.get(), client.events.connection.get(),
                                                  &client.info, factories_);
    client.begun = client.chain->Begin();
    if (!client.events.connection->closed()) client.events.connection->Start(&client.events);
    f_.Turn();
    return client;
  }
  void SetRuntime(const std::string& key, const std::string& value) {
    google::protobuf::Struct layer;
    (*layer.mutable_fields())[key].set_bool_value(value == "true");
    worker_->set_runtime(
        std::make_shared<Runtime>(std::vector<Runtime::Layer>{Runtime::LayerFrom("l", layer)}));
  }

  UpstreamFixture f_;
  std::unique_ptr<HttpWorker> worker_;
  TokenBuckets buckets_;
  std::shared_ptr<const xds::FilterChain> chain_;
  NetworkFactories factories_;
  std::vector<std::unique_ptr<Client>> clients_;
};

constexpr char kOnlyTwo[] =
    "{permissions: [{any: true}], principals: [{direct_remote_ip: "
    "{address_prefix: 127.0.0.2, prefix_len: 32}}]}";

TEST_F(NetworkFilterTest, RbacJudgesWhenTheFirstBytesArrive) {
  Configure(
      {absl::StrCat("rbac.v3.RBAC, stat_prefix: nr, rules: {policies: {p: ", kOnlyTwo, "}}")});
  Client& refused = Connect("10.0.0.1");
  EXPECT_TRUE(refused.begun);
  EXPECT_FALSE(refused.events.closed);
  refused.far->Send("hello");
  f_.Turn();
  EXPECT_TRUE(refused.events.closed);
  EXPECT_EQ(refused.events.deliveries, 0);
  EXPECT_EQ(refused.connection().termination_details, "rbac_access_denied_matched_policy[none]");
  EXPECT_EQ(refused.connection().local_close_reason, "rbac_deny_close");
  Client& allowed = Connect("127.0.0.2");
  allowed.far->Send("one");
  f_.Turn();
  allowed.far->Send("two");
  f_.Turn();
  EXPECT_EQ(allowed.events.received, "onetwo");
  EXPECT_EQ(f_.Stat("nr.rbac.allowed"), 1u);
  EXPECT_EQ(f_.Stat("nr.rbac.denied"), 1u);
}

TEST_F(NetworkFilterTest, ContinuousRbacJudgesEachArrival) {
  Configure(
      {absl::StrCat("rbac.v3.RBAC, stat_prefix: nr., enforcement_type: CONTINUOUS, "
                    "rules: {policies: {p: ",
                    kOnlyTwo, "}}")});
  Client& client = Connect("127.0.0.2");
  client.far->Send("one");
  f_.Turn();
  client.far->Send("two");
  f_.Turn();
  EXPECT_EQ(f_.Stat("nr.rbac.allowed"), 2u);
}

TEST_F(NetworkFilterTest, ShadowRulesCountAndNoteButLetThrough) {
  Configure(
      {absl::StrCat("rbac.v3.RBAC, stat_prefix: nr, shadow_rules_stat_prefix: sh_, "
                    "shadow_rules: {action: DENY, policies: {\"q x\": ",
                    kOnlyTwo, "}}")});
  Client& client = Connect("127.0.0.2");
  client.far->Send("x");
  f_.Turn();
  EXPECT_EQ(client.events.received, "x");
  EXPECT_EQ(f_.Stat("nr.rbac.sh_.shadow_denied"), 1u);
  ASSERT_NE(client.info.dynamic_metadata, nullptr);
  const MetadataValue* result =
      client.info.dynamic_metadata->Find("envoy.filters.network.rbac", {"sh_shadow_engine_result"});
  ASSERT_NE(result, nullptr);
  EXPECT_EQ(*result->text(), "denied");
  const MetadataValue* policy = client.info.dynamic_metadata->Find(
      "envoy.filters.network.rbac", {"sh_shadow_effective_policy_id"});
  ASSERT_NE(policy, nullptr);
  EXPECT_EQ(*policy->text(), "q x");
}

TEST_F(NetworkFilterTest, ADelayedRefusalKeepsTheBytesAndClosesLater) {
  Configure(
      {"rbac.v3.RBAC, stat_prefix: nr, delay_deny: 0.05s, rules: {action: DENY, policies: "
       "{\"all of them\": {permissions: [{any: true}], principals: [{any: true}]}}}"});
  Client& client = Connect();
  client.far->Send("x");
  f_.Turn();
  EXPECT_FALSE(client.events.closed);
  EXPECT_EQ(client.events.deliveries, 0);
  EXPECT_TRUE(f_.RunUntil([&] { return client.events.closed; }));
  EXPECT_EQ(client.connection().termination_details,
            "rbac_access_denied_matched_policy[all_of_them]");
  EXPECT_EQ(f_.Stat("nr.rbac.denied"), 1u);
}

TEST_F(NetworkFilterTest, ConnectionsOverTheLimitAreClosedUntilOthersEnd) {
  Configure({"connection_limit.v3.ConnectionLimit, stat_prefix: lim, max_connections: 1"});
  Client& first = Connect();
  EXPECT_TRUE(first.begun);
  Client& second = Connect();
  EXPECT_FALSE(second.begun);
  EXPECT_TRUE(second.events.connection->closed());
  EXPECT_EQ(second.connection().local_close_reason, "over_connection_limit");
  EXPECT_EQ(f_.Stat("connection_limit.lim.limited_connections"), 1u);
  EXPECT_EQ(f_.Stat("connection_limit.lim.active_connections"), 1u);
  first.events.connection->Close();
  EXPECT_EQ(f_.Stat("connection_limit.lim.active_connections"), 0u);
  EXPECT_TRUE(Connect().begun);
}

TEST_F(NetworkFilterTest, ADelayedLimitHoldsTheConnectionAndCountsIt) {
  Configure(
      {"connection_limit.v3.ConnectionLimit, stat_prefix: lim, max_connections: 1, "
       "delay: 0.05s"});
  Connect();
  Client& second = Connect();
  EXPECT_FALSE(second.begun);
  EXPECT_FALSE(second.events.closed);
  EXPECT_EQ(f_.Stat("connection_limit.lim.active_connections"), 2u);
  EXPECT_TRUE(f_.RunUntil([&] { return second.events.closed; }));
  EXPECT_EQ(f_.Stat("connection_limit.lim.active_connections"), 1u);
}

TEST_F(NetworkFilterTest, RuntimeSwitchesTheLimitOff) {
  Configure(
      {"connection_limit.v3.ConnectionLimit, stat_prefix: lim, max_connections: 1, "
       "runtime_enabled: {default_value: true, runtime_key: lim.on}"});
  SetRuntime("lim.on", "false");
  EXPECT_TRUE(Connect().begun);
  EXPECT_TRUE(Connect().begun);
  SetRuntime("lim.on", "true");
  EXPECT_TRUE(Connect().begun);
  EXPECT_FALSE(Connect().begun);
}

TEST_F(NetworkFilterTest, ConnectionsTakeTokens) {
  Configure(
      {"local_ratelimit.v3.LocalRateLimit, stat_prefix: lr, "
       "token_bucket: {max_tokens: 2, fill_interval: 3600s}"});
  EXPECT_TRUE(Connect().begun);
  EXPECT_TRUE(Connect().begun);
  Client& third = Connect();
  EXPECT_FALSE(third.begun);
  EXPECT_TRUE(third.info.flags.Has(ResponseFlag::kUpstreamRetryLimitExceeded));
  EXPECT_EQ(third.connection().local_close_reason, "local_ratelimit_close_over_limit");
  EXPECT_EQ(f_.Stat("local_rate_limit.lr.rate_limited"), 1u);
}

TEST_F(NetworkFilterTest, AKeySharesABucketOfEqualShape) {
  const std::string one =
      "local_ratelimit.v3.LocalRateLimit, stat_prefix: lr, share_key: k, "
      "token_bucket: {max_tokens: 1, fill_interval: 3600s}";
  Configure({one, one});
  EXPECT_FALSE(Connect().begun);  // the second filter finds the bucket empty
  Configure({one,
             "local_ratelimit.v3.LocalRateLimit, stat_prefix: lr, share_key: other, "
             "token_bucket: {max_tokens: 1, fill_interval: 3600s}"});
  EXPECT_TRUE(Connect().begun);
}

TEST_F(NetworkFilterTest, TheServerNameBecomesTheCluster) {
  Configure({"sni_cluster.v3.SniCluster"});
  const std::string* cluster =
      Connect("10.0.0.1", "web.mesh").chain->state().Find(kTcpProxyClusterKey);
  ASSERT_NE(cluster, nullptr);
  EXPECT_EQ(*cluster, "web.mesh");
  EXPECT_EQ(Connect().chain->state().Find(kTcpProxyClusterKey), nullptr);
}

TEST_F(NetworkFilterTest, TextsAreNotedAtTheirMoments) {
  Configure(
      {"set_filter_state.v3.Config, on_new_connection: [{object_key: a, format_string: "
       "{text_format_source: {inline_string: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'}}}, "
       "{object_key: b, skip_if_empty: true, format_string: {text_format_source: "
       "{inline_string: ''}}}], on_downstream_data: [{object_key: c, format_string: "
       "{text_format_source: {inline_string: fixed}}}]"});
  Client& client = Connect("10.0.0.7");
  ASSERT_NE(client.chain->state().Find("a"), nullptr);
  EXPECT_EQ(*client.chain->state().Find("a"), "10.0.0.7");
  EXPECT_EQ(client.chain->state().Find("b"), nullptr);
  EXPECT_EQ(client.chain->state().Find("c"), nullptr);
  client.far->Send("x");
  f_.Turn();
  EXPECT_EQ(*client.chain->state().Find("c"), "fixed");
  EXPECT_EQ(client.info.filter_state, &client.chain->state());
}

TEST_F(NetworkFilterTest, EchoAndDirectResponseServeByThemselves) {
  Configure({"sni_cluster.v3.SniCluster"});
  auto echo = MakeNetworkFactory(chain_->filters.back(), {&f_.stats, &buckets_});
  ASSERT_TRUE(echo.ok());
  factories_ = {*echo};
  Client& client = Connect();
  client.far->Send("ping");
  f_.Turn();
  EXPECT_EQ(client.far->Take(), "ping");
  EXPECT_EQ(client.info.bytes_sent, 4u);
  client.far->SendEof();
  f_.Turn();
  EXPECT_TRUE(client.events.closed);

  xds::ParseContext context;
  const auto proto = xds::FromYaml<envoy::config::listener::v3::FilterChain>(
      absl::StrCat("filters: [{name: d, typed_config: {'@type': ", kFilters,
                   "direct_response.v3.Config, response: {inline_string: go away}}}]"));
  chain_ = xds::FilterChain::Parse(proto, context);
  ASSERT_TRUE(context.ok()) << context.status();
  auto direct = MakeNetworkFactory(chain_->filters[0], {&f_.stats, &buckets_});
  ASSERT_TRUE(direct.ok());
  factories_ = {*direct};
  Client& told = Connect();
  EXPECT_EQ(told.far->Take(), "go away");
  EXPECT_TRUE(told.events.closed);
  EXPECT_EQ(told.info.response_code_details, "direct_response");
}

}  // namespace
}  // namespace remora::proxy
