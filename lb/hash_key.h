// Hashes that must agree with Envoy's bit for bit, and the fold of a route's
// hash policies into one key.

#ifndef REMORA_LB_HASH_KEY_H_
#define REMORA_LB_HASH_KEY_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace remora::lb {

uint64_t XxHash64(absl::string_view bytes, uint64_t seed = 0);
// 64-bit MurmurHash2 as libstdc++'s std::hash uses it, which is what
// MURMUR_HASH_2 rings are built of. Little-endian machines only.
uint64_t MurmurHash2(absl::string_view bytes, uint64_t seed = 0xc70f6907);

// Folds the values that a route's hash policies name, in the order of the
// policies, into the key for PickContext::hash:
//   HashKey key;
//   if (header) key.Add(value); ... if (policy.terminal && key.has_value())
//   break;
class HashKey {
 public:
  // One policy's value: a header with one value, cookie, source address
  // (without port), query parameter.
  void Add(absl::string_view value) { AddHash(XxHash64(value)); }
  // A header with several values. Sorts `values` in place.
  void AddAll(absl::Span<absl::string_view> values);
  // A value that is a hash already (filter state).
  void AddHash(uint64_t hash) {
    // Rotating keeps two equal values from cancelling each other out.
    hash_ = has_value_ ? ((hash_ << 1) | (hash_ >> 63)) ^ hash : hash;
    has_value_ = true;
  }

  bool has_value() const { return has_value_; }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0;
  bool has_value_ = false;
};

}  // namespace remora::lb

#endif  // REMORA_LB_HASH_KEY_H_
