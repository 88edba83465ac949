#include "xds/cluster.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "xds/cluster_parse.h"
#include "xds/durations.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

void ParseConnections(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  if (proto.has_connect_timeout()) out->connect_timeout = FromProto(proto.connect_timeout());
  if (proto.has_per_connection_buffer_limit_bytes()) {
    out->per_connection_buffer_limit = proto.per_connection_buffer_limit_bytes().value();
  }
  out->close_connections_on_host_health_failure = proto.close_connections_on_host_health_failure();
  out->ignore_health_on_host_removal = proto.ignore_health_on_host_removal();
  if (proto.has_cleanup_interval()) out->cleanup_interval = FromProto(proto.cleanup_interval());
  const auto& options = proto.upstream_connection_options();
  if (options.has_tcp_keepalive()) {
    out->has_tcp_keepalive = true;
    out->tcp_keepalive = ParseTcpKeepalive(options.tcp_keepalive());
  }
  if (options.has_happy_eyeballs_config()) {
    context.NotHonoured("upstream_connection_options.happy_eyeballs_config");
  }
  if (proto.has_upstream_bind_config()) {
    ParseContext::Scope scope(context, "upstream_bind_config");
    out->bind = ParseBindConfig(proto.upstream_bind_config(), context);
  }
  out->pool_per_downstream_connection = proto.connection_pool_per_downstream_connection();
  if (proto.preconnect_policy().has_per_upstream_preconnect_ratio()) {
    out->preconnect_ratio = proto.preconnect_policy().per_upstream_preconnect_ratio().value();
  }
  if (proto.preconnect_policy().has_predictive_preconnect_ratio()) {
    context.NotHonoured("preconnect_policy.predictive_preconnect_ratio");
  }
}

void ParseStatistics(const ClusterProto& proto, Cluster* out) {
  out->alt_stat_name = proto.alt_stat_name();
  out->track_timeout_budgets =
      proto.track_timeout_budgets() || proto.track_cluster_stats().timeout_budgets();
  out->track_request_response_sizes = proto.track_cluster_stats().request_response_sizes();
}

// gRPC's health service is asked over HTTP/2.
void CheckProbes(const Cluster& cluster, ParseContext& context) {
  for (const HealthCheck& check : cluster.health_checks) {
    if (std::holds_alternative<GrpcProbe>(check.probe) &&
        cluster.http.protocol == UpstreamHttpOptions::Protocol::kHttp1) {
      context.ErrorAt(
          "health_checks",
          absl::StrCat(cluster.name, " cluster must support HTTP/2 for gRPC healthchecking"));
    }
  }
}

void WarnOfTheRest(const ClusterProto& proto, ParseContext& context) {
  if (proto.filters_size() != 0) context.NotHonoured("filters");
  if (proto.has_upstream_config()) context.NotHonoured("upstream_config");
  if (proto.has_lrs_server()) context.NotHonoured("lrs_server");
  if (proto.track_cluster_stats().per_endpoint_stats()) {
    context.NotHonoured("track_cluster_stats.per_endpoint_stats");
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Cluster>> Cluster::Parse(const ClusterProto& proto,
                                                              ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<Cluster>();
  out->name = proto.name();
  out->original = SerializeDeterministically(proto);
  ParseStatistics(proto, out.get());
  ParseDiscovery(proto, out.get(), context);
  CheckDiscovery(*out, context);
  ParseConnections(proto, out.get(), context);
  ParsePolicy(proto, out.get(), context);
  ParseHealth(proto, out.get(), context);
  ParseHttp(proto, out.get(), context);
  ParseTransports(proto, out.get(), context);
  CheckProbes(*out, context);
  out->metadata = Metadata::From(proto.metadata());
  out->wait_for_warm_on_init =
      !proto.has_wait_for_warm_on_init() || proto.wait_for_warm_on_init().value();
  WarnOfTheRest(proto, context);
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

}  // namespace remora::xds
