// Slow start: a host that has just become healthy takes a growing part of its
// weight, max(minimum, (age / window) ^ (1 / aggression)), until the window is
// over. Age counts from HostState::healthy_since_ns.

#ifndef REMORA_LB_SLOW_START_H_
#define REMORA_LB_SLOW_START_H_

#include <algorithm>
#include <cmath>

#include "lb/clock.h"
#include "lb/host.h"
#include "lb/policy.h"

namespace remora::lb {

inline bool SlowStartEnabled(const SlowStartConfig& config) { return config.window.count() > 0; }

// In (0, 1]. In whole milliseconds of age, at least one, as Envoy counts them.
inline double SlowStartFactor(const SlowStartConfig& config, const HostState& state,
                              TimePoint now) {
  const int64_t since = state.healthy_since_ns.load(std::memory_order_relaxed);
  if (since == 0 || CoarseHealth(state.flags.load(std::memory_order_relaxed)) != Health::kHealthy) {
    return 1.0;
  }
  const int64_t age_ms = (now.count() - since) / 1'000'000;
  const int64_t window_ms = config.window.count() / 1'000'000;
  if (age_ms >= window_ms) return 1.0;
  const double part =
      static_cast<double>(std::max<int64_t>(age_ms, 1)) / static_cast<double>(window_ms);
  const double curve = config.aggression == 1.0 ? part : std::pow(part, 1.0 / config.aggression);
  return std::max(curve, config.min_weight_percent / 100.0);
}

}  // namespace remora::lb

#endif  // REMORA_LB_SLOW_START_H_
