#include "lb/hash_key.h"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace remora::lb {

uint64_t XxHash64(absl::string_view bytes, uint64_t seed) {
  return XXH64(bytes.data(), bytes.size(), seed);
}

uint64_t MurmurHash2(absl::string_view bytes, uint64_t seed) {
  constexpr uint64_t kMultiplier = 0xc6a4a7935bd1e995ULL;
  const auto shift_mix = [](uint64_t value) { return value ^ (value >> 47); };
  uint64_t hash = seed ^ (bytes.size() * kMultiplier);
  const char* at = bytes.data();
  for (size_t left = bytes.size(); left > 0;) {
    const size_t step = std::min(left, sizeof(uint64_t));
    uint64_t word = 0;
    std::memcpy(&word, at, step);
    // The tail of fewer than eight bytes is not mixed beforehand.
    if (step == sizeof(word)) {
      word = shift_mix(word * kMultiplier) * kMultiplier;
    }
    hash = (hash ^ word) * kMultiplier;
    at += step;
    left -= step;
  }
  return shift_mix(shift_mix(hash) * kMultiplier);
}

void HashKey::AddAll(absl::Span<absl::string_view> values) {
  std::sort(values.begin(), values.end());
  uint64_t hash = 0;
  for (const absl::string_view value : values) hash = XxHash64(value, hash);
  AddHash(hash);
}

}  // namespace remora::lb
