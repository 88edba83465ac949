// Which priority level takes a request: spill-over between levels and panic.
//
// With h_p = min(100, factor * healthy / total) (total without excluded hosts),
// d_p the same for degraded hosts and N = min(100, sum of all h_p + d_p), level
// p takes min(rest, h_p * 100 / N) percent to its healthy hosts, then what is
// left is given out in the same way by d_p to degraded hosts, and what rounding
// leaves goes to the first level that has any. Integer arithmetic throughout,
// as Envoy's.
//
// Panic (a level uses all its hosts): never when N = 100; else when its share
// of healthy and degraded hosts is below the threshold. When every level
// panics, load goes by the number of hosts. With threshold 0 nothing panics; if
// nobody is available then, level 0 gets everything (and finds no host).

#ifndef REMORA_LB_PRIORITY_H_
#define REMORA_LB_PRIORITY_H_

#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "lb/host_set.h"

namespace remora::lb {

// Percentages per priority; all of `healthy` and `degraded` together add up to
// 100.
struct PriorityLoad {
  absl::InlinedVector<uint32_t, 4> healthy;
  absl::InlinedVector<uint32_t, 4> degraded;
};

struct PriorityState {
  // h_p and d_p.
  absl::InlinedVector<uint32_t, 4> health;
  absl::InlinedVector<uint32_t, 4> degraded_health;
  PriorityLoad load;
  absl::InlinedVector<bool, 4> panic;
};

// What one priority of a host set brings to the reckoning.
struct LevelHealth {
  uint32_t health = 0;           // h_p
  uint32_t degraded_health = 0;  // d_p
  uint64_t healthy_hosts = 0;
  uint64_t degraded_hosts = 0;
  uint64_t counted_hosts = 0;  // without excluded ones
  uint64_t all_hosts = 0;
};
LevelHealth LevelOf(const HostSet& hosts, uint32_t priority);
// Levels may come from several host sets (aggregate clusters); at least one.
PriorityState CombineLevels(absl::Span<const LevelHealth> levels, double panic_threshold);

// `panic_threshold` in percent, 0 disables panic.
PriorityState ComputePriorities(const HostSet& hosts, double panic_threshold);

// Spreads 100 percent over the given h_p and d_p: the first half of the above,
// for retry policies that mask priorities already tried. Leaves the load at
// zero when all are zero.
PriorityLoad DistributeLoad(absl::Span<const uint32_t> health,
                            absl::Span<const uint32_t> degraded_health);

// Fewer than `panic_threshold` percent of the (not excluded) hosts of a
// priority are healthy or degraded.
bool InPanic(const HostSet& hosts, uint32_t priority, double panic_threshold);

struct ChosenPriority {
  uint32_t priority;
  bool degraded;
};
// By `hash` % 100.
ChosenPriority ChoosePriority(uint64_t hash, const PriorityLoad& load);

}  // namespace remora::lb

#endif  // REMORA_LB_PRIORITY_H_
