#include "lb/weighted_queues.h"

#include "absl/container/flat_hash_map.h"
#include "lb/slow_start.h"

namespace remora::lb {

namespace {

// Stamps hosts that became healthy unnoticed, and says whether any of the set
// is younger than the window.
bool AnyInSlowStart(const HostSet& hosts, Duration window, TimePoint now) {
  bool any = false;
  for (uint32_t i = 0; i < hosts.size(); ++i) {
    if (hosts.health(i) != Health::kHealthy) continue;
    std::atomic<int64_t>& since = hosts.host(i)->state().healthy_since_ns;
    int64_t value = since.load(std::memory_order_relaxed);
    if (value == 0 &&
        since.compare_exchange_strong(value, now.count(), std::memory_order_relaxed)) {
      value = now.count();
    }
    any |= now.count() - value <= window.count();
  }
  return any;
}

}  // namespace

WeightedQueues::WeightedQueues(const HostSet& hosts, const SlowStartConfig& slow_start,
                               uint64_t seed, TimePoint now)
    : hosts_(hosts),
      seed_(seed),
      slow_start_(SlowStartEnabled(slow_start) && AnyInSlowStart(hosts, slow_start.window, now)),
      queues_(hosts.lists().size()) {}

void WeightedQueues::Continue(const WeightedQueues& old, uint32_t id) {
  if (id >= old.queues_.size() || old.queues_[id] == nullptr) return;
  const HostList& old_list = old.hosts_.list(id);
  const HostList& list = hosts_.list(id);
  std::vector<EdfQueue::Turn> old_turns;
  old.queues_[id]->ReadTurns([&](uint32_t i) { return old.ConfiguredWeight(old_list, i); },
                             &old_turns);

  // Hosts keep their order in most updates: look at the next one first.
  absl::flat_hash_map<const Host*, uint32_t> members;
  uint32_t next = 0;
  const auto find = [&](const Host* host) -> int64_t {
    if (next < old_list.size() && old.hosts_.host(old_list.At(next)) == host) {
      return next++;
    }
    if (members.empty()) {
      members.reserve(old_list.size());
      for (uint32_t i = 0; i < old_list.size(); ++i) {
        members.emplace(old.hosts_.host(old_list.At(i)), i);
      }
    }
    const auto found = members.find(host);
    if (found == members.end()) return -1;
    next = found->second + 1;
    return found->second;
  };

  uint32_t order = old.queues_[id]->next_order();
  std::vector<EdfQueue::Turn> turns(list.size());
  for (uint32_t i = 0; i < list.size(); ++i) {
    const int64_t member = find(hosts_.host(list.At(i)));
    if (member >= 0) {
      turns[i] = old_turns[member];
    } else {
      turns[i].order = order++;
    }
  }
  queues_[id] = std::make_unique<EdfQueue>(turns, order,
                                           [&](uint32_t i) { return ConfiguredWeight(list, i); });
}

}  // namespace remora::lb
