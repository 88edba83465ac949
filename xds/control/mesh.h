// From services to resources: what one node's listeners, routes, clusters,
// endpoints and secrets are. A pure function, and the one place that decides
// how Remora's mesh is built; README.md draws it.
#ifndef REMORA_XDS_CONTROL_MESH_H_
#define REMORA_XDS_CONTROL_MESH_H_

#include <string>

#include "xds/control/ca.h"
#include "xds/control/resources.h"
#include "xds/control/services.h"

namespace remora::control {

// What a node is and trusts; its own certificate is the only key it is told.
struct NodeIdentity {
  std::string trust_domain;
  std::string bundle;  // PEM of the roots
  Certificate certificate;
};

// Everything for the node; nothing if the services know no such name.
NodeResources BuildResources(const Services& services, const NodeId& node,
                             const NodeIdentity& identity);

// Names of the two secrets. They are the same for all nodes, and each is told
// its own.
inline constexpr char kIdentitySecret[] = "identity";
inline constexpr char kTrustSecret[] = "trust";
// The cluster of a sidecar's own application; no service can have this name.
inline constexpr char kLocalCluster[] = "local_app";

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_MESH_H_
