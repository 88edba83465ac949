#ifndef REMORA_PROXY_UPSTREAM_CLUSTER_STATS_H_
#define REMORA_PROXY_UPSTREAM_CLUSTER_STATS_H_

#include <cstdint>

#include "proxy/base/stats.h"

namespace remora::proxy {

// The statistics of a cluster, with Envoy's names. Counters are kept by the thread whose traffic
// they count; gauges of membership and of the breakers are set by main.

// "cluster.NAME." Counters first, then gauges, histograms and codes.
#define REMORA_CLUSTER_STATS(C, R, G, H, T, X)                                 \
  C(kAssignmentStale, "assignment_stale")                                      \
  C(kAssignmentTimeoutReceived, "assignment_timeout_received")                 \
  C(kAssignmentUseCached, "assignment_use_cached")                             \
  C(kBindErrors, "bind_errors")                                                \
  C(kLbHealthyPanic, "lb_healthy_panic")                                       \
  C(kLbLocalClusterNotOk, "lb_local_cluster_not_ok")                           \
  C(kLbRecalculateZoneStructures, "lb_recalculate_zone_structures")            \
  C(kLbSubsetsCreated, "lb_subsets_created")                                   \
  C(kLbSubsetsFallback, "lb_subsets_fallback")                                 \
  C(kLbSubsetsFallbackPanic, "lb_subsets_fallback_panic")                      \
  C(kLbSubsetsRemoved, "lb_subsets_removed")                                   \
  C(kLbSubsetsSelected, "lb_subsets_selected")                                 \
  C(kLbZoneClusterTooSmall, "lb_zone_cluster_too_small")                       \
  C(kLbZoneNoCapacityLeft, "lb_zone_no_capacity_left")                         \
  C(kLbZoneRoutingAllDirectly, "lb_zone_routing_all_directly")                 \
  C(kLbZoneRoutingCrossZone, "lb_zone_routing_cross_zone")                     \
  C(kLbZoneRoutingSampled, "lb_zone_routing_sampled")                          \
  C(kMembershipChange, "membership_change")                                    \
  C(kOriginalDstHostInvalid, "original_dst_host_invalid")                      \
  C(kRetryOrShadowAbandoned, "retry_or_shadow_abandoned")                      \
  C(kUpdateAttempt, "update_attempt")                                          \
  C(kUpdateEmpty, "update_empty")                                              \
  C(kUpdateFailure, "update_failure")                                          \
  C(kUpdateNoRebuild, "update_no_rebuild")                                     \
  C(kUpdateSuccess, "update_success")                                          \
  C(kCxCloseNotify, "upstream_cx_close_notify")                                \
  C(kCxConnectAttemptsExceeded, "upstream_cx_connect_attempts_exceeded")       \
  C(kCxConnectFail, "upstream_cx_connect_fail")                                \
  C(kCxConnectTimeout, "upstream_cx_connect_timeout")                          \
  C(kCxConnectWith0Rtt, "upstream_cx_connect_with_0_rtt")                      \
  C(kCxDestroy, "upstream_cx_destroy")                                         \
  C(kCxDestroyLocal, "upstream_cx_destroy_local")                              \
  C(kCxDestroyLocalWithActiveRq, "upstream_cx_destroy_local_with_active_rq")   \
  C(kCxDestroyRemote, "upstream_cx_destroy_remote")                            \
  C(kCxDestroyRemoteWithActiveRq, "upstream_cx_destroy_remote_with_active_rq") \
  C(kCxDestroyWithActiveRq, "upstream_cx_destroy_with_active_rq")              \
  C(kCxHttp1Total, "upstream_cx_http1_total")                                  \
  C(kCxHttp2Total, "upstream_cx_http2_total")                                  \
  C(kCxHttp3Total, "upstream_cx_http3_total")                                  \
  C(kCxIdleTimeout, "upstream_cx_idle_timeout")                                \
  C(kCxMaxDurationReached, "upstream_cx_max_duration_reached")                 \
  C(kCxMaxRequests, "upstream_cx_max_requests")                                \
  C(kCxNoneHealthy, "upstream_cx_none_healthy")                                \
  C(kCxOverflow, "upstream_cx_overflow")                                       \
  C(kCxPoolOverflow, "upstream_cx_pool_overflow")                              \
  C(kCxPreconnectSkipped, "upstream_cx_preconnect_skipped")                    \
  C(kCxProtocolError, "upstream_cx_protocol_error")                            \
  C(kCxRxBytesTotal, "upstream_cx_rx_bytes_total")                             \
  C(kCxTotal, "upstream_cx_total")                                             \
  C(kCxTxBytesTotal, "upstream_cx_tx_bytes_total")                             \
  C(kFlowControlBackedUp, "upstream_flow_control_backed_up_total")             \
  C(kFlowControlDrained, "upstream_flow_control_drained_total")                \
  C(kFlowControlPausedReading, "upstream_flow_control_paused_reading_total")   \
  C(kFlowControlResumedReading, "upstream_flow_control_resumed_reading_total") \
  C(kHttp3Broken, "upstream_http3_broken")                                     \
  C(kInternalRedirectFailed, "upstream_internal_redirect_failed_total")        \
  C(kInternalRedirectSucceeded, "upstream_internal_redirect_succeeded_total")  \
  C(kRq0Rtt, "upstream_rq_0rtt")                                               \
  C(kRqActiveOverflow, "upstream_rq_active_overflow")                          \
  C(kRqCancelled, "upstream_rq_cancelled")                                     \
  C(kRqMaintenanceMode, "upstream_rq_maintenance_mode")                        \
  C(kRqMaxDurationReached, "upstream_rq_max_duration_reached")                 \
  C(kRqPendingFailureEject, "upstream_rq_pending_failure_eject")               \
  C(kRqPendingOverflow, "upstream_rq_pending_overflow")                        \
  C(kRqPendingTotal, "upstream_rq_pending_total")                              \
  C(kRqPerTryIdleTimeout, "upstream_rq_per_try_idle_timeout")                  \
  C(kRqPerTryTimeout, "upstream_rq_per_try_timeout")                           \
  C(kRqRetry, "upstream_rq_retry")                                             \
  C(kRqRetryBackoffExponential, "upstream_rq_retry_backoff_exponential")       \
  C(kRqRetryBackoffRatelimited, "upstream_rq_retry_backoff_ratelimited")       \
  C(kRqRetryLimitExceeded, "upstream_rq_retry_limit_exceeded")                 \
  C(kRqRetryOverflow, "upstream_rq_retry_overflow")                            \
  C(kRqRetrySuccess, "upstream_rq_retry_success")                              \
  C(kRqRxReset, "upstream_rq_rx_reset")                                        \
  C(kRqRxResetNoError, "upstream_rq_rx_reset_no_error")                        \
  C(kRqTimeout, "upstream_rq_timeout")                                         \
  C(kRqTotal, "upstream_rq_total")                                             \
  C(kRqTxReset, "upstream_rq_tx_reset")                                        \
  G(kLbSubsetsActive, "lb_subsets_active")                                     \
  G(kMaxHostWeight, "max_host_weight")                                         \
  G(kMembershipDegraded, "membership_degraded")                                \
  G(kMembershipExcluded, "membership_excluded")                                \
  G(kMembershipHealthy, "membership_healthy")                                  \
  G(kMembershipTotal, "membership_total")                                      \
  G(kCxActive, "upstream_cx_active")                                           \
  G(kQueueOverloaded, "upstream_queue_overloaded")                             \
  G(kCxRxBytesBuffered, "upstream_cx_rx_bytes_buffered")                       \
  G(kCxTxBytesBuffered, "upstream_cx_tx_bytes_buffered")                       \
  G(kRqActive, "upstream_rq_active")                                           \
  G(kRqPendingActive, "upstream_rq_pending_active")                            \
  G(kVersion, "version")                                                       \
  G(kWarmingState, "warming_state")                                            \
  H(kCxConnectMs, "upstream_cx_connect_ms")                                    \
  H(kCxLengthMs, "upstream_cx_length_ms")                                      \
  H(kRqPerCx, "upstream_rq_per_cx")                                            \
  C(kRqCompleted, "upstream_rq_completed")                                     \
  R(kRq1xx, "upstream_rq_1xx")                                                 \
  R(kRq2xx, "upstream_rq_2xx")                                                 \
  R(kRq3xx, "upstream_rq_3xx")                                                 \
  R(kRq4xx, "upstream_rq_4xx")                                                 \
  R(kRq5xx, "upstream_rq_5xx")                                                 \
  T(kRqTime, "upstream_rq_time")                                               \
  X(kRqCode, "upstream_rq_")

enum class ClusterStat : uint16_t {
#define REMORA_STAT_ENUM(id, name) id,
  REMORA_CLUSTER_STATS(REMORA_STAT_ENUM, REMORA_STAT_ENUM, REMORA_STAT_ENUM, REMORA_STAT_ENUM,
                       REMORA_STAT_ENUM, REMORA_STAT_ENUM)
#undef REMORA_STAT_ENUM
};
StatSchema ClusterStatSchema();

// Answers by kind of request: "cluster.NAME.internal.", "external.", "canary."; also
// "vhost.VHOST.vcluster.NAME." and, with `upstream_rq_retry` and its kin, a route's own.
enum class AnswerStat : uint16_t {
  kCompleted,
  k1xx,
  k2xx,
  k3xx,
  k4xx,
  k5xx,
  kTime,
  kCode,
};
StatSchema AnswerStatSchema();

// "vhost.VHOST.vcluster.NAME." and "vhost.VHOST.route.PREFIX.".
enum class RouteStat : uint16_t {
  kRetry,
  kRetryLimitExceeded,
  kRetryOverflow,
  kRetrySuccess,
  kTimeout,
  kTotal,
  kCompleted,
  k1xx,
  k2xx,
  k3xx,
  k4xx,
  k5xx,
  kTime,
  kCode,
};
StatSchema RouteStatSchema();

// "cluster.NAME.circuit_breakers.default." and "high."; gauges that main sets before a scrape. The
// second schema continues the first, for clusters with track_remaining.
enum class BreakerStat : uint16_t {
  kCxOpen,
  kCxPoolOpen,
  kRqOpen,
  kRqPendingOpen,
  kRqRetryOpen,
  kRemainingCx,
  kRemainingCxPools,
  kRemainingPending,
  kRemainingRetries,
  kRemainingRq,
};
StatSchema BreakerStatSchema(bool track_remaining);

// Of ClusterCount, what HTTP filters count for a cluster; shown once counted.
StatSchema FilterCountSchema();

// Counts one answer: completed, class, code.
void CountAnswer(const StatScope<ClusterStat>& scope, int status);
void CountAnswer(const StatScope<AnswerStat>& scope, int status);
void CountAnswer(const StatScope<RouteStat>& scope, int status);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_CLUSTER_STATS_H_
