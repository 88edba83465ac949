#include "lb/host_set.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace remora::lb {

namespace {

const std::shared_ptr<const HostAttributes>& DefaultAttributes() {
  static const auto& attributes =
      *new std::shared_ptr<const HostAttributes>(std::make_shared<HostAttributes>());
  return attributes;
}

}  // namespace

uint32_t HostSet::overprovisioning_factor() const {
  return table_->options().overprovisioning_factor;
}

bool HostSet::weighted_priority_health() const {
  return table_->options().weighted_priority_health;
}

uint32_t HostSet::AddList(std::vector<uint32_t> members) {
  HostList list;
  list.size_ = static_cast<uint32_t>(members.size());
  if (!members.empty()) {
    list.first_ = members.front();
    for (const uint32_t number : members) {
      list.total_weight_ += weights_[number];
      list.equal_weights_ &= weights_[number] == weights_[members.front()];
    }
    const bool consecutive = members.back() - members.front() + 1 == members.size();
    if (!consecutive) {
      members.shrink_to_fit();
      list.members_ = std::move(members);
    }
  }
  lists_.push_back(std::move(list));
  return static_cast<uint32_t>(lists_.size() - 1);
}

std::shared_ptr<const HostSet> HostSet::Make(std::shared_ptr<const HostTable> table) {
  std::shared_ptr<HostSet> set(new HostSet);
  set->entries_ = table->entries_;
  set->hosts_ = table->hosts_;
  set->weights_ = table->weights_;
  set->health_.resize(table->entries_.size());
  set->table_ = std::move(table);
  for (const HostTable::PriorityInfo& info : set->table_->priorities_) {
    set->AddPriority(info);
  }
  return set;
}

void HostSet::AddPriority(const HostTable::PriorityInfo& info) {
  // [0] is the priority as a whole, [1 + n] its n-th locality.
  struct Members {
    std::vector<uint32_t> all, healthy, degraded;
    uint32_t excluded = 0;
  };
  std::vector<Members> groups(1 + info.localities.size());
  uint64_t excluded_weight = 0;
  for (uint32_t number = info.first; number < info.first + info.count; ++number) {
    // Hosts lie anywhere in memory: ask for some ahead.
    const uint32_t ahead = std::min(number + 16, static_cast<uint32_t>(hosts_.size()) - 1);
    __builtin_prefetch(&hosts_[ahead]->state().flags);
    const uint32_t flags = hosts_[number]->state().flags.load(std::memory_order_relaxed);
    const Health health = CoarseHealth(flags);
    const bool excluded = IsExcluded(flags);
    health_[number] = health;
    if (excluded) excluded_weight += weights_[number];
    for (Members* group : {&groups[0], &groups[1 + entries_[number].locality]}) {
      group->all.push_back(number);
      if (health == Health::kHealthy) group->healthy.push_back(number);
      if (health == Health::kDegraded) group->degraded.push_back(number);
      if (excluded) ++group->excluded;
    }
  }
  healthy_count_ += groups[0].healthy.size();
  degraded_count_ += groups[0].degraded.size();
  excluded_count_ += groups[0].excluded;

  PriorityHosts priority;
  priority.has_local = info.has_local;
  priority.excluded_count = groups[0].excluded;
  priority.excluded_weight = excluded_weight;
  priority.all = AddList(std::move(groups[0].all));
  priority.healthy = AddList(std::move(groups[0].healthy));
  priority.degraded = AddList(std::move(groups[0].degraded));
  for (size_t i = 0; i < info.localities.size(); ++i) {
    Members& group = groups[1 + i];
    LocalityHosts locality;
    locality.locality = info.localities[i].locality;
    locality.weight = info.localities[i].weight;
    locality.excluded_count = group.excluded;
    locality.all = AddList(std::move(group.all));
    locality.healthy = AddList(std::move(group.healthy));
    locality.degraded = AddList(std::move(group.degraded));
    priority.localities.push_back(std::move(locality));
  }
  priorities_.push_back(std::move(priority));
}

std::shared_ptr<const HostSet> HostSet::Empty() { return Make(HostTable::Builder({}).Build()); }

int64_t HostTable::Find(absl::string_view address) const {
  for (size_t i = 0; i < hosts_.size(); ++i) {
    if (hosts_[i]->address_string() == address) return static_cast<int64_t>(i);
  }
  return -1;
}

size_t HostTable::Builder::FindGroup(uint32_t priority, const Locality& locality) {
  const auto matches = [&](const Group& group) {
    return group.priority == priority && group.locality == locality;
  };
  // Hosts of one locality come one after the other.
  if (last_group_ < groups_.size() && matches(groups_[last_group_])) {
    return last_group_;
  }
  const auto found = std::find_if(groups_.begin(), groups_.end(), matches);
  last_group_ = static_cast<size_t>(found - groups_.begin());
  if (found == groups_.end()) {
    groups_.push_back({priority, locality, /*weight=*/0, /*hosts=*/0});
  }
  return last_group_;
}

void HostTable::Builder::SetLocalityWeight(uint32_t priority, const Locality& locality,
                                           uint32_t weight) {
  groups_[FindGroup(priority, locality)].weight = weight;
}

void HostTable::Builder::Add(std::shared_ptr<Host> host, uint32_t weight, uint32_t priority,
                             const Locality& locality,
                             std::shared_ptr<const HostAttributes> attributes) {
  const size_t group = FindGroup(priority, locality);
  ++groups_[group].hosts;
  HostEntry entry;
  entry.host = std::move(host);
  entry.attributes = attributes == nullptr ? DefaultAttributes() : std::move(attributes);
  entry.weight = std::max<uint32_t>(weight, 1);
  entry.priority = priority;
  entry.locality = static_cast<uint32_t>(group);
  entries_.push_back(std::move(entry));
}

std::vector<uint32_t> HostTable::Builder::ArrangeLocalities(HostTable* table) {
  // Localities without hosts are dropped, as if they were not there.
  std::vector<uint32_t> order;
  uint32_t priority_count = 1;
  for (size_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i].hosts == 0) continue;
    order.push_back(static_cast<uint32_t>(i));
    priority_count = std::max(priority_count, groups_[i].priority + 1);
  }
  const auto is_local = [this](const Group& group) {
    return !options_.local.empty() && group.locality == options_.local;
  };
  std::sort(order.begin(), order.end(), [&](uint32_t left, uint32_t right) {
    const Group& a = groups_[left];
    const Group& b = groups_[right];
    if (is_local(a) != is_local(b)) return is_local(a);
    return a.locality < b.locality;
  });

  table->priorities_.resize(priority_count);
  std::vector<uint32_t> index_of_group(groups_.size());
  for (const uint32_t i : order) {
    Group& group = groups_[i];
    PriorityInfo& info = table->priorities_[group.priority];
    index_of_group[i] = static_cast<uint32_t>(info.localities.size());
    info.has_local |= is_local(group);
    info.count += static_cast<uint32_t>(group.hosts);
    info.localities.push_back({std::move(group.locality), group.weight});
  }
  return index_of_group;
}

std::shared_ptr<const HostTable> HostTable::Builder::Build() {
  std::shared_ptr<HostTable> table(new HostTable);
  const std::vector<uint32_t> index_of_group = ArrangeLocalities(table.get());
  uint32_t first = 0;
  for (PriorityInfo& info : table->priorities_) {
    info.first = first;
    first += info.count;
  }

  for (HostEntry& entry : entries_) {
    entry.locality = index_of_group[entry.locality];
  }
  const auto by_priority = [](const HostEntry& a, const HostEntry& b) {
    return a.priority < b.priority;
  };
  if (!std::is_sorted(entries_.begin(), entries_.end(), by_priority)) {
    std::stable_sort(entries_.begin(), entries_.end(), by_priority);
  }

  table->hosts_.reserve(entries_.size());
  table->weights_.reserve(entries_.size());
  for (const HostEntry& entry : entries_) {
    table->hosts_.push_back(entry.host.get());
    table->weights_.push_back(entry.weight);
  }
  entries_.shrink_to_fit();
  table->entries_ = std::move(entries_);
  table->options_ = std::move(options_);
  *this = Builder(Options());
  return table;
}

}  // namespace remora::lb
