#ifndef REMORA_PROXY_MAIN_HEALTH_MONITOR_H_
#define REMORA_PROXY_MAIN_HEALTH_MONITOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "health/active_checker.h"
#include "health/prober.h"
#include "lb/host_set.h"
#include "proxy/base/loop.h"
#include "proxy/base/stats.h"
#include "proxy/base/timer.h"
#include "proxy/main/health_log.h"
#include "xds/health_check.h"

namespace remora::proxy {

// "cluster.NAME.health_check."
enum class HealthStat : uint8_t {
  kAttempt,
  kSuccess,
  kFailure,
  kPassiveFailure,
  kNetworkFailure,
  kVerifyCluster,
  kHealthy,
  kDegraded,
};
StatSchema HealthStatSchema();

// Runs one `health_checks` entry of one cluster: asks the checker what is due, starts probes, tells
// the checker what came of them.
//
// Threads: main. Lifetime: owned by its cluster; destroying it cancels every probe.
class HealthMonitor {
 public:
  struct Hooks {
    // A host's flags changed: the host set must be rebuilt.
    std::function<void()> on_change;
    // A check passed (outlier detection may let the host back).
    std::function<void(lb::Host&)> on_healthy;
    // Every host known at the start was checked once.
    std::function<void()> on_first_round;
    // The cluster ever had an upstream connection.
    std::function<bool()> had_traffic;
  };

  HealthMonitor(Loop* loop, const xds::HealthCheck& config, std::string cluster,
                std::unique_ptr<health::Prober> prober, StatScope<HealthStat> stats, HealthLog* log,
                uint64_t seed, Hooks hooks);
  ~HealthMonitor();

  // Hosts whose check is disabled are left out by this function.
  void SetHosts(const std::shared_ptr<const lb::HostTable>& table, bool keep_verdicts);
  void OnImmediateFail(lb::Host& host);
  bool first_round_done() const { return unchecked_.empty(); }

 private:
  void Arm();
  void RunDue();
  void OnResult(const lb::Host* host, health::ProbeResult result);
  void Count(health::ProbeResult result);
  // What a result has to say to the event log.
  void Report(const lb::HostEntry& entry, const health::CheckVerdict& verdict,
              health::ProbeResult result);
  void CountDegraded();

  Loop* loop_;
  const xds::HealthCheck config_;
  std::string cluster_;
  std::unique_ptr<health::Prober> prober_;
  StatScope<HealthStat> stats_;
  HealthLog* log_;
  Hooks hooks_;
  health::ActiveChecker checker_;
  absl::flat_hash_map<const lb::Host*, lb::HostEntry> entries_;
  std::shared_ptr<const lb::HostSet> set_;  // for the names of localities, where events are logged
  absl::flat_hash_map<const lb::Host*, std::unique_ptr<health::Probe>> probes_;
  absl::flat_hash_set<const lb::Host*> unchecked_;
  std::vector<std::shared_ptr<lb::Host>> due_;
  Timer timer_;
  uint64_t counted_healthy_ = 0;
  uint64_t counted_degraded_ = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_HEALTH_MONITOR_H_
