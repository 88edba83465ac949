#ifndef REMORA_PROXY_MAIN_DRAIN_H_
#define REMORA_PROXY_MAIN_DRAIN_H_

#include <algorithm>
#include <cstdint>

namespace remora::proxy {

// A drain under way: clients are asked to go, all at once or (gradual) each response with a chance
// that grows over the drain time, so that they do not all come back at the same moment.
struct Drain {
  bool active = false;
  bool immediate = false;
  int64_t start_ns = 0;
  int64_t duration_ns = 0;

  // `random`: any 64-bit number.
  bool Asks(int64_t now_ns, uint64_t random) const {
    if (!active) return false;
    if (immediate || duration_ns <= 0) return true;
    const int64_t elapsed = std::min(now_ns - start_ns, duration_ns);
    return static_cast<int64_t>(random % static_cast<uint64_t>(duration_ns)) < elapsed;
  }
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_DRAIN_H_
