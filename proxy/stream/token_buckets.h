#ifndef REMORA_PROXY_STREAM_TOKEN_BUCKETS_H_
#define REMORA_PROXY_STREAM_TOKEN_BUCKETS_H_

#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "absl/time/time.h"
#include "filters/token_bucket.h"

namespace remora::proxy {

// Token buckets that several filters draw from because they name the same share_key and describe
// the same bucket. Main's; the buckets themselves are for any thread.
class TokenBuckets {
 public:
  // A bucket of its own when `key` is empty. Whoever draws holds it; it starts full.
  std::shared_ptr<TokenBucket> Get(const std::string& key, uint64_t most, uint64_t per_fill,
                                   absl::Duration interval) {
    const int64_t interval_ns = absl::ToInt64Nanoseconds(interval);
    std::weak_ptr<TokenBucket> unshared;
    std::weak_ptr<TokenBucket>& known =
        key.empty() ? unshared : shared_[{key, most, per_fill, interval_ns}];
    std::shared_ptr<TokenBucket> bucket = known.lock();
    if (bucket == nullptr) {
      bucket = std::make_shared<TokenBucket>(most, per_fill, interval_ns);
      known = bucket;
    }
    return bucket;
  }

 private:
  std::map<std::tuple<std::string, uint64_t, uint64_t, int64_t>, std::weak_ptr<TokenBucket>>
      shared_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_TOKEN_BUCKETS_H_
