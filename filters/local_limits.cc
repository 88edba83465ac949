#include "filters/local_limits.h"

#include <algorithm>

#include "absl/hash/hash.h"
#include "envoy/extensions/common/ratelimit/v3/ratelimit.pb.h"
#include "envoy/type/v3/token_bucket.pb.h"

namespace remora {
namespace {

constexpr int64_t kSecond = 1000000000;
constexpr int64_t kLeastInterval = kSecond / 20;

std::unique_ptr<TokenBucket> MakeBucket(const BucketSize& size) {
  return std::make_unique<TokenBucket>(size.most, size.per_fill, size.interval_ns);
}

}  // namespace

absl::StatusOr<BucketSize> BucketSize::Parse(const envoy::type::v3::TokenBucket& proto) {
  BucketSize out;
  out.most = proto.max_tokens();
  if (proto.has_tokens_per_fill()) out.per_fill = proto.tokens_per_fill().value();
  out.interval_ns = proto.fill_interval().seconds() * kSecond + proto.fill_interval().nanos();
  if (out.interval_ns < kLeastInterval) {
    return absl::InvalidArgumentError("local rate limit token bucket fill timer must be >= 50ms");
  }
  return out;
}

absl::StatusOr<std::unique_ptr<LocalLimits>> LocalLimits::Make(std::optional<BucketSize> common,
                                                               bool always_common,
                                                               const Proto& descriptors,
                                                               uint32_t most_open) {
  auto out = std::make_unique<LocalLimits>();
  out->common_size_ = common;
  if (common) out->common_ = MakeBucket(*common);
  out->always_common_ = always_common;
  for (const auto& proto : descriptors) {
    Rule rule;
    bool open = false;
    for (const auto& entry : proto.entries()) {
      rule.entries.emplace_back(entry.key(), entry.value());
      open = open || entry.value().empty();
    }
    absl::StatusOr<BucketSize> size = BucketSize::Parse(proto.token_bucket());
    if (!size.ok()) return size.status();
    rule.size = *size;
    rule.shadow = proto.shadow_mode();
    if (!open) rule.bucket = MakeBucket(rule.size);
    for (uint32_t i = 0; open && i < most_open; ++i) {
      rule.open.push_back(std::make_unique<Slot>());
      rule.open.back()->bucket = MakeBucket(rule.size);
    }
    for (const Rule& other : out->rules_) {
      if (other.entries == rule.entries) {
        return absl::InvalidArgumentError("duplicate descriptor in the local rate descriptor");
      }
    }
    out->rules_.push_back(std::move(rule));
  }
  // The limit that is hardest to meet is asked first.
  std::stable_sort(out->rules_.begin(), out->rules_.end(),
                   [](const Rule& a, const Rule& b) { return a.size.rate() < b.size.rate(); });
  return out;
}

bool LocalLimits::Rule::Matches(const RateLimitDescriptor& descriptor) const {
  if (descriptor.entries.size() != entries.size()) return false;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (descriptor.entries[i].first != entries[i].first) return false;
    if (!entries[i].second.empty() && descriptor.entries[i].second != entries[i].second) {
      return false;
    }
  }
  return true;
}

TokenBucket* LocalLimits::Rule::BucketOf(const RateLimitDescriptor& descriptor, int64_t now_ns) {
  if (bucket != nullptr) return bucket.get();
  if (open.empty()) return nullptr;
  const uint64_t hash = absl::HashOf(descriptor.entries) | 1;
  Slot* oldest = open.front().get();
  for (const std::unique_ptr<Slot>& slot : open) {
    if (slot->hash.load(std::memory_order_acquire) == hash) {
      slot->used_ns.store(now_ns, std::memory_order_relaxed);
      return slot->bucket.get();
    }
    if (slot->used_ns.load(std::memory_order_relaxed) <
        oldest->used_ns.load(std::memory_order_relaxed)) {
      oldest = slot.get();
    }
  }
  oldest->used_ns.store(now_ns, std::memory_order_relaxed);
  oldest->bucket->Fill();
  oldest->hash.store(hash, std::memory_order_release);
  return oldest->bucket.get();
}

LocalLimits::Result LocalLimits::Take(absl::Span<const RateLimitDescriptor> request,
                                      int64_t now_ns) {
  Result first;
  bool shadowed = false;
  Result shadow;
  for (Rule& rule : rules_) {
    for (const RateLimitDescriptor& descriptor : request) {
      if (!rule.Matches(descriptor)) continue;
      TokenBucket* bucket = rule.BucketOf(descriptor, now_ns);
      if (bucket == nullptr) continue;
      Result one{true, false, bucket, rule.size.most, descriptor.x_ratelimit};
      if (first.bucket == nullptr) first = one;
      if (bucket->Take(now_ns, descriptor.hits.value_or(1))) continue;
      one.allowed = false;
      one.shadow = rule.shadow;
      if (!rule.shadow) return one;
      if (!std::exchange(shadowed, true)) shadow = one;
    }
  }
  if ((first.bucket == nullptr || always_common_) && common_ != nullptr) {
    const Result common{true, false, common_.get(), common_size_->most};
    if (!common_->Take(now_ns)) {
      Result refused = common;
      refused.allowed = false;
      return refused;
    }
    if (first.bucket == nullptr) first = common;
  }
  return shadowed ? shadow : first;
}

}  // namespace remora
