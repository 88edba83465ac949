// Exact success ratio over the last N intervals, from two counters that only
// grow.
//
// Workers add to a pair of shared counters and never reset them; the owner
// marks the end of each interval with Advance() and reads the ratio between the
// oldest mark kept and the newest. So no bucket is swapped under a writer's
// feet and no count is lost. Counters may wrap around.

#ifndef REMORA_HEALTH_SUCCESS_WINDOW_H_
#define REMORA_HEALTH_SUCCESS_WINDOW_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace remora::health {

template <size_t kIntervals>
class SuccessWindow {
 public:
  // The counters' values now: an interval ends.
  void Advance(uint32_t total, uint32_t success) {
    newest_ = (newest_ + 1) % marks_.size();
    marks_[newest_] = {total, success};
  }

  // Over the last `kIntervals` complete intervals (those before the first
  // Advance count as empty).
  uint32_t total() const { return marks_[newest_].total - oldest().total; }
  uint32_t success() const { return marks_[newest_].success - oldest().success; }
  // In percent; total() must not be 0. A success may be counted in the interval
  // before its request: never above 100.
  double success_percent() const {
    const double percent = 100.0 * success() / total();
    return percent > 100.0 ? 100.0 : percent;
  }

 private:
  struct Mark {
    uint32_t total = 0;
    uint32_t success = 0;
  };
  const Mark& oldest() const { return marks_[(newest_ + 1) % marks_.size()]; }

  std::array<Mark, kIntervals + 1> marks_ = {};
  size_t newest_ = 0;
};

}  // namespace remora::health

#endif  // REMORA_HEALTH_SUCCESS_WINDOW_H_
