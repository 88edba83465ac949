#include "proxy/main/server_stats.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/stream/http_stats.h"

namespace remora::proxy {
namespace {

constexpr StatDef kServer[] = {
    {"concurrency", StatKind::kGauge},
    {"days_until_first_cert_expiring", StatKind::kGauge},
    {"hot_restart_epoch", StatKind::kGauge},
    {"live", StatKind::kGauge},
    {"memory_allocated", StatKind::kGauge},
    {"memory_heap_size", StatKind::kGauge},
    {"memory_physical_size", StatKind::kGauge},
    {"parent_connections", StatKind::kGauge},
    {"state", StatKind::kGauge},
    {"total_connections", StatKind::kGauge},
    {"uptime", StatKind::kGauge},
    {"version", StatKind::kGauge},
    {"debug_assertion_failures", StatKind::kCounter},
    {"dynamic_unknown_fields", StatKind::kCounter},
    {"static_unknown_fields", StatKind::kCounter},
    {"envoy_bug_failures", StatKind::kCounter},
    {"seconds_until_first_ocsp_response_expiring", StatKind::kGauge},
    {"initialization_time_ms", StatKind::kHistogram},
    // What follows is never counted here.
    {"compilation_settings.fips_mode", StatKind::kGauge},
    {"dropped_stat_flushes", StatKind::kCounter},
    {"envoy_notifications", StatKind::kCounter},
    {"stats_recent_lookups", StatKind::kGauge},
    {"wip_protos", StatKind::kCounter},
};

constexpr StatDef kWatchdog[] = {
    {"watchdog_mega_miss", StatKind::kCounter},
    {"watchdog_miss", StatKind::kCounter},
};

constexpr StatDef kOverload[] = {{"refresh_interval_delay", StatKind::kHistogram}};
constexpr StatDef kOverloadActions[] = {{"reset_high_memory_stream.count", StatKind::kCounter}};
constexpr StatDef kThreadClusters[] = {{"clusters_inflated", StatKind::kGauge}};

constexpr StatDef kRuntime[] = {
    {"deprecated_feature_use", StatKind::kCounter},
    {"load_error", StatKind::kCounter},
    {"load_success", StatKind::kCounter},
    {"override_dir_exists", StatKind::kCounter},
    {"override_dir_not_exists", StatKind::kCounter},
    {"admin_overrides_active", StatKind::kGauge},
    {"deprecated_feature_seen_since_process_start", StatKind::kGauge},
    {"num_keys", StatKind::kGauge},
    {"num_layers", StatKind::kGauge},
};

constexpr StatDef kControlPlane[] = {
    {"connected_state", StatKind::kGauge},
    {"pending_requests", StatKind::kGauge},
    {"rate_limit_enforced", StatKind::kCounter},
};

constexpr StatDef kUpdate[] = {
    {"update_attempt", StatKind::kCounter},
    {"update_success", StatKind::kCounter},
    {"update_rejected", StatKind::kCounter},
    {"update_failure", StatKind::kCounter},
    {"init_fetch_timeout", StatKind::kCounter},
    {"update_time", StatKind::kGauge},
    {"version", StatKind::kGauge},
};

constexpr StatDef kReload[] = {
    {"config_reload", StatKind::kCounter},
    {"config_reload_time_ms", StatKind::kGauge},
};

constexpr StatDef kEmptyUpdate[] = {{"update_empty", StatKind::kCounter}};

constexpr StatDef kExtension[] = {
    {"config_reload", StatKind::kCounter},
    {"config_fail", StatKind::kCounter},
    {"config_conflict", StatKind::kCounter},
};

constexpr StatDef kSecretUpdate[] = {{"key_rotation_failed", StatKind::kCounter}};

constexpr StatDef kScope[] = {
    {"all_scopes", StatKind::kGauge},
    {"active_scopes", StatKind::kGauge},
    {"on_demand_scopes", StatKind::kGauge},
};

constexpr StatDef kEndpointUpdate[] = {
    {"update_rejected", StatKind::kCounter},
    {"init_fetch_timeout", StatKind::kCounter},
    {"update_time", StatKind::kGauge},
};

}  // namespace

StatSchema EndpointUpdateStatSchema() { return kEndpointUpdate; }
StatSchema ReloadStatSchema() { return kReload; }
StatSchema EmptyUpdateStatSchema() { return kEmptyUpdate; }
StatSchema ExtensionStatSchema() { return kExtension; }
StatSchema ScopeStatSchema() { return kScope; }
StatSchema SecretUpdateStatSchema() { return kSecretUpdate; }
StatSchema ServerStatSchema() { return kServer; }
StatSchema RuntimeStatSchema() { return kRuntime; }
StatSchema ControlPlaneStatSchema() { return kControlPlane; }
StatSchema UpdateStatSchema() { return kUpdate; }

void RegisterProcessStats(size_t workers, StatStore* stats) {
  std::vector<std::string> threads = {"main_thread"};
  for (size_t i = 0; i < workers; ++i) threads.push_back(absl::StrCat("worker_", i));
  for (const std::string& thread : threads) {
    stats->Register(absl::StrCat("server.", thread, "."), kWatchdog);
    stats->Register(absl::StrCat("thread_local_cluster_manager.", thread, "."), kThreadClusters);
  }
  stats->Register("main_thread.", kWatchdog);
  stats->Register("workers.", kWatchdog);
  stats->Register("overload.", kOverload);
  stats->Register("envoy.overload_actions.", kOverloadActions);
  stats->Register("http.async-client.", RouterStatSchema());
}

void SetThreadClusters(size_t workers, uint64_t clusters, StatStore* stats) {
  for (size_t i = 0; i <= workers; ++i) {
    const std::string thread = i == 0 ? "main_thread" : absl::StrCat("worker_", i - 1);
    const StatBlock* block = stats->Register(
        absl::StrCat("thread_local_cluster_manager.", thread, "."), kThreadClusters);
    stats->main_slab()->Cells(*block)[0].store(clusters, std::memory_order_relaxed);
  }
}

}  // namespace remora::proxy
