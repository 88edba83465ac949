#include "xds/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "tests/support/xds/parsing.h"
#include "xds/cluster_routing.h"
#include "xds/tls.h"

namespace remora::xds {
namespace {

using Proto = envoy::config::cluster::v3::Cluster;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Parsed<Cluster> Read(const std::string& fields) {
  return ParseYaml<Cluster, Proto>(absl::StrCat("{name: c, ", fields, "}"));
}

std::string Endpoints(const std::string& host) {
  return absl::StrCat(
      "load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: "
      "{address: {socket_address: {address: ",
      host, ", port_value: 80}}}}]}]}");
}

TEST(ClusterParsing, DefaultsAreEnvoys) {
  const auto cluster = Read(Endpoints("127.0.0.1"));
  ASSERT_NE(cluster.value, nullptr) << cluster.AllErrors();
  EXPECT_EQ(cluster->type, Cluster::Type::kStatic);
  EXPECT_EQ(cluster->connect_timeout, absl::Seconds(5));
  EXPECT_EQ(cluster->per_connection_buffer_limit, 1024u * 1024);
  EXPECT_TRUE(std::holds_alternative<lb::RoundRobinConfig>(cluster->policy.algorithm));
  EXPECT_EQ(cluster->policy.panic_threshold, 50.0);
  EXPECT_FALSE(cluster->panic_threshold.has_value());
  EXPECT_FALSE(cluster->outlier.has_value());
  EXPECT_EQ(cluster->default_breaker.max_requests, 1024u);
  EXPECT_EQ(cluster->default_breaker.max_retries, 3u);
  EXPECT_EQ(cluster->http.protocol, UpstreamHttpOptions::Protocol::kHttp1);
  EXPECT_EQ(cluster->transport.kind, UpstreamTransport::Kind::kRaw);
  EXPECT_THAT(cluster.warnings, IsEmpty());
}

TEST(ClusterParsing, PresenceMatters) {
  EXPECT_EQ(Read("common_lb_config: {healthy_panic_threshold: {value: 0}}")->policy.panic_threshold,
            0.0);
  EXPECT_EQ(Read("common_lb_config: {healthy_panic_threshold: {}}")->policy.panic_threshold, 0.0);
  EXPECT_TRUE(Read("outlier_detection: {}")->outlier.has_value());
}

TEST(ClusterParsing, EdsNeedsASourceAndTakesItsNameFromTheCluster) {
  const auto eds =
      Read("type: EDS, eds_cluster_config: {eds_config: {ads: {}, initial_fetch_timeout: 0s}}");
  ASSERT_NE(eds.value, nullptr) << eds.AllErrors();
  EXPECT_EQ(eds->eds_service_name, "c");
  EXPECT_EQ(eds->eds_source.kind, ConfigSource::Kind::kAds);
  EXPECT_EQ(eds->eds_source.initial_fetch_timeout, absl::ZeroDuration());
  EXPECT_THAT(Read("type: EDS").errors, ElementsAre(HasSubstr("without an EDS config")));
  EXPECT_THAT(Read("type: STATIC, eds_cluster_config: {eds_config: {ads: {}}}").errors,
              ElementsAre(HasSubstr("eds_cluster_config set in a non-EDS cluster")));
}

TEST(ClusterParsing, EndpointsHaveToFitTheType) {
  EXPECT_THAT(Read(Endpoints("web.local")).errors, ElementsAre(HasSubstr("malformed IP address")));
  EXPECT_NE(Read(absl::StrCat("type: STRICT_DNS, ", Endpoints("web.local"))).value, nullptr);
  EXPECT_THAT(Read("type: LOGICAL_DNS").errors, ElementsAre(HasSubstr("single lb_endpoint")));
  EXPECT_THAT(Read(absl::StrCat("type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, ",
                                Endpoints("127.0.0.1")))
                  .errors,
              ElementsAre(HasSubstr("no load assignment")));
  EXPECT_THAT(Read("type: ORIGINAL_DST").errors, ElementsAre(HasSubstr("CLUSTER_PROVIDED")));
  EXPECT_THAT(Read("lb_policy: CLUSTER_PROVIDED").errors,
              ElementsAre(HasSubstr("CLUSTER_PROVIDED")));
}

TEST(ClusterParsing, CustomTypes) {
  const auto aggregate = Read(
      "lb_policy: CLUSTER_PROVIDED, cluster_type: {name: a, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [p, "
      "q]}}");
  ASSERT_NE(aggregate.value, nullptr) << aggregate.AllErrors();
  EXPECT_EQ(aggregate->type, Cluster::Type::kAggregate);
  EXPECT_THAT(aggregate->aggregate_clusters, ElementsAre("p", "q"));
  const auto dns = Read(absl::StrCat(
      "cluster_type: {name: d, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster, dns_refresh_rate: 7s, "
      "dns_lookup_family: V4_PREFERRED}}, ",
      Endpoints("web")));
  ASSERT_NE(dns.value, nullptr) << dns.AllErrors();
  EXPECT_EQ(dns->type, Cluster::Type::kStrictDns);
  EXPECT_EQ(dns->dns.refresh_rate, absl::Seconds(7));
  EXPECT_EQ(dns->dns.family, DnsSettings::Family::kV4Preferred);
}

TEST(ClusterParsing, BothSpellingsOfPolicies) {
  const auto legacy = Read(
      "lb_policy: LEAST_REQUEST, least_request_lb_config: {choice_count: 5}, common_lb_config: "
      "{locality_weighted_lb_config: {}}");
  EXPECT_EQ(std::get<lb::LeastRequestConfig>(legacy->policy.algorithm).choice_count, 5u);
  EXPECT_EQ(legacy->policy.locality_mode, lb::LocalityMode::kWeighted);
  const auto typed = Read(R"(lb_policy: RING_HASH, load_balancing_policy: {policies: [
    {typed_extension_config: {name: first, typed_config: {'@type': type.googleapis.com/envoy.extensions.load_balancing_policies.pick_first.v3.PickFirst}}},
    {typed_extension_config: {name: ok, typed_config: {'@type': type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev, table_size: 251}}}]})");
  ASSERT_NE(typed.value, nullptr) << typed.AllErrors();
  EXPECT_EQ(std::get<lb::MaglevConfig>(typed->policy.algorithm).table_size, 251u);
  EXPECT_THAT(Read("load_balancing_policy: {policies: [{typed_extension_config: {name: first, "
                   "typed_config: {'@type': "
                   "type.googleapis.com/envoy.extensions.load_balancing_policies.pick_first.v3."
                   "PickFirst}}}]}")
                  .errors,
              ElementsAre(HasSubstr("factory with names from [first]")));
  EXPECT_THAT(Read("lb_policy: MAGLEV, maglev_lb_config: {table_size: 100}").errors,
              Contains(HasSubstr("prime")));
}

TEST(ClusterParsing, HttpOptionsOfEitherSpelling) {
  EXPECT_EQ(Read("http2_protocol_options: {}")->http.protocol,
            UpstreamHttpOptions::Protocol::kHttp2);
  const std::string typed =
      "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: "
      "{'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, ";
  const auto h2 = Read(
      absl::StrCat(typed,
                   "explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 7}}, "
                   "common_http_protocol_options: {max_requests_per_connection: 9}}}"));
  ASSERT_NE(h2.value, nullptr) << h2.AllErrors();
  EXPECT_EQ(h2->http.protocol, UpstreamHttpOptions::Protocol::kHttp2);
  EXPECT_EQ(h2->http.http2.max_concurrent_streams, 7u);
  EXPECT_EQ(h2->http.common.max_requests_per_connection, 9u);
  EXPECT_EQ(Read(absl::StrCat(typed, "use_downstream_protocol_config: {}}}"))->http.protocol,
            UpstreamHttpOptions::Protocol::kUseDownstream);
  EXPECT_THAT(Read(absl::StrCat(typed, "auto_config: {}}}")).errors,
              ElementsAre(HasSubstr("non-ALPN transport socket")));
}

TEST(ClusterParsing, WhatIsSaidInPlaceOfRoutes) {
  const auto cluster = Read(absl::StrCat(Endpoints("127.0.0.1"), R"(,
    load_balancing_policy: {policies: [{typed_extension_config: {name: m, typed_config: {
      '@type': type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev,
      consistent_hashing_lb_config: {hash_policy: [{header: {header_name: X-Own}}]}}}}]},
    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
      '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
      explicit_http_config: {http_protocol_options: {}},
      hash_policy: [{header: {header_name: later}}],
      retry_policy: {retry_on: 5xx},
      request_mirror_policies: [{cluster: m}]}})"));
  ASSERT_NE(cluster.value, nullptr) << cluster.AllErrors();
  ASSERT_NE(cluster->routing, nullptr);
  ASSERT_EQ(cluster->routing->hash_policies.size(), 1u);
  EXPECT_EQ(cluster->routing->hash_policies[0].name, "x-own");
  ASSERT_EQ(cluster->routing->mirrors.size(), 1u);
  ASSERT_TRUE(cluster->routing->retry.has_value());
  EXPECT_EQ(cluster->routing->retry->retry_on, kRetry5xx);
  EXPECT_EQ(Read(Endpoints("127.0.0.1"))->routing, nullptr);
}

TEST(ClusterParsing, BreakersByPriority) {
  const auto cluster = Read(
      "circuit_breakers: {thresholds: [{max_connections: 1, retry_budget: {}}, {priority: HIGH, "
      "max_requests: 2, track_remaining: true}, {max_connections: 3}], per_host_thresholds: "
      "[{max_connections: 4}]}");
  EXPECT_EQ(cluster->default_breaker.max_connections, 1u);
  EXPECT_EQ(cluster->default_breaker.retry_budget_percent, 20.0);
  EXPECT_EQ(cluster->high_breaker.max_requests, 2u);
  EXPECT_TRUE(cluster->track_remaining_high);
  EXPECT_EQ(cluster->per_host_max_connections, 4u);
}

TEST(ClusterParsing, HealthChecksAndOutliers) {
  const auto cluster = Read(
      R"(health_checks: [{timeout: 1s, interval: 2s, unhealthy_threshold: 3, healthy_threshold: 4, alt_port: 81,
      http_health_check: {path: /ok, expected_statuses: [{start: 200, end: 204}], method: HEAD, receive: [{text: '6f6b'}]}}],
      outlier_detection: {consecutive_5xx: 7, base_ejection_time: 400s, max_ejection_percent: 50})");
  ASSERT_NE(cluster.value, nullptr) << cluster.AllErrors();
  const HealthCheck& check = cluster->health_checks[0];
  EXPECT_EQ(check.schedule.interval, std::chrono::seconds(2));
  EXPECT_EQ(check.schedule.healthy_threshold, 4u);
  EXPECT_EQ(check.alt_port, 81);
  const auto& http = std::get<HttpProbe>(check.probe);
  EXPECT_EQ(http.method, "HEAD");
  EXPECT_THAT(http.receive, ElementsAre("ok"));
  EXPECT_TRUE(http.Expects(203));
  EXPECT_FALSE(http.Expects(204));
  EXPECT_EQ(cluster->outlier->thresholds.consecutive_5xx, 7u);
  EXPECT_EQ(cluster->outlier->ejection.max_time, std::chrono::seconds(400));
  EXPECT_EQ(cluster->outlier->ejection.max_percent, 50u);
}

TEST(ClusterParsing, TransportsAreChosenByTheEndpointsMetadata) {
  const auto cluster = Read(R"(transport_socket_matches: [
      {name: mtls, match: {tlsMode: istio}, transport_socket: {name: t, typed_config: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: s}}},
      {name: rest, match: {}, transport_socket: {name: raw, typed_config: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}}])");
  ASSERT_NE(cluster.value, nullptr) << cluster.AllErrors();
  Metadata metadata;
  metadata.namespaces["envoy.transport_socket_match"] =
      MetadataValue::Fields{{"tlsMode", "istio"}, {"more", true}};
  EXPECT_EQ(cluster->TransportFor(&metadata).kind, UpstreamTransport::Kind::kTls);
  EXPECT_EQ(cluster->TransportFor(&metadata).tls->sni, "s");
  EXPECT_EQ(cluster->TransportFor(nullptr).kind, UpstreamTransport::Kind::kRaw);
}

TEST(ClusterParsing, FieldsThatDoNothingAreWarnedAboutByName) {
  EXPECT_THAT(Read("preconnect_policy: {predictive_preconnect_ratio: 2}").warnings,
              ElementsAre(HasSubstr("predictive_preconnect_ratio: is known but not honoured yet")));
}

std::string Policy(const std::string& name, const std::string& fields) {
  return absl::StrCat(
      "{policies: [{typed_extension_config: {name: p, typed_config: {\"@type\": "
      "type.googleapis.com/envoy.extensions.load_balancing_policies.",
      name, fields, "}}}]}");
}
const std::string& RoundRobinPolicy() {
  static const std::string& policy = *new std::string(Policy("round_robin.v3.RoundRobin", ""));
  return policy;
}

TEST(ClusterParsing, BothSpellingsOfSubsets) {
  const std::string fields =
      "fallback_policy: DEFAULT_SUBSET, default_subset: {stage: dev}, subset_selectors: [{keys: "
      "[version, stage], fallback_policy: KEYS_SUBSET, fallback_keys_subset: [stage]}], "
      "list_as_any: true, metadata_fallback_policy: FALLBACK_LIST";
  for (const auto& cluster :
       {Read(absl::StrCat("lb_subset_config: {", fields, "}")),
        Read(absl::StrCat(
            "load_balancing_policy: ",
            Policy("subset.v3.Subset",
                   absl::StrCat(", ", fields, ", subset_lb_policy: ", RoundRobinPolicy()))))}) {
    ASSERT_NE(cluster.value, nullptr) << cluster.AllErrors();
    ASSERT_NE(cluster->policy.subset, nullptr);
    const lb::SubsetConfig& subset = *cluster->policy.subset;
    EXPECT_EQ(subset.fallback, lb::SubsetConfig::Fallback::kDefault);
    ASSERT_EQ(subset.default_subset.size(), 1u);
    EXPECT_EQ(subset.default_subset[0].value, "\"dev\"");
    ASSERT_EQ(subset.selectors.size(), 1u);
    EXPECT_THAT(subset.selectors[0].keys, ElementsAre("stage", "version"));
    EXPECT_EQ(subset.selectors[0].fallback, lb::SubsetSelector::Fallback::kKeys);
    EXPECT_TRUE(subset.list_as_any);
    EXPECT_TRUE(subset.metadata_fallback_list);
  }
}

TEST(ClusterParsing, SubsetsThatCannotBe) {
  EXPECT_THAT(Read("lb_subset_config: {subset_selectors: [{keys: [a], fallback_policy: "
                   "KEYS_SUBSET, fallback_keys_subset: [a]}]}")
                  .AllErrors(),
              HasSubstr("cannot be equal to keys"));
}

TEST(ClusterParsing, PoliciesAroundPolicies) {
  const auto named = Read(absl::StrCat(
      "load_balancing_policy: ",
      Policy(
          "override_host.v3.OverrideHost",
          absl::StrCat(", override_host_sources: [{header: X-Dest}, {metadata: {key: names, path: "
                       "[{key: d}]}}], fallback_policy: ",
                       RoundRobinPolicy()))));
  ASSERT_NE(named.value, nullptr) << named.AllErrors();
  ASSERT_EQ(named->override_sources.size(), 2u);
  EXPECT_EQ(named->override_sources[0].header, "x-dest");
  EXPECT_EQ(named->override_sources[1].metadata_namespace, "names");
  const auto locality = [](const std::string& inner) {
    return Read(absl::StrCat(
        "load_balancing_policy: ",
        Policy("wrr_locality.v3.WrrLocality", absl::StrCat(", endpoint_picking_policy: ", inner))));
  };
  EXPECT_EQ(locality(RoundRobinPolicy()).value, nullptr);
  const auto weighted =
      locality(Policy("client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin", ""));
  ASSERT_NE(weighted.value, nullptr) << weighted.AllErrors();
  EXPECT_EQ(weighted->policy.locality_mode, lb::LocalityMode::kWeighted);
  EXPECT_EQ(weighted->client_side_wrr->blackout, absl::Seconds(10));
}

}  // namespace
}  // namespace remora::xds
