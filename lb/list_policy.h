// What the policies that pick from a list share (round robin, least request,
// random): priority, panic and locality choose the list, the algorithm chooses
// from it, and a retry's predicate may ask for another choice.
//
// An Algorithm is worker-local and has
//   `Config`, its alternative of PolicyConfig::algorithm;
//   Algorithm(const Config&, const HostSet&, const Algorithm* predecessor,
//             absl::Span<const uint32_t> reachable, uint64_t seed, TimePoint);
//   uint32_t Pick(uint32_t list_id, const HostList&, PickContext&);
// where Pick answers a host's number and the list is not empty.

#ifndef REMORA_LB_LIST_POLICY_H_
#define REMORA_LB_LIST_POLICY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "lb/host_set.h"
#include "lb/locality.h"
#include "lb/policy.h"

namespace remora::lb {

template <typename Algorithm>
class ListPicker final : public Picker {
 public:
  ListPicker(const typename Algorithm::Config& config, const HostSet& hosts,
             const RoutingPlan& plan, const ListPicker* predecessor, uint64_t seed, TimePoint now)
      : hosts_(hosts),
        chooser_(plan, seed),
        algorithm_(config, hosts, predecessor == nullptr ? nullptr : &predecessor->algorithm_,
                   plan.ReachableLists(), seed, now) {}

  Choice Pick(PickContext& ctx) override {
    for (uint32_t attempt = 0;; ++attempt) {
      const Choice choice = PickOnce(ctx);
      if (!choice || attempt == ctx.max_reselections || !ctx.predicate.Rejects(*choice.entry)) {
        return choice;
      }
    }
  }

 private:
  Choice PickOnce(PickContext& ctx) {
    const std::optional<uint32_t> id = chooser_.Choose(ctx);
    if (!id.has_value()) return {};
    const HostList& list = hosts_.list(*id);
    if (list.empty()) return {};
    const uint32_t number = algorithm_.Pick(*id, list, ctx);
    return {hosts_.host(number), &hosts_.entry(number)};
  }

  const HostSet& hosts_;
  ListChooser chooser_;
  Algorithm algorithm_;
};

template <typename Algorithm>
class ListPolicy final : public Policy {
 public:
  ListPolicy(const PolicyConfig& config, std::shared_ptr<const HostSet> hosts,
             const HostSet* local_hosts)
      : config_(std::get<typename Algorithm::Config>(config.algorithm)),
        hosts_(std::move(hosts)),
        plan_(config, *hosts_, local_hosts) {}

  static std::shared_ptr<const Policy> Make(const PolicyConfig& config,
                                            std::shared_ptr<const HostSet> hosts,
                                            std::shared_ptr<const HostSet> local_hosts) {
    return std::make_shared<ListPolicy>(config, std::move(hosts), local_hosts.get());
  }

  std::unique_ptr<Picker> MakePicker(const Picker* predecessor, uint64_t seed,
                                     TimePoint now) const override {
    return std::make_unique<ListPicker<Algorithm>>(
        config_, *hosts_, plan_, dynamic_cast<const ListPicker<Algorithm>*>(predecessor), seed,
        now);
  }
  const HostSet& hosts() const override { return *hosts_; }
  const PriorityState& priorities() const override { return plan_.priorities(); }
  PolicyFigures figures() const override {
    PolicyFigures figures;
    figures.notes = plan_.notes();
    return figures;
  }

 private:
  const typename Algorithm::Config config_;
  const std::shared_ptr<const HostSet> hosts_;
  const RoutingPlan plan_;
};

}  // namespace remora::lb

#endif  // REMORA_LB_LIST_POLICY_H_
