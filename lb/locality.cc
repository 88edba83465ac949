#include "lb/locality.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace remora::lb {

namespace {

constexpr uint64_t kWhole = 10'000;

uint32_t ListOf(const PriorityHosts& priority, bool degraded) {
  return degraded ? priority.degraded : priority.healthy;
}

uint32_t ListOf(const LocalityHosts& locality, bool degraded) {
  return degraded ? locality.degraded : locality.healthy;
}

// A locality's size for zone-aware routing.
uint64_t SizeOf(const HostList& list, bool by_weight) {
  return by_weight ? list.total_weight() : list.size();
}

size_t LocalitiesOf(const HostSet* hosts) {
  return hosts == nullptr ? 0 : hosts->priorities()[0].localities.size();
}

}  // namespace

RoutingPlan::RoutingPlan(const PolicyConfig& config, const HostSet& hosts,
                         const HostSet* local_hosts)
    : hosts_(hosts),
      mode_(config.locality_mode),
      zone_config_(config.zone_aware),
      priorities_(ComputePriorities(hosts, config.panic_threshold)) {
  for (const PriorityHosts& priority : hosts.priorities()) {
    for (const bool degraded : {false, true}) {
      weighted_[degraded].push_back(mode_ == LocalityMode::kWeighted
                                        ? EffectiveWeights(priority, degraded)
                                        : std::vector<WeightedLocality>());
    }
  }
  if (mode_ == LocalityMode::kZoneAware) {
    PlanZones(local_hosts);
    local_panic_ = local_hosts != nullptr && InPanic(*local_hosts, 0, config.panic_threshold);
  }
  const bool plain =
      weighted_[0][0].empty() && zone_routing_ == ZoneRouting::kOff && !priorities_.panic[0];
  if (plain && priorities_.load.healthy[0] == 100) {
    only_list_ = hosts.priorities()[0].healthy;
  }
}

std::vector<RoutingPlan::WeightedLocality> RoutingPlan::EffectiveWeights(
    const PriorityHosts& priority, bool degraded) const {
  std::vector<WeightedLocality> weighted;
  const double factor = hosts_.overprovisioning_factor() / 100.0;
  for (const LocalityHosts& locality : priority.localities) {
    const size_t count = hosts_.list(locality.all).size() - locality.excluded_count;
    if (count == 0) continue;
    const uint32_t list = ListOf(locality, degraded);
    const double available =
        static_cast<double>(hosts_.list(list).size()) / static_cast<double>(count);
    const double weight = locality.weight * std::min(1.0, factor * available);
    if (weight > 0) weighted.push_back({list, weight});
  }
  return weighted;
}

void RoutingPlan::PlanZones(const HostSet* local_hosts) {
  const PriorityHosts& upstream = hosts_.priorities()[0];
  if (upstream.localities.size() < 2 || LocalitiesOf(local_hosts) < 2) return;
  const PriorityHosts& local_cluster = local_hosts->priorities()[0];
  if (!local_cluster.has_local || local_hosts->list(local_cluster.localities[0].healthy).empty()) {
    notes_ |= kNoteLocalClusterNotOk;
    return;
  }
  if (hosts_.list(upstream.healthy).size() < zone_config_.min_cluster_size) {
    notes_ |= kNoteZoneClusterTooSmall;
    return;
  }
  const bool by_weight = zone_config_.by_host_weight;
  absl::flat_hash_map<std::string, uint64_t> local_sizes;
  const auto key = [](const Locality& locality) {
    return locality.region + '\0' + locality.zone + '\0' + locality.sub_zone;
  };
  uint64_t local_total = 0;
  for (const LocalityHosts& zone : local_cluster.localities) {
    const uint64_t size = SizeOf(local_hosts->list(zone.healthy), by_weight);
    local_sizes[key(zone.locality)] = size;
    local_total += size;
  }
  const uint64_t upstream_total = SizeOf(hosts_.list(upstream.healthy), by_weight);

  uint64_t residual = 0;
  for (size_t i = 0; i < upstream.localities.size(); ++i) {
    const LocalityHosts& zone = upstream.localities[i];
    const auto found = local_sizes.find(key(zone.locality));
    const uint64_t local =
        found == local_sizes.end() || local_total == 0 ? 0 : found->second * kWhole / local_total;
    const uint64_t size = SizeOf(hosts_.list(zone.healthy), by_weight);
    const uint64_t share = upstream_total == 0 ? 0 : size * kWhole / upstream_total;
    const bool own = i == 0 && upstream.has_local;
    if (own && share > 0 && share >= local) {
      zone_routing_ = ZoneRouting::kAllLocal;
      return;
    }
    if (own && local > 0) local_share_ = share * kWhole / local;
    if (!own && share > local) residual += share - local;
    residual_.push_back(residual);
  }
  zone_routing_ = ZoneRouting::kResidual;
}

std::vector<uint32_t> RoutingPlan::ReachableLists() const {
  if (only_list_.has_value()) return {*only_list_};
  std::vector<uint32_t> ids;
  for (uint32_t p = 0; p < hosts_.priorities().size(); ++p) {
    for (const bool degraded : {false, true}) {
      const auto& load = degraded ? priorities_.load.degraded : priorities_.load.healthy;
      if (load[p] > 0) AppendReachable(p, degraded, &ids);
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

void RoutingPlan::AppendReachable(uint32_t priority, bool degraded,
                                  std::vector<uint32_t>* ids) const {
  const PriorityHosts& hosts = hosts_.priorities()[priority];
  if (priorities_.panic[priority]) {
    ids->push_back(hosts.all);
    return;
  }
  for (const WeightedLocality& locality : weighted_[degraded][priority]) {
    ids->push_back(locality.list);
  }
  if (!weighted_[degraded][priority].empty()) return;
  ids->push_back(ListOf(hosts, degraded));
  if (priority == 0 && zone_routing_ != ZoneRouting::kOff) {
    for (const LocalityHosts& locality : hosts.localities) {
      ids->push_back(ListOf(locality, degraded));
    }
  }
}

ListChooser::ListChooser(const RoutingPlan& plan, uint64_t seed) : plan_(plan) {
  for (const bool degraded : {false, true}) {
    for (const auto& weighted : plan.weighted_[degraded]) {
      schedules_[degraded].emplace_back(static_cast<uint32_t>(weighted.size()),
                                        static_cast<uint32_t>(seed),
                                        [&](uint32_t i) { return weighted[i].weight; });
    }
  }
}

std::optional<uint32_t> ListChooser::ChooseSlowly(PickContext& ctx) {
  const PriorityState& priorities = plan_.priorities_;
  const ChosenPriority chosen = ChoosePriority(
      ctx.random.Next(), ctx.priority_load != nullptr ? *ctx.priority_load : priorities.load);
  const PriorityHosts& hosts = plan_.hosts_.priorities()[chosen.priority];
  if (priorities.panic[chosen.priority]) {
    ctx.notes |= kNoteHealthyPanic;
    if (plan_.zone_config_.fail_traffic_on_panic) return std::nullopt;
    return hosts.all;
  }

  EdfQueue& schedule = schedules_[chosen.degraded][chosen.priority];
  if (schedule.size() > 0) {
    const auto& weighted = plan_.weighted_[chosen.degraded][chosen.priority];
    return weighted[schedule.Pick([&](uint32_t i) { return weighted[i].weight; })].list;
  }

  if (chosen.priority == 0 && plan_.zone_routing_ != RoutingPlan::ZoneRouting::kOff) {
    return ChooseZone(ctx, hosts, chosen.degraded);
  }
  return ListOf(hosts, chosen.degraded);
}

uint32_t ListChooser::ChooseZone(PickContext& ctx, const PriorityHosts& priority,
                                 bool degraded) const {
  const double enabled = plan_.zone_config_.routing_enabled_percent;
  if (enabled < 100.0 && static_cast<double>(ctx.random.Below(100)) >= enabled) {
    return ListOf(priority, degraded);
  }
  if (plan_.local_panic_) {
    ctx.notes |= kNoteLocalClusterNotOk;
    return ListOf(priority, degraded);
  }
  const auto zone = [&](size_t i) { return ListOf(priority.localities[i], degraded); };
  if (plan_.zone_routing_ == RoutingPlan::ZoneRouting::kAllLocal) {
    ctx.notes |= kNoteZoneRoutingAllDirectly;
    return zone(0);
  }
  if (ctx.random.Below(kWhole) < plan_.local_share_) {
    ctx.notes |= kNoteZoneRoutingSampled;
    return zone(0);
  }
  ctx.notes |= kNoteZoneRoutingCrossZone;
  const std::vector<uint64_t>& residual = plan_.residual_;
  if (residual.back() == 0) {
    // Rounding left no zone any capacity.
    ctx.notes |= kNoteZoneNoCapacityLeft;
    return zone(ctx.random.Below(residual.size()));
  }
  const uint64_t mark = ctx.random.Below(residual.back());
  const auto found = std::upper_bound(residual.begin(), residual.end(), mark);
  return zone(static_cast<size_t>(found - residual.begin()));
}

}  // namespace remora::lb
