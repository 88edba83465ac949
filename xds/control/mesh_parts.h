// The pieces of which mesh.cc builds a node: clusters with their TLS, health
// checks and limits, endpoint assignments, retry policies, filters. Each is a
// function from the model to one proto; none knows the whole.
#ifndef REMORA_XDS_CONTROL_MESH_PARTS_H_
#define REMORA_XDS_CONTROL_MESH_PARTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "xds/control/mesh.h"
#include "xds/control/services.h"

namespace remora::control {

// Something that can be called: where, and with which share.
struct Target {
  Address address;
  uint32_t weight = 1;
};

void SetDuration(absl::Duration value, google::protobuf::Duration* out);
void SetAddress(const Address& address, envoy::config::core::v3::Address* out);
// Where a sidecar listens whose callers use `address`: everywhere, if that is
// a name.
Address ListenAddress(const Address& address);

bool InMesh(const Service& service);
// The service's sidecars with the summed weights of what is behind each; for a
// service out of the mesh, its endpoints.
std::vector<Target> TargetsOf(const Service& service);
// The endpoints behind one of the service's sidecars.
std::vector<Target> Behind(const Service& service, const Address& sidecar);

// A cluster without endpoints yet: EDS, or STRICT_DNS if a target is a name.
// The assignment goes into the cluster then, otherwise it is returned for EDS.
struct ClusterParts {
  envoy::config::cluster::v3::Cluster cluster;
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  bool by_eds = true;
};
// The service as those who call it see it.
ClusterParts CallerCluster(const Service& service, const std::string& trust_domain);
// The application as its own sidecar sees it.
ClusterParts LocalCluster(const Service& service, const std::vector<Target>& targets);

// mTLS towards a sidecar: its certificate must be exactly this service's.
void SetUpstreamTls(const std::string& service, const std::string& trust_domain, bool http,
                    envoy::config::core::v3::TransportSocket* out);
// mTLS of a sidecar's inbound side: only those in `allow` get in.
void SetInboundTls(const std::vector<std::string>& allow, const std::string& trust_domain,
                   bool http, envoy::config::core::v3::TransportSocket* out);
// TLS of a gateway towards the outside, with the gateway's own files.
void SetGatewayTls(const Gateway& gateway, envoy::config::core::v3::TransportSocket* out);

}  // namespace remora::control

#endif  // REMORA_XDS_CONTROL_MESH_PARTS_H_
