#ifndef REMORA_FILTERS_TOKEN_BUCKET_H_
#define REMORA_FILTERS_TOKEN_BUCKET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace remora {

// A token bucket for many threads without a lock: the one atomic is the moment at which the bucket
// was (or will be) empty; each token moves it forward by the time a token takes to come (the
// virtual scheduling form of the generic cell rate algorithm, ITU-T I.371 annex A).
class TokenBucket {
 public:
  // A full bucket of `most` tokens at `now_ns`, refilled with `per_fill` each `interval_ns`.
  TokenBucket(uint64_t most, uint64_t per_fill, int64_t interval_ns)
      : token_ns_(std::max<int64_t>(
            interval_ns / static_cast<int64_t>(std::max<uint64_t>(per_fill, 1)), 1)),
        depth_ns_(token_ns_ * static_cast<int64_t>(most)) {}

  bool Take(int64_t now_ns, uint64_t tokens = 1) {
    int64_t empty_at = empty_at_ns_.load(std::memory_order_relaxed);
    for (;;) {
      const int64_t start = std::max(empty_at, now_ns - depth_ns_);
      const int64_t next = start + token_ns_ * static_cast<int64_t>(tokens);
      if (next > now_ns) return false;
      if (empty_at_ns_.compare_exchange_weak(empty_at, next, std::memory_order_relaxed))
        return true;
    }
  }

  // The first of all calls leaves so many tokens in the bucket; later ones do nothing.
  void StartWith(uint64_t tokens, int64_t now_ns) {
    int64_t full = kLongAgo;
    empty_at_ns_.compare_exchange_strong(full, now_ns - token_ns_ * static_cast<int64_t>(tokens),
                                         std::memory_order_relaxed);
  }

  // As it was in the beginning.
  void Fill() { empty_at_ns_.store(kLongAgo, std::memory_order_relaxed); }

  // Until there is a token; 0 when there is one.
  int64_t NextTokenNs(int64_t now_ns) const {
    const int64_t start =
        std::max(empty_at_ns_.load(std::memory_order_relaxed), now_ns - depth_ns_);
    return std::max<int64_t>(start + token_ns_ - now_ns, 0);
  }

  uint64_t Tokens(int64_t now_ns) const {
    const int64_t start =
        std::max(empty_at_ns_.load(std::memory_order_relaxed), now_ns - depth_ns_);
    return start >= now_ns ? 0 : static_cast<uint64_t>((now_ns - start) / token_ns_);
  }

 private:
  int64_t token_ns_;
  int64_t depth_ns_;
  // Full.
  static constexpr int64_t kLongAgo = INT64_MIN / 2;
  std::atomic<int64_t> empty_at_ns_{kLongAgo};
};

}  // namespace remora

#endif  // REMORA_FILTERS_TOKEN_BUCKET_H_
