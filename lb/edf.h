// Earliest deadline first: weighted fair choice among n numbers, O(log n).
//
// Each member has a deadline; the earliest is picked and comes back at its
// deadline + 1 / weight, equal deadlines in the order in which they were
// queued. So in any stretch of picks each member gets its share by weight, as
// evenly spread as possible. Same order as Envoy's scheduler, from a start
// advanced by a number of picks, so that workers do not all begin with the
// heaviest host.
//
// A 4-ary heap of 16-byte slots: the four children of a slot are one cache line
// (the root sits at the end of the first line for that), so a pick among
// 100,000 touches nine lines, the upper five of which stay in the cache.

#ifndef REMORA_LB_EDF_H_
#define REMORA_LB_EDF_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace remora::lb {

class EdfQueue {
 public:
  // Members 0..count-1, as after `picks` picks. `weight_of(i)` is positive.
  template <typename WeightOf>
  EdfQueue(uint32_t count, uint32_t picks, WeightOf weight_of);

  // The next member, which is queued again with `weight_of(member)`. There must
  // be one.
  template <typename WeightOf>
  uint32_t Pick(WeightOf weight_of) {
    Slot& top = At(0);
    now_ = top.deadline;
    const uint32_t member = top.member;
    SiftDown(0, {now_ + 1.0 / weight_of(member), next_order_++, member});
    return member;
  }

  uint32_t size() const { return size_; }

  // How far each member is from its next turn, as a part of its period: what a
  // successor needs to go on where this queue is.
  struct Turn {
    double remaining = 1.0;  // (deadline - now) * weight
    uint32_t order = 0;
  };
  // `turns` has size() elements, by member.
  template <typename WeightOf>
  void ReadTurns(WeightOf weight_of, std::vector<Turn>* turns) const {
    turns->assign(size_, {});
    for (uint32_t i = 0; i < size_; ++i) {
      const Slot& slot = At(i);
      (*turns)[slot.member] = {(slot.deadline - now_) * weight_of(slot.member), slot.order};
    }
  }

  // A queue whose members are where `turns` says (weights may differ).
  // `next_order` is larger than all orders in it.
  template <typename WeightOf>
  EdfQueue(const std::vector<Turn>& turns, uint32_t next_order, WeightOf weight_of);
  uint32_t next_order() const { return next_order_; }

 private:
  struct Slot {
    double deadline;
    uint32_t order;
    uint32_t member;
  };
  struct alignas(64) Line {
    Slot slots[4];
  };

  static bool Before(const Slot& a, const Slot& b) {
    if (a.deadline != b.deadline) return a.deadline < b.deadline;
    // Orders wrap around.
    return static_cast<int32_t>(a.order - b.order) < 0;
  }

  Slot& At(uint32_t i) { return lines_[(i + 3) / 4].slots[(i + 3) % 4]; }
  const Slot& At(uint32_t i) const { return lines_[(i + 3) / 4].slots[(i + 3) % 4]; }

  void SetSize(uint32_t size) {
    size_ = size;
    lines_.resize((size + 3 + 3) / 4);
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
EdfQueue::EdfQueue(uint32_t count, uint32_t picks, WeightOf weight_of) {
  SetSize(count);
  if (count == 0) return;
  double sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += weight_of(i);
  // Whole shares at once, then the few picks that are left one by one.
  uint64_t done = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const double weight = weight_of(i);
    const double turns = std::floor(picks * weight / sum);
    now_ = std::max(now_, turns / weight);
    At(i) = {(turns + 1) / weight, i, i};
    done += static_cast<uint64_t>(turns);
  }
  next_order_ = count;
  Heapify();
  for (; done < picks; ++done) Pick(weight_of);
}

template <typename WeightOf>
EdfQueue::EdfQueue(const std::vector<Turn>& turns, uint32_t next_order, WeightOf weight_of)
    : next_order_(next_order) {
  SetSize(static_cast<uint32_t>(turns.size()));
  for (uint32_t i = 0; i < size_; ++i) {
    At(i) = {turns[i].remaining / weight_of(i), turns[i].order, i};
  }
  Heapify();
}

inline void EdfQueue::SiftDown(uint32_t i, Slot slot) {
  for (;;) {
    const uint32_t first = 4 * i + 1;
    if (first >= size_) break;
    const Slot* children = &At(first);
    uint32_t best = 0;
    const uint32_t count = std::min<uint32_t>(4, size_ - first);
    for (uint32_t c = 1; c < count; ++c) {
      if (Before(children[c], children[best])) best = c;
    }
    if (!Before(children[best], slot)) break;
    At(i) = children[best];
    i = first + best;
  }
  At(i) = slot;
}

}  // namespace remora::lb

#endif  // REMORA_LB_EDF_H_
