// Earliest deadline first: weighted fair choice among n numbers, O(log n).
//
// Each member has a deadline; the earliest is picked and comes back at its deadline + 1 / weight,
// equal deadlines in the order in which they were queued. So in any stretch of picks each member
// gets its share by weight, as evenly spread as possible. Same order as Envoy's scheduler.
//
// A queue starts as after a number of picks, so that workers do not all begin with the heaviest
// host: at the time T when the shares come to so many picks, member i has had floor(T * weight)
// turns. The picks that the floors lack are made one by one among few members, as Envoy does. Among
// many, that would take longer than all the rest; there, members whose deadlines tie begin with the
// one that the number of picks falls on. For the start, weights count as a hair more than they are:
// where one is a multiple of another, floors and sums of fractions would otherwise round to
// different sides of one instant, and a turn would be lost between the start and what follows.
//
// A 4-ary heap of 16-byte slots: the four children of a slot are one cache line (the root sits at
// the end of the first line for that), so a pick among 100,000 touches nine lines, the upper five
// of which stay in the cache. A slot compares as one 128-bit number and the least child is found
// without branches, which could not be predicted.

#ifndef REMORA_LB_EDF_H_
#define REMORA_LB_EDF_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/base/casts.h"

namespace remora::lb {

class EdfQueue {
 public:
  // Members 0..count-1, as after `picks` picks. `weight_of(i)` is positive.
  template <typename WeightOf>
  EdfQueue(uint32_t count, uint32_t picks, WeightOf weight_of);

  // How far each member is from its next turn, as a part of its period: what a successor needs to
  // go on where this queue is.
  struct Turn {
    double remaining = 1.0;  // (deadline - now) * weight
    uint32_t order = 0;
  };
  // A queue whose members are where `turns` says (weights may differ). `next_order` is larger than
  // all orders in it.
  template <typename WeightOf>
  EdfQueue(const std::vector<Turn>& turns, uint32_t next_order, WeightOf weight_of);

  // The member whose turn it is. There must be one.
  uint32_t Next() const { return static_cast<uint32_t>(At(0).low); }
  // The same, which is queued again with `weight_of(member)`.
  template <typename WeightOf>
  uint32_t Pick(WeightOf weight_of) {
    const uint32_t member = Next();
    now_ = At(0).deadline();
    SiftDown(0, Slot(now_ + 1.0 / weight_of(member), next_order_++, member));
    return member;
  }

  uint32_t size() const { return size_; }
  // `turns` gets size() elements, by member.
  template <typename WeightOf>
  void ReadTurns(WeightOf weight_of, std::vector<Turn>* turns) const;
  uint32_t next_order() const { return next_order_; }

 private:
  // A deadline is never negative, so its bits order as it does. Orders wrap around after 2^32
  // picks: then ties may fall the other way, once.
  struct Slot {
    Slot() = default;
    Slot(double deadline, uint32_t order, uint32_t member)
        : low(uint64_t{order} << 32 | member), high(absl::bit_cast<uint64_t>(deadline)) {}

    double deadline() const { return absl::bit_cast<double>(high); }
    uint32_t order() const { return static_cast<uint32_t>(low >> 32); }
    bool operator<(const Slot& other) const { return key() < other.key(); }
    unsigned __int128 key() const { return static_cast<unsigned __int128>(high) << 64 | low; }

    uint64_t low;
    uint64_t high;
  };
  struct alignas(64) Line {
    Slot slots[4];
  };

  Slot& At(uint32_t i) { return lines_[(i + 3) / 4].slots[(i + 3) % 4]; }
  const Slot& At(uint32_t i) const { return lines_[(i + 3) / 4].slots[(i + 3) % 4]; }

  // Slots past the last are later than any.
  void SetSize(uint32_t size) {
    size_ = size;
    const Slot never(std::numeric_limits<double>::infinity(), UINT32_MAX, UINT32_MAX);
    lines_.assign((size + 3 + 3) / 4, Line{{never, never, never, never}});
  }
  void Heapify() {
    if (size_ < 2) return;
    for (uint32_t i = (size_ - 2) / 4 + 1; i-- > 0;) SiftDown(i, At(i));
  }
  // Puts `slot` at `i` or below.
  void SiftDown(uint32_t i, Slot slot);

  std::vector<Line> lines_;
  double now_ = 0;
  uint32_t size_ = 0;
  uint32_t next_order_ = 0;
};

template <typename WeightOf>
EdfQueue::EdfQueue(uint32_t count, uint32_t picks, WeightOf weight_of) : next_order_(count) {
  SetSize(count);
  if (count == 0) return;
  // Deadlines of more picks would leave doubles too few digits behind the point.
  picks %= 429496729;
  constexpr double kHair = 1e-13;
  double sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += weight_of(i) + kHair;
  constexpr uint32_t kFew = 64;
  const uint32_t first = count <= kFew ? 0 : picks % count;
  uint64_t done = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const double weight = weight_of(i) + kHair;
    double turns = std::floor(picks * weight / sum);
    if (turns > 0 && turns / weight >= picks / sum) --turns;
    now_ = std::max(now_, turns / weight);
    done += static_cast<uint64_t>(turns);
    At(i) = Slot((turns + 1) / weight, i >= first ? i - first : i + count - first, i);
  }
  Heapify();
  for (; count <= kFew && done < picks; ++done) Pick(weight_of);
}

template <typename WeightOf>
EdfQueue::EdfQueue(const std::vector<Turn>& turns, uint32_t next_order, WeightOf weight_of)
    : next_order_(next_order) {
  SetSize(static_cast<uint32_t>(turns.size()));
  for (uint32_t i = 0; i < size_; ++i) {
    At(i) = Slot(turns[i].remaining / weight_of(i), turns[i].order, i);
  }
  Heapify();
}

template <typename WeightOf>
void EdfQueue::ReadTurns(WeightOf weight_of, std::vector<Turn>* turns) const {
  turns->resize(size_);
  for (uint32_t i = 0; i < size_; ++i) {
    const Slot& slot = At(i);
    const uint32_t member = static_cast<uint32_t>(slot.low);
    // Rounding must not make a deadline negative.
    const double remaining = std::max(0.0, slot.deadline() - now_);
    (*turns)[member] = {remaining * weight_of(member), slot.order()};
  }
}

inline void EdfQueue::SiftDown(uint32_t i, Slot slot) {
  for (uint32_t first = 4 * i + 1; first < size_; first = 4 * i + 1) {
    const Slot* children = &At(first);
    const uint32_t left = children[1] < children[0] ? 1 : 0;
    const uint32_t right = children[3] < children[2] ? 3 : 2;
    const uint32_t take_right = children[right] < children[left] ? ~0u : 0u;
    const uint32_t best = left ^ ((left ^ right) & take_right);
    if (!(children[best] < slot)) break;
    At(i) = children[best];
    i = first + best;
  }
  At(i) = slot;
}

}  // namespace remora::lb

#endif  // REMORA_LB_EDF_H_
