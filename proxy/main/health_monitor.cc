#include "proxy/main/health_monitor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace remora::proxy {
namespace {

constexpr StatDef kSchema[] = {
    {"attempt", StatKind::kCounter},         {"success", StatKind::kCounter},
    {"failure", StatKind::kCounter},         {"passive_failure", StatKind::kCounter},
    {"network_failure", StatKind::kCounter}, {"verify_cluster", StatKind::kCounter},
    {"healthy", StatKind::kGauge},           {"degraded", StatKind::kGauge},
};

absl::string_view TypeName(const xds::HealthCheck& config) {
  if (std::holds_alternative<xds::HttpProbe>(config.probe)) return "HTTP";
  return std::holds_alternative<xds::TcpProbe>(config.probe) ? "TCP" : "GRPC";
}

absl::string_view FailureName(health::ProbeKind kind) {
  switch (kind) {
    case health::ProbeKind::kNetwork:
      return "NETWORK";
    case health::ProbeKind::kTimeout:
      return "NETWORK_TIMEOUT";
    default:
      return "ACTIVE";
  }
}

}  // namespace

StatSchema HealthStatSchema() { return kSchema; }

HealthMonitor::HealthMonitor(Loop* loop, const xds::HealthCheck& config, std::string cluster,
                             std::unique_ptr<health::Prober> prober, StatScope<HealthStat> stats,
                             HealthLog* log, uint64_t seed, Hooks hooks)
    : loop_(loop),
      config_(config),
      cluster_(std::move(cluster)),
      prober_(std::move(prober)),
      stats_(stats),
      log_(log),
      hooks_(std::move(hooks)),
      checker_(config.schedule, seed),
      timer_(
          &loop->timers(), [](void* self) { static_cast<HealthMonitor*>(self)->RunDue(); }, this) {}

HealthMonitor::~HealthMonitor() { stats_.Sub(HealthStat::kHealthy, counted_healthy_); }

void HealthMonitor::SetHosts(const lb::HostTable& table, bool keep_verdicts) {
  std::vector<std::shared_ptr<lb::Host>> hosts;
  absl::flat_hash_map<const lb::Host*, lb::HostEntry> entries;
  for (const lb::HostEntry& entry : table.entries()) {
    const auto& target = entry.attributes->health_check;
    if (target != nullptr && target->disabled) continue;
    hosts.push_back(entry.host);
    entries.emplace(entry.host.get(), entry);
    if (entries_.count(entry.host.get()) == 0) unchecked_.insert(entry.host.get());
  }
  for (const auto& [host, entry] : entries_) {
    if (entries.count(host) > 0) continue;
    probes_.erase(host);
    unchecked_.erase(host);
    prober_->Forget(*host);
  }
  entries_ = std::move(entries);
  checker_.SetHosts(hosts, lb::TimePoint(loop_->now_ns()), keep_verdicts);
  Arm();
}

void HealthMonitor::Arm() {
  stats_.Add(HealthStat::kHealthy, checker_.healthy_count() - counted_healthy_);
  counted_healthy_ = checker_.healthy_count();
  const std::optional<lb::TimePoint> next = checker_.NextDue();
  if (!next) {
    timer_.Stop();
    return;
  }
  timer_.Start(next->count() - loop_->now_ns());
}

void HealthMonitor::RunDue() {
  due_.clear();
  checker_.TakeDue(lb::TimePoint(loop_->now_ns()), &due_);
  for (const std::shared_ptr<lb::Host>& host : due_) {
    const auto entry = entries_.find(host.get());
    if (entry == entries_.end()) continue;
    stats_.Add(HealthStat::kAttempt);
    const lb::Host* raw = host.get();
    probes_[raw] = prober_->Start(
        entry->second, [this, raw](health::ProbeResult result) { OnResult(raw, result); });
  }
  Arm();
}

void HealthMonitor::Count(health::ProbeResult result) {
  switch (result.kind) {
    case health::ProbeKind::kPass:
    case health::ProbeKind::kDegraded:
      stats_.Add(HealthStat::kSuccess);
      return;
    case health::ProbeKind::kNetwork:
    case health::ProbeKind::kTimeout:
      stats_.Add(HealthStat::kNetworkFailure);
      break;
    default:
      break;
  }
  stats_.Add(HealthStat::kFailure);
}

void HealthMonitor::OnResult(const lb::Host* raw, health::ProbeResult result) {
  const auto entry = entries_.find(raw);
  if (entry == entries_.end()) return;
  const std::shared_ptr<lb::Host> host = entry->second.host;
  // The probe may be further up the stack: it is kept until its callback has returned.
  const std::unique_ptr<health::Probe> probe = std::move(probes_[raw]);
  probes_.erase(raw);
  Count(result);
  const health::CheckVerdict verdict =
      checker_.OnResult(*host, result, lb::TimePoint(loop_->now_ns()), hooks_.had_traffic());
  Report(*host, verdict, result.kind);
  const bool waited = !unchecked_.empty();
  unchecked_.erase(raw);
  Arm();
  if (verdict.became_healthy && hooks_.on_healthy) hooks_.on_healthy(*host);
  if (verdict.flags_changed) hooks_.on_change();
  if (waited && unchecked_.empty() && hooks_.on_first_round) hooks_.on_first_round();
}

void HealthMonitor::OnImmediateFail(lb::Host& host) {
  stats_.Add(HealthStat::kPassiveFailure);
  if (checker_.OnImmediateFail(host).flags_changed) hooks_.on_change();
  Arm();
}

void HealthMonitor::Report(const lb::Host& host, const health::CheckVerdict& verdict,
                           health::ProbeKind kind) {
  if (config_.event_log_path.empty()) return;
  nlohmann::ordered_json event;
  event["health_checker_type"] = std::string(TypeName(config_));
  event["host"] = {{"socket_address",
                    {{"protocol", "TCP"},
                     {"address", host.address_string().substr(0, host.address_string().rfind(':'))},
                     {"port_value", host.address().port()}}}};
  event["cluster_name"] = cluster_;
  event["timestamp"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  const bool failed = kind != health::ProbeKind::kPass && kind != health::ProbeKind::kDegraded;
  if (verdict.became_healthy) {
    event["add_healthy_event"] = {{"first_check", verdict.first_check}};
  } else if (verdict.became_unhealthy && !verdict.first_check) {
    event["eject_unhealthy_event"] = {{"failure_type", std::string(FailureName(kind))}};
  } else if (failed && (verdict.first_check || config_.always_log_failures)) {
    event["health_check_failure_event"] = {{"failure_type", std::string(FailureName(kind))},
                                           {"first_check", verdict.first_check}};
  } else if (verdict.became_degraded) {
    event["degraded_healthy_host"] = nlohmann::ordered_json::object();
  } else if (verdict.no_longer_degraded) {
    event["no_longer_degraded_host"] = nlohmann::ordered_json::object();
  } else if (!failed && config_.always_log_success) {
    event["successful_health_check_event"] = nlohmann::ordered_json::object();
  } else {
    return;
  }
  log_->Write(config_.event_log_path, event.dump());
}

}  // namespace remora::proxy
