// Admission: how much a cluster may have under way. Circuit-breaker counts that
// all workers share, and tickets that give themselves back.
//
// Counts are relaxed atomics, each on its own cache line; a ticket is taken
// with one add and, if that went above the limit, given back at once, so limits
// hold exactly across workers (Envoy's may overshoot). The counts outlive
// snapshots and the limits may change under them.
//
// Threads: tickets may be taken and dropped on any worker. A ticket must not
// outlive its Breakers: whoever holds one pins the cluster.

#ifndef REMORA_HEALTH_ADMISSION_H_
#define REMORA_HEALTH_ADMISSION_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>

namespace remora::health {

enum class Resource : uint8_t { kConnections, kPending, kRequests, kRetries, kConnectionPools };
inline constexpr int kResourceCount = 5;

enum class RoutingPriority : uint8_t { kDefault, kHigh };

// Of one priority; defaults are Envoy's.
struct BreakerLimits {
  uint32_t max_connections = 1024;
  uint32_t max_pending_requests = 1024;
  uint32_t max_requests = 1024;
  uint32_t max_retries = 3;
  uint32_t max_connection_pools = UINT32_MAX;
  // Instead of max_retries: so many percent of what is active and pending, but
  // at least min_retry_concurrency. Negative: no budget.
  double retry_budget_percent = -1;
  uint32_t min_retry_concurrency = 3;
};

// One unit of a resource; move-only; the destructor gives it back.
class Ticket {
 public:
  Ticket() = default;
  Ticket(Ticket&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Ticket& operator=(Ticket&& other) noexcept {
    if (this != &other) {
      Release();
      count_ = std::exchange(other.count_, nullptr);
    }
    return *this;
  }
  ~Ticket() { Release(); }

  explicit operator bool() const { return count_ != nullptr; }
  void Release() {
    if (count_ != nullptr) std::exchange(count_, nullptr)->fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  friend class Breakers;
  explicit Ticket(std::atomic<uint32_t>* count) : count_(count) {}

  std::atomic<uint32_t>* count_ = nullptr;
};

// The counts of one cluster and routing priority.
class Breakers {
 public:
  explicit Breakers(const BreakerLimits& limits) { SetLimits(limits); }

  Breakers(const Breakers&) = delete;
  Breakers& operator=(const Breakers&) = delete;

  // Main, when the cluster's configuration changes. Tickets out stay out.
  void SetLimits(const BreakerLimits& limits);

  // An empty ticket when the limit is reached: that is an overflow, for the
  // caller to count.
  Ticket TryTake(Resource resource);
  // Past the limit if need be: the one connection per host and worker that is
  // always allowed.
  Ticket Take(Resource resource);
  // Would TryTake give nothing now? For the `*_open` gauges.
  bool IsOpen(Resource resource) const { return count(resource) >= limit(resource); }
  uint32_t count(Resource resource) const {
    return cells_[Index(resource)].count.load(std::memory_order_relaxed);
  }
  // The limit now; of retries under a budget, what the budget allows at this
  // moment.
  uint32_t limit(Resource resource) const;
  // For the `remaining_*` gauges.
  uint32_t remaining(Resource resource) const {
    const uint32_t most = limit(resource);
    const uint32_t taken = count(resource);
    return taken < most ? most - taken : 0;
  }
  // The count itself, for PickContext::cluster_rq_active.
  const std::atomic<uint32_t>* counter(Resource resource) const {
    return &cells_[Index(resource)].count;
  }

 private:
  static constexpr size_t Index(Resource resource) { return static_cast<size_t>(resource); }

  struct alignas(64) Cell {
    std::atomic<uint32_t> count{0};
    std::atomic<uint32_t> limit{0};
  };
  std::array<Cell, kResourceCount> cells_;
  std::atomic<double> retry_budget_percent_{-1};
  std::atomic<uint32_t> min_retry_concurrency_{3};
};

// Both priorities of one cluster.
struct ClusterBreakers {
  ClusterBreakers(const BreakerLimits& default_limits, const BreakerLimits& high_limits)
      : default_priority(default_limits), high_priority(high_limits) {}

  Breakers& at(RoutingPriority priority) {
    return priority == RoutingPriority::kHigh ? high_priority : default_priority;
  }

  Breakers default_priority;
  Breakers high_priority;
};

}  // namespace remora::health

#endif  // REMORA_HEALTH_ADMISSION_H_
