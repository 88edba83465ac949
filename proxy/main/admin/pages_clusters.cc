// Clusters and how their hosts fare.

#include <fmt/format.h>
#include <re2/re2.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "envoy/admin/v3/clusters.pb.h"
#include "proxy/main/admin/page_handlers.h"
#include "proxy/main/admin/proto_address.h"
#include "xds/config_dump.h"

namespace remora::proxy {
namespace {

namespace admin = ::envoy::admin::v3;
using envoy::config::core::v3::HealthStatus;

// One host with everything that is shown of it.
struct HostView {
  const lb::HostEntry& entry;
  const lb::HostState& state;
  const lb::Locality& locality;
};

template <typename Fn>
void ForEachHost(const Cluster& cluster, const Fn& fn) {
  const lb::HostSet& hosts = cluster.policy->hosts();
  for (uint32_t i = 0; i < hosts.size(); ++i) {
    const lb::HostEntry& entry = hosts.entry(i);
    fn(HostView{entry, entry.host->state(),
                hosts.priorities()[entry.priority].localities[entry.locality].locality});
  }
}

// Tallies in the order of the pages; what waits for a connection is counted by cluster, not by
// host.
struct Tally {
  absl::string_view name;
  uint64_t value;
  bool gauge;
};

std::vector<Tally> Tallies(const lb::HostState& state) {
  const auto get = [](const auto& cell) -> uint64_t {
    return cell.load(std::memory_order_relaxed);
  };
  return {
      {"cx_active", get(state.cx_active), true},
      {"cx_connect_fail", get(state.cx_connect_fail), false},
      {"cx_total", get(state.cx_total), false},
      {"rq_active", get(state.rq_active), true},
      {"rq_error", get(state.rq_error), false},
      {"rq_pending_active", 0, true},
      {"rq_success", get(state.rq_success), false},
      {"rq_timeout", get(state.rq_timeout), false},
      {"rq_total", get(state.rq_total), false},
  };
}

void AppendBreaker(const std::string& prefix, const health::BreakerLimits& limits,
                   std::string* out) {
  absl::StrAppend(out, prefix, "max_connections::", limits.max_connections, "\n", prefix,
                  "max_pending_requests::", limits.max_pending_requests, "\n", prefix,
                  "max_requests::", limits.max_requests, "\n", prefix,
                  "max_retries::", limits.max_retries, "\n");
}

void AppendHost(const std::string& cluster, const HostView& host, std::string* out) {
  const std::string prefix = absl::StrCat(cluster, "::", host.entry.host->address_string(), "::");
  for (const Tally& tally : Tallies(host.state))
    absl::StrAppend(out, prefix, tally.name, "::", tally.value, "\n");
  const auto line = [&](absl::string_view key, absl::string_view value) {
    absl::StrAppend(out, prefix, key, "::", value, "\n");
  };
  line("hostname", host.entry.attributes->hostname);
  line("health_flags", lb::HealthFlagsString(host.state.flags.load(std::memory_order_relaxed)));
  line("weight", absl::StrCat(host.entry.weight));
  line("region", host.locality.region);
  line("zone", host.locality.zone);
  line("sub_zone", host.locality.sub_zone);
  line("canary", host.entry.attributes->canary ? "true" : "false");
  line("priority", absl::StrCat(host.entry.priority));
  line("success_rate",
       fmt::format("{:g}", host.state.success_rate.load(std::memory_order_relaxed)));
  line("local_origin_success_rate",
       fmt::format("{:g}", host.state.local_origin_success_rate.load(std::memory_order_relaxed)));
}

void AppendCluster(const AdminCluster& shown, std::string* out) {
  const Cluster& cluster = *shown.cluster;
  const std::string& name = cluster.name();
  absl::StrAppend(out, name, "::observability_name::", cluster.config->stat_name(), "\n");
  if (shown.outlier) {
    const auto rate = [&](absl::string_view key, double value) {
      absl::StrAppend(out, name, "::outlier::", key, "::", fmt::format("{:g}", value), "\n");
    };
    rate("success_rate_average", shown.outlier->answers.average);
    rate("success_rate_ejection_threshold", shown.outlier->answers.threshold);
    rate("local_origin_success_rate_average", shown.outlier->local_origin.average);
    rate("local_origin_success_rate_ejection_threshold", shown.outlier->local_origin.threshold);
  }
  AppendBreaker(name + "::default_priority::", cluster.config->default_breaker, out);
  AppendBreaker(name + "::high_priority::", cluster.config->high_breaker, out);
  absl::StrAppend(out, name, "::added_via_api::", shown.added_via_api ? "true" : "false", "\n");
  if (cluster.config->type == xds::Cluster::Type::kEds) {
    absl::StrAppend(out, name, "::eds_service_name::", cluster.config->eds_service_name, "\n");
  }
  ForEachHost(cluster, [&](const HostView& host) { AppendHost(name, host, out); });
}

void SetThresholds(const health::BreakerLimits& limits,
                   envoy::config::core::v3::RoutingPriority priority, admin::ClusterStatus* out) {
  auto* thresholds = out->mutable_circuit_breakers()->add_thresholds();
  thresholds->set_priority(priority);
  thresholds->mutable_max_connections()->set_value(limits.max_connections);
  thresholds->mutable_max_pending_requests()->set_value(limits.max_pending_requests);
  thresholds->mutable_max_requests()->set_value(limits.max_requests);
  thresholds->mutable_max_retries()->set_value(limits.max_retries);
}

void SetHealth(uint32_t flags, admin::HostHealthStatus* out) {
  out->set_failed_active_health_check((flags & lb::kFailedActiveHc) != 0);
  out->set_failed_outlier_check((flags & lb::kFailedOutlierCheck) != 0);
  out->set_failed_active_degraded_check((flags & lb::kDegradedActiveHc) != 0);
  out->set_pending_dynamic_removal((flags & lb::kPendingDynamicRemoval) != 0);
  out->set_pending_active_hc((flags & lb::kPendingActiveHc) != 0);
  out->set_excluded_via_immediate_hc_fail((flags & lb::kExcludedViaImmediateHcFail) != 0);
  out->set_active_hc_timeout((flags & lb::kActiveHcTimeout) != 0);
  if ((flags & lb::kFailedEdsHealth) != 0) {
    out->set_eds_health_status(HealthStatus::UNHEALTHY);
  } else if ((flags & lb::kEdsStatusDraining) != 0) {
    out->set_eds_health_status(HealthStatus::DRAINING);
  } else if ((flags & lb::kDegradedEdsHealth) != 0) {
    out->set_eds_health_status(HealthStatus::DEGRADED);
  } else {
    out->set_eds_health_status(HealthStatus::HEALTHY);
  }
}

void SetHost(const HostView& host, admin::HostStatus* out) {
  const lb::SocketAddress& address = host.entry.host->address();
  SetProtoAddress(Address::FromSockaddr(address.get(), address.length()), out->mutable_address());
  for (const bool gauges : {false, true}) {
    for (const Tally& tally : Tallies(host.state)) {
      if (tally.gauge != gauges) continue;
      auto* stat = out->add_stats();
      stat->set_type(gauges ? admin::SimpleMetric::GAUGE : admin::SimpleMetric::COUNTER);
      stat->set_name(std::string(tally.name));
      stat->set_value(tally.value);
    }
  }
  SetHealth(host.state.flags.load(std::memory_order_relaxed), out->mutable_health_status());
  const double rate = host.state.success_rate.load(std::memory_order_relaxed);
  const double local_rate = host.state.local_origin_success_rate.load(std::memory_order_relaxed);
  if (rate >= 0) out->mutable_success_rate()->set_value(rate);
  if (local_rate >= 0) out->mutable_local_origin_success_rate()->set_value(local_rate);
  out->set_weight(host.entry.weight);
  out->set_hostname(host.entry.attributes->hostname);
  out->set_priority(host.entry.priority);
  auto* locality = out->mutable_locality();
  locality->set_region(host.locality.region);
  locality->set_zone(host.locality.zone);
  locality->set_sub_zone(host.locality.sub_zone);
}

void SetCluster(const AdminCluster& shown, admin::ClusterStatus* out) {
  const Cluster& cluster = *shown.cluster;
  out->set_name(cluster.name());
  out->set_observability_name(cluster.config->stat_name());
  out->set_added_via_api(shown.added_via_api);
  if (cluster.config->type == xds::Cluster::Type::kEds)
    out->set_eds_service_name(cluster.config->eds_service_name);
  if (shown.outlier) {
    if (shown.outlier->answers.threshold >= 0) {
      out->mutable_success_rate_ejection_threshold()->set_value(shown.outlier->answers.threshold);
    }
    if (shown.outlier->local_origin.threshold >= 0) {
      out->mutable_local_origin_success_rate_ejection_threshold()->set_value(
          shown.outlier->local_origin.threshold);
    }
  }
  SetThresholds(cluster.config->default_breaker, envoy::config::core::v3::DEFAULT, out);
  SetThresholds(cluster.config->high_breaker, envoy::config::core::v3::HIGH, out);
  ForEachHost(cluster, [&](const HostView& host) { SetHost(host, out->add_host_statuses()); });
}

std::string RenderJson(const std::vector<AdminCluster>& clusters) {
  admin::Clusters out;
  for (const AdminCluster& cluster : clusters) SetCluster(cluster, out.add_cluster_statuses());
  return xds::ToJson(out);
}

}  // namespace

AdminResponse ClustersPage(AdminPages& pages, const AdminRequest& request) {
  AdminResponse response;
  std::vector<AdminCluster> clusters = pages.state().clusters();
  if (const std::string* filter = request.Find("filter"); filter != nullptr && !filter->empty()) {
    const re2::RE2 regex(*filter, re2::RE2::Quiet);
    if (!regex.ok()) {
      response.status = 400;
      response.body = "Invalid re2 regex";
      return response;
    }
    std::erase_if(clusters, [&](const AdminCluster& shown) {
      return !re2::RE2::PartialMatch(shown.cluster->name(), regex);
    });
  }
  const std::string* format = request.Find("format");
  if (format != nullptr && *format == "json") {
    response.content_type = kAdminJson;
    response.body = RenderJson(clusters);
    return response;
  }
  for (const AdminCluster& cluster : clusters) AppendCluster(cluster, &response.body);
  return response;
}

}  // namespace remora::proxy
