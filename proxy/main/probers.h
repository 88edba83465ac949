#ifndef REMORA_PROXY_MAIN_PROBERS_H_
#define REMORA_PROXY_MAIN_PROBERS_H_

#include <functional>
#include <memory>
#include <string>

#include "health/prober.h"
#include "proxy/base/loop.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/dialer.h"
#include "xds/health_check.h"

namespace remora::proxy {

// What a prober needs of its cluster: the state in force when a probe starts (its TLS contexts may
// change). Null while there is none: probes then fail as network failures.
using ClusterInForce = std::function<std::shared_ptr<const Cluster>()>;

// Carries out the probes of one `health_checks` entry over connections of its own, which stay open
// between probes where `reuse_connection` says so. `stats`: main's, for what handshakes count; may
// be null. Main thread.
std::unique_ptr<health::Prober> MakeProber(Loop* loop, const xds::HealthCheck& check,
                                           std::string cluster_name, ClusterInForce cluster,
                                           Dialer* dialer, StatSlab* stats = nullptr);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_PROBERS_H_
