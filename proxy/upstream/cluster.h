#ifndef REMORA_PROXY_UPSTREAM_CLUSTER_H_
#define REMORA_PROXY_UPSTREAM_CLUSTER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "health/admission.h"
#include "health/outlier.h"
#include "lb/host_set.h"
#include "lb/policy.h"
#include "proxy/base/stats.h"
#include "proxy/upstream/cluster_stats.h"
#include "xds/cluster.h"
#include "xds/route.h"

namespace remora::xds {
struct ScopedRoute;
}

namespace remora::proxy {

class ClientTlsContext;

// What stays the same while a cluster of one name is updated: counts under way and the places of
// its numbers in the statistics.
//
// Threads: made by main; the breakers and `had_traffic` are atomics that every loop uses, the rest
// is const. Lives as long as a Cluster that refers to it.
struct ClusterShared {
  explicit ClusterShared(const xds::Cluster& config)
      : breakers(config.default_breaker, config.high_breaker) {}

  health::ClusterBreakers breakers;
  // An upstream connection was opened at some time (health checks hurry from then on).
  std::atomic<bool> had_traffic{false};

  const StatBlock* stats = nullptr;             // ClusterStat
  const StatBlock* internal = nullptr;          // AnswerStat
  const StatBlock* external = nullptr;          // AnswerStat
  const StatBlock* canary = nullptr;            // AnswerStat
  const StatBlock* retry = nullptr;             // AnswerStat
  const StatBlock* filters = nullptr;           // ClusterCount
  const StatBlock* http2 = nullptr;             // Http2Stat; shown once HTTP/2 was spoken
  const StatBlock* http1 = nullptr;             // Http1Stat; shown once HTTP/1 was spoken
  const StatBlock* tls = nullptr;               // TlsStat; null without TLS
  const StatBlock* breakers_default = nullptr;  // BreakerStat
  const StatBlock* breakers_high = nullptr;     // BreakerStat
};

// One way to dress a connection: the configuration (inside the cluster's) and, for TLS, its
// context.
struct ClusterTransport {
  const xds::UpstreamTransport* config = nullptr;
  // Null without TLS, and while the secrets that the context needs have not arrived: connecting
  // then fails.
  std::shared_ptr<const ClientTlsContext> tls;
};

// Main's half of a cluster: all that workers read of it. A new object for each change (endpoints,
// health, secrets, configuration); parts that stay the same are shared with the previous one.
//
// Threads: built on main, const once published, read by all loops.
class Cluster {
 public:
  std::shared_ptr<const xds::Cluster> config;
  // Over the current host set (`policy->hosts()`).
  std::shared_ptr<const lb::Policy> policy;
  std::shared_ptr<const lb::HostSet> hosts;        // the policy's
  std::shared_ptr<const lb::HostSet> local_hosts;  // that the policy was made with, or null
  std::shared_ptr<ClusterShared> shared;
  // Hosts of the set, for telling which pools outlived their host.
  std::shared_ptr<const absl::flat_hash_set<const lb::Host*>> members;
  ClusterTransport transport;
  std::vector<ClusterTransport> matched_transports;  // as config->transport_matches
  std::optional<xds::DropOverload> drop_overload;
  // Where connections come from when `config` does not say; may be null.
  std::shared_ptr<const xds::BindConfig> default_bind;
  bool has_outlier = false;
  health::OutlierThresholds outlier;

  const std::string& name() const { return config->name; }
  const ClusterTransport& TransportFor(const lb::HostEntry& entry) const;
  // For a host with this metadata (may be null).
  const ClusterTransport& TransportFor(const Metadata* metadata) const;
};

// What a worker finds by name.
using ClusterMap = absl::flat_hash_map<std::string, std::shared_ptr<const Cluster>>;

// A filter of an HTTP chain whose configuration came by ECDS; stream/ knows more.
struct LateFilter {
  virtual ~LateFilter() = default;
};

struct RouteMap {
  absl::flat_hash_map<std::string, std::shared_ptr<const xds::RouteTable>> tables;
  // Scopes by key; null: none came.
  std::shared_ptr<const absl::flat_hash_map<std::string, std::shared_ptr<const xds::ScopedRoute>>>
      scopes;
  absl::flat_hash_map<std::string, std::shared_ptr<const LateFilter>> filters;
};

struct ClusterInput {
  std::shared_ptr<const xds::Cluster> config;
  std::shared_ptr<const lb::HostSet> hosts;
  std::shared_ptr<const lb::HostSet> local_hosts;  // of the local cluster, for zone-aware routing
  std::optional<xds::DropOverload> drop_overload;
  std::shared_ptr<const xds::BindConfig> default_bind;
  // The context for one transport; null when secrets are still missing. Whoever provides it may
  // share contexts between equal `key`s with equal secrets.
  std::function<absl::StatusOr<std::shared_ptr<const ClientTlsContext>>(const xds::UpstreamTls&)>
      tls;
  // The cluster of that name so far, or null. Its policy is kept when neither the hosts nor the
  // balancing changed.
  std::shared_ptr<const Cluster> previous;
};

// The block of a cluster's own numbers (ClusterStat), before there is a state of it; main.
const StatBlock* RegisterClusterStats(const xds::Cluster& config, StatStore& stats);

// Makes the next state of a cluster. Errors name what cannot be: policy or TLS settings. Main
// thread: it registers statistics and puts new breaker limits into force at once.
absl::StatusOr<std::shared_ptr<const Cluster>> BuildCluster(ClusterInput input, StatStore& stats);

// Membership gauges of the set in force, and `membership_change` where the endpoints differ from
// those of `previous` (null: the cluster is new); main, when the cluster is published.
void PublishMembership(const Cluster& cluster, const Cluster* previous, StatStore& stats);
// `lb_*` and table statistics of a policy that is not `previous`'s; main, when the cluster is
// published. `threads` of Envoy would each have made one of their own.
void PublishFigures(const Cluster& cluster, const Cluster* previous, uint32_t threads,
                    StatStore& stats);
// The `circuit_breakers.*` gauges; main, before a scrape.
void RefreshBreakerGauges(const Cluster& cluster, StatStore& stats);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_CLUSTER_H_
