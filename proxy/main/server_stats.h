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
  kConfigReload,
  kUpdateTime,
  kVersion,
};
StatSchema UpdateStatSchema();

// What EDS counts beside a cluster's own numbers ("cluster.NAME.").
enum class EndpointUpdateStat : uint8_t { kRejected, kInitFetchTimeout };
StatSchema EndpointUpdateStatSchema();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_SERVER_STATS_H_
