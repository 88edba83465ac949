// The endpoints of one cluster in one snapshot: hosts by priority, by locality,
// by health. Immutable.
//
// Two layers, so that a change of health alone is cheap:
// - `HostTable`: the hosts with what the configuration says of them (weight,
// attributes, locality, priority). Rebuilt when endpoints change.
// - `HostSet`: one partition of a table by the health flags of the moment it
// was built. Rebuilt when any verdict changes; shares the table.
//
// Hosts are numbered 0..size()-1, ordered by priority and within it as the
// configuration gave them (rotation follows that order). A `HostList` names
// some of them in that order: all of a priority, its healthy ones, the healthy
// ones of one locality, ... Policies pick from lists, and pickers keep their
// state per list id. Hot loops touch arrays of plain numbers, not the entries.
//
// Threads: built on main or the offload thread (flags are read once, while
// building), read by every loop.

#ifndef REMORA_LB_HOST_SET_H_
#define REMORA_LB_HOST_SET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "lb/host.h"

namespace remora::lb {

// One host as the configuration of this snapshot sees it.
struct HostEntry {
  std::shared_ptr<Host> host;
  std::shared_ptr<const HostAttributes> attributes;  // never null
  uint32_t weight = 1;                               // >= 1
  uint32_t priority = 0;                             // index into HostSet::priorities()
  uint32_t locality = 0;                             // index into PriorityHosts::localities
};

// Some hosts of one set, in order. `At(i)` is the number of the i-th.
class HostList {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  uint32_t At(size_t i) const {
    return members_.empty() ? first_ + static_cast<uint32_t>(i) : members_[i];
  }
  // All members weigh the same: plain rotation or sampling is fair.
  bool equal_weights() const { return equal_weights_; }
  uint64_t total_weight() const { return total_weight_; }

 private:
  friend class HostSet;

  // Either a run of consecutive numbers from `first_` (`members_` empty), as
  // lists are while all are healthy, or a choice of numbers.
  std::vector<uint32_t> members_;
  uint32_t first_ = 0;
  uint32_t size_ = 0;
  bool equal_weights_ = true;
  uint64_t total_weight_ = 0;
};

struct LocalityHosts {
  Locality locality;
  uint32_t weight = 0;  // locality weight; 0 when the configuration gave none
  // List ids.
  uint32_t all = 0;
  uint32_t healthy = 0;
  uint32_t degraded = 0;
  uint32_t excluded_count = 0;
};

struct PriorityHosts {
  // List ids.
  uint32_t all = 0;
  uint32_t healthy = 0;
  uint32_t degraded = 0;
  uint32_t excluded_count = 0;
  uint64_t excluded_weight = 0;
  // The proxy's own locality first if it has hosts here (`has_local`), the
  // others in lexicographic order: zone-aware routing counts on it.
  std::vector<LocalityHosts> localities;
  bool has_local = false;
};

// What the configuration says: built by HostTable::Builder, shared by every
// HostSet made of it.
class HostTable {
 public:
  struct Options {
    // In percent: this many healthy hosts per 100 needed count as enough
    // (spill-over between priorities, locality weights). EDS policy; 140.
    uint32_t overprovisioning_factor = 140;
    // A priority's health is by weight of hosts, not by their number (EDS
    // policy).
    bool weighted_priority_health = false;
    // Where this proxy runs (node locality); empty = unknown.
    Locality local;
  };

  class Builder;

  absl::Span<const HostEntry> entries() const { return entries_; }
  const Options& options() const { return options_; }
  // The number of the host with this printed address (first of it), or -1.
  // Linear; for updates and overrides keep your own index.
  int64_t Find(absl::string_view address) const;

 private:
  friend class HostSet;

  struct LocalityInfo {
    Locality locality;
    uint32_t weight;
  };
  struct PriorityInfo {
    uint32_t first = 0;
    uint32_t count = 0;
    // In the order PriorityHosts documents.
    std::vector<LocalityInfo> localities;
    bool has_local = false;
  };

  HostTable() = default;

  Options options_;
  std::vector<HostEntry> entries_;
  std::vector<Host*> hosts_;
  std::vector<uint32_t> weights_;
  std::vector<PriorityInfo> priorities_;
};

// Collects the endpoints of a cluster in the order of its configuration.
class HostTable::Builder {
 public:
  explicit Builder(Options options) : options_(std::move(options)) {}

  // Weight of a locality at a priority; may come before or after its hosts.
  // Absent or 0: the locality gets no traffic when localities are balanced by
  // weight.
  void SetLocalityWeight(uint32_t priority, const Locality& locality, uint32_t weight);
  // Gaps between priorities stay as priorities without hosts. `attributes` may
  // be null (all defaults).
  void Add(std::shared_ptr<Host> host, uint32_t weight, uint32_t priority, const Locality& locality,
           std::shared_ptr<const HostAttributes> attributes = nullptr);
  // Leaves the builder empty.
  std::shared_ptr<const HostTable> Build();

 private:
  struct Group {
    uint32_t priority = 0;
    Locality locality;
    uint32_t weight = 0;
    size_t hosts = 0;
  };
  // Index into PriorityHosts::localities of each of groups_.
  std::vector<uint32_t> ArrangeLocalities(HostTable* table);
  size_t FindGroup(uint32_t priority, const Locality& locality);

  Options options_;
  std::vector<Group> groups_;
  // `locality` holds the index into groups_ until Build().
  std::vector<HostEntry> entries_;
  size_t last_group_ = 0;
};

// The hosts of a table, parted by the health flags of one moment.
class HostSet {
 public:
  // Partitions `table` by the flags its hosts have now. O(hosts); no host is
  // copied.
  static std::shared_ptr<const HostSet> Make(std::shared_ptr<const HostTable> table);
  // A set without any host (one priority, empty).
  static std::shared_ptr<const HostSet> Empty();

  const std::shared_ptr<const HostTable>& table() const { return table_; }
  size_t size() const { return hosts_.size(); }

  const HostEntry& entry(uint32_t number) const { return entries_[number]; }
  Host* host(uint32_t number) const { return hosts_[number]; }
  uint32_t weight(uint32_t number) const { return weights_[number]; }
  // Health when the set was built: what the lists are made of.
  // (`host(n)->state()` may already know more.)
  Health health(uint32_t number) const { return health_[number]; }

  // Never empty: a cluster without hosts has one priority without hosts.
  absl::Span<const PriorityHosts> priorities() const { return priorities_; }
  absl::Span<const HostList> lists() const { return lists_; }
  const HostList& list(uint32_t id) const { return lists_[id]; }

  // Of the whole set, as the membership gauges want them.
  size_t healthy_count() const { return healthy_count_; }
  size_t degraded_count() const { return degraded_count_; }
  size_t excluded_count() const { return excluded_count_; }

  // See HostTable::Options.
  uint32_t overprovisioning_factor() const;
  bool weighted_priority_health() const;

 private:
  HostSet() = default;
  void AddPriority(const HostTable::PriorityInfo& info);
  uint32_t AddList(std::vector<uint32_t> members);

  std::shared_ptr<const HostTable> table_;
  absl::Span<const HostEntry> entries_;
  absl::Span<Host* const> hosts_;
  absl::Span<const uint32_t> weights_;
  std::vector<Health> health_;
  std::vector<PriorityHosts> priorities_;
  std::vector<HostList> lists_;
  size_t healthy_count_ = 0;
  size_t degraded_count_ = 0;
  size_t excluded_count_ = 0;
};

}  // namespace remora::lb

#endif  // REMORA_LB_HOST_SET_H_
