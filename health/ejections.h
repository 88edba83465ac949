// Who is out of one cluster because of outlier detection, until when, and never
// more than the allowed share.
//
// An ejection is allowed if 100 * (ejected + 1) / hosts <= max_ejection_percent
// (of the whole cluster, not per priority), or if nobody is out and
// `always_eject_one_host`. It lasts min(base * k, max) + a random part of
// `jitter`, where k grows with each ejection of the host (while base * k is
// below max) and falls by one per sweep that finds it in. Main loop only.

#ifndef REMORA_HEALTH_EJECTIONS_H_
#define REMORA_HEALTH_EJECTIONS_H_

#include <cstdint>
#include <optional>

#include "lb/clock.h"
#include "lb/random_source.h"

namespace remora::health {

using lb::Duration;
using lb::TimePoint;

struct EjectionLimits {
  Duration base_time = std::chrono::seconds(30);
  Duration max_time = std::chrono::seconds(300);  // at least base_time, else base_time is meant
  Duration jitter{0};
  uint32_t max_percent = 10;
  bool always_one = false;
};

// One host's record.
struct Ejection {
  bool out = false;
  uint32_t count = 0;       // ejections ever
  uint32_t multiplier = 0;  // k
  Duration jitter{0};
  std::optional<TimePoint> last_ejected;
  std::optional<TimePoint> last_returned;
};

class Ejections {
 public:
  explicit Ejections(const EjectionLimits& limits);

  bool Allowed(size_t hosts) const;
  // `record.out` must be false.
  void Eject(Ejection& record, TimePoint now, lb::RandomSource& random);
  // `record.out` must be true.
  void Return(Ejection& record, TimePoint now);
  // Its time is over. `record.out` must be true.
  bool MayReturn(const Ejection& record, TimePoint now) const;
  // A sweep found the host in: forgive one ejection.
  void Forgive(Ejection& record) const;
  // The host has left the cluster.
  void Forget(const Ejection& record);

  size_t active() const { return active_; }

 private:
  EjectionLimits limits_;
  size_t active_ = 0;
};

}  // namespace remora::health

#endif  // REMORA_HEALTH_EJECTIONS_H_
