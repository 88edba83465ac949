#ifndef REMORA_PROXY_STREAM_HTTP_STATS_H_
#define REMORA_PROXY_STREAM_HTTP_STATS_H_

#include <cstdint>

#include "proxy/base/stats.h"

namespace remora::proxy {

// The statistics of a connection manager, "http.PREFIX.", with Envoy's names.
#define REMORA_HTTP_STATS(C, G, H)                                                    \
  C(kCxDelayedCloseTimeout, "downstream_cx_delayed_close_timeout")                    \
  C(kCxDestroy, "downstream_cx_destroy")                                              \
  C(kCxDestroyActiveRq, "downstream_cx_destroy_active_rq")                            \
  C(kCxDestroyLocal, "downstream_cx_destroy_local")                                   \
  C(kCxDestroyLocalActiveRq, "downstream_cx_destroy_local_active_rq")                 \
  C(kCxDestroyRemote, "downstream_cx_destroy_remote")                                 \
  C(kCxDestroyRemoteActiveRq, "downstream_cx_destroy_remote_active_rq")               \
  C(kCxDrainClose, "downstream_cx_drain_close")                                       \
  C(kCxHttp1Total, "downstream_cx_http1_total")                                       \
  C(kCxHttp2Total, "downstream_cx_http2_total")                                       \
  C(kCxHttp3Total, "downstream_cx_http3_total")                                       \
  C(kCxIdleTimeout, "downstream_cx_idle_timeout")                                     \
  C(kCxMaxDurationReached, "downstream_cx_max_duration_reached")                      \
  C(kCxMaxRequestsReached, "downstream_cx_max_requests_reached")                      \
  C(kCxOverloadDisableKeepalive, "downstream_cx_overload_disable_keepalive")          \
  C(kCxProtocolError, "downstream_cx_protocol_error")                                 \
  C(kCxRxBytesTotal, "downstream_cx_rx_bytes_total")                                  \
  C(kCxSslTotal, "downstream_cx_ssl_total")                                           \
  C(kCxTotal, "downstream_cx_total")                                                  \
  C(kCxTxBytesTotal, "downstream_cx_tx_bytes_total")                                  \
  C(kCxUpgradesTotal, "downstream_cx_upgrades_total")                                 \
  C(kFlowControlPausedReading, "downstream_flow_control_paused_reading_total")        \
  C(kFlowControlResumedReading, "downstream_flow_control_resumed_reading_total")      \
  C(kRq1xx, "downstream_rq_1xx")                                                      \
  C(kRq2xx, "downstream_rq_2xx")                                                      \
  C(kRq3xx, "downstream_rq_3xx")                                                      \
  C(kRq4xx, "downstream_rq_4xx")                                                      \
  C(kRq5xx, "downstream_rq_5xx")                                                      \
  C(kRqCompleted, "downstream_rq_completed")                                          \
  C(kRqFailedPathNormalization, "downstream_rq_failed_path_normalization")            \
  C(kRqHeaderTimeout, "downstream_rq_header_timeout")                                 \
  C(kRqHttp1Total, "downstream_rq_http1_total")                                       \
  C(kRqHttp2Total, "downstream_rq_http2_total")                                       \
  C(kRqHttp3Total, "downstream_rq_http3_total")                                       \
  C(kRqIdleTimeout, "downstream_rq_idle_timeout")                                     \
  C(kRqMaxDurationReached, "downstream_rq_max_duration_reached")                      \
  C(kRqNonRelativePath, "downstream_rq_non_relative_path")                            \
  C(kRqOverloadClose, "downstream_rq_overload_close")                                 \
  C(kRqRedirectedWithNormalizedPath, "downstream_rq_redirected_with_normalized_path") \
  C(kRqRejectedViaIpDetection, "downstream_rq_rejected_via_ip_detection")             \
  C(kRqResponseBeforeRqComplete, "downstream_rq_response_before_rq_complete")         \
  C(kRqRxReset, "downstream_rq_rx_reset")                                             \
  C(kRqTimeout, "downstream_rq_timeout")                                              \
  C(kRqTooLarge, "downstream_rq_too_large")                                           \
  C(kRqTooManyPrematureResets, "downstream_rq_too_many_premature_resets")             \
  C(kRqTotal, "downstream_rq_total")                                                  \
  C(kRqTxReset, "downstream_rq_tx_reset")                                             \
  C(kRqWsOnNonWsRoute, "downstream_rq_ws_on_non_ws_route")                            \
  C(kNoCluster, "no_cluster")                                                         \
  C(kNoRoute, "no_route")                                                             \
  C(kInternalRedirectBadLocation, "passthrough_internal_redirect_bad_location")       \
  C(kInternalRedirectNoRoute, "passthrough_internal_redirect_no_route")               \
  C(kInternalRedirectPredicate, "passthrough_internal_redirect_predicate")            \
  C(kInternalRedirectTooMany, "passthrough_internal_redirect_too_many_redirects")     \
  C(kInternalRedirectUnsafeScheme, "passthrough_internal_redirect_unsafe_scheme")     \
  C(kRqDirectResponse, "rq_direct_response")                                          \
  C(kRqOverloadLocalReply, "rq_overload_local_reply")                                 \
  C(kRqRedirect, "rq_redirect")                                                       \
  C(kRqResetAfterResponseStarted, "rq_reset_after_downstream_response_started")       \
  C(kRouterRqTotal, "rq_total")                                                       \
  C(kRsTooLarge, "rs_too_large")                                                      \
  C(kTracingClientEnabled, "tracing.client_enabled")                                  \
  C(kTracingHealthCheck, "tracing.health_check")                                      \
  C(kTracingNotTraceable, "tracing.not_traceable")                                    \
  C(kTracingRandomSampling, "tracing.random_sampling")                                \
  C(kTracingServiceForced, "tracing.service_forced")                                  \
  G(kCxActive, "downstream_cx_active")                                                \
  G(kCxHttp1Active, "downstream_cx_http1_active")                                     \
  G(kCxHttp1SoftDrain, "downstream_cx_http1_soft_drain")                              \
  G(kCxHttp2Active, "downstream_cx_http2_active")                                     \
  G(kCxHttp3Active, "downstream_cx_http3_active")                                     \
  G(kCxRxBytesBuffered, "downstream_cx_rx_bytes_buffered")                            \
  G(kCxSslActive, "downstream_cx_ssl_active")                                         \
  G(kCxTxBytesBuffered, "downstream_cx_tx_bytes_buffered")                            \
  G(kCxUpgradesActive, "downstream_cx_upgrades_active")                               \
  G(kRqActive, "downstream_rq_active")                                                \
  H(kCxLengthMs, "downstream_cx_length_ms")                                           \
  H(kRqTime, "downstream_rq_time")

enum class HttpStat : uint16_t {
#define REMORA_HTTP_STAT_ENUM(id, name) id,
  REMORA_HTTP_STATS(REMORA_HTTP_STAT_ENUM, REMORA_HTTP_STAT_ENUM, REMORA_HTTP_STAT_ENUM)
#undef REMORA_HTTP_STAT_ENUM
};
StatSchema HttpStatSchema();
// The same without what routers and tracing count: the admin pages have neither.
StatSchema AdminHttpStatSchema();
// What a router counts, alone ("http.async-client.").
StatSchema RouterStatSchema();

// "listener.ADDRESS.http.PREFIX."
enum class ListenerHttpStat : uint16_t { k1xx, k2xx, k3xx, k4xx, k5xx, kCompleted };
StatSchema ListenerHttpStatSchema();

// Counts a response (interim ones too, as Envoy does): completed and its class.
void CountResponse(const StatScope<HttpStat>& scope, int status);
void CountResponse(const StatScope<ListenerHttpStat>& scope, int status);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_HTTP_STATS_H_
