#include "xds/resource_types.h"

#include <google/protobuf/any.pb.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/scoped_route.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/service/runtime/v3/rtds.pb.h"
#include "filters/api/address.h"
#include "xds/extension.h"
#include "xds/type_registry.h"
#include "xds/validate.h"

namespace remora::xds {
namespace {

using ClusterProto = envoy::config::cluster::v3::Cluster;
using EndpointsProto = envoy::config::endpoint::v3::ClusterLoadAssignment;
using ListenerProto = envoy::config::listener::v3::Listener;
using RoutesProto = envoy::config::route::v3::RouteConfiguration;
using SecretProto = envoy::extensions::transport_sockets::tls::v3::Secret;
using ScopeProto = envoy::config::route::v3::ScopedRouteConfiguration;
using HostProto = envoy::config::route::v3::VirtualHost;
using ExtensionProto = envoy::config::core::v3::TypedExtensionConfig;
using RuntimeProto = envoy::service::runtime::v3::Runtime;

const std::string& NameOf(const EndpointsProto& proto) { return proto.cluster_name(); }
template <typename Proto>
const std::string& NameOf(const Proto& proto) {
  return proto.name();
}

// Endpoints of a control plane have addresses, not names.
void CheckHosts(const ClusterLoadAssignment& assignment, ParseContext& context) {
  for (const LocalityEndpoints& locality : assignment.localities) {
    for (const Endpoint& endpoint : locality.endpoints) {
      const AddressSpec& address = endpoint.address;
      if (address.kind == AddressSpec::Kind::kSocket && !address.host.empty() &&
          !remora::Address::FromIp(address.host, address.port).has_value()) {
        context.Error(absl::StrCat("malformed IP address: ", address.host,
                                   ". Consider setting resolver_name or setting cluster type to "
                                   "'STRICT_DNS' or 'LOGICAL_DNS'"));
      }
    }
  }
}

// Bytes → proto → plain type, with every check on the way.
template <typename T, typename Proto, ResourceKind kKind>
absl::StatusOr<Resource> ParseBytes(const std::string& bytes, ParseContext& context) {
  const size_t before = context.error_count();
  Proto proto;
  if (!proto.ParseFromString(bytes)) {
    return absl::DataLossError(
        absl::StrCat("does not parse as ", proto.GetDescriptor()->full_name()));
  }
  CheckUnknownFields(proto, context);
  Validate(proto, context);
  if (const absl::Status rules = context.StatusSince(before); !rules.ok())
    return absl::DataLossError(rules.message());
  auto parsed = T::Parse(proto, context);
  if constexpr (kKind == ResourceKind::kEndpoints) {
    if (parsed.ok()) CheckHosts(**parsed, context);
  }
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return Resource{kKind, NameOf(proto), *std::move(parsed)};
}

template <typename Proto>
std::string ReadName(const std::string& bytes) {
  Proto proto;
  proto.ParsePartialFromString(bytes);
  return NameOf(proto);
}

template <typename T, typename Proto, ResourceKind kKind>
constexpr ResourceType Row(absl::string_view type_url, absl::string_view short_name,
                           bool full_set) {
  return {kKind, type_url, short_name, full_set, &ParseBytes<T, Proto, kKind>, &ReadName<Proto>};
}

constexpr ResourceType kTypes[] = {
    Row<Cluster, ClusterProto, ResourceKind::kCluster>(
        "type.googleapis.com/envoy.config.cluster.v3.Cluster", "CDS", true),
    Row<ClusterLoadAssignment, EndpointsProto, ResourceKind::kEndpoints>(
        "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "EDS", false),
    Row<Listener, ListenerProto, ResourceKind::kListener>(
        "type.googleapis.com/envoy.config.listener.v3.Listener", "LDS", true),
    Row<RouteTable, RoutesProto, ResourceKind::kRouteTable>(
        "type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "RDS", false),
    Row<Secret, SecretProto, ResourceKind::kSecret>(
        "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "SDS", false),
    Row<ScopedRoute, ScopeProto, ResourceKind::kScopedRoute>(
        "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration", "SRDS", true),
    Row<LateVirtualHost, HostProto, ResourceKind::kVirtualHost>(
        "type.googleapis.com/envoy.config.route.v3.VirtualHost", "VHDS", false),
    Row<ExtensionConfig, ExtensionProto, ResourceKind::kExtension>(
        "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "ECDS", false),
    Row<RuntimeLayer, RuntimeProto, ResourceKind::kRuntime>(
        "type.googleapis.com/envoy.service.runtime.v3.Runtime", "RTDS", false),
};

struct OriginalReader {
  template <typename T>
  const std::string& operator()(const std::shared_ptr<const T>& value) const {
    return value->original;
  }
  const std::string& operator()(const std::shared_ptr<const RouteTable>& value) const {
    return value->original();
  }
};

}  // namespace

const std::string& OriginalOf(const Resource& resource) {
  return std::visit(OriginalReader(), resource.value);
}

absl::Span<const ResourceType> ResourceTypes() { return kTypes; }

const ResourceType& TypeOf(ResourceKind kind) { return kTypes[static_cast<size_t>(kind)]; }

const ResourceType* FindResourceType(absl::string_view type_url) {
  for (const ResourceType& type : kTypes) {
    if (TypeName(type.type_url) == TypeName(type_url)) return &type;
  }
  return nullptr;
}

absl::StatusOr<Resource> ParseResource(const google::protobuf::Any& any, ParseContext& context) {
  const Extension extension = ParseExtension("", any, context);
  const ResourceType* type = FindResourceType(extension.type_url);
  if (type == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("type URL ", extension.type_url, " is not a resource that is known"));
  }
  return type->parse(extension.value, context);
}

}  // namespace remora::xds
