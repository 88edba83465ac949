#ifndef REMORA_FILTERS_LOCAL_LIMITS_H_
#define REMORA_FILTERS_LOCAL_LIMITS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "filters/rate_limits.h"
#include "filters/token_bucket.h"

namespace envoy::extensions::common::ratelimit::v3 {
class LocalRateLimitDescriptor;
}
namespace envoy::type::v3 {
class TokenBucket;
}
namespace google::protobuf {
template <typename T>
class RepeatedPtrField;
}

namespace remora {

// The sizes of a bucket and what makes it.
struct BucketSize {
  uint64_t most = 0;
  uint64_t per_fill = 1;
  int64_t interval_ns = 0;

  static absl::StatusOr<BucketSize> Parse(const envoy::type::v3::TokenBucket& proto);
  double rate() const { return static_cast<double>(per_fill) / static_cast<double>(interval_ns); }
};

// Buckets counted in this process: one for all requests, one for each descriptor of the
// configuration, and, where a descriptor leaves a value open, one for each value of late.
//
// Threads: any, without locks.
class LocalLimits {
 public:
  using Proto = google::protobuf::RepeatedPtrField<
      envoy::extensions::common::ratelimit::v3::LocalRateLimitDescriptor>;

  // What a request may do, and the bucket that says so; null when nothing limits it.
  struct Result {
    bool allowed = true;
    bool shadow = false;  // not allowed, by a limit that only counts
    TokenBucket* bucket = nullptr;
    uint64_t most = 0;  // of the bucket
    RateLimitDescriptor::Headers headers = RateLimitDescriptor::Headers::kDefault;
  };

  // `common`: the bucket of all requests, absent: none. `always_common`: a request that a
  // descriptor counts is counted there as well.
  static absl::StatusOr<std::unique_ptr<LocalLimits>> Make(std::optional<BucketSize> common,
                                                           bool always_common,
                                                           const Proto& descriptors,
                                                           uint32_t most_open);
  Result Take(absl::Span<const RateLimitDescriptor> request, int64_t now_ns);

 private:
  // The buckets of an open value; the one used least lately makes room.
  struct Slot {
    std::atomic<uint64_t> hash{0};
    std::atomic<int64_t> used_ns{0};
    std::unique_ptr<TokenBucket> bucket;
  };
  struct Rule {
    RateLimitDescriptor::Entries entries;
    BucketSize size;
    bool shadow = false;
    std::unique_ptr<TokenBucket> bucket;  // null: a value is open
    std::vector<std::unique_ptr<Slot>> open;

    bool Matches(const RateLimitDescriptor& descriptor) const;
    TokenBucket* BucketOf(const RateLimitDescriptor& descriptor, int64_t now_ns);
  };

  std::optional<BucketSize> common_size_;
  std::unique_ptr<TokenBucket> common_;
  bool always_common_ = true;
  std::vector<Rule> rules_;  // the slowest first
};

}  // namespace remora

#endif  // REMORA_FILTERS_LOCAL_LIMITS_H_
