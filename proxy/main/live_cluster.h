#ifndef REMORA_PROXY_MAIN_LIVE_CLUSTER_H_
#define REMORA_PROXY_MAIN_LIVE_CLUSTER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "health/outlier.h"
#include "proxy/base/loop.h"
#include "proxy/base/stats.h"
#include "proxy/base/timer.h"
#include "proxy/main/dns.h"
#include "proxy/main/dns_endpoints.h"
#include "proxy/main/health_log.h"
#include "proxy/main/health_monitor.h"
#include "proxy/main/outlier_monitor.h"
#include "proxy/upstream/cluster.h"
#include "xds/endpoint.h"
#include "xds/snapshot.h"

namespace remora::proxy {

// What every cluster on main shares.
struct ClusterWorld {
  Loop* loop = nullptr;
  StatStore* stats = nullptr;
  HealthLog* log = nullptr;
  lb::Locality local;
  // Bootstrap's local cluster, by which zones are judged; empty: none.
  std::string local_cluster;
  std::function<std::shared_ptr<const lb::HostSet>()> local_hosts;
  std::function<void()> on_local_hosts;
  uint32_t threads = 1;  // workers and main
  std::string outlier_log_path;
  uint64_t seed = 0;
  std::function<DnsResolver*(const xds::DnsSettings&)> dns;
  std::function<absl::StatusOr<std::shared_ptr<const ClientTlsContext>>(
      const xds::UpstreamTls&, const std::string& stat_prefix)>
      tls;
  // Of the bootstrap's cluster manager; may be null.
  std::shared_ptr<const xds::BindConfig> default_bind;
  // Carries out the probes of one check of the cluster.
  std::function<std::unique_ptr<health::Prober>(const xds::HealthCheck&,
                                                const std::string& cluster)>
      prober;
  // A cluster has a new state to publish, or settled.
  std::function<void()> on_change;
  std::function<void(const std::string&)> log_warning;
};

// The life of one cluster on main: its hosts over all updates, names resolved, health checked,
// outliers judged; what comes of it is the const Cluster that workers get.
//
// Threads: main. Lifetime: as long as the cluster is configured.
class LiveCluster {
 public:
  LiveCluster(const ClusterWorld* world, xds::ClusterResource resource);
  ~LiveCluster();

  // New configuration or endpoints. Hosts whose address stays keep everything.
  void Update(xds::ClusterResource resource);
  // A secret changed: contexts are made anew.
  void RefreshTls();
  void OnSuspicion(const std::shared_ptr<lb::Host>& host, health::Suspicion suspicion);
  void OnImmediateFail(const std::shared_ptr<lb::Host>& host);
  // A worker made a host for a request (original destination).
  void OnNewHost(const std::shared_ptr<lb::Host>& host);
  // The hosts of the local cluster are others now.
  void RefreshLocal();

  // Null until the first state could be built.
  const std::shared_ptr<const Cluster>& current() const { return current_; }
  // What workers are to pick by: changes of health and weight alone that come within
  // update_merge_window of the last are published together, at its end.
  const std::shared_ptr<const Cluster>& published() const { return published_; }
  // Names were resolved and hosts checked for the first time: the cluster may be waited for no
  // longer.
  bool settled() const;
  const xds::ClusterResource& resource() const { return resource_; }
  const OutlierMonitor* outlier() const { return outlier_.get(); }

 private:
  void Configure();
  void StartDns();
  void StartMonitors();
  void RebuildHosts();
  void RebuildDestinations();
  void SweepDestinations();
  // `same_members`: at most their health or weights changed.
  void RebuildSet(bool same_members = false);
  // Whether workers must wait for what was built.
  bool Defer(bool same_members);
  void PublishMerged();
  bool KeepsRemoved(const lb::Host& host) const;
  uint64_t NextSeed() { return world_->seed + ++seeds_; }

  const ClusterWorld* world_;
  xds::ClusterResource resource_;
  StatScope<ClusterStat> stats_;
  xds::HostMap hosts_;
  std::shared_ptr<const lb::HostTable> table_;
  std::shared_ptr<const Cluster> current_;
  std::shared_ptr<const Cluster> published_;
  std::optional<int64_t> published_ns_;  // since it settled
  std::optional<Timer> merge_timer_;
  std::unique_ptr<DnsEndpoints> dns_;
  std::vector<std::unique_ptr<HealthMonitor>> monitors_;
  std::unique_ptr<OutlierMonitor> outlier_;
  std::optional<Timer> cleanup_timer_;  // of original destinations
  uint64_t seeds_ = 0;
  bool rebuilding_ = false;
  bool configuring_ = false;
  bool in_use_ = false;  // it had settled when the last set was built
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_LIVE_CLUSTER_H_
