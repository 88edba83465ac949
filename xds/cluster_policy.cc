#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin.pb.h"
#include "envoy/extensions/load_balancing_policies/cluster_provided/v3/cluster_provided.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb.h"
#include "envoy/extensions/load_balancing_policies/override_host/v3/override_host.pb.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb.h"
#include "envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.pb.h"
#include "filters/runtime.h"
#include "lb/host_set.h"
#include "xds/cluster_parse.h"
#include "xds/cluster_routing.h"
#include "xds/durations.h"
#include "xds/route_parse.h"

namespace remora::xds {
namespace {

namespace policies = envoy::extensions::load_balancing_policies;

// The same fields stand in the cluster and in the policies' own messages.
template <typename Proto>
lb::SlowStartConfig SlowStart(const Proto& proto) {
  lb::SlowStartConfig out;
  out.window = ChronoFrom(proto.slow_start_window());
  if (proto.has_aggression()) out.aggression = proto.aggression().default_value();
  if (proto.has_min_weight_percent()) out.min_weight_percent = proto.min_weight_percent().value();
  return out;
}

template <typename Proto>
lb::RoundRobinConfig RoundRobin(const Proto& proto) {
  return {SlowStart(proto.slow_start_config())};
}

template <typename Proto>
lb::LeastRequestConfig LeastRequest(const Proto& proto, ParseContext& context) {
  lb::LeastRequestConfig out;
  if (proto.has_choice_count()) out.choice_count = proto.choice_count().value();
  if (proto.has_active_request_bias()) {
    out.active_request_bias = proto.active_request_bias().default_value();
    if (out.active_request_bias < 0) {
      context.Warn("invalid active request bias supplied, using 1.0");
      out.active_request_bias = 1.0;
    }
  }
  out.slow_start = SlowStart(proto.slow_start_config());
  return out;
}

template <typename Proto>
void RingSizes(const Proto& proto, lb::RingHashConfig* out, ParseContext& context) {
  if (proto.has_minimum_ring_size()) out->minimum_ring_size = proto.minimum_ring_size().value();
  if (proto.has_maximum_ring_size()) out->maximum_ring_size = proto.maximum_ring_size().value();
  if (out->minimum_ring_size > out->maximum_ring_size) {
    context.Error(absl::StrCat("ring hash: minimum_ring_size (", out->minimum_ring_size,
                               ") > maximum_ring_size (", out->maximum_ring_size, ")"));
  }
}

template <typename Proto>
lb::HashingConfig Hashing(const Proto& proto, Cluster* cluster, ParseContext& context) {
  lb::HashingConfig out;
  out.use_hostname_for_hashing = proto.use_hostname_for_hashing();
  out.hash_balance_factor = proto.hash_balance_factor().value();
  if constexpr (requires { proto.hash_policy(); }) {
    if (proto.hash_policy_size() != 0) {
      RoutingOf(cluster)->hash_policies = ParseHashPolicies(proto.hash_policy(), context);
    }
  }
  return out;
}

template <typename Proto>
void ZoneAware(const Proto& proto, lb::PolicyConfig* out) {
  out->locality_mode = lb::LocalityMode::kZoneAware;
  if (proto.has_routing_enabled()) {
    out->zone_aware.routing_enabled_percent = proto.routing_enabled().value();
  }
  if (proto.has_min_cluster_size()) {
    out->zone_aware.min_cluster_size = proto.min_cluster_size().value();
  }
  out->zone_aware.fail_traffic_on_panic = proto.fail_traffic_on_panic();
}

void Localities(const policies::common::v3::LocalityLbConfig& proto, lb::PolicyConfig* out,
                ParseContext& context) {
  if (proto.has_locality_weighted_lb_config()) {
    out->locality_mode = lb::LocalityMode::kWeighted;
  } else if (proto.has_zone_aware_lb_config()) {
    const auto& zone = proto.zone_aware_lb_config();
    ZoneAware(zone, out);
    out->zone_aware.by_host_weight =
        zone.locality_basis() ==
        policies::common::v3::LocalityLbConfig::ZoneAwareLbConfig::HEALTHY_HOSTS_WEIGHT;
    if (zone.has_force_local_zone() || zone.force_locality_direct_routing()) {
      context.NotHonoured("zone_aware_lb_config.force_local_zone");
    }
  }
}

using PolicyList = envoy::config::cluster::v3::LoadBalancingPolicy;
void ParseList(const PolicyList& proto, Cluster* out, ParseContext& context);

// Localities by weight, the policy inside them. Only the one that weighs by load reports may be.
void ParseWrrLocality(const policies::wrr_locality::v3::WrrLocality& proto, Cluster* out,
                      ParseContext& context) {
  ParseContext::Scope scope(context, "endpoint_picking_policy");
  ParseList(proto.endpoint_picking_policy(), out, context);
  out->policy.locality_mode = lb::LocalityMode::kWeighted;
  if (!out->client_side_wrr.has_value() && context.error_count() == 0) {
    context.Error(
        "WrrLocality LB: endpoint_picking_policy must be "
        "ClientSideWeightedRoundRobin");
  }
}

ClientSideWrrSettings ClientSideWrr(
    const policies::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin& proto) {
  ClientSideWrrSettings out;
  if (proto.has_blackout_period()) out.blackout = FromProto(proto.blackout_period());
  if (proto.has_weight_expiration_period()) {
    out.expiration = FromProto(proto.weight_expiration_period());
  }
  if (proto.has_weight_update_period()) {
    out.update = std::max(FromProto(proto.weight_update_period()), absl::Milliseconds(100));
  }
  if (proto.has_error_utilization_penalty()) {
    out.error_penalty = proto.error_utilization_penalty().value();
  }
  out.metrics.assign(proto.metric_names_for_computing_utilization().begin(),
                     proto.metric_names_for_computing_utilization().end());
  return out;
}

void ParseOverrideHost(const policies::override_host::v3::OverrideHost& proto, Cluster* out,
                       ParseContext& context) {
  for (int i = 0; i < proto.override_host_sources_size(); ++i) {
    ParseContext::Scope scope(context, "override_host_sources", i);
    const auto& from = proto.override_host_sources(i);
    OverrideHostSource source;
    source.header = absl::AsciiStrToLower(from.header());
    if (from.has_metadata()) {
      source.metadata_namespace = from.metadata().key();
      for (const auto& segment : from.metadata().path()) source.path.push_back(segment.key());
    }
    if (source.header.empty() == source.metadata_namespace.empty()) {
      context.Error(source.header.empty() ? "Empty override source"
                                          : "Only one override source must be set");
    }
    out->override_sources.push_back(std::move(source));
  }
  ParseContext::Scope scope(context, "fallback_policy");
  ParseList(proto.fallback_policy(), out, context);
}

// Policies that stand before others.
bool ParseWrapping(const Extension& config, Cluster* out, ParseContext& context) {
  const auto is = [&](const google::protobuf::Descriptor* descriptor) {
    return config.type_name() == descriptor->full_name();
  };
  if (is(policies::subset::v3::Subset::descriptor())) {
    policies::subset::v3::Subset proto;
    DecodeInto(config, &proto, context);
    ParseContext::Scope scope(context, "subset_lb_policy");
    ParseList(proto.subset_lb_policy(), out, context);
    out->policy.subset = ParseSubsets(proto, context);
  } else if (is(policies::wrr_locality::v3::WrrLocality::descriptor())) {
    policies::wrr_locality::v3::WrrLocality proto;
    DecodeInto(config, &proto, context);
    ParseWrrLocality(proto, out, context);
  } else if (is(policies::override_host::v3::OverrideHost::descriptor())) {
    policies::override_host::v3::OverrideHost proto;
    DecodeInto(config, &proto, context);
    ParseOverrideHost(proto, out, context);
  } else if (is(policies::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin::
                    descriptor())) {
    policies::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin proto;
    DecodeInto(config, &proto, context);
    out->client_side_wrr = ClientSideWrr(proto);
    out->policy.algorithm = RoundRobin(proto);
    out->policy.locality_mode = lb::LocalityMode::kIgnore;
  } else {
    return false;
  }
  return true;
}

// Reads one policy of load_balancing_policy; false when it is none of ours.
bool ParseTyped(const Extension& config, Cluster* out, ParseContext& context) {
  const absl::string_view type = config.type_name();
  const auto is = [&](const google::protobuf::Descriptor* descriptor) {
    return type == descriptor->full_name();
  };
  if (is(policies::round_robin::v3::RoundRobin::descriptor())) {
    policies::round_robin::v3::RoundRobin proto;
    DecodeInto(config, &proto, context);
    out->policy.algorithm = RoundRobin(proto);
    Localities(proto.locality_lb_config(), &out->policy, context);
  } else if (is(policies::least_request::v3::LeastRequest::descriptor())) {
    policies::least_request::v3::LeastRequest proto;
    DecodeInto(config, &proto, context);
    lb::LeastRequestConfig least = LeastRequest(proto, context);
    least.full_scan =
        proto.selection_method() == policies::least_request::v3::LeastRequest::FULL_SCAN ||
        proto.enable_full_scan().value();
    out->policy.algorithm = least;
    Localities(proto.locality_lb_config(), &out->policy, context);
  } else if (is(policies::random::v3::Random::descriptor())) {
    policies::random::v3::Random proto;
    DecodeInto(config, &proto, context);
    out->policy.algorithm = lb::RandomConfig();
    Localities(proto.locality_lb_config(), &out->policy, context);
  } else if (is(policies::ring_hash::v3::RingHash::descriptor())) {
    policies::ring_hash::v3::RingHash proto;
    DecodeInto(config, &proto, context);
    lb::RingHashConfig ring;
    RingSizes(proto, &ring, context);
    if (proto.hash_function() == policies::ring_hash::v3::RingHash::MURMUR_HASH_2) {
      ring.hash_function = lb::HashFunction::kMurmurHash2;
    }
    ring.hashing = proto.has_consistent_hashing_lb_config()
                       ? Hashing(proto.consistent_hashing_lb_config(), out, context)
                       : Hashing(proto, out, context);
    out->policy.algorithm = ring;
    if (proto.has_locality_weighted_lb_config()) {
      out->policy.locality_mode = lb::LocalityMode::kWeighted;
    }
  } else if (is(policies::maglev::v3::Maglev::descriptor())) {
    policies::maglev::v3::Maglev proto;
    DecodeInto(config, &proto, context);
    lb::MaglevConfig maglev;
    if (proto.has_table_size()) maglev.table_size = proto.table_size().value();
    maglev.hashing = Hashing(proto.consistent_hashing_lb_config(), out, context);
    out->policy.algorithm = maglev;
    if (proto.has_locality_weighted_lb_config()) {
      out->policy.locality_mode = lb::LocalityMode::kWeighted;
    }
  } else if (is(policies::cluster_provided::v3::ClusterProvided::descriptor())) {
    out->lb_by_original_dst = true;
  } else {
    return ParseWrapping(config, out, context);
  }
  return true;
}

void ParseList(const PolicyList& proto, Cluster* out, ParseContext& context) {
  std::string names;
  const auto& list = proto.policies();
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope item(context, "policies", i);
    ParseContext::Scope inner(context, "typed_extension_config");
    const Extension config = ParseExtension(list[i].typed_extension_config(), context);
    ParseContext::Scope typed(context, "typed_config");
    if (ParseTyped(config, out, context)) return;  // the first that is known counts
    absl::StrAppend(&names, names.empty() ? "" : ", ", config.name);
  }
  context.Error(absl::StrCat(
      "cluster: didn't find a registered load balancer factory with names from [", names, "]"));
}

void ParsePolicyList(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  ParseContext::Scope scope(context, "load_balancing_policy");
  if (proto.has_lb_subset_config()) {
    context.Error("cluster: load_balancing_policy cannot be combined with lb_subset_config");
  }
  ParseList(proto.load_balancing_policy(), out, context);
}

void ParseLegacy(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  const lb::HashingConfig hashing =
      Hashing(proto.common_lb_config().consistent_hashing_lb_config(), out, context);
  switch (proto.lb_policy()) {
    case ClusterProto::ROUND_ROBIN:
      out->policy.algorithm = RoundRobin(proto.round_robin_lb_config());
      break;
    case ClusterProto::LEAST_REQUEST:
      out->policy.algorithm = LeastRequest(proto.least_request_lb_config(), context);
      break;
    case ClusterProto::RANDOM:
      out->policy.algorithm = lb::RandomConfig();
      break;
    case ClusterProto::RING_HASH: {
      lb::RingHashConfig ring;
      RingSizes(proto.ring_hash_lb_config(), &ring, context);
      if (proto.ring_hash_lb_config().hash_function() ==
          ClusterProto::RingHashLbConfig::MURMUR_HASH_2) {
        ring.hash_function = lb::HashFunction::kMurmurHash2;
      }
      ring.hashing = hashing;
      out->policy.algorithm = ring;
      break;
    }
    case ClusterProto::MAGLEV: {
      lb::MaglevConfig maglev;
      if (proto.maglev_lb_config().has_table_size()) {
        maglev.table_size = proto.maglev_lb_config().table_size().value();
      }
      maglev.hashing = hashing;
      out->policy.algorithm = maglev;
      break;
    }
    case ClusterProto::CLUSTER_PROVIDED:
      out->lb_by_original_dst = true;
      break;
    default:
      context.ErrorAt("load_balancing_policy",
                      "cluster: field load_balancing_policy need to be set");
  }
  if (hashing.use_hostname_for_hashing && out->type != Cluster::Type::kStrictDns) {
    context.ErrorAt(
        "common_lb_config.consistent_hashing_lb_config.use_hostname_for_hashing",
        "Cannot use hostname for consistent hashing loadbalancing for cluster types other "
        "than STRICT_DNS");
  }
}

void ParseCommon(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  const auto& common = proto.common_lb_config();
  if (common.has_locality_weighted_lb_config()) {
    out->policy.locality_mode = lb::LocalityMode::kWeighted;
  } else if (common.has_zone_aware_lb_config()) {
    ZoneAware(common.zone_aware_lb_config(), &out->policy);
  }
  if (common.has_healthy_panic_threshold()) {
    out->panic_threshold = common.healthy_panic_threshold().value();
  }
  out->policy.panic_threshold = out->panic_threshold.value_or(50.0);
  if (context.runtime() != nullptr) {
    out->policy.panic_threshold =
        context.runtime()->Number("upstream.healthy_panic_threshold", out->policy.panic_threshold);
  }
  if (common.has_update_merge_window()) {
    out->update_merge_window = FromProto(common.update_merge_window());
  }
  out->ignore_new_hosts_until_first_hc = common.ignore_new_hosts_until_first_hc();
  out->close_connections_on_host_set_change = common.close_connections_on_host_set_change();
  if (common.has_override_host_status()) {
    out->override_statuses = 0;
    for (const int status : common.override_host_status().statuses()) {
      out->override_statuses |= 1u << status;
    }
  }
}

// Original destination and aggregate clusters choose by themselves; nobody
// else may leave the choice to the cluster.
void CheckFit(const Cluster& cluster, ParseContext& context) {
  const bool own =
      cluster.type == Cluster::Type::kOriginalDst || cluster.type == Cluster::Type::kAggregate;
  if (own && !cluster.lb_by_original_dst) {
    context.ErrorAt("lb_policy",
                    "cluster: only 'CLUSTER_PROVIDED' is allowed with cluster types "
                    "that bring their own balancing");
  }
  if (!own && cluster.lb_by_original_dst) {
    context.ErrorAt(
        "lb_policy",
        "cluster: LB policy CLUSTER_PROVIDED cannot be combined with this cluster type");
  }
}

}  // namespace

void ParsePolicy(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  // Nearness counts where there is a local cluster, unless something else is
  // asked for.
  out->policy.locality_mode = lb::LocalityMode::kZoneAware;
  ParseCommon(proto, out, context);
  if (proto.has_load_balancing_policy()) {
    out->policy.locality_mode = lb::LocalityMode::kZoneAware;
    ParsePolicyList(proto, out, context);
  } else {
    ParseLegacy(proto, out, context);
    out->policy.subset = ParseSubsets(proto.lb_subset_config(), context);
  }
  CheckFit(*out, context);
  const auto policy = lb::MakePolicy(out->policy, lb::HostSet::Empty(), nullptr);
  if (!policy.ok()) context.Error(policy.status());
}

}  // namespace remora::xds
