#include "xds/control/mesh.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "xds/control/mesh_http.h"
#include "xds/control/mesh_parts.h"

namespace remora::control {
namespace {

using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;

void AddCluster(ClusterParts parts, NodeResources* out) {
  const std::string name = parts.cluster.name();
  out->Add(Type::kCluster, name, parts.cluster);
  if (parts.by_eds) out->Add(Type::kEndpoint, name, parts.assignment);
}

void AddSecrets(const NodeIdentity& identity, NodeResources* out) {
  envoy::extensions::transport_sockets::tls::v3::Secret own;
  own.set_name(kIdentitySecret);
  auto* certificate = own.mutable_tls_certificate();
  certificate->mutable_certificate_chain()->set_inline_bytes(identity.certificate.chain);
  certificate->mutable_private_key()->set_inline_bytes(identity.certificate.private_key);
  out->Add(Type::kSecret, kIdentitySecret, own);

  envoy::extensions::transport_sockets::tls::v3::Secret trust;
  trust.set_name(kTrustSecret);
  trust.mutable_validation_context()->mutable_trusted_ca()->set_inline_bytes(identity.bundle);
  out->Add(Type::kSecret, kTrustSecret, trust);
}

Listener MakeListener(const std::string& name, const Address& address, bool inbound) {
  Listener listener;
  listener.set_name(name);
  SetAddress(address, listener.mutable_address());
  listener.set_traffic_direction(inbound ? envoy::config::core::v3::TrafficDirection::INBOUND
                                         : envoy::config::core::v3::TrafficDirection::OUTBOUND);
  listener.add_filter_chains();
  return listener;
}

void AddListener(const Listener& listener, NodeResources* out) {
  out->Add(Type::kListener, listener.name(), listener);
}

// Which of a service's sidecars the node is; nothing if that cannot be told.
std::optional<Address> SidecarOf(const Service& service, const NodeId& node) {
  std::set<std::string> seen;
  std::optional<Address> some;
  for (const Endpoint& endpoint : service.endpoints) {
    const std::optional<Address>& own =
        endpoint.sidecar.has_value() ? endpoint.sidecar : service.sidecar;
    if (!own.has_value()) continue;
    if (!node.instance.empty() &&
        (node.instance == endpoint.name || node.instance == own->ToString())) {
      return own;
    }
    seen.insert(own->ToString());
    some = own;
  }
  if (seen.empty()) return service.sidecar;
  return seen.size() == 1 ? some : std::nullopt;
}

// mTLS in, to the application beside the sidecar.
void AddInbound(const Service& service, const NodeId& node, const NodeIdentity& identity,
                NodeResources* out) {
  const std::optional<Address> sidecar = SidecarOf(service, node);
  if (!sidecar.has_value()) return;
  const bool http = service.protocol != Protocol::kTcp;
  AddCluster(LocalCluster(service, Behind(service, *sidecar)), out);
  Listener listener = MakeListener("inbound", ListenAddress(*sidecar), true);
  auto* chain = listener.mutable_filter_chains(0);
  SetInboundTls(service.allow, identity.trust_domain, http, chain->mutable_transport_socket());
  if (http) {
    AddHttpFront({"inbound", "inbound", service.access_log, Hop::kInbound}, chain);
    const RouteConfiguration routes = InboundRoutes(service, identity.trust_domain);
    out->Add(Type::kRoute, routes.name(), routes);
  } else {
    AddTcpProxy("inbound", kLocalCluster, service.access_log, chain);
  }
  AddListener(listener, out);
}

// Plain text from the application, mTLS out to the services that it calls.
void AddOutbound(const Services& services, const Service& service, const NodeIdentity& identity,
                 NodeResources* out) {
  for (const auto& [name, address] : service.upstreams) {
    auto found = services.services.find(name);
    if (found == services.services.end()) continue;
    const Service& callee = found->second;
    const std::string label = absl::StrCat("outbound_", name);
    AddCluster(CallerCluster(callee, identity.trust_domain), out);
    Listener listener = MakeListener(label, address, false);
    auto* chain = listener.mutable_filter_chains(0);
    if (callee.protocol != Protocol::kTcp) {
      AddHttpFront({label, label, service.access_log, Hop::kOutbound}, chain);
      const RouteConfiguration routes = OutboundRoutes(label, callee);
      out->Add(Type::kRoute, routes.name(), routes);
    } else {
      AddTcpProxy(label, name, service.access_log, chain);
    }
    AddListener(listener, out);
  }
}

void AddGateway(const Services& services, const Gateway& gateway, const NodeIdentity& identity,
                NodeResources* out) {
  std::set<std::string> callees;
  for (const Route& route : gateway.routes) {
    for (const Split& split : route.to) callees.insert(split.service);
  }
  if (!gateway.tcp_service.empty()) callees.insert(gateway.tcp_service);
  for (const std::string& name : callees) {
    auto found = services.services.find(name);
    if (found == services.services.end()) continue;
    AddCluster(CallerCluster(found->second, identity.trust_domain), out);
  }
  Listener listener = MakeListener("gateway", gateway.listen, false);
  auto* chain = listener.mutable_filter_chains(0);
  if (!gateway.certificate.empty()) {
    SetGatewayTls(gateway, chain->mutable_transport_socket());
  }
  if (gateway.tcp_service.empty()) {
    AddHttpFront({"gateway", "gateway", gateway.access_log, Hop::kEdge}, chain);
    const RouteConfiguration routes = GatewayRoutes(services, gateway);
    out->Add(Type::kRoute, routes.name(), routes);
  } else {
    AddTcpProxy("gateway", gateway.tcp_service, gateway.access_log, chain);
  }
  AddListener(listener, out);
}

}  // namespace

NodeResources BuildResources(const Services& services, const NodeId& node,
                             const NodeIdentity& identity) {
  NodeResources out;
  auto gateway = services.gateways.find(node.name);
  if (gateway != services.gateways.end()) {
    AddGateway(services, gateway->second, identity, &out);
    AddSecrets(identity, &out);
  }
  auto service = services.services.find(node.name);
  if (service != services.services.end()) {
    if (InMesh(service->second)) {
      AddInbound(service->second, node, identity, &out);
    }
    AddOutbound(services, service->second, identity, &out);
    AddSecrets(identity, &out);
  }
  return out;
}

}  // namespace remora::control
