#ifndef REMORA_XDS_CLUSTER_PARSE_H_
#define REMORA_XDS_CLUSTER_PARSE_H_

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "xds/cluster.h"
#include "xds/parse_context.h"

namespace envoy::extensions::load_balancing_policies::subset::v3 {
class Subset;
}

namespace remora::xds {

using ClusterProto = envoy::config::cluster::v3::Cluster;

// The parts of a cluster's parser, one file each. For cluster.cc only.

// Type, discovery, DNS: cluster_discovery.cc.
void ParseDiscovery(const ClusterProto& proto, Cluster* out, ParseContext& context);
// Whether the endpoints fit the type, once both are known.
void CheckDiscovery(const Cluster& cluster, ParseContext& context);
// lb_policy or load_balancing_policy, panic, localities: cluster_policy.cc.
// What stands in the cluster in place of the route's; made when it is first asked for.
ClusterRouting* RoutingOf(Cluster* cluster);
void ParsePolicy(const ClusterProto& proto, Cluster* out, ParseContext& context);
// Parts of it: cluster_subset.cc. The first is null without selectors.
std::shared_ptr<const lb::SubsetConfig> ParseSubsets(const ClusterProto::LbSubsetConfig& proto,
                                                     ParseContext& context);
std::shared_ptr<const lb::SubsetConfig> ParseSubsets(
    const envoy::extensions::load_balancing_policies::subset::v3::Subset& proto,
    ParseContext& context);
// Health checks, outlier detection, circuit breakers: cluster_health.cc.
void ParseHealth(const ClusterProto& proto, Cluster* out, ParseContext& context);
// HTTP options of either spelling: cluster_http.cc.
void ParseHttp(const ClusterProto& proto, Cluster* out, ParseContext& context);
// Transport sockets: cluster_transport.cc.
void ParseTransports(const ClusterProto& proto, Cluster* out, ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_CLUSTER_PARSE_H_
