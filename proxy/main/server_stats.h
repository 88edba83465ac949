#ifndef REMORA_PROXY_MAIN_SERVER_STATS_H_
#define REMORA_PROXY_MAIN_SERVER_STATS_H_

#include <cstdint>

#include "proxy/base/stats.h"

namespace remora::proxy {

// "server."
enum class ServerStat : uint8_t {
  kConcurrency,
  kDaysUntilFirstCertExpiring,
  kHotRestartEpoch,
  kLive,
  kMemoryAllocated,
  kMemoryHeapSize,
  kMemoryPhysicalSize,
  kParentConnections,
  kState,
  kTotalConnections,
  kUptime,
  kVersion,
  kDebugAssertionFailures,
  kDynamicUnknownFields,
  kStaticUnknownFields,
  kEnvoyBugFailures,
  kSecondsUntilFirstOcspResponseExpiring,
  kInitializationTimeMs,
};
StatSchema ServerStatSchema();

// The names of the process that stand beside it: watchdogs, overload, calls of its own.
void RegisterProcessStats(size_t workers, StatStore* stats);
// "thread_local_cluster_manager.THREAD.clusters_inflated": every thread knows every cluster.
void SetThreadClusters(size_t workers, uint64_t clusters, StatStore* stats);

// "runtime."
enum class RuntimeStat : uint8_t {
  kDeprecatedFeatureUse,
  kLoadError,
  kLoadSuccess,
  kOverrideDirExists,
  kOverrideDirNotExists,
  kAdminOverridesActive,
  kDeprecatedFeatureSeen,
  kNumKeys,
  kNumLayers,
};
StatSchema RuntimeStatSchema();

// "control_plane."
enum class ControlPlaneStat : uint8_t { kConnectedState, kPendingRequests, kRateLimitEnforced };
StatSchema ControlPlaneStatSchema();

// Of one subscription: "cluster_manager.cds.", "listener_manager.lds.", "sds.NAME.", ...
enum class UpdateStat : uint8_t {
  kAttempt,
  kSuccess,
  kRejected,
  kFailure,
  kInitFetchTimeout,
  kUpdateTime,
  kVersion,
};
StatSchema UpdateStatSchema();

// Besides, where new contents are put into force: CDS, RDS, SRDS, VHDS, ECDS.
enum class ReloadStat : uint8_t { kReloads, kTimeMs };
StatSchema ReloadStatSchema();
// Where an answer may lack what was asked for: RDS, SRDS, VHDS.
enum class EmptyUpdateStat : uint8_t { kEmpty };
StatSchema EmptyUpdateStatSchema();
// "extension_config_discovery.http_filter.NAME."
enum class ExtensionStat : uint8_t { kReloads, kFailures, kConflicts };
StatSchema ExtensionStatSchema();
// "sds.NAME."
enum class SecretUpdateStat : uint8_t { kRotationFailed };
StatSchema SecretUpdateStatSchema();
// "http.PREFIX.scoped_rds.NAME."
enum class ScopeStat : uint8_t { kAll, kActive, kOnDemand };
StatSchema ScopeStatSchema();

// What EDS counts beside a cluster's own numbers ("cluster.NAME.").
enum class EndpointUpdateStat : uint8_t { kRejected, kInitFetchTimeout, kUpdateTime };
StatSchema EndpointUpdateStatSchema();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_SERVER_STATS_H_
