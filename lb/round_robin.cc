// Round robin: in turn from a random start where all weigh the same, else in
// EDF order by weight. An update goes on where the rotation was.

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "lb/list_policy.h"
#include "lb/makers.h"
#include "lb/slow_start.h"
#include "lb/weighted_queues.h"

namespace remora::lb {

namespace {

class RoundRobin {
 public:
  using Config = RoundRobinConfig;

  RoundRobin(const RoundRobinConfig& config, const HostSet& hosts, const RoundRobin* predecessor,
             absl::Span<const uint32_t> reachable, uint64_t seed, TimePoint now)
      : hosts_(hosts),
        slow_start_(config.slow_start),
        queues_(hosts, config.slow_start, seed, now),
        cursors_(hosts.lists().size()) {
    for (uint32_t id = 0; id < cursors_.size(); ++id) {
      const size_t size = hosts.list(id).size();
      if (size == 0) continue;
      const bool known = predecessor != nullptr && id < predecessor->cursors_.size();
      cursors_[id] = static_cast<uint32_t>((known ? predecessor->cursors_[id] : seed) % size);
    }
    for (const uint32_t id : reachable) {
      const HostList& list = hosts.list(id);
      if (!queues_.Uses(list)) continue;
      if (predecessor != nullptr) queues_.Continue(predecessor->queues_, id);
      queues_.Get(id, list, WeightOf{*this, list, now});
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
    uint32_t& cursor = cursors_[id];
    const uint32_t number = list.At(cursor);
    if (++cursor == list.size()) cursor = 0;
    return number;
  }

 private:
  struct WeightOf {
    const RoundRobin& self;
    const HostList& list;
    TimePoint now;

    double operator()(uint32_t member) const {
      const uint32_t number = list.At(member);
      const double weight = self.hosts_.weight(number);
      if (!self.queues_.slow_start()) return weight;
      return weight * SlowStartFactor(self.slow_start_, self.hosts_.host(number)->state(), now);
    }
  };

  const HostSet& hosts_;
  const SlowStartConfig& slow_start_;
  WeightedQueues queues_;
  std::vector<uint32_t> cursors_;  // by list
};

}  // namespace

std::shared_ptr<const Policy> MakeRoundRobin(const PolicyConfig& config,
                                             std::shared_ptr<const HostSet> hosts,
                                             std::shared_ptr<const HostSet> local_hosts) {
  return ListPolicy<RoundRobin>::Make(config, std::move(hosts), std::move(local_hosts));
}

}  // namespace remora::lb
