// Outlier detection: judge hosts by the answers of ordinary traffic. Five
// rules, and what clears each:
//
// 1. consecutive 5xx: N answers of 5xx (or, unless `split_local_origin`, local
// failures, mapped to 5xx) in a row. Any other answer clears.
// 2. consecutive gateway failures: N of 502, 503, 504 in a row. Any other
// answer clears, another 5xx too. Reported, not enforced by default.
// 3. consecutive local origin failures: N connects that failed or timed out in
// a row, only with `split_local_origin`. A connect that works clears.
// 4. success rate: at the end of an interval, hosts with enough requests in it,
// if there are enough such hosts: below mean - factor * deviation
//    (of the population). Answers and, with `split_local_origin`, connects each
//    by themselves.
// 5. failure percentage: likewise, above a fixed share. Not enforced by
// default.
//
// Rules 1 to 3 are counted on workers (ReportResult) and acted on when main
// hears of it; 4 and 5 are judged by main's sweep, after it returned the hosts
// whose time is over. Ejected hosts carry `kFailedOutlierCheck`; coming back
// clears the counters of rules 1 to 3.
//
// Threads: ReportResult on any worker; OutlierDetector on main only.

#ifndef REMORA_HEALTH_OUTLIER_H_
#define REMORA_HEALTH_OUTLIER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "health/ejections.h"
#include "health/success_window.h"
#include "lb/clock.h"
#include "lb/host.h"
#include "lb/random_source.h"

namespace remora::health {

enum class OutlierRule : uint8_t {
  kConsecutive5xx,
  kConsecutiveGatewayFailure,
  kConsecutiveLocalOriginFailure,
  kSuccessRate,
  kSuccessRateLocalOrigin,
  kFailurePercentage,
  kFailurePercentageLocalOrigin,
};
inline constexpr int kOutlierRuleCount = 7;
// As statistics spell it, e.g. "consecutive_5xx",
// "consecutive_gateway_failure", "local_origin_success_rate".
absl::string_view OutlierRuleName(OutlierRule rule);

// What a worker knows about the outcome of one try.
enum class Outcome : uint8_t {
  kConnected,         // local origin: the connection stands
  kConnectFailed,     // local origin: refused, reset before an answer, ...
  kConnectTimeout,    // local origin: connect or per-try timeout
  kRequestSucceeded,  // external origin, without a status (TCP, Redis, gRPC OK)
  kRequestFailed,     // external origin, without a status
};

// The part of the configuration that workers need.
struct OutlierThresholds {
  uint32_t consecutive_5xx = 5;
  uint32_t consecutive_gateway_failure = 5;
  uint32_t consecutive_local_origin_failure = 5;
  bool split_local_origin = false;
};

// Bits `1 << OutlierRule` that this report made cross their threshold: exactly
// one report of a row says so. Not 0: mail `Suspect(host, bits)` to main.
using Suspicion = uint8_t;

// An answer's status, 100-599. A few relaxed adds; on success of a host without
// failures, none but the window's two.
[[nodiscard]] Suspicion ReportStatus(lb::HostState& state, const OutlierThresholds& thresholds,
                                     uint32_t status);
// Everything else. Without `split_local_origin`, kConnectFailed counts as a
// 503, kConnectTimeout as a 504, kRequestFailed as a 500, kConnected as nothing
// (the answer will count).
[[nodiscard]] Suspicion ReportResult(lb::HostState& state, const OutlierThresholds& thresholds,
                                     Outcome outcome);

// Defaults are Envoy's.
struct OutlierConfig {
  OutlierThresholds thresholds;
  Duration interval = std::chrono::seconds(10);
  EjectionLimits ejection;
  // Percent of detections that are enforced.
  uint32_t enforcing_consecutive_5xx = 100;
  uint32_t enforcing_consecutive_gateway_failure = 0;
  uint32_t enforcing_consecutive_local_origin_failure = 100;
  uint32_t enforcing_success_rate = 100;
  uint32_t enforcing_local_origin_success_rate = 100;
  uint32_t enforcing_failure_percentage = 0;
  uint32_t enforcing_failure_percentage_local_origin = 0;

  uint32_t success_rate_minimum_hosts = 5;
  uint32_t success_rate_request_volume = 100;
  uint32_t success_rate_stdev_factor = 1900;  // thousandths
  uint32_t failure_percentage_threshold = 85;
  uint32_t failure_percentage_minimum_hosts = 5;
  uint32_t failure_percentage_request_volume = 50;

  bool successful_active_health_check_uneject_host = true;
};

// One line of the outlier event log. `host` is valid while it is in the
// cluster.
struct OutlierEvent {
  enum class Action : uint8_t { kEject, kReturn };

  lb::Host* host = nullptr;
  Action action = Action::kEject;
  OutlierRule rule = OutlierRule::kConsecutive5xx;  // of an ejection
  bool enforced = false;                            // false: detected, and only reported
  uint32_t ejections = 0;                           // of this host, ever
  int64_t seconds_since_last_action = -1;           // -1: there was none
  // Rules 4 and 5 in percent, else -1.
  double host_success_rate = -1;
  double average_success_rate = -1;
  double success_rate_threshold = -1;
};

struct OutlierCounters {
  uint64_t detected[kOutlierRuleCount] = {};
  uint64_t enforced[kOutlierRuleCount] = {};
  uint64_t enforced_total = 0;
  uint64_t overflow = 0;
  // Of 5xx and success rate, whether enforced or not, where the share allowed it: what the older
  // `ejections_total` counts.
  uint64_t old_total = 0;
};

class OutlierDetector {
 public:
  // The config's `ejection.max_time` is raised to `base_time` if it is lower.
  OutlierDetector(const OutlierConfig& config, uint64_t seed);
  // Lets every host go: none stays ejected.
  ~OutlierDetector();

  // Brings the judged hosts to `hosts`. A host that leaves is forgotten and its
  // flag cleared; one that is new starts unsuspected.
  void SetHosts(absl::Span<const std::shared_ptr<lb::Host>> hosts);

  // Each appends what happened to `events` and returns whether a host's flag
  // changed, so that the host set must be rebuilt. A worker's suspicion.
  // Unknown and ejected hosts are ignored.
  bool OnSuspicion(lb::Host& host, Suspicion suspicion, TimePoint now,
                   std::vector<OutlierEvent>* events);
  // Every `config.interval`.
  bool OnSweep(TimePoint now, std::vector<OutlierEvent>* events);
  // An active check made the host healthy again.
  bool OnActiveCheckPassed(lb::Host& host, TimePoint now, std::vector<OutlierEvent>* events);

  const OutlierConfig& config() const { return config_; }
  const OutlierCounters& counters() const { return counters_; }
  // Gauge `outlier_detection.ejections_active`.
  size_t ejections_active() const { return ejections_.active(); }
  // The average and threshold of the last sweep in percent, -1 when it judged
  // nobody (`/clusters`).
  struct SuccessRates {
    double average = -1;
    double threshold = -1;
  };
  const SuccessRates& success_rates() const { return rates_[0]; }
  const SuccessRates& local_origin_success_rates() const { return rates_[1]; }

 private:
  struct Judged {
    std::shared_ptr<lb::Host> host;
    Ejection ejection;
    SuccessWindow<1> windows[2];  // of answers, of connects
  };
  struct Candidate {
    Judged* judged;
    double success_rate;
  };

  static std::unique_ptr<Judged> StartJudging(std::shared_ptr<lb::Host> host);
  // Rules 4 and 5 over answers (0) or connects (1).
  bool JudgeRates(int kind, TimePoint now, std::vector<OutlierEvent>* events);
  bool JudgeSuccessRate(int kind, const std::vector<Candidate>& candidates, TimePoint now,
                        std::vector<OutlierEvent>* events);
  bool JudgeFailurePercentage(int kind, const std::vector<Candidate>& candidates, TimePoint now,
                              std::vector<OutlierEvent>* events);
  bool TryEject(Judged& judged, OutlierEvent event, TimePoint now,
                std::vector<OutlierEvent>* events);
  void Return(Judged& judged, TimePoint now, std::vector<OutlierEvent>* events);
  bool Enforces(OutlierRule rule);

  OutlierConfig config_;
  lb::RandomSource random_;
  Ejections ejections_;
  OutlierCounters counters_;
  SuccessRates rates_[2];
  std::vector<std::unique_ptr<Judged>> hosts_;  // in the cluster's order
  absl::flat_hash_map<const lb::Host*, Judged*> by_host_;
};

}  // namespace remora::health

#endif  // REMORA_HEALTH_OUTLIER_H_
