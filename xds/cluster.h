#ifndef REMORA_XDS_CLUSTER_H_
#define REMORA_XDS_CLUSTER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "filters/metadata.h"
#include "health/admission.h"
#include "health/outlier.h"
#include "lb/policy.h"
#include "xds/address.h"
#include "xds/config_source.h"
#include "xds/endpoint.h"
#include "xds/extension.h"
#include "xds/health_check.h"
#include "xds/http_options.h"
#include "xds/parse_context.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}

namespace remora::xds {

struct ClusterRouting;
struct UpstreamTls;

// How the connection to a host is dressed.
struct UpstreamTransport {
  enum class Kind { kRaw, kTls };
  Kind kind = Kind::kRaw;
  std::shared_ptr<const UpstreamTls> tls;  // kTls
  // A PROXY protocol header in front: 0 none, else its version.
  int proxy_protocol_version = 0;
  // Version 2: which TLVs of the downstream header go along, and which are added.
  bool pass_all_tlvs = false;
  std::vector<uint8_t> pass_tlvs;
  std::vector<std::pair<uint8_t, std::string>> added_tlvs;
};

// One of transport_socket_matches: used for hosts whose metadata `envoy.transport_socket_match`
// holds all of `criteria`.
struct TransportMatch {
  std::string name;
  MetadataValue criteria;  // a struct; empty matches every host
  UpstreamTransport transport;
};

struct UpstreamHttpOptions {
  enum class Protocol {
    kHttp1,
    kHttp2,
    kUseDownstream,  // as the request came
    kAuto,           // by ALPN: h2 where the server offers it
  };
  Protocol protocol = Protocol::kHttp1;
  CommonHttpOptions common;
  Http1Options http1;
  Http2Options http2;
  // upstream_http_protocol_options
  bool auto_sni = false;
  bool auto_san_validation = false;
  std::string override_auto_sni_header;
};

struct DnsSettings {
  enum class Family { kAuto, kV4Only, kV6Only, kV4Preferred, kAll };
  absl::Duration refresh_rate = absl::Seconds(5);
  absl::Duration jitter;
  std::optional<absl::Duration> failure_refresh_base;
  std::optional<absl::Duration> failure_refresh_max;
  bool respect_ttl = false;
  Family family = Family::kAuto;
  std::vector<AddressSpec> resolvers;  // empty: the system's
  bool use_tcp = false;
};

struct OriginalDstSettings {
  bool use_http_header = false;
  std::string http_header_name = "x-envoy-original-dst-host";
  std::string metadata_namespace;  // dynamic metadata that holds the address; empty: none
  std::vector<std::string> metadata_path;
  uint32_t port_override = 0;  // zero: none
};

// Where the override_host policy looks for the address to use: a header or a member of dynamic
// metadata.
struct OverrideHostSource {
  std::string header;  // lower-case; empty: the metadata
  std::string metadata_namespace;
  std::vector<std::string> path;
};

// Weights from endpoints' load reports (client_side_weighted_round_robin).
struct ClientSideWrrSettings {
  absl::Duration blackout = absl::Seconds(10);   // reports of new hosts do not count
  absl::Duration expiration = absl::Minutes(3);  // a weight without a new report; zero: never
  absl::Duration update = absl::Seconds(1);      // how often weights are made anew
  double error_penalty = 1.0;
  std::vector<std::string> metrics;  // that stand for utilisation where there is no application's
};

// One CDS resource, or a cluster of the bootstrap.
struct Cluster {
  enum class Type {
    kStatic,
    kStrictDns,
    kLogicalDns,
    kEds,
    kOriginalDst,
    kAggregate,
    kDynamicForwardProxy
  };

  std::string name;
  std::string alt_stat_name;
  Type type = Type::kStatic;
  std::string eds_service_name;  // never empty for kEds: the cluster's name unless set
  ConfigSource eds_source;
  std::vector<std::string> aggregate_clusters;                   // kAggregate, in order of priority
  Extension custom_config;                                       // kDynamicForwardProxy
  std::shared_ptr<const ClusterLoadAssignment> load_assignment;  // null when there is none

  absl::Duration connect_timeout = absl::Seconds(5);
  uint32_t per_connection_buffer_limit = 1024 * 1024;

  lb::PolicyConfig policy;
  bool lb_by_original_dst = false;                   // CLUSTER_PROVIDED
  std::vector<OverrideHostSource> override_sources;  // override_host, in order
  // Which envoy.config.core.v3.HealthStatus an overriding host may have, bit by number: UNKNOWN,
  // HEALTHY, DEGRADED.
  uint32_t override_statuses = 1u << 0 | 1u << 1 | 1u << 5;
  std::optional<ClientSideWrrSettings> client_side_wrr;
  std::optional<double>
      panic_threshold;  // as configured, percent; policy.panic_threshold is in force
  absl::Duration update_merge_window = absl::Seconds(1);
  bool ignore_new_hosts_until_first_hc = false;
  bool close_connections_on_host_set_change = false;
  bool close_connections_on_host_health_failure = false;
  bool ignore_health_on_host_removal = false;

  std::vector<HealthCheck> health_checks;
  std::optional<health::OutlierConfig> outlier;  // absent: no outlier detection
  health::BreakerLimits default_breaker;
  health::BreakerLimits high_breaker;
  bool track_remaining_default = false;  // of the breakers, in statistics
  bool track_remaining_high = false;
  std::optional<uint32_t> per_host_max_connections;

  UpstreamHttpOptions http;
  std::shared_ptr<ClusterRouting> routing;  // null: routes say everything; const once parsed
  UpstreamTransport transport;
  std::vector<TransportMatch> transport_matches;  // the first that matches; else `transport`

  DnsSettings dns;
  OriginalDstSettings original_dst;
  absl::Duration cleanup_interval = absl::Seconds(5);  // of kOriginalDst hosts
  TcpKeepalive tcp_keepalive;
  bool has_tcp_keepalive = false;
  std::optional<BindConfig> bind;
  Metadata metadata;
  bool track_timeout_budgets = false;
  bool track_request_response_sizes = false;
  bool pool_per_downstream_connection = false;
  double preconnect_ratio = 1.0;
  bool wait_for_warm_on_init = true;
  std::string original;  // serialized, for /config_dump

  // The transport for a host with this metadata (may be null).
  const UpstreamTransport& TransportFor(const Metadata* host_metadata) const;
  // The name in statistics.
  const std::string& stat_name() const { return alt_stat_name.empty() ? name : alt_stat_name; }

  static absl::StatusOr<std::shared_ptr<const Cluster>> Parse(
      const envoy::config::cluster::v3::Cluster& proto, ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_CLUSTER_H_
