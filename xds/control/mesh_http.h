// The HTTP half of a node: connection managers, routes and what is retried.
#ifndef REMORA_XDS_CONTROL_MESH_HTTP_H_
#define REMORA_XDS_CONTROL_MESH_HTTP_H_

#include <string>

#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "xds/control/services.h"

namespace remora::control {

// Where a connection manager stands: at the edge it knows nobody, inbound it
// serves the mesh, outbound the application beside it.
enum class Hop { kEdge, kInbound, kOutbound };

// What differs between the connection managers of a node.
struct HttpFront {
  std::string stat_prefix;
  std::string route_config;  // name, over RDS
  std::string access_log;    // path or empty
  Hop hop;
};
void AddHttpFront(const HttpFront& front, envoy::config::listener::v3::FilterChain* chain);
void AddTcpProxy(const std::string& stat_prefix, const std::string& cluster,
                 const std::string& access_log, envoy::config::listener::v3::FilterChain* chain);

// "inbound": everything to the application, for those who may call it.
envoy::config::route::v3::RouteConfiguration InboundRoutes(const Service& service,
                                                           const std::string& trust_domain);
// Everything to `callee`.
envoy::config::route::v3::RouteConfiguration OutboundRoutes(const std::string& name,
                                                            const Service& callee);
// "gateway": the gateway's own routes, in their order within each host.
envoy::config::route::v3::RouteConfiguration GatewayRoutes(const Services& services,
                                                           const Gateway& gateway);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_MESH_HTTP_H_
