#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/resolver.pb.h"
#include "envoy/extensions/clusters/aggregate/v3/cluster.pb.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.pb.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb.h"
#include "envoy/extensions/network/dns_resolver/getaddrinfo/v3/getaddrinfo_dns_resolver.pb.h"
#include "xds/cluster_parse.h"
#include "xds/durations.h"

namespace remora::xds {
namespace {

namespace extensions = envoy::extensions;
using DnsCluster = extensions::clusters::dns::v3::DnsCluster;
using Cares = extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
using GetAddrInfo =
    extensions::network::dns_resolver::getaddrinfo::v3::GetAddrInfoDnsResolverConfig;

void ParseEds(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  out->type = Cluster::Type::kEds;
  if (!proto.has_eds_cluster_config()) {
    return context.ErrorAt("eds_cluster_config",
                           "cannot create an EDS cluster without an EDS config");
  }
  ParseContext::Scope scope(context, "eds_cluster_config");
  const auto& eds = proto.eds_cluster_config();
  out->eds_service_name = eds.service_name().empty() ? proto.name() : eds.service_name();
  ParseContext::Scope inner(context, "eds_config");
  if (!eds.has_eds_config()) context.Error("value is required");
  out->eds_source = ParseConfigSource(eds.eds_config(), context);
}

template <typename RefreshRate>
void ParseFailureRate(const RefreshRate& proto, DnsSettings* out, ParseContext& context) {
  out->failure_refresh_base = FromProto(proto.base_interval());
  out->failure_refresh_max =
      proto.has_max_interval() ? FromProto(proto.max_interval()) : 10 * *out->failure_refresh_base;
  if (*out->failure_refresh_max < *out->failure_refresh_base) {
    context.ErrorAt("dns_failure_refresh_rate",
                    "max_interval must be greater than or equal to the base_interval");
  }
}

void ParseResolver(const envoy::config::core::v3::TypedExtensionConfig& proto, DnsSettings* out,
                   ParseContext& context) {
  ParseContext::Scope scope(context, "typed_dns_resolver_config");
  const Extension extension = ParseExtension(proto, context);
  ParseContext::Scope inner(context, "typed_config");
  Cares cares;
  if (extension.type_name() == cares.GetDescriptor()->full_name()) {
    if (!DecodeInto(extension, &cares, context)) return;
    for (int i = 0; i < cares.resolvers_size(); ++i) {
      ParseContext::Scope item(context, "resolvers", i);
      out->resolvers.push_back(ParseAddress(cares.resolvers(i), context));
    }
    out->use_tcp = cares.dns_resolver_options().use_tcp_for_dns_lookups();
  } else if (extension.type_name() != GetAddrInfo::descriptor()->full_name()) {
    context.Error(absl::StrCat("DNS resolver ", extension.type_url, " is not supported"));
  }
}

void ParseDns(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  DnsSettings& dns = out->dns;
  if (proto.has_dns_refresh_rate()) dns.refresh_rate = FromProto(proto.dns_refresh_rate());
  dns.jitter = FromProto(proto.dns_jitter());
  if (proto.has_dns_failure_refresh_rate()) {
    ParseFailureRate(proto.dns_failure_refresh_rate(), &dns, context);
  }
  dns.respect_ttl = proto.respect_dns_ttl();
  dns.family = static_cast<DnsSettings::Family>(proto.dns_lookup_family());
  dns.use_tcp = proto.use_tcp_for_dns_lookups();
  for (int i = 0; i < proto.dns_resolvers_size(); ++i) {
    ParseContext::Scope scope(context, "dns_resolvers", i);
    dns.resolvers.push_back(ParseAddress(proto.dns_resolvers(i), context));
  }
  for (const auto& resolver : proto.dns_resolution_config().resolvers()) {
    dns.resolvers.push_back(ParseAddress(resolver, context));
  }
  dns.use_tcp |= proto.dns_resolution_config().dns_resolver_options().use_tcp_for_dns_lookups();
  if (proto.has_typed_dns_resolver_config()) {
    ParseResolver(proto.typed_dns_resolver_config(), &dns, context);
  }
}

// envoy.cluster.dns: the newer spelling of both DNS types.
void ParseDnsCluster(const Extension& config, Cluster* out, ParseContext& context) {
  DnsCluster proto;
  if (!DecodeInto(config, &proto, context)) return;
  out->type = proto.all_addresses_in_single_endpoint() ? Cluster::Type::kLogicalDns
                                                       : Cluster::Type::kStrictDns;
  DnsSettings& dns = out->dns;
  if (proto.has_dns_refresh_rate()) dns.refresh_rate = FromProto(proto.dns_refresh_rate());
  if (proto.has_dns_failure_refresh_rate()) {
    ParseFailureRate(proto.dns_failure_refresh_rate(), &dns, context);
  }
  dns.jitter = FromProto(proto.dns_jitter());
  dns.respect_ttl = proto.respect_dns_ttl();
  switch (proto.dns_lookup_family()) {
    case extensions::clusters::common::dns::v3::V4_ONLY:
      dns.family = DnsSettings::Family::kV4Only;
      break;
    case extensions::clusters::common::dns::v3::V6_ONLY:
      dns.family = DnsSettings::Family::kV6Only;
      break;
    case extensions::clusters::common::dns::v3::V4_PREFERRED:
      dns.family = DnsSettings::Family::kV4Preferred;
      break;
    case extensions::clusters::common::dns::v3::ALL:
      dns.family = DnsSettings::Family::kAll;
      break;
    default:
      dns.family = DnsSettings::Family::kAuto;
  }
  if (proto.has_typed_dns_resolver_config()) {
    ParseResolver(proto.typed_dns_resolver_config(), &dns, context);
  }
  if (proto.has_dns_min_refresh_rate()) context.NotHonoured("dns_min_refresh_rate");
}

void ParseCustomType(const ClusterProto::CustomClusterType& proto, Cluster* out,
                     ParseContext& context) {
  ParseContext::Scope scope(context, "cluster_type");
  ParseContext::Scope inner(context, "typed_config");
  const Extension config = ParseExtension(proto.name(), proto.typed_config(), context);
  extensions::clusters::aggregate::v3::ClusterConfig aggregate;
  if (config.type_name() == aggregate.GetDescriptor()->full_name()) {
    if (!DecodeInto(config, &aggregate, context)) return;
    out->type = Cluster::Type::kAggregate;
    out->aggregate_clusters.assign(aggregate.clusters().begin(), aggregate.clusters().end());
  } else if (config.type_name() == DnsCluster::descriptor()->full_name()) {
    ParseDnsCluster(config, out, context);
  } else if (proto.name() == "envoy.cluster.static") {
    out->type = Cluster::Type::kStatic;
  } else if (proto.name() == "envoy.cluster.strict_dns") {
    out->type = Cluster::Type::kStrictDns;
  } else if (proto.name() == "envoy.cluster.logical_dns") {
    out->type = Cluster::Type::kLogicalDns;
  } else {
    context.Error(
        absl::StrCat("Didn't find a registered cluster factory implementation for name: '",
                     proto.name(), "' with type URL: '", config.type_name(), "'"));
  }
}

void ParseOriginalDst(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  out->type = Cluster::Type::kOriginalDst;
  if (proto.has_load_assignment()) {
    context.ErrorAt("load_assignment",
                    "ORIGINAL_DST clusters must have no load assignment configured");
  }
  if (!proto.has_original_dst_lb_config()) return;
  const auto& config = proto.original_dst_lb_config();
  out->original_dst.use_http_header = config.use_http_header();
  if (!config.http_header_name().empty()) {
    out->original_dst.http_header_name = config.http_header_name();
    if (!config.use_http_header()) {
      context.ErrorAt(
          "original_dst_lb_config.http_header_name",
          "ORIGINAL_DST cluster: invalid config http_header_name without use_http_header");
    }
  }
  out->original_dst.port_override = config.upstream_port_override().value();
  if (config.has_metadata_key()) {
    out->original_dst.metadata_namespace = config.metadata_key().key();
    for (const auto& segment : config.metadata_key().path()) {
      out->original_dst.metadata_path.push_back(segment.key());
    }
  }
}

void ParseType(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  if (proto.has_cluster_type()) return ParseCustomType(proto.cluster_type(), out, context);
  switch (proto.type()) {
    case ClusterProto::STRICT_DNS:
      out->type = Cluster::Type::kStrictDns;
      break;
    case ClusterProto::LOGICAL_DNS:
      out->type = Cluster::Type::kLogicalDns;
      break;
    case ClusterProto::EDS:
      ParseEds(proto, out, context);
      break;
    case ClusterProto::ORIGINAL_DST:
      ParseOriginalDst(proto, out, context);
      break;
    default:
      out->type = Cluster::Type::kStatic;
  }
}

// Endpoints that this type of cluster cannot have.
void CheckEndpoints(const Cluster& cluster, ParseContext& context) {
  ParseContext::Scope scope(context, "load_assignment");
  const ClusterLoadAssignment& assignment = *cluster.load_assignment;
  if (cluster.type == Cluster::Type::kLogicalDns &&
      (assignment.localities.size() != 1 || assignment.endpoint_count() != 1)) {
    context.Error(
        "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint");
  }
  if (cluster.type != Cluster::Type::kStatic) return;
  for (size_t i = 0; i < assignment.localities.size(); ++i) {
    ParseContext::Scope locality(context, "endpoints", i);
    const auto& endpoints = assignment.localities[i].endpoints;
    for (size_t k = 0; k < endpoints.size(); ++k) {
      ParseContext::Scope endpoint(context, "lb_endpoints", k);
      const AddressSpec& address = endpoints[k].address;
      if (address.kind == AddressSpec::Kind::kSocket && !address.host.empty() &&
          !remora::Address::FromIp(address.host, address.port).has_value()) {
        context.Error(absl::StrCat("malformed IP address: ", address.host,
                                   ". Consider setting resolver_name or setting cluster type to "
                                   "'STRICT_DNS' or 'LOGICAL_DNS'"));
      }
    }
  }
}

}  // namespace

void ParseDiscovery(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  ParseDns(proto, out, context);
  ParseType(proto, out, context);
  if (out->type != Cluster::Type::kEds && proto.has_eds_cluster_config()) {
    context.ErrorAt("eds_cluster_config", "eds_cluster_config set in a non-EDS cluster");
  }
  if (!proto.has_load_assignment()) return;
  ParseContext::Scope scope(context, "load_assignment");
  auto assignment = ClusterLoadAssignment::Parse(proto.load_assignment(), context);
  if (!assignment.ok()) return;
  out->load_assignment = *std::move(assignment);
}

void CheckDiscovery(const Cluster& cluster, ParseContext& context) {
  const bool by_name = cluster.type == Cluster::Type::kLogicalDns;
  if (cluster.load_assignment != nullptr) {
    CheckEndpoints(cluster, context);
  } else if (by_name) {
    context.ErrorAt(
        "load_assignment",
        "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint");
  }
}

}  // namespace remora::xds
