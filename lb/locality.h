// Which hosts of a set a request chooses among: priority, panic, then locality
// by weight or by nearness. The answer is the id of one of the set's lists.
//
// By weight: a locality's weight times min(1, factor * available / hosts) (not
// counting excluded hosts), as an EDF schedule over localities.
//
// By nearness (zone-aware, priority 0 only, when both the upstream and the
// local cluster span two localities and enough hosts are healthy): shares are
// in 1/10,000. If the upstream's share of hosts in our zone is at least the
// local cluster's, all requests stay in it; else upstream / local of them do
// and the rest go to the zones whose upstream share exceeds their local one, in
// proportion to the excess.

#ifndef REMORA_LB_LOCALITY_H_
#define REMORA_LB_LOCALITY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lb/edf.h"
#include "lb/host_set.h"
#include "lb/policy.h"
#include "lb/priority.h"
#include "lb/random_source.h"

namespace remora::lb {

// The const half, part of a Policy.
class RoutingPlan {
 public:
  // `local_hosts` may be null. `hosts` must outlive the plan.
  RoutingPlan(const PolicyConfig& config, const HostSet& hosts, const HostSet* local_hosts);

  const PriorityState& priorities() const { return priorities_; }
  // Why zones are not looked at (PickNote bits of a policy).
  uint32_t notes() const { return notes_; }
  // The lists that Choose() may answer without a retry's own priority load:
  // what a picker prepares.
  std::vector<uint32_t> ReachableLists() const;

 private:
  friend class ListChooser;

  struct WeightedLocality {
    uint32_t list;
    double weight;
  };
  enum class ZoneRouting : uint8_t { kOff, kAllLocal, kResidual };

  std::vector<WeightedLocality> EffectiveWeights(const PriorityHosts& priority,
                                                 bool degraded) const;
  void PlanZones(const HostSet* local_hosts);
  void AppendReachable(uint32_t priority, bool degraded, std::vector<uint32_t>* ids) const;

  const HostSet& hosts_;
  LocalityMode mode_;
  ZoneAwareConfig zone_config_;
  PriorityState priorities_;
  // By priority: [healthy, degraded]. Empty lists mean no schedule.
  std::vector<std::vector<WeightedLocality>> weighted_[2];
  ZoneRouting zone_routing_ = ZoneRouting::kOff;
  uint32_t notes_ = 0;
  bool local_panic_ = false;
  uint64_t local_share_ = 0;        // of 10,000
  std::vector<uint64_t> residual_;  // summed up
  // All requests choose from this list: nothing to draw.
  std::optional<uint32_t> only_list_;
};

// The worker-local half, part of a Picker: the schedules over localities.
class ListChooser {
 public:
  // `plan` must outlive the chooser.
  ListChooser(const RoutingPlan& plan, uint64_t seed);

  // The list to pick from; nothing when traffic is to fail on panic.
  std::optional<uint32_t> Choose(PickContext& ctx) {
    if (plan_.only_list_.has_value() && ctx.priority_load == nullptr) {
      return plan_.only_list_;
    }
    return ChooseSlowly(ctx);
  }

 private:
  std::optional<uint32_t> ChooseSlowly(PickContext& ctx);
  uint32_t ChooseZone(PickContext& ctx, const PriorityHosts& priority, bool degraded) const;

  const RoutingPlan& plan_;
  // By priority: [healthy, degraded].
  std::vector<EdfQueue> schedules_[2];
};

}  // namespace remora::lb

#endif  // REMORA_LB_LOCALITY_H_
