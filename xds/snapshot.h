#ifndef REMORA_XDS_SNAPSHOT_H_
#define REMORA_XDS_SNAPSHOT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "xds/cluster.h"
#include "xds/endpoint.h"
#include "xds/extension_config.h"
#include "xds/listener.h"
#include "xds/route.h"
#include "xds/runtime_layer.h"
#include "xds/scoped_route.h"
#include "xds/secret.h"

namespace remora::xds {

// A cluster that may serve, with the endpoints that came by EDS.
struct ClusterResource {
  std::shared_ptr<const Cluster> config;
  // kEds: the last accepted assignment; null when the control plane never sent one in time (the
  // cluster is there without hosts). Other types: null, config->load_assignment counts.
  std::shared_ptr<const ClusterLoadAssignment> assignment;
  bool added_via_api = false;
};

struct ListenerResource {
  std::shared_ptr<const Listener> config;
  bool added_via_api = false;
  std::string version;
  int64_t updated_ms = 0;
};

using ClusterResources = absl::flat_hash_map<std::string, ClusterResource>;
using RouteTables = absl::flat_hash_map<std::string, std::shared_ptr<const RouteTable>>;
using RuntimeLayers = absl::flat_hash_map<std::string, std::shared_ptr<const RuntimeLayer>>;
using Secrets = absl::flat_hash_map<std::string, std::shared_ptr<const Secret>>;

// What the control plane, the files and the bootstrap come to at one moment: only resources that
// were accepted and have what they need (a cluster its endpoints and secrets, a listener its routes
// and secrets), so whoever gets it can serve all of it. Parts that did not change are the same
// objects as in the previous snapshot.
//
// Threads: made on main, const, shared.
struct Snapshot {
  uint64_t number = 0;
  std::shared_ptr<const ClusterResources> clusters;
  std::vector<ListenerResource> listeners;    // bootstrap's first, then by arrival
  std::shared_ptr<const RouteTables> routes;  // by RDS name
  std::shared_ptr<const Secrets> secrets;     // static and SDS, by name
  std::shared_ptr<const ScopeMap> scopes;     // SRDS, by key
  std::shared_ptr<const ExtensionConfigs> extensions;
  std::shared_ptr<const RuntimeLayers> runtime;  // RTDS, by resource name
};

}  // namespace remora::xds

#endif  // REMORA_XDS_SNAPSHOT_H_
