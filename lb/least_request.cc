// Least request: where all weigh the same, the least busy of a few drawn with
// replacement (or of all); else EDF by weight / (active + 1) ^ bias, the
// active requests read when a host is queued again.

#include <cmath>
#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "lb/list_policy.h"
#include "lb/makers.h"
#include "lb/slow_start.h"
#include "lb/weighted_queues.h"

namespace remora::lb {

namespace {

class LeastRequest {
 public:
  using Config = LeastRequestConfig;

  // The queue does not go on where the predecessor's was: its order is a matter
  // of who is busy now.
  LeastRequest(const LeastRequestConfig& config, const HostSet& hosts,
               const LeastRequest* /*predecessor*/, absl::Span<const uint32_t> reachable,
               uint64_t seed, TimePoint now)
      : config_(config), hosts_(hosts), queues_(hosts, config.slow_start, seed, now) {
    for (const uint32_t id : reachable) {
      const HostList& list = hosts.list(id);
      if (queues_.Uses(list)) queues_.Get(id, list, WeightOf{*this, list, now});
    }
  }

  uint32_t Pick(uint32_t id, const HostList& list, PickContext& ctx) {
    if (queues_.Uses(list)) {
      const WeightOf weight_of{*this, list, ctx.now};
      EdfQueue& queue = queues_.Get(id, list, weight_of);
      const uint32_t number = list.At(queue.Next());
      // Arrives while the queue is put in order.
      __builtin_prefetch(&hosts_.host(number)->state(), 1);
      queue.Pick(weight_of);
      return number;
    }
    return config_.full_scan ? LeastOfAll(list, ctx.random) : LeastOfSome(list, ctx.random);
  }

 private:
  struct WeightOf {
    const LeastRequest& self;
    const HostList& list;
    TimePoint now;

    double operator()(uint32_t member) const {
      const uint32_t number = list.At(member);
      const double busy = 1.0 + self.Active(number);
      const double bias = self.config_.active_request_bias;
      double weight = self.hosts_.weight(number);
      if (bias == 1.0) {
        weight /= busy;
      } else if (bias != 0.0) {
        weight /= std::pow(busy, bias);
      }
      if (!self.queues_.slow_start()) return weight;
      return weight *
             SlowStartFactor(self.config_.slow_start, self.hosts_.host(number)->state(), now);
    }
  };

  uint32_t Active(uint32_t number) const {
    return hosts_.host(number)->state().rq_active.load(std::memory_order_relaxed);
  }

  uint32_t LeastOfSome(const HostList& list, RandomSource& random) const {
    if (config_.choice_count == 2) {
      // Both lines are fetched before either is looked at.
      const uint32_t first = list.At(random.Below(list.size()));
      const uint32_t second = list.At(random.Below(list.size()));
      const uint32_t first_active = Active(first);
      const uint32_t second_active = Active(second);
      return second_active < first_active ? second : first;
    }
    uint32_t best = list.At(random.Below(list.size()));
    uint32_t best_active = Active(best);
    for (uint32_t i = 1; i < config_.choice_count; ++i) {
      const uint32_t number = list.At(random.Below(list.size()));
      const uint32_t active = Active(number);
      if (active < best_active) {
        best = number;
        best_active = active;
      }
    }
    return best;
  }

  // Any of those that tie, each with the same chance.
  uint32_t LeastOfAll(const HostList& list, RandomSource& random) const {
    uint32_t best = list.At(0);
    uint32_t best_active = Active(best);
    uint64_t tied = 1;
    for (size_t i = 1; i < list.size(); ++i) {
      const uint32_t number = list.At(i);
      const uint32_t active = Active(number);
      if (active > best_active) continue;
      tied = active < best_active ? 1 : tied + 1;
      if (active < best_active || random.Below(tied) == 0) best = number;
      best_active = active;
    }
    return best;
  }

  const LeastRequestConfig& config_;
  const HostSet& hosts_;
  WeightedQueues queues_;
};

}  // namespace

std::shared_ptr<const Policy> MakeLeastRequest(const PolicyConfig& config,
                                               std::shared_ptr<const HostSet> hosts,
                                               std::shared_ptr<const HostSet> local_hosts) {
  return ListPolicy<LeastRequest>::Make(config, std::move(hosts), std::move(local_hosts));
}

}  // namespace remora::lb
