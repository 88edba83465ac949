#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "filters/runtime.h"
#include "xds/cluster_parse.h"
#include "xds/durations.h"

namespace remora::xds {
namespace {

using OutlierProto = envoy::config::cluster::v3::OutlierDetection;
using ThresholdsProto = envoy::config::cluster::v3::CircuitBreakers::Thresholds;

void Take(bool set, const google::protobuf::UInt32Value& value, uint32_t* to) {
  if (set) *to = value.value();
}

#define REMORA_TAKE(field, to) Take(proto.has_##field(), proto.field(), &(to))

// Runtime keys are named like the fields.
void TakeRuntime(const Runtime* runtime, absl::string_view field, uint32_t* to) {
  if (runtime == nullptr) return;
  *to = static_cast<uint32_t>(runtime->Integer(absl::StrCat("outlier_detection.", field), *to));
}

void TakeRuntime(const Runtime* runtime, absl::string_view field, lb::Duration* to) {
  if (runtime == nullptr) return;
  using std::chrono::milliseconds;
  const auto ms = static_cast<uint64_t>(std::chrono::duration_cast<milliseconds>(*to).count());
  *to = milliseconds(runtime->Integer(absl::StrCat("outlier_detection.", field), ms));
}

// What runtime says goes before the configuration.
void ApplyRuntime(const Runtime* runtime, health::OutlierConfig* out) {
#define REMORA_RUNTIME(field, to) TakeRuntime(runtime, #field, &(to))
  REMORA_RUNTIME(consecutive_5xx, out->thresholds.consecutive_5xx);
  REMORA_RUNTIME(consecutive_gateway_failure, out->thresholds.consecutive_gateway_failure);
  REMORA_RUNTIME(consecutive_local_origin_failure,
                 out->thresholds.consecutive_local_origin_failure);
  REMORA_RUNTIME(interval_ms, out->interval);
  REMORA_RUNTIME(base_ejection_time_ms, out->ejection.base_time);
  REMORA_RUNTIME(max_ejection_time_ms, out->ejection.max_time);
  REMORA_RUNTIME(max_ejection_percent, out->ejection.max_percent);
  REMORA_RUNTIME(enforcing_consecutive_5xx, out->enforcing_consecutive_5xx);
  REMORA_RUNTIME(enforcing_consecutive_gateway_failure, out->enforcing_consecutive_gateway_failure);
  REMORA_RUNTIME(enforcing_consecutive_local_origin_failure,
                 out->enforcing_consecutive_local_origin_failure);
  REMORA_RUNTIME(enforcing_success_rate, out->enforcing_success_rate);
  REMORA_RUNTIME(enforcing_local_origin_success_rate, out->enforcing_local_origin_success_rate);
  REMORA_RUNTIME(enforcing_failure_percentage, out->enforcing_failure_percentage);
  REMORA_RUNTIME(enforcing_failure_percentage_local_origin,
                 out->enforcing_failure_percentage_local_origin);
  REMORA_RUNTIME(success_rate_minimum_hosts, out->success_rate_minimum_hosts);
  REMORA_RUNTIME(success_rate_request_volume, out->success_rate_request_volume);
  REMORA_RUNTIME(success_rate_stdev_factor, out->success_rate_stdev_factor);
  REMORA_RUNTIME(failure_percentage_threshold, out->failure_percentage_threshold);
  REMORA_RUNTIME(failure_percentage_minimum_hosts, out->failure_percentage_minimum_hosts);
  REMORA_RUNTIME(failure_percentage_request_volume, out->failure_percentage_request_volume);
#undef REMORA_RUNTIME
}

health::OutlierConfig ParseOutlier(const OutlierProto& proto, ParseContext& context) {
  health::OutlierConfig out;
  REMORA_TAKE(consecutive_5xx, out.thresholds.consecutive_5xx);
  REMORA_TAKE(consecutive_gateway_failure, out.thresholds.consecutive_gateway_failure);
  REMORA_TAKE(consecutive_local_origin_failure, out.thresholds.consecutive_local_origin_failure);
  out.thresholds.split_local_origin = proto.split_external_local_origin_errors();
  if (proto.has_interval()) out.interval = ChronoFrom(proto.interval());
  if (proto.has_base_ejection_time()) {
    out.ejection.base_time = ChronoFrom(proto.base_ejection_time());
  }
  if (proto.has_max_ejection_time()) {
    out.ejection.max_time = ChronoFrom(proto.max_ejection_time());
    if (out.ejection.max_time < out.ejection.base_time) {
      context.ErrorAt("max_ejection_time",
                      "outlier detector: max_ejection_time cannot be smaller than "
                      "base_ejection_time");
    }
  } else {
    out.ejection.max_time = std::max(out.ejection.max_time, out.ejection.base_time);
  }
  out.ejection.jitter = ChronoFrom(proto.max_ejection_time_jitter());
  REMORA_TAKE(max_ejection_percent, out.ejection.max_percent);
  out.ejection.always_one = proto.always_eject_one_host().value();
  REMORA_TAKE(enforcing_consecutive_5xx, out.enforcing_consecutive_5xx);
  REMORA_TAKE(enforcing_consecutive_gateway_failure, out.enforcing_consecutive_gateway_failure);
  REMORA_TAKE(enforcing_consecutive_local_origin_failure,
              out.enforcing_consecutive_local_origin_failure);
  REMORA_TAKE(enforcing_success_rate, out.enforcing_success_rate);
  REMORA_TAKE(enforcing_local_origin_success_rate, out.enforcing_local_origin_success_rate);
  REMORA_TAKE(enforcing_failure_percentage, out.enforcing_failure_percentage);
  REMORA_TAKE(enforcing_failure_percentage_local_origin,
              out.enforcing_failure_percentage_local_origin);
  REMORA_TAKE(success_rate_minimum_hosts, out.success_rate_minimum_hosts);
  REMORA_TAKE(success_rate_request_volume, out.success_rate_request_volume);
  REMORA_TAKE(success_rate_stdev_factor, out.success_rate_stdev_factor);
  REMORA_TAKE(failure_percentage_threshold, out.failure_percentage_threshold);
  REMORA_TAKE(failure_percentage_minimum_hosts, out.failure_percentage_minimum_hosts);
  REMORA_TAKE(failure_percentage_request_volume, out.failure_percentage_request_volume);
  if (proto.has_successful_active_health_check_uneject_host()) {
    out.successful_active_health_check_uneject_host =
        proto.successful_active_health_check_uneject_host().value();
  }
  if (proto.monitors_size() != 0) context.NotHonoured("monitors");
  ApplyRuntime(context.runtime(), &out);
  return out;
}

health::BreakerLimits ParseLimits(const ThresholdsProto& proto) {
  health::BreakerLimits out;
  REMORA_TAKE(max_connections, out.max_connections);
  REMORA_TAKE(max_pending_requests, out.max_pending_requests);
  REMORA_TAKE(max_requests, out.max_requests);
  REMORA_TAKE(max_retries, out.max_retries);
  REMORA_TAKE(max_connection_pools, out.max_connection_pools);
  if (proto.has_retry_budget()) {
    const auto& budget = proto.retry_budget();
    out.retry_budget_percent = budget.has_budget_percent() ? budget.budget_percent().value() : 20.0;
    Take(budget.has_min_retry_concurrency(), budget.min_retry_concurrency(),
         &out.min_retry_concurrency);
  }
  return out;
}

#undef REMORA_TAKE

void ParseBreakers(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  bool seen_default = false;
  bool seen_high = false;
  // Of several for one priority the first counts.
  for (const ThresholdsProto& item : proto.circuit_breakers().thresholds()) {
    if (item.priority() == envoy::config::core::v3::HIGH) {
      if (!seen_high) {
        out->high_breaker = ParseLimits(item);
        out->track_remaining_high = item.track_remaining();
      }
      seen_high = true;
    } else {
      if (!seen_default) {
        out->default_breaker = ParseLimits(item);
        out->track_remaining_default = item.track_remaining();
      }
      seen_default = true;
    }
  }
  for (const ThresholdsProto& item : proto.circuit_breakers().per_host_thresholds()) {
    if (item.has_max_pending_requests() || item.has_max_requests() || item.has_max_retries() ||
        item.has_max_connection_pools() || item.has_retry_budget() || item.track_remaining()) {
      context.ErrorAt("circuit_breakers.per_host_thresholds",
                      "Unsupported field in per_host_thresholds");
    }
    if (item.priority() != envoy::config::core::v3::HIGH && item.has_max_connections()) {
      out->per_host_max_connections = item.max_connections().value();
    }
  }
}

}  // namespace

void ParseHealth(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  for (int i = 0; i < proto.health_checks_size(); ++i) {
    ParseContext::Scope scope(context, "health_checks", i);
    out->health_checks.push_back(HealthCheck::Parse(proto.health_checks(i), context));
    out->health_checks.back().schedule.ignore_new_hosts_until_first_check =
        out->ignore_new_hosts_until_first_hc;
  }
  if (proto.health_checks_size() > 1) {
    context.ErrorAt("health_checks", "Multiple health checks not supported");
  }
  if (proto.has_outlier_detection()) {
    ParseContext::Scope scope(context, "outlier_detection");
    out->outlier = ParseOutlier(proto.outlier_detection(), context);
  }
  ParseBreakers(proto, out, context);
}

}  // namespace remora::xds
