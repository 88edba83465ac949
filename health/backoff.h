// Jittered exponential delay, as a value: full jitter, as Envoy's (a uniform
// draw from [0, interval), the interval doubling up to a maximum).
//
// Used by route retries (25 ms base, 10 times that at most), xDS reconnects
// (0.5 s base, 30 s at most), DNS failures.

#ifndef REMORA_HEALTH_BACKOFF_H_
#define REMORA_HEALTH_BACKOFF_H_

#include <algorithm>
#include <cstdint>

#include "lb/clock.h"
#include "lb/random_source.h"

namespace remora::health {

using lb::Duration;
using lb::TimePoint;

class Backoff {
 public:
  // 0 < base <= max.
  Backoff(Duration base, Duration max) : base_(base), max_(max), interval_(base) {}

  // What reconnecting to a control plane uses unless configured.
  static Backoff ForXds() {
    return Backoff(std::chrono::milliseconds(500), std::chrono::seconds(30));
  }
  // What route retries use unless configured: 25 ms, at most ten times the
  // base.
  static Backoff ForRetries(Duration base = std::chrono::milliseconds(25)) {
    return Backoff(base, base * 10);
  }

  // The wait before the next attempt, in whole milliseconds: 0 <= wait < the
  // current interval. Doubles the interval, up to the maximum.
  Duration Next(lb::RandomSource& random) {
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(interval_).count();
    interval_ = interval_ > max_ / 2 ? max_ : interval_ * 2;
    return std::chrono::milliseconds(
        random.Below(static_cast<uint64_t>(std::max<int64_t>(milliseconds, 1))));
  }

  // After a success.
  void Reset() { interval_ = base_; }

 private:
  Duration base_;
  Duration max_;
  Duration interval_;
};

}  // namespace remora::health

#endif  // REMORA_HEALTH_BACKOFF_H_
