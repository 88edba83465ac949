#include "proxy/upstream/cluster_stats.h"

namespace remora::proxy {
namespace {

constexpr StatDef kClusterStats[] = {
#define REMORA_COUNTER(id, name) {name, StatKind::kCounter},
#define REMORA_RARE(id, name) {name, StatKind::kRareCounter},
#define REMORA_GAUGE(id, name) {name, StatKind::kGauge},
#define REMORA_HISTOGRAM(id, name) {name, StatKind::kHistogram},
#define REMORA_RARE_TIME(id, name) {name, StatKind::kRareHistogram},
#define REMORA_CODES(id, name) {name, StatKind::kCodes},
    REMORA_CLUSTER_STATS(REMORA_COUNTER, REMORA_RARE, REMORA_GAUGE, REMORA_HISTOGRAM,
                         REMORA_RARE_TIME, REMORA_CODES)
#undef REMORA_COUNTER
#undef REMORA_RARE
#undef REMORA_GAUGE
#undef REMORA_HISTOGRAM
#undef REMORA_RARE_TIME
#undef REMORA_CODES
};

constexpr StatDef kAnswerStats[] = {
    {"upstream_rq_completed", StatKind::kRareCounter}, {"upstream_rq_1xx", StatKind::kRareCounter},
    {"upstream_rq_2xx", StatKind::kRareCounter},       {"upstream_rq_3xx", StatKind::kRareCounter},
    {"upstream_rq_4xx", StatKind::kRareCounter},       {"upstream_rq_5xx", StatKind::kRareCounter},
    {"upstream_rq_time", StatKind::kRareHistogram},    {"upstream_rq_", StatKind::kCodes},
};

constexpr StatDef kRouteStats[] = {
    {"upstream_rq_retry", StatKind::kCounter},
    {"upstream_rq_retry_limit_exceeded", StatKind::kCounter},
    {"upstream_rq_retry_overflow", StatKind::kCounter},
    {"upstream_rq_retry_success", StatKind::kCounter},
    {"upstream_rq_timeout", StatKind::kCounter},
    {"upstream_rq_total", StatKind::kCounter},
    {"upstream_rq_completed", StatKind::kRareCounter},
    {"upstream_rq_1xx", StatKind::kRareCounter},
    {"upstream_rq_2xx", StatKind::kRareCounter},
    {"upstream_rq_3xx", StatKind::kRareCounter},
    {"upstream_rq_4xx", StatKind::kRareCounter},
    {"upstream_rq_5xx", StatKind::kRareCounter},
    {"upstream_rq_time", StatKind::kRareHistogram},
    {"upstream_rq_", StatKind::kCodes},
};

constexpr StatDef kBreakerStats[] = {
    {"cx_open", StatKind::kGauge},
    {"cx_pool_open", StatKind::kGauge},
    {"rq_open", StatKind::kGauge},
    {"rq_pending_open", StatKind::kGauge},
    {"rq_retry_open", StatKind::kGauge},
    {"remaining_cx", StatKind::kGauge},
    {"remaining_cx_pools", StatKind::kGauge},
    {"remaining_pending", StatKind::kGauge},
    {"remaining_retries", StatKind::kGauge},
    {"remaining_rq", StatKind::kGauge},
};
constexpr size_t kBreakerStatsAlways = 5;

// The enums list the classes one after the other, so the class is an offset.
template <typename Enum>
void Count(const StatScope<Enum>& scope, int status, Enum completed, Enum first_class, Enum code) {
  scope.Add(completed);
  const int kind = status / 100;
  if (kind < 1 || kind > 5) return;
  scope.Add(static_cast<Enum>(static_cast<uint16_t>(first_class) + kind - 1));
  scope.AddCode(code, status);
}

}  // namespace

StatSchema ClusterStatSchema() { return kClusterStats; }
StatSchema AnswerStatSchema() { return kAnswerStats; }
StatSchema RouteStatSchema() { return kRouteStats; }
StatSchema FilterCountSchema() {
  static constexpr StatDef kNames[] = {{"ext_authz.ok", StatKind::kRareCounter},
                                       {"ext_authz.denied", StatKind::kRareCounter},
                                       {"ext_authz.error", StatKind::kRareCounter},
                                       {"ext_authz.disabled", StatKind::kRareCounter},
                                       {"ext_authz.failure_mode_allowed", StatKind::kRareCounter},
                                       {"ratelimit.ok", StatKind::kRareCounter},
                                       {"ratelimit.error", StatKind::kRareCounter},
                                       {"ratelimit.over_limit", StatKind::kRareCounter},
                                       {"ratelimit.failure_mode_allowed", StatKind::kRareCounter}};
  return kNames;
}
StatSchema BreakerStatSchema(bool track_remaining) {
  const StatSchema all = kBreakerStats;
  return track_remaining ? all : all.first(kBreakerStatsAlways);
}

void CountAnswer(const StatScope<ClusterStat>& scope, int status) {
  Count(scope, status, ClusterStat::kRqCompleted, ClusterStat::kRq1xx, ClusterStat::kRqCode);
}
void CountAnswer(const StatScope<AnswerStat>& scope, int status) {
  Count(scope, status, AnswerStat::kCompleted, AnswerStat::k1xx, AnswerStat::kCode);
}
void CountAnswer(const StatScope<RouteStat>& scope, int status) {
  Count(scope, status, RouteStat::kCompleted, RouteStat::k1xx, RouteStat::kCode);
}

}  // namespace remora::proxy
