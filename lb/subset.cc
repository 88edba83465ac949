#include "lb/subset.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "lb/makers.h"
#include "lb/policy.h"
#include "lb/priority.h"

namespace remora::lb {

namespace {

using Asked = absl::InlinedVector<const Criterion*, 8>;  // by key
using Values = std::vector<std::pair<absl::string_view, absl::string_view>>;

const Label* FindLabel(const HostEntry& entry, absl::string_view key) {
  for (const Label& label : entry.attributes->labels) {
    if (label.key == key) return &label;
  }
  return nullptr;
}

bool HasLabels(const HostEntry& entry, const std::vector<Criterion>& wanted, bool list_as_any) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const Criterion& criterion) {
    const Label* label = FindLabel(entry, criterion.key);
    if (label == nullptr) return false;
    if (label->value == criterion.value) return true;
    return list_as_any && label->elements.has_value() &&
           std::find(label->elements->begin(), label->elements->end(), criterion.value) !=
               label->elements->end();
  });
}

// The values that put a host into subsets of these keys, one row per subset.
std::vector<Values> RowsOf(const HostEntry& entry, const std::vector<std::string>& keys,
                           bool list_as_any) {
  std::vector<Values> rows(1);
  for (const std::string& key : keys) {
    const Label* label = FindLabel(entry, key);
    if (label == nullptr) return {};
    if (!list_as_any || !label->elements.has_value()) {
      for (Values& row : rows) row.emplace_back(key, label->value);
      continue;
    }
    std::vector<Values> more;
    for (const Values& row : rows) {
      for (const std::string& element : *label->elements) {
        more.push_back(row);
        more.back().emplace_back(key, element);
      }
    }
    rows = std::move(more);
  }
  return rows;
}

// A subset, "any" or "default": hosts with a policy of their own.
struct Part {
  std::string id;  // the same for the same subset in the next policy
  std::shared_ptr<const Policy> policy;
  int64_t single = -1;  // one host instead, by its number in the whole set
};

// Subsets by key and value, key after key.
struct Node {
  int32_t part = -1;
  absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, std::unique_ptr<Node>>> below;

  const Node* Find(const Criterion& criterion) const {
    const auto values = below.find(criterion.key);
    if (values == below.end()) return nullptr;
    const auto node = values->second.find(criterion.value);
    return node == values->second.end() ? nullptr : node->second.get();
  }
};

class SubsetPolicy final : public Policy {
 public:
  SubsetPolicy(const PolicyConfig& config, std::shared_ptr<const HostSet> hosts,
               std::shared_ptr<const HostSet> local_hosts)
      : config_(*config.subset),
        child_config_(config),
        hosts_(std::move(hosts)),
        local_hosts_(std::move(local_hosts)),
        priorities_(ComputePriorities(*hosts_, config.panic_threshold)) {
    child_config_.subset = nullptr;
    if (!config_.locality_weight_aware && child_config_.locality_mode == LocalityMode::kWeighted) {
      child_config_.locality_mode = LocalityMode::kIgnore;
    }
    MakeFallbacks();
    MakeSubsets();
  }

  std::unique_ptr<Picker> MakePicker(const Picker* predecessor, uint64_t seed,
                                     TimePoint now) const override;
  const HostSet& hosts() const override { return *hosts_; }
  const PriorityState& priorities() const override { return priorities_; }
  PolicyFigures figures() const override { return figures_; }

 private:
  friend class SubsetPicker;

  void MakeFallbacks();
  void MakeSubsets();
  int32_t AddPart(std::string id, const std::vector<uint32_t>& members);
  std::shared_ptr<const HostSet> SetOf(const std::vector<uint32_t>& members) const;
  void Scale(const std::vector<uint32_t>& members, HostTable::Builder* builder) const;
  // The selector that has just these keys and a fallback of its own, or null.
  const SubsetSelector* SelectorFor(const Asked& asked) const;

  const SubsetConfig config_;
  PolicyConfig child_config_;
  const std::shared_ptr<const HostSet> hosts_;
  const std::shared_ptr<const HostSet> local_hosts_;
  const PriorityState priorities_;
  PolicyFigures figures_;
  std::vector<Part> parts_;
  int32_t any_ = -1;
  int32_t default_ = -1;
  Node root_;
};

void SubsetPolicy::Scale(const std::vector<uint32_t>& members, HostTable::Builder* builder) const {
  const absl::Span<const PriorityHosts> priorities = hosts_->priorities();
  for (uint32_t p = 0; p < priorities.size(); ++p) {
    for (uint32_t l = 0; l < priorities[p].localities.size(); ++l) {
      const LocalityHosts& locality = priorities[p].localities[l];
      double weight = locality.weight;
      if (config_.scale_locality_weight) {
        const auto own = std::count_if(members.begin(), members.end(), [&](uint32_t number) {
          const HostEntry& entry = hosts_->entry(number);
          return entry.priority == p && entry.locality == l;
        });
        const double all = static_cast<double>(hosts_->list(locality.all).size());
        weight = all == 0 ? 0 : std::round(weight * static_cast<double>(own) / all);
      }
      builder->SetLocalityWeight(p, locality.locality, static_cast<uint32_t>(weight));
    }
  }
}

std::shared_ptr<const HostSet> SubsetPolicy::SetOf(const std::vector<uint32_t>& members) const {
  HostTable::Builder builder(hosts_->table()->options());
  if (config_.locality_weight_aware) Scale(members, &builder);
  for (const uint32_t number : members) {
    const HostEntry& entry = hosts_->entry(number);
    const Locality& locality =
        hosts_->priorities()[entry.priority].localities[entry.locality].locality;
    builder.Add(entry.host, entry.weight, entry.priority, locality, entry.attributes);
  }
  return HostSet::Make(builder.Build());
}

int32_t SubsetPolicy::AddPart(std::string id, const std::vector<uint32_t>& members) {
  Part part;
  part.id = std::move(id);
  // The configuration was checked when the whole was made.
  auto policy = MakePolicy(child_config_, SetOf(members), local_hosts_);
  if (policy.ok()) part.policy = *std::move(policy);
  parts_.push_back(std::move(part));
  return static_cast<int32_t>(parts_.size() - 1);
}

void SubsetPolicy::MakeFallbacks() {
  using Own = SubsetSelector::Fallback;
  const auto selector_wants = [this](Own fallback) {
    return std::any_of(
        config_.selectors.begin(), config_.selectors.end(),
        [&](const SubsetSelector& selector) { return selector.fallback == fallback; });
  };
  std::vector<uint32_t> members;
  if (config_.fallback == SubsetConfig::Fallback::kAny || config_.panic_mode_any ||
      selector_wants(Own::kAny)) {
    for (uint32_t i = 0; i < hosts_->size(); ++i) members.push_back(i);
    any_ = AddPart("any", members);
  }
  if (config_.fallback == SubsetConfig::Fallback::kDefault || selector_wants(Own::kDefault)) {
    members.clear();
    for (uint32_t i = 0; i < hosts_->size(); ++i) {
      if (HasLabels(hosts_->entry(i), config_.default_subset, config_.list_as_any)) {
        members.push_back(i);
      }
    }
    default_ = AddPart("default", members);
  }
}

void SubsetPolicy::MakeSubsets() {
  struct Found {
    Node* node = nullptr;
    bool single = false;
    std::string id;
    std::vector<uint32_t> members;
  };
  std::vector<Found> found;
  absl::flat_hash_map<const Node*, size_t> index;
  for (uint32_t number = 0; number < hosts_->size(); ++number) {
    for (const SubsetSelector& selector : config_.selectors) {
      for (const Values& row : RowsOf(hosts_->entry(number), selector.keys, config_.list_as_any)) {
        Node* node = &root_;
        std::string id;
        for (const auto& [key, value] : row) {
          std::unique_ptr<Node>& next = node->below[key][value];
          if (next == nullptr) next = std::make_unique<Node>();
          node = next.get();
          absl::StrAppend(&id, key, "=", value, ";");
        }
        const auto [place, added] = index.try_emplace(node, found.size());
        if (added) found.push_back({node, selector.single_host, std::move(id), {}});
        Found& subset = found[place->second];
        if (!subset.members.empty() && subset.members.back() == number) continue;
        if (subset.single && !subset.members.empty()) {
          ++figures_.single_host_duplicates;
          continue;
        }
        subset.members.push_back(number);
      }
    }
  }
  for (Found& subset : found) {
    if (subset.single) {
      subset.node->part = static_cast<int32_t>(parts_.size());
      parts_.push_back({std::move(subset.id), nullptr, subset.members.front()});
    } else {
      subset.node->part = AddPart(std::move(subset.id), subset.members);
    }
  }
  figures_.subsets = found.size();
}

const SubsetSelector* SubsetPolicy::SelectorFor(const Asked& asked) const {
  if (asked.empty()) return nullptr;
  for (const SubsetSelector& selector : config_.selectors) {
    // As in Envoy, a selector whose keys begin an earlier one's has no say.
    const auto same = [](const std::string& key, const Criterion* criterion) {
      return key == criterion->key;
    };
    if (selector.keys.size() < asked.size()) continue;
    if (!std::equal(asked.begin(), asked.end(), selector.keys.begin(),
                    [&](const Criterion* criterion, const std::string& key) {
                      return same(key, criterion);
                    })) {
      continue;
    }
    const bool own = selector.keys.size() == asked.size() &&
                     selector.fallback != SubsetSelector::Fallback::kNotDefined;
    return own ? &selector : nullptr;
  }
  return nullptr;
}

class SubsetPicker final : public Picker {
 public:
  SubsetPicker(const SubsetPolicy& policy, const SubsetPicker* predecessor, uint64_t seed,
               TimePoint now)
      : policy_(policy), seed_(seed), pickers_(policy.parts_.size()) {
    if (predecessor == nullptr) return;
    absl::flat_hash_map<absl::string_view, const Picker*> old;
    for (size_t i = 0; i < predecessor->pickers_.size(); ++i) {
      const Picker* picker = predecessor->pickers_[i].get();
      if (picker != nullptr) old.emplace(predecessor->policy_.parts_[i].id, picker);
    }
    for (size_t i = 0; i < pickers_.size(); ++i) {
      const auto found = old.find(policy.parts_[i].id);
      if (found == old.end() || policy.parts_[i].policy == nullptr) continue;
      pickers_[i] = policy.parts_[i].policy->MakePicker(found->second, seed, now);
    }
  }

  Choice Pick(PickContext& ctx) override {
    Asked asked;
    if (ctx.criteria == nullptr) return PickBy(asked, ctx);
    const bool listed =
        policy_.config_.metadata_fallback_list && ctx.criteria->fallbacks.has_value();
    for (const Criterion& criterion : ctx.criteria->all) {
      if (!listed || criterion.key != Criteria::kFallbackList) asked.push_back(&criterion);
    }
    if (!listed || ctx.criteria->fallbacks->empty()) return PickBy(asked, ctx);
    for (const std::vector<Criterion>& over : *ctx.criteria->fallbacks) {
      if (const Choice choice = PickBy(Merged(asked, over), ctx)) return choice;
    }
    return {};
  }

 private:
  static Asked Merged(const Asked& asked, const std::vector<Criterion>& over) {
    Asked merged;
    for (const Criterion* criterion : asked) {
      const bool replaced = std::any_of(over.begin(), over.end(), [&](const Criterion& other) {
        return other.key == criterion->key;
      });
      if (!replaced) merged.push_back(criterion);
    }
    for (const Criterion& criterion : over) merged.push_back(&criterion);
    std::sort(merged.begin(), merged.end(),
              [](const Criterion* a, const Criterion* b) { return a->key < b->key; });
    return merged;
  }

  static Asked Only(const Asked& asked, const std::vector<std::string>& keys) {
    Asked rest;
    for (const Criterion* criterion : asked) {
      if (std::binary_search(keys.begin(), keys.end(), criterion->key)) rest.push_back(criterion);
    }
    return rest;
  }

  // One round; a selector may send it into another with fewer criteria.
  Choice PickBy(Asked asked, PickContext& ctx) {
    for (;;) {
      if (policy_.config_.allow_redundant_keys) Reduce(&asked);
      if (const int32_t part = FindPart(asked); part >= 0) {
        ctx.notes |= kNoteSubsetSelected;
        return PickPart(part, ctx);
      }
      const SubsetSelector* selector = policy_.SelectorFor(asked);
      if (selector == nullptr) return PickFallback(ctx);
      switch (selector->fallback) {
        case SubsetSelector::Fallback::kAny:
          return PickPart(policy_.any_, ctx);
        case SubsetSelector::Fallback::kDefault:
          return PickPart(policy_.default_, ctx);
        case SubsetSelector::Fallback::kKeys:
          asked = Only(asked, selector->fallback_keys);
          break;
        default:
          return {};
      }
    }
  }

  // Leaves only the keys of the first selector that has all its keys asked for.
  void Reduce(Asked* asked) const {
    for (const SubsetSelector& selector : policy_.config_.selectors) {
      Asked rest = Only(*asked, selector.keys);
      if (rest.size() != selector.keys.size()) continue;
      *asked = std::move(rest);
      return;
    }
  }

  int32_t FindPart(const Asked& asked) const {
    const Node* node = &policy_.root_;
    for (const Criterion* criterion : asked) {
      node = node->Find(*criterion);
      if (node == nullptr) return -1;
    }
    return node->part;
  }

  Choice PickFallback(PickContext& ctx) {
    if (policy_.config_.fallback == SubsetConfig::Fallback::kNone) return {};
    const bool any = policy_.config_.fallback == SubsetConfig::Fallback::kAny;
    if (const Choice choice = PickPart(any ? policy_.any_ : policy_.default_, ctx)) {
      ctx.notes |= kNoteSubsetFallback;
      return choice;
    }
    if (!policy_.config_.panic_mode_any) return {};
    const Choice choice = PickPart(policy_.any_, ctx);
    if (choice) ctx.notes |= kNoteSubsetFallbackPanic;
    return choice;
  }

  Choice PickPart(int32_t index, PickContext& ctx) {
    if (index < 0) return {};
    const Part& part = policy_.parts_[index];
    if (part.single >= 0) {
      const uint32_t number = static_cast<uint32_t>(part.single);
      return {policy_.hosts_->host(number), &policy_.hosts_->entry(number)};
    }
    if (part.policy == nullptr) return {};
    std::unique_ptr<Picker>& picker = pickers_[index];
    if (picker == nullptr) picker = part.policy->MakePicker(nullptr, seed_, ctx.now);
    return picker->Pick(ctx);
  }

  const SubsetPolicy& policy_;
  uint64_t seed_;
  std::vector<std::unique_ptr<Picker>> pickers_;  // as the policy's parts; made on first use
};

std::unique_ptr<Picker> SubsetPolicy::MakePicker(const Picker* predecessor, uint64_t seed,
                                                 TimePoint now) const {
  return std::make_unique<SubsetPicker>(*this, dynamic_cast<const SubsetPicker*>(predecessor), seed,
                                        now);
}

}  // namespace

absl::Status CheckSubsets(const SubsetConfig& config) {
  for (const SubsetSelector& selector : config.selectors) {
    if (selector.fallback != SubsetSelector::Fallback::kKeys) {
      if (!selector.fallback_keys.empty()) {
        return absl::InvalidArgumentError(
            "fallback_keys_subset can be set only for KEYS_SUBSET fallback_policy");
      }
      continue;
    }
    if (selector.fallback_keys.empty()) {
      return absl::InvalidArgumentError("fallback_keys_subset cannot be empty");
    }
    if (!std::includes(selector.keys.begin(), selector.keys.end(), selector.fallback_keys.begin(),
                       selector.fallback_keys.end())) {
      return absl::InvalidArgumentError("fallback_keys_subset must be a subset of selector keys");
    }
    if (selector.fallback_keys.size() == selector.keys.size()) {
      return absl::InvalidArgumentError("fallback_keys_subset cannot be equal to keys");
    }
  }
  return absl::OkStatus();
}

std::shared_ptr<const Policy> MakeSubset(const PolicyConfig& config,
                                         std::shared_ptr<const HostSet> hosts,
                                         std::shared_ptr<const HostSet> local_hosts) {
  return std::make_shared<SubsetPolicy>(config, std::move(hosts), std::move(local_hosts));
}

}  // namespace remora::lb
