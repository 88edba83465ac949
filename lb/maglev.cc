// Maglev (Eisenbud and others, NSDI 2016): a table of prime size that hosts
// fill in turn, each along its own permutation of the slots, by weight; a
// request takes the slot of its hash. Even, and few slots move when a host
// comes or goes. The table agrees with Envoy's slot by slot.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
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
    min_per_host_ = size_;
    for (const Turn& turn : turns) {
      min_per_host_ = std::min(min_per_host_, turn.count);
      max_per_host_ = std::max(max_per_host_, turn.count);
    }
  }

  PolicyFigures figures() const { return {size_, min_per_host_, max_per_host_, 0}; }

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
    uint32_t inverse = 0;  // of skip, modulo the table's size; 0: not known yet
    uint32_t count = 0;    // slots taken
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
    FreeSlots free(size_);
    for (uint32_t iteration = 1; free.count() > 0; ++iteration) {
      for (Turn& turn : *turns) {
        // The heaviest takes a slot in each iteration, one of a third of its weight in every third.
        if (iteration * turn.weight < turn.target) continue;
        turn.target += max_weight;
        const uint32_t slot = free.Few() ? free.TakeFirstOf(&turn) : free.Probe(&turn);
        (*table)[slot] = static_cast<Number>(turn.number);
        ++turn.count;
        if (free.count() == 0) return;
      }
    }
  }

  // Finds the next free slot of a host's permutation. While many are free, by trying; the last few
  // would take half of all tries (the very last one, size / 2 on average), so for them by asking
  // each free slot which place it has in the permutation.
  class FreeSlots {
   public:
    explicit FreeSlots(uint32_t size) : size_(size), count_(size), taken_((size + 63) / 64, 0) {}

    uint32_t count() const { return count_; }
    bool Few() const { return count_ <= kFew; }

    uint32_t Probe(Turn* turn) {
      uint32_t slot = turn->slot;
      while (IsTaken(slot)) slot = Next(*turn, slot);
      taken_[slot / 64] |= uint64_t{1} << (slot % 64);
      turn->slot = Next(*turn, slot);
      if (--count_ == kFew) ListFree();
      return slot;
    }

    uint32_t TakeFirstOf(Turn* turn) {
      if (list_.empty()) ListFree();
      if (turn->inverse == 0) turn->inverse = Inverse(turn->skip);
      uint32_t best = 0;
      uint32_t best_place = UINT32_MAX;
      for (uint32_t i = 0; i < count_; ++i) {
        // The steps from where the host is; all it has behind it is taken.
        const uint64_t distance = uint64_t{list_[i]} + size_ - turn->slot;
        const uint32_t place = static_cast<uint32_t>(distance % size_ * turn->inverse % size_);
        if (place < best_place) {
          best_place = place;
          best = i;
        }
      }
      const uint32_t slot = list_[best];
      list_[best] = list_[--count_];
      turn->slot = slot;
      return slot;
    }

   private:
    static constexpr uint32_t kFew = 128;

    bool IsTaken(uint32_t slot) const { return taken_[slot / 64] >> (slot % 64) & 1; }
    uint32_t Next(const Turn& turn, uint32_t slot) const {
      const uint32_t next = slot + turn.skip;
      return next >= size_ ? next - size_ : next;
    }
    void ListFree() {
      for (uint32_t slot = 0; slot < size_; ++slot) {
        if (!IsTaken(slot)) list_.push_back(slot);
      }
    }
    // Extended Euclid; the size is prime and `value` is below it.
    uint32_t Inverse(uint32_t value) const {
      int64_t a = size_, b = value, x = 0, y = 1;
      while (b > 1) {
        const int64_t quotient = a / b;
        a = std::exchange(b, a - quotient * b);
        x = std::exchange(y, x - quotient * y);
      }
      return static_cast<uint32_t>(y < 0 ? y + size_ : y);
    }

    uint32_t size_;
    uint32_t count_;
    std::vector<uint64_t> taken_;
    std::vector<uint32_t> list_;
  };

  uint32_t size_;
  uint32_t min_per_host_ = 0;
  uint32_t max_per_host_ = 0;
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
