// One EDF queue per list of a host set, where weights differ or hosts are in
// slow start: what round robin and least request have in common. Worker-local.
//
// Queues of lists that traffic can reach are made with the picker; others (a
// retry may mask priorities) on their first pick.

#ifndef REMORA_LB_WEIGHTED_QUEUES_H_
#define REMORA_LB_WEIGHTED_QUEUES_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "lb/edf.h"
#include "lb/host_set.h"
#include "lb/policy.h"

namespace remora::lb {

class WeightedQueues {
 public:
  // Stamps hosts that have no `healthy_since_ns` if slow start is on.
  WeightedQueues(const HostSet& hosts, const SlowStartConfig& slow_start, uint64_t seed,
                 TimePoint now);

  // Picks from this list go by weight, not by plain rotation or sampling.
  bool Uses(const HostList& list) const {
    return list.size() > 1 && (!list.equal_weights() || slow_start_);
  }
  bool slow_start() const { return slow_start_; }
  uint64_t seed() const { return seed_; }

  // The queue of a list for which Uses() is true.
  template <typename WeightOf>
  EdfQueue& Get(uint32_t id, const HostList& list, WeightOf weight_of) {
    std::unique_ptr<EdfQueue>& queue = queues_[id];
    if (queue == nullptr) {
      queue = std::make_unique<EdfQueue>(static_cast<uint32_t>(list.size()),
                                         static_cast<uint32_t>(seed_), weight_of);
    }
    return *queue;
  }

  // Goes on where `old` was with the hosts that both lists have, each as far
  // into its turn as it was; others come a full turn later. `id` means the same
  // list in both sets. Without such a queue in `old`, does nothing.
  void Continue(const WeightedQueues& old, uint32_t id);

 private:
  double ConfiguredWeight(const HostList& list, uint32_t member) const {
    return hosts_.weight(list.At(member));
  }

  const HostSet& hosts_;
  uint64_t seed_;
  bool slow_start_ = false;
  std::vector<std::unique_ptr<EdfQueue>> queues_;
};

}  // namespace remora::lb

#endif  // REMORA_LB_WEIGHTED_QUEUES_H_
