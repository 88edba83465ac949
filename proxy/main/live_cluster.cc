#include "proxy/main/live_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

bool ByName(const xds::Cluster& config) {
  return config.type == xds::Cluster::Type::kStrictDns ||
         config.type == xds::Cluster::Type::kLogicalDns;
}

std::shared_ptr<const xds::ClusterLoadAssignment> AssignmentOf(
    const xds::ClusterResource& resource) {
  if (resource.config->type == xds::Cluster::Type::kEds) return resource.assignment;
  return resource.config->load_assignment;
}

bool SameMembers(const xds::HostMap& a, const xds::HostMap& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
           return b.find(entry.first) != b.end();
         });
}

}  // namespace

LiveCluster::LiveCluster(const ClusterWorld* world, xds::ClusterResource resource)
    : world_(world), resource_(std::move(resource)) {
  Configure();
}

LiveCluster::~LiveCluster() = default;

void LiveCluster::Update(xds::ClusterResource resource) {
  const bool same_config = resource.config == resource_.config;
  const bool same_endpoints = resource.assignment == resource_.assignment;
  resource_ = std::move(resource);
  if (!same_config) {
    Configure();
  } else if (!same_endpoints) {
    RebuildHosts();
  }
}

void LiveCluster::Configure() {
  configuring_ = true;
  StartMonitors();
  if (ByName(*resource_.config)) {
    StartDns();
  } else {
    dns_.reset();
  }
  RebuildHosts();
  configuring_ = false;
}

void LiveCluster::StartDns() {
  if (!stats_) {
    stats_ = world_->stats->MainScope<ClusterStat>(
        RegisterClusterStats(*resource_.config, *world_->stats));
  }
  DnsEndpoints::Hooks hooks;
  hooks.on_change = [this] { RebuildHosts(); };
  hooks.on_attempt = [this] {
    if (stats_) stats_.Add(ClusterStat::kUpdateAttempt);
  };
  hooks.on_answer = [this](bool ok) {
    if (stats_) stats_.Add(ok ? ClusterStat::kUpdateSuccess : ClusterStat::kUpdateFailure);
  };
  dns_ = std::make_unique<DnsEndpoints>(world_->loop, world_->dns(resource_.config->dns),
                                        resource_.config, NextSeed(), std::move(hooks));
}

void LiveCluster::StartMonitors() {
  const xds::Cluster& config = *resource_.config;
  const bool had_monitors = !monitors_.empty();
  const std::string prefix = absl::StrCat("cluster.", config.stat_name(), ".");
  monitors_.clear();
  for (const xds::HealthCheck& check : config.health_checks) {
    HealthMonitor::Hooks hooks;
    hooks.on_change = [this] {
      // A host that was only kept because it passed may have to go now.
      const bool kept = std::any_of(hosts_.begin(), hosts_.end(), [](const auto& entry) {
        return entry.second.host->state().HasFlag(lb::kPendingDynamicRemoval);
      });
      kept ? RebuildHosts() : RebuildSet(true);
    };
    hooks.on_healthy = [this](lb::Host& host) {
      if (outlier_ != nullptr) outlier_->OnActiveCheckPassed(host);
    };
    hooks.on_first_round = [this] { world_->on_change(); };
    hooks.had_traffic = [this] {
      return current_ != nullptr && current_->shared->had_traffic.load(std::memory_order_relaxed);
    };
    const StatBlock* block =
        world_->stats->Register(absl::StrCat(prefix, "health_check."), HealthStatSchema());
    monitors_.push_back(std::make_unique<HealthMonitor>(
        world_->loop, check, config.name, world_->prober(check, config.name),
        world_->stats->MainScope<HealthStat>(block), world_->log, NextSeed(), std::move(hooks)));
  }
  if (monitors_.empty() && had_monitors) {
    for (const auto& [address, known] : hosts_) {
      known.host->state().ClearFlag(lb::kFailedActiveHc);
      known.host->state().ClearFlag(lb::kPendingActiveHc);
      known.host->state().ClearFlag(lb::kDegradedActiveHc);
    }
  }
  outlier_.reset();
  if (config.outlier) {
    const StatBlock* block =
        world_->stats->Register(absl::StrCat(prefix, "outlier_detection."), OutlierStatSchema());
    outlier_ = std::make_unique<OutlierMonitor>(
        world_->loop, *config.outlier, config.name, block, world_->stats, world_->log,
        world_->outlier_log_path, NextSeed(), [this] { RebuildSet(true); });
  }
}

bool LiveCluster::KeepsRemoved(const lb::Host& host) const {
  return !monitors_.empty() && !resource_.config->ignore_health_on_host_removal &&
         !host.state().HasFlag(lb::kFailedActiveHc);
}

void LiveCluster::OnNewHost(const std::shared_ptr<lb::Host>& host) {
  if (resource_.config->type != xds::Cluster::Type::kOriginalDst) return;
  xds::KnownHost& known = hosts_[host->address_string()];
  if (known.host != nullptr) return;
  known.host = host;
  auto attributes = std::make_shared<lb::HostAttributes>();
  attributes->hostname = absl::StrCat(resource_.config->name, host->address_string());
  known.attributes = std::move(attributes);
  RebuildDestinations();
}

void LiveCluster::SweepDestinations() {
  bool changed = false;
  for (auto it = hosts_.begin(); it != hosts_.end();) {
    lb::HostState& state = it->second.host->state();
    const bool used = state.used.exchange(false, std::memory_order_relaxed) ||
                      state.rq_active.load(std::memory_order_relaxed) != 0 ||
                      state.cx_active.load(std::memory_order_relaxed) != 0;
    if (used) {
      ++it;
      continue;
    }
    hosts_.erase(it++);
    changed = true;
  }
  if (changed) RebuildDestinations();
  cleanup_timer_->Start(absl::ToInt64Nanoseconds(resource_.config->cleanup_interval));
}

// Hosts that requests made, in no order: nothing picks among them.
void LiveCluster::RebuildDestinations() {
  lb::HostTable::Builder builder({});
  std::vector<std::shared_ptr<lb::Host>> all;
  for (const auto& [address, known] : hosts_) {
    builder.Add(known.host, known.weight, 0, lb::Locality(), known.attributes);
    all.push_back(known.host);
  }
  table_ = builder.Build();
  rebuilding_ = true;
  for (const auto& monitor : monitors_) monitor->SetHosts(table_, current_ != nullptr);
  if (outlier_ != nullptr) outlier_->SetHosts(all);
  rebuilding_ = false;
  if (!cleanup_timer_.has_value()) {
    cleanup_timer_.emplace(
        &world_->loop->timers(),
        [](void* self) { static_cast<LiveCluster*>(self)->SweepDestinations(); }, this);
    cleanup_timer_->Start(absl::ToInt64Nanoseconds(resource_.config->cleanup_interval));
  }
  RebuildSet();
}

void LiveCluster::RefreshLocal() {
  if (resource_.config->policy.locality_mode == lb::LocalityMode::kZoneAware) RebuildSet();
}

void LiveCluster::RebuildHosts() {
  if (resource_.config->type == xds::Cluster::Type::kOriginalDst) return RebuildDestinations();
  const std::shared_ptr<const xds::ClusterLoadAssignment> assignment = AssignmentOf(resource_);
  static const xds::ClusterLoadAssignment kNone;
  xds::HostUpdateOptions options;
  options.local = world_->local;
  options.active_health_checks = !monitors_.empty();
  options.keep_removed = [this](const lb::Host& host) { return KeepsRemoved(host); };
  xds::EndpointResolver resolver;
  if (dns_ != nullptr)
    resolver = [this](const xds::Endpoint& endpoint) { return dns_->AddressesOf(endpoint); };
  absl::StatusOr<xds::HostUpdate> update =
      xds::BuildHosts(assignment != nullptr ? *assignment : kNone, hosts_, options, resolver);
  if (!update.ok()) {
    world_->log_warning(
        absl::StrCat("cluster '", resource_.config->name, "': ", update.status().message()));
    return;
  }
  const bool same_members = SameMembers(hosts_, update->hosts);
  table_ = std::move(update->table);
  hosts_ = std::move(update->hosts);
  // What a checker says of a host while it learns of it is part of the set built below.
  rebuilding_ = true;
  std::vector<std::shared_ptr<lb::Host>> all;
  for (const lb::HostEntry& entry : table_->entries()) all.push_back(entry.host);
  for (const auto& monitor : monitors_) monitor->SetHosts(table_, current_ != nullptr);
  if (outlier_ != nullptr) outlier_->SetHosts(all);
  rebuilding_ = false;
  RebuildSet(same_members);
}

bool LiveCluster::Defer(bool same_members) {
  const int64_t window = absl::ToInt64Nanoseconds(resource_.config->update_merge_window);
  const int64_t now = world_->loop->now_ns();
  // What a cluster goes through before it is in use is not delayed, and starts no window.
  const bool in_use = std::exchange(in_use_, settled());
  if (published_ == nullptr || window == 0 || configuring_ || !in_use) {
    published_ns_.reset();
    return false;
  }
  const bool passed = !published_ns_.has_value() || now - *published_ns_ > window;
  if (passed || !same_members) {
    if (merge_timer_.has_value()) merge_timer_->Stop();
    published_ns_ = now;
    return false;
  }
  if (!merge_timer_.has_value()) {
    merge_timer_.emplace(
        &world_->loop->timers(),
        [](void* self) { static_cast<LiveCluster*>(self)->PublishMerged(); }, this);
  }
  if (!merge_timer_->armed()) merge_timer_->Start(window);
  return true;
}

void LiveCluster::PublishMerged() {
  published_ns_ = world_->loop->now_ns();
  published_ = current_;
  world_->on_change();
}

void LiveCluster::RebuildSet(bool same_members) {
  if (rebuilding_ || table_ == nullptr) return;
  ClusterInput input;
  input.config = resource_.config;
  input.hosts = lb::HostSet::Make(table_);
  const bool is_local =
      !world_->local_cluster.empty() && world_->local_cluster == resource_.config->name;
  if (world_->local_hosts && !is_local &&
      resource_.config->policy.locality_mode == lb::LocalityMode::kZoneAware) {
    input.local_hosts = world_->local_hosts();
  }
  input.tls = [this](const xds::UpstreamTls& tls) {
    return world_->tls(tls, absl::StrCat("cluster.", resource_.config->stat_name(), "."));
  };
  input.previous = current_;
  input.default_bind = world_->default_bind;
  if (const auto assignment = AssignmentOf(resource_);
      assignment != nullptr && !assignment->drop_overloads.empty()) {
    input.drop_overload = assignment->drop_overloads.front();
  }
  absl::StatusOr<std::shared_ptr<const Cluster>> built =
      BuildCluster(std::move(input), *world_->stats);
  if (!built.ok()) {
    world_->log_warning(
        absl::StrCat("cluster '", resource_.config->name, "': ", built.status().message()));
    return;
  }
  const std::shared_ptr<const Cluster> previous = std::exchange(current_, *std::move(built));
  if (!stats_) stats_ = world_->stats->MainScope<ClusterStat>(current_->shared->stats);
  PublishMembership(*current_, previous.get(), *world_->stats);
  PublishFigures(*current_, previous.get(), world_->threads, *world_->stats);
  if (is_local && world_->on_local_hosts) world_->on_local_hosts();
  if (Defer(same_members)) return;
  published_ = current_;
  world_->on_change();
}

void LiveCluster::RefreshTls() { RebuildSet(); }

void LiveCluster::OnSuspicion(const std::shared_ptr<lb::Host>& host, health::Suspicion suspicion) {
  if (outlier_ != nullptr) outlier_->OnSuspicion(*host, suspicion);
}

void LiveCluster::OnImmediateFail(const std::shared_ptr<lb::Host>& host) {
  for (const auto& monitor : monitors_) monitor->OnImmediateFail(*host);
}

bool LiveCluster::settled() const {
  if (dns_ != nullptr && !dns_->resolved_once()) return false;
  return std::all_of(monitors_.begin(), monitors_.end(),
                     [](const auto& monitor) { return monitor->first_round_done(); });
}

}  // namespace remora::proxy
