#ifndef REMORA_PROXY_MAIN_OUTLIER_MONITOR_H_
#define REMORA_PROXY_MAIN_OUTLIER_MONITOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "health/outlier.h"
#include "proxy/base/loop.h"
#include "proxy/base/stats.h"
#include "proxy/base/timer.h"
#include "proxy/main/health_log.h"

namespace remora::proxy {

// Runs outlier detection of one cluster: the periodic sweep, what workers suspect, the event log
// and "cluster.NAME.outlier_detection.*".
//
// Threads: main. Lifetime: owned by its cluster; destroying it lets every host back.
class OutlierMonitor {
 public:
  // `on_change`: a host's flag changed, the host set must be rebuilt.
  OutlierMonitor(Loop* loop, const health::OutlierConfig& config, std::string cluster,
                 const StatBlock* block, StatStore* stats, HealthLog* log, std::string log_path,
                 uint64_t seed, std::function<void()> on_change);

  void SetHosts(absl::Span<const std::shared_ptr<lb::Host>> hosts);
  void OnSuspicion(lb::Host& host, health::Suspicion suspicion);
  void OnActiveCheckPassed(lb::Host& host);
  const health::OutlierDetector& detector() const { return detector_; }

 private:
  void Sweep();
  void Conclude(bool changed);
  void Log(const health::OutlierEvent& event);

  Loop* loop_;
  std::string cluster_;
  StatCell* cells_;
  HealthLog* log_;
  std::string log_path_;
  std::function<void()> on_change_;
  health::OutlierDetector detector_;
  std::vector<health::OutlierEvent> events_;
  Timer timer_;
};

StatSchema OutlierStatSchema();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_OUTLIER_MONITOR_H_
