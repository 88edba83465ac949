// Maglev (Eisenbud and others, NSDI 2016): a table of prime size that hosts
// fill in turn, each along its own permutation of the slots, by weight; a
// request takes the slot of its hash. Even, and few slots move when a host
// comes or goes. The table agrees with Envoy's slot by slot.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "lb/hash_key.h"
#include "lb/hash_policy.h"
#include "lb/makers.h"

namespace remora::lb {

namespace {

class MaglevTable {
 public:
  using Config = MaglevConfig;

  MaglevTable(const MaglevConfig& config, const HostSet& hosts, const NormalizedHosts& normalized)
      : size_(static_cast<uint32_t>(config.table_size)) {
    if (normalized.hosts.empty()) return;
    std::vector<Turn> turns = MakeTurns(config, hosts, normalized);
    // Half the memory where numbers are small enough.
    if (hosts.size() <= UINT16_MAX) {
      Fill(&turns, normalized.max_weight, &short_table_);
    } else {
      Fill(&turns, normalized.max_weight, &long_table_);
    }
  }

  uint32_t Find(uint64_t hash, uint32_t attempt) const {
    // A retry wants another host: flip so many bits that it gets one.
    if (attempt > 0) hash ^= ~uint64_t{0} - attempt + 1;
    const uint64_t slot = hash % size_;
    if (!short_table_.empty()) return short_table_[slot];
    return long_table_.empty() ? kNoHost : long_table_[slot];
  }

 private:
  // A host while the table is filled.
  struct Turn {
    uint32_t number;
    uint32_t slot;  // next of its permutation
    uint32_t skip;
    double weight;
    double target = 0;
  };

  // In the order of the hosts' keys, so that the table does not depend on the
  // order in which hosts arrived.
  std::vector<Turn> MakeTurns(const MaglevConfig& config, const HostSet& hosts,
                              const NormalizedHosts& normalized) const {
    struct Keyed {
      absl::string_view key;
      NormalizedHosts::Weighted host;
    };
    std::vector<Keyed> keyed;
    keyed.reserve(normalized.hosts.size());
    for (const NormalizedHosts::Weighted& host : normalized.hosts) {
      keyed.push_back({TableKey(hosts.entry(host.number), config.hashing), host});
    }
    std::sort(keyed.begin(), keyed.end(),
              [](const Keyed& a, const Keyed& b) { return a.key < b.key; });
    std::vector<Turn> turns;
    turns.reserve(keyed.size());
    for (const Keyed& host : keyed) {
      turns.push_back({host.host.number, static_cast<uint32_t>(XxHash64(host.key) % size_),
                       static_cast<uint32_t>(XxHash64(host.key, 1) % (size_ - 1)) + 1,
                       host.host.weight});
    }
    return turns;
  }

  template <typename Number>
  void Fill(std::vector<Turn>* turns, double max_weight, std::vector<Number>* table) const {
    table->resize(size_);
    std::vector<uint64_t> taken((size_ + 63) / 64, 0);
    uint32_t filled = 0;
    for (uint32_t iteration = 1; filled < size_; ++iteration) {
      for (Turn& turn : *turns) {
        // The heaviest takes a slot in each iteration, one of a third of its
        // weight in every third.
        if (iteration * turn.weight < turn.target) continue;
        turn.target += max_weight;
        uint32_t slot = turn.slot;
        while (taken[slot / 64] >> (slot % 64) & 1) slot = Next(turn, slot);
        taken[slot / 64] |= uint64_t{1} << (slot % 64);
        (*table)[slot] = static_cast<Number>(turn.number);
        turn.slot = Next(turn, slot);
        if (++filled == size_) return;
      }
    }
  }

  uint32_t Next(const Turn& turn, uint32_t slot) const {
    const uint32_t next = slot + turn.skip;
    return next >= size_ ? next - size_ : next;
  }

  uint32_t size_;
  // One of them is filled.
  std::vector<uint16_t> short_table_;
  std::vector<uint32_t> long_table_;
};

}  // namespace

std::shared_ptr<const Policy> MakeMaglev(const PolicyConfig& config,
                                         std::shared_ptr<const HostSet> hosts,
                                         std::shared_ptr<const HostSet> /*local_hosts*/) {
  return HashPolicy<MaglevTable>::Make(config, std::move(hosts));
}

}  // namespace remora::lb
