// Statistics of what balancing was built.

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "proxy/upstream/cluster.h"

namespace remora::proxy {
namespace {

// "cluster.NAME.ring_hash_lb." and "cluster.NAME.maglev_lb."
enum class RingStat : uint16_t { kMax, kMin, kSize };
constexpr StatDef kRingStats[] = {{"max_hashes_per_host", StatKind::kGauge},
                                  {"min_hashes_per_host", StatKind::kGauge},
                                  {"size", StatKind::kGauge}};
enum class MaglevStat : uint16_t { kMax, kMin };
constexpr StatDef kMaglevStats[] = {{"max_entries_per_host", StatKind::kGauge},
                                    {"min_entries_per_host", StatKind::kGauge}};
// "cluster.NAME.", of clusters with subsets.
enum class SubsetStat : uint16_t { kDuplicates };
constexpr StatDef kSubsetStats[] = {
    {"lb_subsets_single_host_per_subset_duplicate", StatKind::kGauge}};

void PublishTable(const lb::PolicyConfig& config, const lb::PolicyFigures& figures,
                  const std::string& prefix, StatStore& stats) {
  if (std::holds_alternative<lb::RingHashConfig>(config.algorithm)) {
    const auto scope = stats.MainScope<RingStat>(
        stats.Register(absl::StrCat(prefix, "ring_hash_lb."), kRingStats));
    scope.Set(RingStat::kSize, figures.table_size);
    scope.Set(RingStat::kMin, figures.min_per_host);
    scope.Set(RingStat::kMax, figures.max_per_host);
  } else if (std::holds_alternative<lb::MaglevConfig>(config.algorithm)) {
    const auto scope = stats.MainScope<MaglevStat>(
        stats.Register(absl::StrCat(prefix, "maglev_lb."), kMaglevStats));
    scope.Set(MaglevStat::kMin, figures.min_per_host);
    scope.Set(MaglevStat::kMax, figures.max_per_host);
  }
}

void PublishSubsets(const Cluster& cluster, const Cluster* previous, uint32_t threads,
                    const std::string& prefix, StatStore& stats) {
  if (cluster.config->policy.subset == nullptr) return;
  const auto scope = stats.MainScope<ClusterStat>(cluster.shared->stats);
  const lb::PolicyFigures figures = cluster.policy->figures();
  const uint64_t now = figures.subsets * threads;
  const uint64_t before = previous == nullptr ? 0 : previous->policy->figures().subsets * threads;
  scope.Set(ClusterStat::kLbSubsetsActive, now);
  if (now > before) scope.Add(ClusterStat::kLbSubsetsCreated, now - before);
  if (now < before) scope.Add(ClusterStat::kLbSubsetsRemoved, before - now);
  stats.MainScope<SubsetStat>(stats.Register(prefix, kSubsetStats))
      .Set(SubsetStat::kDuplicates, figures.single_host_duplicates);
}

}  // namespace

void PublishFigures(const Cluster& cluster, const Cluster* previous, uint32_t threads,
                    StatStore& stats) {
  if (previous != nullptr && previous->policy == cluster.policy) return;
  const lb::PolicyFigures figures = cluster.policy->figures();
  const std::string prefix =
      absl::StrCat("cluster.", absl::StrReplaceAll(cluster.config->stat_name(), {{":", "_"}}), ".");
  PublishTable(cluster.config->policy, figures, prefix, stats);
  PublishSubsets(cluster, previous, threads, prefix, stats);
  if (cluster.local_hosts == nullptr) return;
  const auto scope = stats.MainScope<ClusterStat>(cluster.shared->stats);
  // Policies that hash do not look at zones; the others reckon for the cluster's hosts and for the
  // local cluster's.
  const auto& algorithm = cluster.config->policy.algorithm;
  if (std::holds_alternative<lb::RingHashConfig>(algorithm) ||
      std::holds_alternative<lb::MaglevConfig>(algorithm)) {
    return;
  }
  scope.Add(ClusterStat::kLbRecalculateZoneStructures, 2 * threads);
  if (figures.notes & lb::kNoteZoneClusterTooSmall) {
    scope.Add(ClusterStat::kLbZoneClusterTooSmall, threads);
  }
  if (figures.notes & lb::kNoteLocalClusterNotOk) {
    scope.Add(ClusterStat::kLbLocalClusterNotOk, threads);
  }
}

}  // namespace remora::proxy
