#include "lb/priority.h"

#include <algorithm>

namespace remora::lb {

namespace {

// Healthy, degraded and total as the priority's health counts them.
struct Sizes {
  uint64_t healthy = 0;
  uint64_t degraded = 0;
  uint64_t total = 0;  // without excluded hosts
};

Sizes SizesByNumber(const HostSet& hosts, const PriorityHosts& priority) {
  return {hosts.list(priority.healthy).size(), hosts.list(priority.degraded).size(),
          hosts.list(priority.all).size() - priority.excluded_count};
}

Sizes SizesByWeight(const HostSet& hosts, const PriorityHosts& priority) {
  return {hosts.list(priority.healthy).total_weight(), hosts.list(priority.degraded).total_weight(),
          hosts.list(priority.all).total_weight() - priority.excluded_weight};
}

uint32_t Share(uint32_t factor, uint64_t part, uint64_t total) {
  return static_cast<uint32_t>(std::min<uint64_t>(100, factor * part / total));
}

uint32_t TotalAvailability(absl::Span<const uint32_t> health,
                           absl::Span<const uint32_t> degraded_health) {
  uint32_t sum = 0;
  for (const uint32_t share : health) sum += share;
  for (const uint32_t share : degraded_health) sum += share;
  return std::min<uint32_t>(100, sum);
}

// Gives `*rest` percent out by `health`; returns the first level that has any.
int Distribute(absl::Span<const uint32_t> health, uint32_t availability, uint32_t* rest,
               absl::InlinedVector<uint32_t, 4>* load) {
  int first = -1;
  for (size_t i = 0; i < health.size(); ++i) {
    if (first < 0 && health[i] > 0) first = static_cast<int>(i);
    (*load)[i] = std::min(*rest, health[i] * 100 / availability);
    *rest -= (*load)[i];
  }
  return first;
}

void DistributeByNumberOfHosts(absl::Span<const LevelHealth> levels, PriorityLoad* load) {
  uint64_t total = 0;
  for (const LevelHealth& level : levels) total += level.all_hosts;
  if (total == 0) {
    load->healthy[0] = 100;
    return;
  }
  uint32_t rest = 100;
  int first = -1;
  for (size_t i = 0; i < levels.size(); ++i) {
    load->healthy[i] = static_cast<uint32_t>(100 * levels[i].all_hosts / total);
    load->degraded[i] = 0;
    rest -= load->healthy[i];
    if (first < 0 && levels[i].all_hosts > 0) first = static_cast<int>(i);
  }
  load->healthy[first] += rest;
}

bool LevelPanics(const LevelHealth& level, double panic_threshold) {
  const double threshold = std::min(100.0, panic_threshold);
  if (level.counted_hosts == 0) return 0 < threshold;
  const double total = static_cast<double>(level.counted_hosts);
  return 100.0 * static_cast<double>(level.healthy_hosts) / total +
             100.0 * static_cast<double>(level.degraded_hosts) / total <
         threshold;
}

}  // namespace

PriorityLoad DistributeLoad(absl::Span<const uint32_t> health,
                            absl::Span<const uint32_t> degraded_health) {
  PriorityLoad load;
  load.healthy.resize(health.size(), 0);
  load.degraded.resize(health.size(), 0);
  const uint32_t availability = TotalAvailability(health, degraded_health);
  if (availability == 0) return load;
  uint32_t rest = 100;
  const int first = Distribute(health, availability, &rest, &load.healthy);
  const int first_degraded = Distribute(degraded_health, availability, &rest, &load.degraded);
  if (first >= 0) {
    load.healthy[first] += rest;
  } else {
    load.degraded[first_degraded] += rest;
  }
  return load;
}

LevelHealth LevelOf(const HostSet& hosts, uint32_t priority) {
  const PriorityHosts& of = hosts.priorities()[priority];
  const Sizes by_number = SizesByNumber(hosts, of);
  LevelHealth level;
  level.healthy_hosts = by_number.healthy;
  level.degraded_hosts = by_number.degraded;
  level.counted_hosts = by_number.total;
  level.all_hosts = hosts.list(of.all).size();
  if (by_number.total == 0) return level;
  const Sizes sizes = hosts.weighted_priority_health() ? SizesByWeight(hosts, of) : by_number;
  const uint32_t factor = hosts.overprovisioning_factor();
  level.health = Share(factor, sizes.healthy, sizes.total);
  level.degraded_health = Share(factor, sizes.degraded, sizes.total);
  return level;
}

bool InPanic(const HostSet& hosts, uint32_t priority, double panic_threshold) {
  return LevelPanics(LevelOf(hosts, priority), panic_threshold);
}

PriorityState ComputePriorities(const HostSet& hosts, double panic_threshold) {
  absl::InlinedVector<LevelHealth, 4> levels;
  for (uint32_t i = 0; i < hosts.priorities().size(); ++i) levels.push_back(LevelOf(hosts, i));
  return CombineLevels(levels, panic_threshold);
}

PriorityState CombineLevels(absl::Span<const LevelHealth> levels, double panic_threshold) {
  PriorityState state;
  for (const LevelHealth& level : levels) {
    state.health.push_back(level.health);
    state.degraded_health.push_back(level.degraded_health);
  }
  state.load = DistributeLoad(state.health, state.degraded_health);
  state.panic.resize(levels.size(), false);

  // Envoy's thresholds are whole percentages, cut in just this way.
  const double threshold =
      static_cast<double>(static_cast<uint64_t>(100 * (std::min(100.0, panic_threshold) / 100.0)));
  const uint32_t availability = TotalAvailability(state.health, state.degraded_health);
  if (threshold == 0 && availability == 0) {
    state.load.healthy[0] = 100;
    return state;
  }
  if (availability == 100) return state;
  bool all_panic = true;
  for (size_t i = 0; i < levels.size(); ++i) {
    state.panic[i] = LevelPanics(levels[i], threshold);
    all_panic = all_panic && state.panic[i];
  }
  if (all_panic) DistributeByNumberOfHosts(levels, &state.load);
  return state;
}

ChosenPriority ChoosePriority(uint64_t hash, const PriorityLoad& load) {
  const uint32_t mark = static_cast<uint32_t>(hash % 100) + 1;
  uint32_t sum = 0;
  for (uint32_t i = 0; i < load.healthy.size(); ++i) {
    sum += load.healthy[i];
    if (mark <= sum) return {i, false};
  }
  for (uint32_t i = 0; i < load.degraded.size(); ++i) {
    sum += load.degraded[i];
    if (mark <= sum) return {i, true};
  }
  // Loads add up to 100, except masks by a retry policy that left nothing.
  return {0, false};
}

}  // namespace remora::lb
