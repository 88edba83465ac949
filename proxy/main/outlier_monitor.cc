#include "proxy/main/outlier_monitor.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace remora::proxy {
namespace {

// Order: what is counted once, then detected and enforced by rule.
constexpr StatDef kSchema[] = {
    {"ejections_active", StatKind::kGauge},
    {"ejections_enforced_total", StatKind::kCounter},
    {"ejections_overflow", StatKind::kCounter},
    {"ejections_detected_consecutive_5xx", StatKind::kCounter},
    {"ejections_detected_consecutive_gateway_failure", StatKind::kCounter},
    {"ejections_detected_consecutive_local_origin_failure", StatKind::kCounter},
    {"ejections_detected_success_rate", StatKind::kCounter},
    {"ejections_detected_local_origin_success_rate", StatKind::kCounter},
    {"ejections_detected_failure_percentage", StatKind::kCounter},
    {"ejections_detected_local_origin_failure_percentage", StatKind::kCounter},
    {"ejections_enforced_consecutive_5xx", StatKind::kCounter},
    {"ejections_enforced_consecutive_gateway_failure", StatKind::kCounter},
    {"ejections_enforced_consecutive_local_origin_failure", StatKind::kCounter},
    {"ejections_enforced_success_rate", StatKind::kCounter},
    {"ejections_enforced_local_origin_success_rate", StatKind::kCounter},
    {"ejections_enforced_failure_percentage", StatKind::kCounter},
    {"ejections_enforced_local_origin_failure_percentage", StatKind::kCounter},
    // Older names that dashboards still read.
    {"ejections_total", StatKind::kCounter},
    {"ejections_consecutive_5xx", StatKind::kCounter},
    {"ejections_success_rate", StatKind::kCounter},
};
constexpr size_t kActive = 0;
constexpr size_t kEnforcedTotal = 1;
constexpr size_t kOverflow = 2;
constexpr size_t kDetected = 3;
constexpr size_t kEnforced = kDetected + health::kOutlierRuleCount;
constexpr size_t kOldTotal = kEnforced + health::kOutlierRuleCount;
constexpr size_t kOldConsecutive5xx = kOldTotal + 1;
constexpr size_t kOldSuccessRate = kOldTotal + 2;

// Spelled as the log's own enumeration; a host that returns has the first of it.
absl::string_view EventType(const health::OutlierEvent& event) {
  constexpr absl::string_view kTypes[health::kOutlierRuleCount] = {
      "CONSECUTIVE_5XX",
      "CONSECUTIVE_GATEWAY_FAILURE",
      "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
      "SUCCESS_RATE",
      "SUCCESS_RATE_LOCAL_ORIGIN",
      "FAILURE_PERCENTAGE",
      "FAILURE_PERCENTAGE_LOCAL_ORIGIN"};
  return event.action == health::OutlierEvent::Action::kEject ? kTypes[static_cast<int>(event.rule)]
                                                              : kTypes[0];
}

}  // namespace

StatSchema OutlierStatSchema() { return kSchema; }

OutlierMonitor::OutlierMonitor(Loop* loop, const health::OutlierConfig& config, std::string cluster,
                               const StatBlock* block, StatStore* stats, HealthLog* log,
                               std::string log_path, uint64_t seed, std::function<void()> on_change)
    : loop_(loop),
      cluster_(std::move(cluster)),
      cells_(stats->main_slab()->Cells(*block)),
      log_(log),
      log_path_(std::move(log_path)),
      on_change_(std::move(on_change)),
      detector_(config, seed),
      timer_(
          &loop->timers(), [](void* self) { static_cast<OutlierMonitor*>(self)->Sweep(); }, this) {
  timer_.Start(detector_.config().interval.count());
}

void OutlierMonitor::SetHosts(absl::Span<const std::shared_ptr<lb::Host>> hosts) {
  detector_.SetHosts(hosts);
}

void OutlierMonitor::OnSuspicion(lb::Host& host, health::Suspicion suspicion) {
  Conclude(detector_.OnSuspicion(host, suspicion, lb::TimePoint(loop_->now_ns()), &events_));
}

void OutlierMonitor::OnActiveCheckPassed(lb::Host& host) {
  Conclude(detector_.OnActiveCheckPassed(host, lb::TimePoint(loop_->now_ns()), &events_));
}

void OutlierMonitor::Sweep() {
  timer_.Start(detector_.config().interval.count());
  Conclude(detector_.OnSweep(lb::TimePoint(loop_->now_ns()), &events_));
}

void OutlierMonitor::Conclude(bool changed) {
  const auto set = [this](size_t index, uint64_t value) {
    cells_[index].store(value, std::memory_order_relaxed);
  };
  const health::OutlierCounters& counters = detector_.counters();
  set(kActive, detector_.ejections_active());
  set(kEnforcedTotal, counters.enforced_total);
  set(kOverflow, counters.overflow);
  for (int rule = 0; rule < health::kOutlierRuleCount; ++rule) {
    set(kDetected + rule, counters.detected[rule]);
    set(kEnforced + rule, counters.enforced[rule]);
  }
  set(kOldTotal, counters.old_total);
  set(kOldConsecutive5xx,
      counters.detected[static_cast<int>(health::OutlierRule::kConsecutive5xx)]);
  set(kOldSuccessRate, counters.detected[static_cast<int>(health::OutlierRule::kSuccessRate)]);
  for (const health::OutlierEvent& event : events_) Log(event);
  events_.clear();
  if (changed) on_change_();
}

void OutlierMonitor::Log(const health::OutlierEvent& event) {
  if (log_path_.empty()) return;
  const bool eject = event.action == health::OutlierEvent::Action::kEject;
  // Envoy's OutlierDetectionEvent, in the order of its numbers.
  nlohmann::ordered_json line;
  line["type"] = std::string(EventType(event));
  line["timestamp"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  if (event.seconds_since_last_action >= 0) {
    line["secs_since_last_action"] = std::to_string(event.seconds_since_last_action);
  }
  line["cluster_name"] = cluster_;
  line["upstream_url"] = event.host->address_string();
  line["action"] = eject ? "EJECT" : "UNEJECT";
  line["num_ejections"] = event.ejections;
  line["enforced"] = eject && event.enforced;
  using health::OutlierRule;
  if (!eject) {
    // Nothing more to say.
  } else if (event.rule == OutlierRule::kSuccessRate ||
             event.rule == OutlierRule::kSuccessRateLocalOrigin) {
    line["eject_success_rate_event"] = {
        {"host_success_rate", static_cast<uint32_t>(event.host_success_rate)},
        {"cluster_average_success_rate", static_cast<uint32_t>(event.average_success_rate)},
        {"cluster_success_rate_ejection_threshold",
         static_cast<uint32_t>(event.success_rate_threshold)}};
  } else if (event.rule == OutlierRule::kFailurePercentage ||
             event.rule == OutlierRule::kFailurePercentageLocalOrigin) {
    line["eject_failure_percentage_event"] = {
        {"host_success_rate", static_cast<uint32_t>(event.host_success_rate)}};
  } else {
    line["eject_consecutive_event"] = nlohmann::ordered_json::object();
  }
  log_->Write(log_path_, line.dump());
}

}  // namespace remora::proxy
