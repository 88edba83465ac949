// Picks of ClusterView that are more than its policy's: hosts that a request names, original
// destinations, members of aggregate clusters.

#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/upstream/cluster_view.h"

namespace remora::proxy {
namespace {

// envoy.config.core.v3.HealthStatus, by number.
enum Status : uint32_t { kUnknown = 0, kUnhealthy = 2, kDraining = 3, kDegraded = 5 };

Status StatusOf(const lb::HostState& state) {
  constexpr uint32_t kFailed =
      lb::kFailedActiveHc | lb::kFailedOutlierCheck | lb::kExcludedViaImmediateHcFail;
  if (state.HasFlag(kFailed | lb::kFailedEdsHealth)) return kUnhealthy;
  if (state.HasFlag(lb::kEdsStatusDraining)) return kDraining;
  if (state.HasFlag(lb::kDegradedActiveHc | lb::kDegradedEdsHealth)) return kDegraded;
  return kUnknown;
}

}  // namespace

const lb::HostEntry* ClusterView::FindHost(absl::string_view address) {
  if (!by_address_read_) {
    by_address_read_ = true;
    for (const lb::HostEntry& entry : cluster_->policy->hosts().table()->entries()) {
      by_address_.emplace(entry.host->address_string(), &entry);
    }
  }
  const auto found = by_address_.find(address);
  return found == by_address_.end() ? nullptr : found->second;
}

bool ClusterView::MayOverride(const lb::Host& host) const {
  // What the control plane calls healthy and what it says nothing of is one to us.
  const Status status = StatusOf(host.state());
  const uint32_t wanted = status == kUnknown ? 1u << 0 | 1u << 1 : 1u << status;
  return (config().override_statuses & wanted) != 0;
}

Picked ClusterView::PickHost(lb::PickContext& context, const PickWish& wish) {
  if (config().type == xds::Cluster::Type::kAggregate) return PickMember(context);
  if (config().type == xds::Cluster::Type::kOriginalDst) {
    return {PickDestination(wish.destination), this};
  }
  if (!wish.override_host.empty()) {
    const lb::HostEntry* entry = FindHost(wish.override_host);
    if (entry != nullptr && MayOverride(*entry->host)) {
      return {lb::Choice{entry->host.get(), entry}, this};
    }
    if (wish.override_strict) {
      stats_.Add(ClusterStat::kCxNoneHealthy);
      return {{}, this};
    }
  }
  return {Pick(context), this};
}

void ClusterView::ReadMembers() {
  levels_.clear();
  absl::InlinedVector<lb::LevelHealth, 4> levels;
  for (const std::string& name : config().aggregate_clusters) {
    ClusterView* view = owner_->FindCluster(name);
    if (view == nullptr || view == this) continue;
    const lb::HostSet& hosts = view->cluster().policy->hosts();
    for (uint32_t i = 0; i < hosts.priorities().size(); ++i) {
      const lb::LevelHealth level = lb::LevelOf(hosts, i);
      if (level.all_hosts == 0) continue;
      levels.push_back(level);
      levels_.push_back({view, i});
    }
  }
  if (!levels.empty()) {
    level_state_ = lb::CombineLevels(levels, config().policy.panic_threshold);
  }
  levels_generation_ = owner_->generation();
}

Picked ClusterView::PickMember(lb::PickContext& context) {
  if (levels_generation_ != owner_->generation()) ReadMembers();
  if (levels_.empty()) {
    stats_.Add(ClusterStat::kCxNoneHealthy);
    return {{}, this};
  }
  const lb::ChosenPriority chosen = lb::ChoosePriority(context.random.Next(), level_state_.load);
  const Level& level = levels_[chosen.priority];
  const size_t count = level.view->cluster().policy->hosts().priorities().size();
  one_level_.healthy.assign(count, 0);
  one_level_.degraded.assign(count, 0);
  (chosen.degraded ? one_level_.degraded : one_level_.healthy)[level.priority] = 100;
  context.priority_load = &one_level_;
  const lb::Choice choice = level.view->Pick(context);
  context.priority_load = nullptr;
  return {choice, level.view};
}

lb::Choice ClusterView::PickDestination(const lb::SocketAddress* destination) {
  if (destination == nullptr) {
    stats_.Add(ClusterStat::kCxNoneHealthy);
    return {};
  }
  const std::string text = destination->ToString();
  const auto use = [](const lb::HostEntry& entry) {
    entry.host->state().used.store(true, std::memory_order_relaxed);
    return lb::Choice{entry.host.get(), &entry};
  };
  if (const lb::HostEntry* entry = FindHost(text)) return use(*entry);
  if (const auto made = made_hosts_.find(text); made != made_hosts_.end()) {
    return use(*made->second->own_entry);
  }
  auto entry = std::make_unique<lb::HostEntry>();
  entry->host = std::make_shared<lb::Host>(*destination);
  auto attributes = std::make_shared<lb::HostAttributes>();
  attributes->hostname = absl::StrCat(name(), text);
  entry->attributes = std::move(attributes);
  HostPools& pools = PoolsOf(*entry);
  pools.own_entry = std::move(entry);
  made_hosts_.emplace(text, &pools);
  if (owner_->mail().new_host) owner_->mail().new_host(name(), pools.host);
  return use(*pools.own_entry);
}

void ClusterView::LetMadeHostsGo() {
  for (auto it = made_hosts_.begin(); it != made_hosts_.end();) {
    const lb::HostEntry* entry = FindHost(it->first);
    if (entry == nullptr) {
      ++it;
      continue;
    }
    // Another worker was faster: its host is the one that stays.
    const lb::Host* own = it->second->host.get();
    if (entry->host.get() != own) {
      const auto pools = pools_.find(own);
      if (pools != pools_.end()) {
        Part(std::move(pools->second));
        pools_.erase(pools);
      }
    }
    made_hosts_.erase(it++);
  }
}

}  // namespace remora::proxy
