#include "xds/endpoint.h"

#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/endpoint/v3/endpoint_components.pb.h"
#include "xds/durations.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

namespace proto = envoy::config::endpoint::v3;
using AssignmentProto = proto::ClusterLoadAssignment;

EdsHealth HealthFrom(envoy::config::core::v3::HealthStatus status) {
  switch (status) {
    case envoy::config::core::v3::HEALTHY:
      return EdsHealth::kHealthy;
    case envoy::config::core::v3::UNHEALTHY:
      return EdsHealth::kUnhealthy;
    case envoy::config::core::v3::DRAINING:
      return EdsHealth::kDraining;
    case envoy::config::core::v3::TIMEOUT:
      return EdsHealth::kTimeout;
    case envoy::config::core::v3::DEGRADED:
      return EdsHealth::kDegraded;
    default:
      return EdsHealth::kUnknown;
  }
}

std::shared_ptr<const Metadata> MetadataFrom(const envoy::config::core::v3::Metadata& from) {
  if (from.filter_metadata().empty()) return nullptr;
  return std::make_shared<const Metadata>(Metadata::From(from));
}

void ParseHealthCheck(const proto::Endpoint::HealthCheckConfig& from, Endpoint* out,
                      ParseContext& context) {
  out->health_check_port = from.port_value();
  out->health_check_hostname = from.hostname();
  out->health_check_disabled = from.disable_active_health_check();
  if (from.has_address()) {
    ParseContext::Scope scope(context, "health_check_config");
    ParseContext::Scope inner(context, "address");
    out->health_check_address = ParseAddress(from.address(), context);
  }
}

Endpoint ParseEndpoint(const proto::LbEndpoint& from, ParseContext& context) {
  Endpoint out;
  out.health = HealthFrom(from.health_status());
  out.metadata = MetadataFrom(from.metadata());
  if (from.has_load_balancing_weight()) {
    out.weight = from.load_balancing_weight().value();
  }
  if (!from.endpoint_name().empty()) {
    context.ErrorAt("endpoint_name", "named endpoints are not supported");
    return out;
  }
  ParseContext::Scope scope(context, "endpoint");
  const proto::Endpoint& endpoint = from.endpoint();
  {
    ParseContext::Scope address(context, "address");
    if (!endpoint.has_address()) context.Error("value is required");
    out.address = ParseAddress(endpoint.address(), context);
  }
  for (int i = 0; i < endpoint.additional_addresses_size(); ++i) {
    ParseContext::Scope address(context, "additional_addresses", i);
    out.additional_addresses.push_back(
        ParseAddress(endpoint.additional_addresses(i).address(), context));
  }
  out.hostname = endpoint.hostname();
  ParseHealthCheck(endpoint.health_check_config(), &out, context);
  return out;
}

template <typename List>
void ParseEndpoints(const char* field, const List& list, LocalityEndpoints* out,
                    ParseContext& context) {
  out->endpoints.reserve(out->endpoints.size() + list.size());
  uint64_t total = 0;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    out->endpoints.push_back(ParseEndpoint(list[i], context));
    total += out->endpoints.back().weight;
  }
  if (total > std::numeric_limits<uint32_t>::max()) {
    context.Error(
        "The sum of weights of all upstream hosts in a locality exceeds "
        "4294967295");
  }
}

LocalityEndpoints ParseLocality(const proto::LocalityLbEndpoints& from, ParseContext& context) {
  LocalityEndpoints out;
  out.locality = {from.locality().region(), from.locality().zone(), from.locality().sub_zone()};
  out.priority = from.priority();
  if (from.has_load_balancing_weight()) {
    out.weight = from.load_balancing_weight().value();
  }
  out.metadata = MetadataFrom(from.metadata());
  ParseEndpoints("lb_endpoints", from.lb_endpoints(), &out, context);
  if (from.has_load_balancer_endpoints()) {
    ParseEndpoints("load_balancer_endpoints.lb_endpoints",
                   from.load_balancer_endpoints().lb_endpoints(), &out, context);
  }
  // What a locality says of transports holds for its endpoints that say nothing themselves.
  constexpr absl::string_view kTransports = "envoy.transport_socket_match";
  if (out.metadata != nullptr && out.metadata->namespaces.contains(kTransports)) {
    for (Endpoint& endpoint : out.endpoints) {
      if (endpoint.metadata != nullptr && endpoint.metadata->namespaces.contains(kTransports)) {
        continue;
      }
      auto merged = endpoint.metadata == nullptr ? std::make_shared<Metadata>()
                                                 : std::make_shared<Metadata>(*endpoint.metadata);
      merged->namespaces.emplace(kTransports, out.metadata->namespaces.find(kTransports)->second);
      endpoint.metadata = std::move(merged);
    }
  }
  if (from.has_leds_cluster_locality_config()) {
    context.ErrorAt("leds_cluster_locality_config", "is not supported");
  }
  return out;
}

void ParsePolicy(const AssignmentProto::Policy& from, ClusterLoadAssignment* out,
                 ParseContext& context) {
  ParseContext::Scope scope(context, "policy");
  for (const auto& drop : from.drop_overloads()) {
    out->drop_overloads.push_back(
        {drop.category(), FractionalPercent::From(drop.drop_percentage())});
  }
  if (out->drop_overloads.size() > 1) {
    context.ErrorAt("drop_overloads",
                    absl::StrCat("Cluster drop_overloads config has ", out->drop_overloads.size(),
                                 " categories. Envoy only support one."));
  }
  if (from.has_overprovisioning_factor()) {
    out->overprovisioning_factor = from.overprovisioning_factor().value();
  }
  out->weighted_priority_health = from.weighted_priority_health();
  out->stale_after = FromProto(from.endpoint_stale_after());
}

// The weights of a priority's localities have to fit 32 bits together.
void CheckLocalityWeights(const ClusterLoadAssignment& assignment, ParseContext& context) {
  absl::flat_hash_map<uint32_t, uint64_t> totals;
  for (const LocalityEndpoints& locality : assignment.localities) {
    uint64_t& total = totals[locality.priority];
    total += locality.weight.value_or(0);
    if (total > std::numeric_limits<uint32_t>::max()) {
      return context.Error(
          absl::StrCat("The sum of weights of all localities at the same priority exceeds "
                       "4294967295"));
    }
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ClusterLoadAssignment>> ClusterLoadAssignment::Parse(
    const AssignmentProto& from, ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<ClusterLoadAssignment>();
  out->cluster_name = from.cluster_name();
  out->original = SerializeDeterministically(from);
  out->localities.reserve(from.endpoints_size());
  for (int i = 0; i < from.endpoints_size(); ++i) {
    ParseContext::Scope scope(context, "endpoints", i);
    out->localities.push_back(ParseLocality(from.endpoints(i), context));
  }
  ParsePolicy(from.policy(), out.get(), context);
  CheckLocalityWeights(*out, context);
  if (!from.named_endpoints().empty()) {
    context.ErrorAt("named_endpoints", "named endpoints are not supported");
  }
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

size_t ClusterLoadAssignment::endpoint_count() const {
  size_t count = 0;
  for (const LocalityEndpoints& locality : localities) {
    count += locality.endpoints.size();
  }
  return count;
}

}  // namespace remora::xds
