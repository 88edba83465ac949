#include "health/ejections.h"

#include <algorithm>
#include <chrono>

namespace remora::health {

Ejections::Ejections(const EjectionLimits& limits) : limits_(limits) {
  limits_.max_time = std::max(limits_.max_time, limits_.base_time);
  limits_.max_percent = std::min<uint32_t>(limits_.max_percent, 100);
}

bool Ejections::Allowed(size_t hosts) const {
  if (limits_.always_one && active_ == 0) return true;
  return hosts > 0 && 100.0 * static_cast<double>(active_ + 1) / static_cast<double>(hosts) <=
                          limits_.max_percent;
}

void Ejections::Eject(Ejection& record, TimePoint now, lb::RandomSource& random) {
  ++active_;
  record.out = true;
  ++record.count;
  record.last_ejected = now;
  const auto jitter_ms = std::chrono::duration_cast<std::chrono::milliseconds>(limits_.jitter);
  record.jitter =
      std::chrono::milliseconds(random.Below(static_cast<uint64_t>(jitter_ms.count()) + 1));
  // Grows to the first multiple at or above the maximum and no further, so that
  // forgiving it again takes no longer than it took to get there.
  if (limits_.base_time * record.multiplier < limits_.max_time + limits_.base_time) {
    ++record.multiplier;
  }
}

void Ejections::Return(Ejection& record, TimePoint now) {
  --active_;
  record.out = false;
  record.last_returned = now;
}

bool Ejections::MayReturn(const Ejection& record, TimePoint now) const {
  const Duration time =
      std::min<Duration>(limits_.base_time * record.multiplier, limits_.max_time) + record.jitter;
  return now - *record.last_ejected >= time;
}

void Ejections::Forgive(Ejection& record) const {
  if (record.multiplier > 0) --record.multiplier;
}

void Ejections::Forget(const Ejection& record) {
  if (record.out) --active_;
}

}  // namespace remora::health
