#include "proxy/main/health_monitor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "filters/metadata.h"
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

// Envoy's HealthCheckEvent: its members in the order of their numbers.
enum class HealthEvent {
  kEject,
  kAdd,
  kTimestamp,
  kFailure,
  kDegraded,
  kNoLongerDegraded,
  kMetadata,
  kLocality,
  kSuccess
};
constexpr absl::string_view kEventNames[] = {"eject_unhealthy_event",
                                             "add_healthy_event",
                                             "timestamp",
                                             "health_check_failure_event",
                                             "degraded_healthy_host",
                                             "no_longer_degraded_host",
                                             "metadata",
                                             "locality",
                                             "successful_health_check_event"};

nlohmann::ordered_json AddressJson(const lb::Host& host) {
  const std::string& text = host.address_string();
  if (host.address().family() == AF_UNIX) return {{"pipe", {{"path", text}, {"mode", 0}}}};
  std::string ip = text.substr(0, text.rfind(':'));
  if (!ip.empty() && ip.front() == '[') ip = ip.substr(1, ip.size() - 2);
  return {{"socket_address",
           {{"protocol", "TCP"},
            {"address", ip},
            {"port_value", host.address().port()},
            {"resolver_name", ""},
            {"ipv4_compat", false},
            {"network_namespace_filepath", ""}}}};
}

nlohmann::ordered_json MetadataJson(const Metadata& metadata) {
  auto spaces = nlohmann::ordered_json::object();
  for (const auto& [name, value] : metadata.namespaces) {
    spaces[name] = nlohmann::ordered_json::parse(value.ToJson());
  }
  return {{"filter_metadata", std::move(spaces)},
          {"typed_filter_metadata", nlohmann::ordered_json::object()}};
}

std::string HealthEventLine(absl::string_view type, const std::string& cluster,
                            const lb::HostEntry& entry, const lb::Locality& locality,
                            HealthEvent kind, nlohmann::ordered_json body) {
  nlohmann::ordered_json line;
  line["health_checker_type"] = std::string(type);
  line["host"] = AddressJson(*entry.host);
  line["cluster_name"] = cluster;
  for (int i = 0; i <= static_cast<int>(HealthEvent::kSuccess); ++i) {
    const auto member = static_cast<HealthEvent>(i);
    const std::string name(kEventNames[i]);
    if (member == kind) line[name] = body;
    if (member == HealthEvent::kTimestamp) {
      line[name] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
    } else if (member == HealthEvent::kMetadata && entry.attributes->metadata != nullptr) {
      line[name] = MetadataJson(*static_cast<const Metadata*>(entry.attributes->metadata.get()));
    } else if (member == HealthEvent::kLocality) {
      line[name] = {
          {"region", locality.region}, {"zone", locality.zone}, {"sub_zone", locality.sub_zone}};
    }
  }
  return line.dump();
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

HealthMonitor::~HealthMonitor() {
  stats_.Sub(HealthStat::kHealthy, counted_healthy_);
  stats_.Sub(HealthStat::kDegraded, counted_degraded_);
}

void HealthMonitor::SetHosts(const std::shared_ptr<const lb::HostTable>& table,
                             bool keep_verdicts) {
  std::vector<std::shared_ptr<lb::Host>> hosts;
  absl::flat_hash_map<const lb::Host*, lb::HostEntry> entries;
  for (const lb::HostEntry& entry : table->entries()) {
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
  if (!config_.event_log_path.empty()) set_ = lb::HostSet::Make(table);
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
  Report(entry->second, verdict, result);
  if (verdict.became_degraded || verdict.no_longer_degraded) CountDegraded();
  const bool waited = !unchecked_.empty();
  unchecked_.erase(raw);
  Arm();
  const bool passed =
      result.kind == health::ProbeKind::kPass || result.kind == health::ProbeKind::kDegraded;
  if (passed && hooks_.on_healthy) hooks_.on_healthy(*host);
  if (verdict.flags_changed) hooks_.on_change();
  if (waited && unchecked_.empty() && hooks_.on_first_round) hooks_.on_first_round();
}

void HealthMonitor::OnImmediateFail(lb::Host& host) {
  stats_.Add(HealthStat::kPassiveFailure);
  if (checker_.OnImmediateFail(host).flags_changed) hooks_.on_change();
  Arm();
}

void HealthMonitor::CountDegraded() {
  uint64_t degraded = 0;
  for (const auto& [host, entry] : entries_) {
    degraded += host->state().HasFlag(lb::kDegradedActiveHc) ? 1 : 0;
  }
  stats_.Add(HealthStat::kDegraded, degraded - counted_degraded_);
  counted_degraded_ = degraded;
}

void HealthMonitor::Report(const lb::HostEntry& entry, const health::CheckVerdict& verdict,
                           health::ProbeResult result) {
  if (config_.event_log_path.empty()) return;
  const auto write = [&](HealthEvent kind, nlohmann::ordered_json body) {
    const lb::PriorityHosts& priority = set_->priorities()[entry.priority];
    log_->Write(
        config_.event_log_path,
        HealthEventLine(TypeName(config_), cluster_, entry,
                        priority.localities[entry.locality].locality, kind, std::move(body)));
  };
  const auto empty = [] { return nlohmann::ordered_json::object(); };
  const health::ProbeKind kind = result.kind;
  const bool failed = kind != health::ProbeKind::kPass && kind != health::ProbeKind::kDegraded;
  if (failed) {
    if (verdict.became_unhealthy) {
      write(HealthEvent::kEject, {{"failure_type", std::string(FailureName(kind))},
                                  {"http_status_code", result.http_status}});
    }
    if (verdict.first_check || config_.always_log_failures) {
      write(HealthEvent::kFailure, {{"failure_type", std::string(FailureName(kind))},
                                    {"first_check", verdict.first_check},
                                    {"http_status_code", result.http_status}});
    }
    return;
  }
  if (verdict.became_healthy) write(HealthEvent::kAdd, {{"first_check", verdict.first_check}});
  if (verdict.became_degraded) write(HealthEvent::kDegraded, empty());
  if (verdict.no_longer_degraded) write(HealthEvent::kNoLongerDegraded, empty());
  if (config_.always_log_success && !verdict.became_healthy) write(HealthEvent::kSuccess, empty());
}

}  // namespace remora::proxy
