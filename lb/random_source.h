// A fast, small, seedable generator (wyrand, Wang Yi, public domain): one per
// worker, never shared, not for secrets.
//
// Everything in lb/ and health/ that needs chance takes one of these, so a seed
// replays a test exactly.

#ifndef REMORA_LB_RANDOM_SOURCE_H_
#define REMORA_LB_RANDOM_SOURCE_H_

#include <cstdint>

namespace remora::lb {

class RandomSource {
 public:
  explicit RandomSource(uint64_t seed) : state_(seed) {}

  // Uniform over all 64-bit values.
  uint64_t Next() {
    state_ += 0xa0761d6478bd642fULL;
    const unsigned __int128 product =
        static_cast<unsigned __int128>(state_) * (state_ ^ 0xe7037ed1a0b428dbULL);
    return static_cast<uint64_t>(product >> 64) ^ static_cast<uint64_t>(product);
  }

  // Uniform over [0, bound); bound > 0. Multiplies instead of dividing; the
  // bias is below bound / 2^64.
  uint64_t Below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }

 private:
  uint64_t state_;
};

}  // namespace remora::lb

#endif  // REMORA_LB_RANDOM_SOURCE_H_
