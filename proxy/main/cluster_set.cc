#include "proxy/main/cluster_set.h"

#include <algorithm>
#include <utility>

namespace remora::proxy {
namespace {

// "cluster_manager."
constexpr StatDef kSchema[] = {
    {"cluster_added", StatKind::kCounter},
    {"cluster_modified", StatKind::kCounter},
    {"cluster_removed", StatKind::kCounter},
    {"cluster_updated", StatKind::kCounter},
    {"active_clusters", StatKind::kGauge},
    {"warming_clusters", StatKind::kGauge},
    // Updates are never merged here.
    {"cluster_updated_via_merge", StatKind::kCounter},
    {"update_merge_cancelled", StatKind::kCounter},
    {"update_out_of_merge_window", StatKind::kCounter},
};

void Bump(StatCell& cell) {
  cell.store(cell.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

ClusterSet::ClusterSet(const ClusterWorld* world)
    : world_(world),
      cells_(
          world->stats->main_slab()->Cells(*world->stats->Register("cluster_manager.", kSchema))) {}

ClusterSet::~ClusterSet() = default;

void ClusterSet::Apply(const xds::ClusterResources& clusters, bool secrets_changed) {
  for (auto it = clusters_.begin(); it != clusters_.end();) {
    if (clusters.count(it->first) > 0) {
      ++it;
      continue;
    }
    Bump(cells_[static_cast<size_t>(ManagerStat::kRemoved)]);
    it = clusters_.erase(it);
    MarkChanged();
  }
  for (const auto& [name, resource] : clusters) {
    std::unique_ptr<LiveCluster>& cluster = clusters_[name];
    if (cluster == nullptr) {
      Bump(cells_[static_cast<size_t>(ManagerStat::kAdded)]);
      cluster = std::make_unique<LiveCluster>(world_, resource);
      // It could not be found while it was being made.
      if (name == world_->local_cluster) LocalHostsChanged();
      MarkChanged();
      continue;
    }
    if (cluster->resource().config != resource.config)
      Bump(cells_[static_cast<size_t>(ManagerStat::kModified)]);
    cluster->Update(resource);
    if (secrets_changed) cluster->RefreshTls();
  }
  CountActive();
}

void ClusterSet::CountActive() {
  cells_[static_cast<size_t>(ManagerStat::kActive)].store(clusters_.size(),
                                                          std::memory_order_relaxed);
}

std::shared_ptr<const ClusterMap> ClusterSet::Map() {
  if (map_ != nullptr) return map_;
  auto map = std::make_shared<ClusterMap>();
  for (const auto& [name, cluster] : clusters_) {
    if (cluster->published() != nullptr) map->emplace(name, cluster->published());
  }
  map_ = std::move(map);
  return map_;
}

void ClusterSet::LocalHostsChanged() {
  for (const auto& [name, cluster] : clusters_) {
    if (cluster != nullptr && name != world_->local_cluster) cluster->RefreshLocal();
  }
}

bool ClusterSet::settled() const {
  return std::all_of(clusters_.begin(), clusters_.end(),
                     [](const auto& entry) { return entry.second->settled(); });
}

LiveCluster* ClusterSet::Find(const std::string& name) {
  const auto found = clusters_.find(name);
  return found == clusters_.end() ? nullptr : found->second.get();
}

}  // namespace remora::proxy
