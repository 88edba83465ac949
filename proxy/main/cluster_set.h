#ifndef REMORA_PROXY_MAIN_CLUSTER_SET_H_
#define REMORA_PROXY_MAIN_CLUSTER_SET_H_

#include <map>
#include <memory>
#include <string>

#include "proxy/main/live_cluster.h"
#include "proxy/upstream/cluster.h"
#include "xds/snapshot.h"

namespace remora::proxy {

// Every cluster of the process on main, kept in line with the snapshots of the catalog.
//
// Threads: main. Lifetime: the server's; `world` outlives it.
class ClusterSet {
 public:
  explicit ClusterSet(const ClusterWorld* world);
  ~ClusterSet();

  // Adds, changes and removes clusters as `clusters` says. Secrets that changed are told by
  // `secrets_changed`: every cluster with TLS makes its contexts anew.
  void Apply(const xds::ClusterResources& clusters, bool secrets_changed);
  // What workers are to see now; the same object while nothing changed.
  std::shared_ptr<const ClusterMap> Map();
  // A cluster has a new state: Map() makes a new object.
  void MarkChanged() { map_ = nullptr; }

  // The local cluster has other hosts: whoever looks at zones is told.
  void LocalHostsChanged();
  // Names are resolved and hosts were checked once.
  bool settled() const;
  LiveCluster* Find(const std::string& name);
  const std::map<std::string, std::unique_ptr<LiveCluster>>& all() const { return clusters_; }

 private:
  enum class ManagerStat { kAdded, kModified, kRemoved, kUpdated, kActive, kWarming };
  void CountActive();

  const ClusterWorld* world_;
  StatCell* cells_;
  std::map<std::string, std::unique_ptr<LiveCluster>> clusters_;
  std::shared_ptr<const ClusterMap> map_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_CLUSTER_SET_H_
