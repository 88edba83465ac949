#ifndef REMORA_PROXY_MAIN_ADMIN_ENDPOINTS_IN_FORCE_H_
#define REMORA_PROXY_MAIN_ADMIN_ENDPOINTS_IN_FORCE_H_

#include <string>

#include "proxy/upstream/cluster.h"

namespace remora::proxy {

// The hosts of a cluster as they are now, names resolved and health judged, as a serialized
// ClusterLoadAssignment; for /config_dump?include_eds. Main thread.
std::string EndpointsInForce(const Cluster& cluster);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_ADMIN_ENDPOINTS_IN_FORCE_H_
