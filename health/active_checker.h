// Active checks of one cluster and one `health_checks` entry: which probe is
// due when, and the rise and fall of each host. No sockets, no clock: the
// caller probes the hosts that TakeDue() gives and reports what came out.
//
// Rules (Envoy's):
// - A host is probed at once when it joins (or after a random part of
// `initial_jitter`). Until then it counts as failed; the first result alone
//   decides. `pending_active_hc` marks it if the cluster ignores new hosts
//   until then.
// - Later: `unhealthy_threshold` failures in a row make it fail,
// `healthy_threshold` passes in a row bring it back. An answer that says
// unhealthy
//   (ProbeKind::kFail) fails it without counting.
// - The next probe comes `interval` after a result; `unhealthy_interval` while
// failed; the edge intervals while a change is pending; the
//   no-traffic intervals while the cluster never had an upstream connection.
//   Plus random jitter: below `interval_jitter_percent` of that, plus below
//   `interval_jitter`. Never under 1 ms.
// - A host removed from the cluster's endpoints while it passes stays until it
// fails (pending_dynamic_removal): the caller keeps it among the
//   hosts; see OnResult.
//
// Threads: main loop only; it alone writes the health flags.

#ifndef REMORA_HEALTH_ACTIVE_CHECKER_H_
#define REMORA_HEALTH_ACTIVE_CHECKER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "health/prober.h"
#include "lb/clock.h"
#include "lb/host.h"
#include "lb/random_source.h"

namespace remora::health {

using lb::Duration;
using lb::TimePoint;

struct ActiveCheckConfig {
  // Required by the API, no defaults there.
  Duration timeout{0};
  Duration interval{0};
  uint32_t unhealthy_threshold = 1;
  uint32_t healthy_threshold = 1;

  Duration initial_jitter{0};
  Duration interval_jitter{0};
  uint32_t interval_jitter_percent = 0;
  Duration no_traffic_interval = std::chrono::seconds(60);
  // Zero in the following: as the one it refines (interval, unhealthy_interval,
  // interval, no_traffic_interval).
  Duration unhealthy_interval{0};
  Duration unhealthy_edge_interval{0};
  Duration healthy_edge_interval{0};
  Duration no_traffic_healthy_interval{0};
  // Cluster.ignore_new_hosts_until_first_hc.
  bool ignore_new_hosts_until_first_check = false;
};

// What a result changed, for statistics, the event log and whether a new host
// set must be built.
struct CheckVerdict {
  bool flags_changed = false;  // the host's health or exclusion changed: rebuild the host set
  bool first_check = false;
  bool became_healthy = false;
  bool became_unhealthy = false;
  bool became_degraded = false;
  bool no_longer_degraded = false;
  bool healthy = false;  // afterwards
};

class ActiveChecker {
 public:
  ActiveChecker(const ActiveCheckConfig& config, uint64_t seed);

  // Brings the probed hosts to `hosts` (those whose check is not disabled). New
  // ones are marked failed and scheduled; gone ones lose the flags that checks
  // set, for what is not probed counts as passing, also if a probe is under
  // way. With `keep_verdicts` new ones keep the flags that the cluster's
  // previous checker left on them (the check changed, not the host); that
  // checker is then simply dropped. When checking ends for good, set no hosts.
  void SetHosts(absl::Span<const std::shared_ptr<lb::Host>> hosts, TimePoint now,
                bool keep_verdicts = false);

  // When TakeDue() next has something; nothing while no probe is scheduled.
  std::optional<TimePoint> NextDue();
  // Appends the hosts to be probed now. Each is then under way until
  // OnResult().
  void TakeDue(TimePoint now, std::vector<std::shared_ptr<lb::Host>>* due);

  // `cluster_had_traffic`: the cluster ever opened an upstream connection.
  // Unknown hosts (removed meanwhile) change nothing.
  CheckVerdict OnResult(lb::Host& host, ProbeResult result, TimePoint now,
                        bool cluster_had_traffic);

  // A response of ordinary traffic carried
  // `x-envoy-immediate-health-check-fail`: failed and excluded until the next
  // pass.
  CheckVerdict OnImmediateFail(lb::Host& host);

  size_t size() const { return hosts_.size(); }
  size_t healthy_count() const { return healthy_count_; }

 private:
  struct Tracked {
    std::shared_ptr<lb::Host> host;
    uint32_t passes = 0;
    uint32_t failures = 0;
    bool first_check = true;
    // Queue entries of an earlier stay of the same host are stale.
    uint64_t generation = 0;
  };
  struct Due {
    TimePoint at;
    uint64_t generation;
    lb::Host* host;
    // Heaps of the standard library keep the largest first.
    bool operator<(const Due& other) const { return at > other.at; }
  };
  enum class Change : uint8_t { kNone, kPending, kDone };

  void Forget(lb::Host& host);
  void Schedule(const Tracked& tracked, TimePoint at);
  bool IsStale(const Due& due) const;
  void PopQueue();
  Change Pass(Tracked& tracked, bool degraded, TimePoint now, CheckVerdict* verdict);
  Change Fail(Tracked& tracked, ProbeKind kind, CheckVerdict* verdict);
  void Conclude(Tracked& tracked, Change change, CheckVerdict* verdict);
  Duration NextInterval(bool healthy, Change change, bool cluster_had_traffic);
  Duration WithJitter(Duration base, Duration jitter);

  ActiveCheckConfig config_;
  lb::RandomSource random_;
  absl::flat_hash_map<const lb::Host*, Tracked> hosts_;
  std::vector<Due> queue_;  // heap, earliest first
  uint64_t next_generation_ = 1;
  size_t healthy_count_ = 0;
};

}  // namespace remora::health

#endif  // REMORA_HEALTH_ACTIVE_CHECKER_H_
