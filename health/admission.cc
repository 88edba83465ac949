#include "health/admission.h"

#include <algorithm>

namespace remora::health {

void Breakers::SetLimits(const BreakerLimits& limits) {
  const auto set = [this](Resource resource, uint32_t limit) {
    cells_[Index(resource)].limit.store(limit, std::memory_order_relaxed);
  };
  set(Resource::kConnections, limits.max_connections);
  set(Resource::kPending, limits.max_pending_requests);
  set(Resource::kRequests, limits.max_requests);
  set(Resource::kRetries, limits.max_retries);
  set(Resource::kConnectionPools, limits.max_connection_pools);
  retry_budget_percent_.store(limits.retry_budget_percent, std::memory_order_relaxed);
  min_retry_concurrency_.store(limits.min_retry_concurrency, std::memory_order_relaxed);
}

Ticket Breakers::TryTake(Resource resource) {
  const uint32_t most = limit(resource);
  std::atomic<uint32_t>& count = cells_[Index(resource)].count;
  // Looked at first, so that a closed breaker's line is not written by every
  // request that it turns away.
  if (count.load(std::memory_order_relaxed) >= most) return Ticket();
  if (count.fetch_add(1, std::memory_order_relaxed) >= most) {
    count.fetch_sub(1, std::memory_order_relaxed);
    return Ticket();
  }
  return Ticket(&count);
}

Ticket Breakers::Take(Resource resource) {
  std::atomic<uint32_t>& count = cells_[Index(resource)].count;
  count.fetch_add(1, std::memory_order_relaxed);
  return Ticket(&count);
}

uint32_t Breakers::limit(Resource resource) const {
  const uint32_t fixed = cells_[Index(resource)].limit.load(std::memory_order_relaxed);
  if (resource != Resource::kRetries) return fixed;
  const double percent = retry_budget_percent_.load(std::memory_order_relaxed);
  if (percent < 0) return fixed;
  const uint64_t under_way = uint64_t{count(Resource::kRequests)} + count(Resource::kPending);
  const auto share = static_cast<uint64_t>(percent / 100.0 * static_cast<double>(under_way));
  return static_cast<uint32_t>(
      std::max<uint64_t>(share, min_retry_concurrency_.load(std::memory_order_relaxed)));
}

}  // namespace remora::health
