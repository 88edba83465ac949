// What the policies that hash share (ring hash, maglev): one table per
// priority, built on main of the hosts' normalised weights; the priority
// chosen by the hash; a retry's predicate; bounded load.
//
// Bounded load: a host may have hash_balance_factor percent of its part of the
// mean load (by requests active on it); if it has more, hosts are tried in an
// order shuffled by the hash (the same for the same hash), and when all have
// more, the one least above its bound is taken (Mirrokni, Thorup, Zadimoghaddam,
// arXiv 1608.01350, with Envoy's way of probing).

#ifndef REMORA_LB_HASH_POLICY_H_
#define REMORA_LB_HASH_POLICY_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "lb/host_set.h"
#include "lb/policy.h"
#include "lb/priority.h"

namespace remora::lb {

// Hosts a table is built of; all weights together are 1 (with locality
// weights, 1 less those of localities without healthy hosts).
struct NormalizedHosts {
  struct Weighted {
    uint32_t number;
    double weight;
  };
  std::vector<Weighted> hosts;
  double min_weight = 1.0;
  double max_weight = 0.0;
};

// The healthy hosts of a priority, or all in panic.
NormalizedHosts Normalize(const HostSet& hosts, uint32_t priority, bool panic, LocalityMode mode);

// What stands for a host in a table: its metadata's hash key, hostname or
// address.
absl::string_view TableKey(const HostEntry& entry, const HashingConfig& hashing);

// Worker-local: moves picks away from hosts above their bound.
class LoadBound {
 public:
  // `factor` 0: unbounded, costs nothing.
  LoadBound(const HostSet& hosts, uint32_t factor) : hosts_(hosts), factor_(factor) {}

  bool enabled() const { return factor_ != 0; }
  // `candidate` is one of `normalized`.
  uint32_t Choose(const NormalizedHosts& normalized, uint32_t candidate, uint64_t hash,
                  uint32_t cluster_active);

 private:
  double Overload(const NormalizedHosts::Weighted& host, uint32_t cluster_active) const;

  const HostSet& hosts_;
  uint32_t factor_;
  std::vector<uint32_t> order_;  // scratch, grows once
  std::mt19937 shuffle_;
};

inline constexpr uint32_t kNoHost = UINT32_MAX;

// A Table has `Config`; Table(const Config&, const HostSet&, const NormalizedHosts&);
// uint32_t Find(uint64_t hash, uint32_t attempt) const, a host's number or kNoHost; and
// PolicyFigures figures() const.
template <typename Table>
class HashPolicy final : public Policy {
 public:
  HashPolicy(const PolicyConfig& config, std::shared_ptr<const HostSet> hosts)
      : config_(std::get<typename Table::Config>(config.algorithm)),
        hosts_(std::move(hosts)),
        priorities_(ComputePriorities(*hosts_, config.panic_threshold)) {
    for (uint32_t i = 0; i < hosts_->priorities().size(); ++i) {
      NormalizedHosts normalized =
          Normalize(*hosts_, i, priorities_.panic[i], config.locality_mode);
      tables_.emplace_back(config_, *hosts_, normalized);
      if (!normalized.hosts.empty()) figures_ = tables_.back().figures();
      // Only bounded load wants the weights later.
      if (config_.hashing.hash_balance_factor == 0) normalized = {};
      normalized_.push_back(std::move(normalized));
    }
  }

  static std::shared_ptr<const Policy> Make(const PolicyConfig& config,
                                            std::shared_ptr<const HostSet> hosts) {
    return std::make_shared<HashPolicy>(config, std::move(hosts));
  }

  // Stateless but for scratch space: nothing to inherit.
  std::unique_ptr<Picker> MakePicker(const Picker* /*predecessor*/, uint64_t /*seed*/,
                                     TimePoint /*now*/) const override {
    return std::make_unique<TablePicker>(*this);
  }
  const HostSet& hosts() const override { return *hosts_; }
  const PriorityState& priorities() const override { return priorities_; }
  PolicyFigures figures() const override { return figures_; }

 private:
  class TablePicker final : public Picker {
   public:
    explicit TablePicker(const HashPolicy& policy)
        : policy_(policy), bound_(*policy.hosts_, policy.config_.hashing.hash_balance_factor) {}

    Choice Pick(PickContext& ctx) override {
      const uint64_t hash = ctx.has_hash ? ctx.hash : ctx.random.Next();
      const uint32_t priority =
          policy_.tables_.size() == 1
              ? 0
              : ChoosePriority(hash, ctx.priority_load != nullptr ? *ctx.priority_load
                                                                  : policy_.priorities_.load)
                    .priority;
      if (policy_.priorities_.panic[priority]) ctx.notes |= kNoteHealthyPanic;
      for (uint32_t attempt = 0;; ++attempt) {
        const uint32_t number = PickNumber(priority, hash, attempt, ctx);
        if (number == kNoHost) return {};
        const Choice choice{policy_.hosts_->host(number), &policy_.hosts_->entry(number)};
        if (attempt == ctx.max_reselections || !ctx.predicate.Rejects(*choice.entry)) {
          return choice;
        }
      }
    }

   private:
    uint32_t PickNumber(uint32_t priority, uint64_t hash, uint32_t attempt,
                        const PickContext& ctx) {
      const uint32_t number = policy_.tables_[priority].Find(hash, attempt);
      if (number == kNoHost || !bound_.enabled() || ctx.cluster_rq_active == nullptr) {
        return number;
      }
      return bound_.Choose(policy_.normalized_[priority], number, hash,
                           ctx.cluster_rq_active->load(std::memory_order_relaxed));
    }

    const HashPolicy& policy_;
    LoadBound bound_;
  };

  const typename Table::Config config_;
  const std::shared_ptr<const HostSet> hosts_;
  const PriorityState priorities_;
  PolicyFigures figures_;
  std::vector<Table> tables_;                // by priority
  std::vector<NormalizedHosts> normalized_;  // by priority
};

}  // namespace remora::lb

#endif  // REMORA_LB_HASH_POLICY_H_
