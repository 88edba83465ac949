#include "proxy/upstream/cluster_view.h"

#include <utility>

#include "proxy/upstream/upstream_connection.h"
#include "xds/tls.h"

namespace remora::proxy {
namespace {

bool SameTransport(const xds::UpstreamTransport& a, const xds::UpstreamTransport& b) {
  if (a.kind != b.kind || a.proxy_protocol_version != b.proxy_protocol_version) return false;
  if (a.kind != xds::UpstreamTransport::Kind::kTls || a.tls == b.tls) return true;
  return a.tls != nullptr && b.tls != nullptr && a.tls->key == b.tls->key;
}

// Whether connections made under `a` may go on serving under `b`. New secrets do not matter: they
// are for new connections. Limits and timeouts are read when they are used.
bool SameWire(const xds::Cluster& a, const xds::Cluster& b) {
  if (&a == &b) return true;
  if (a.http.protocol != b.http.protocol || a.http.auto_sni != b.http.auto_sni ||
      !SameTransport(a.transport, b.transport) ||
      a.transport_matches.size() != b.transport_matches.size()) {
    return false;
  }
  for (size_t i = 0; i < a.transport_matches.size(); ++i) {
    if (a.transport_matches[i].name != b.transport_matches[i].name ||
        !(a.transport_matches[i].criteria == b.transport_matches[i].criteria) ||
        !SameTransport(a.transport_matches[i].transport, b.transport_matches[i].transport)) {
      return false;
    }
  }
  return true;
}

lb::TimePoint Now(Loop& loop) { return lb::TimePoint(loop.now_ns()); }

}  // namespace

bool HostPools::unused() const {
  if (refs != 0) return false;
  for (const auto& pool : http) {
    if (!pool->unused()) return false;
  }
  return true;
}

ClusterView::ClusterView(WorkerView* owner, std::shared_ptr<const Cluster> cluster)
    : owner_(owner),
      cluster_(std::move(cluster)),
      picker_(cluster_->policy->MakePicker(nullptr, owner->seed(), Now(owner->loop()))),
      stats_(owner->stats().Cells(*cluster_->shared->stats)) {}

ClusterView::~ClusterView() {
  pools_.clear();
  parting_.clear();
}

std::shared_ptr<const Cluster> ClusterView::Update(std::shared_ptr<const Cluster> cluster) {
  if (cluster->policy != cluster_->policy) {
    picker_ = cluster->policy->MakePicker(picker_.get(), owner_->seed(), Now(loop()));
  }
  const bool same_hosts = cluster->members == cluster_->members;
  const bool keep_pools = SameWire(*cluster_->config, *cluster->config) &&
                          (same_hosts || !cluster->config->close_connections_on_host_set_change);
  const bool part_failed = cluster->config->close_connections_on_host_health_failure;
  if (!keep_pools || !same_hosts || part_failed) {
    for (auto it = pools_.begin(); it != pools_.end();) {
      const bool stays = cluster->members->contains(it->first) ||
                         made_hosts_.contains(it->first->address_string());
      const bool failed = part_failed && it->first->state().HasFlag(lb::kFailedActiveHc);
      if (keep_pools && stays && !failed) {
        ++it;
        continue;
      }
      Part(std::move(it->second));
      pools_.erase(it++);
    }
  }
  by_address_.clear();
  by_address_read_ = false;
  std::shared_ptr<const Cluster> old = std::exchange(cluster_, std::move(cluster));
  if (!made_hosts_.empty()) LetMadeHostsGo();
  return old;
}

void ClusterView::Part(std::unique_ptr<HostPools> pools) {
  pools->parting = true;
  for (const auto& pool : pools->http) pool->Drain();
  parting_.push_back(std::move(pools));
}

void ClusterView::MarkRemoved() {
  removed_ = true;
  made_hosts_.clear();
  for (auto& [host, pools] : pools_) Part(std::move(pools));
  pools_.clear();
}

void ClusterView::DrainAll() {
  for (auto& [host, pools] : pools_) {
    for (const auto& pool : pools->http) pool->Drain();
  }
}

void ClusterView::SweepParting() {
  for (size_t i = 0; i < parting_.size();) {
    if (!parting_[i]->unused()) {
      ++i;
      continue;
    }
    parting_[i] = std::move(parting_.back());
    parting_.pop_back();
  }
}

lb::Choice ClusterView::Pick(lb::PickContext& context) {
  const lb::Choice choice = picker_->Pick(context);
  if (!choice) stats_.Add(ClusterStat::kCxNoneHealthy);
  if (context.notes != 0) CountNotes(context.notes);
  return choice;
}

void ClusterView::CountNotes(uint32_t notes) {
  const auto count = [&](lb::PickNote note, ClusterStat stat) {
    if (notes & note) stats_.Add(stat);
  };
  count(lb::kNoteHealthyPanic, ClusterStat::kLbHealthyPanic);
  count(lb::kNoteZoneRoutingAllDirectly, ClusterStat::kLbZoneRoutingAllDirectly);
  count(lb::kNoteZoneRoutingSampled, ClusterStat::kLbZoneRoutingSampled);
  count(lb::kNoteZoneRoutingCrossZone, ClusterStat::kLbZoneRoutingCrossZone);
  count(lb::kNoteZoneNoCapacityLeft, ClusterStat::kLbZoneNoCapacityLeft);
  count(lb::kNoteLocalClusterNotOk, ClusterStat::kLbLocalClusterNotOk);
  count(lb::kNoteSubsetSelected, ClusterStat::kLbSubsetsSelected);
  count(lb::kNoteSubsetFallback, ClusterStat::kLbSubsetsFallback);
  count(lb::kNoteSubsetFallbackPanic, ClusterStat::kLbSubsetsFallbackPanic);
}

HostPools& ClusterView::PoolsOf(const lb::HostEntry& entry) {
  std::unique_ptr<HostPools>& slot = pools_[entry.host.get()];
  if (slot == nullptr) {
    slot = std::make_unique<HostPools>();
    slot->view = this;
    slot->host = entry.host;
  }
  return *slot;
}

HttpPool& ClusterView::PoolFor(const lb::Choice& choice, const PoolKey& key) {
  HostPools& pools = PoolsOf(*choice.entry);
  for (const auto& pool : pools.http) {
    if (pool->Serves(key)) return *pool;
  }
  pools.http.push_back(std::make_unique<HttpPool>(this, &pools, key));
  pools.pool_tickets.push_back(breakers(key.priority).Take(health::Resource::kConnectionPools));
  return *pools.http.back();
}

bool ClusterView::MayPool(const lb::Choice& choice, const PoolKey& key) {
  const auto known = pools_.find(choice.host);
  if (known != pools_.end()) {
    for (const auto& pool : known->second->http) {
      if (pool->Serves(key)) return true;
    }
  }
  health::Breakers& limits = breakers(key.priority);
  if (!limits.IsOpen(health::Resource::kConnectionPools)) return true;
  for (auto& [host, pools] : pools_) {
    for (size_t i = 0; i < pools->http.size(); ++i) {
      if (!pools->http[i]->unused() || pools->http[i]->priority() != key.priority) continue;
      pools->http.erase(pools->http.begin() + i);
      pools->pool_tickets.erase(pools->pool_tickets.begin() + i);
      return true;
    }
  }
  stats_.Add(ClusterStat::kCxPoolOverflow);
  return false;
}

int ClusterView::TransportIndex(const lb::HostEntry& entry) const {
  if (cluster_->matched_transports.empty()) return -1;
  const ClusterTransport& chosen = cluster_->TransportFor(entry);
  if (&chosen == &cluster_->transport) return -1;
  return static_cast<int>(&chosen - cluster_->matched_transports.data());
}

const ClusterTransport& ClusterView::transport(int index) const {
  // An update may have taken the match away while a pool of it drains.
  const auto& matches = cluster_->matched_transports;
  return index >= 0 && static_cast<size_t>(index) < matches.size() ? matches[index]
                                                                   : cluster_->transport;
}

health::Ticket ClusterView::TakeConnection(const lb::Host& host, health::RoutingPriority priority,
                                           bool first) {
  health::Breakers& limits = breakers(priority);
  const auto& cap = config().per_host_max_connections;
  health::Ticket ticket;
  if (!cap.has_value() || host.state().cx_active.load(std::memory_order_relaxed) < *cap) {
    ticket = limits.TryTake(health::Resource::kConnections);
  }
  if (ticket) return ticket;
  stats_.Add(ClusterStat::kCxOverflow);
  if (first) ticket = limits.Take(health::Resource::kConnections);
  return ticket;
}

void ClusterView::ReportStatus(HostPools& host, int status) {
  if (!cluster_->has_outlier) return;
  const health::Suspicion suspicion =
      health::ReportStatus(host.host->state(), cluster_->outlier, static_cast<uint32_t>(status));
  if (suspicion != 0 && owner_->mail().suspect) {
    owner_->mail().suspect(name(), host.host, suspicion);
  }
}

void ClusterView::ReportResult(HostPools& host, health::Outcome outcome) {
  if (!cluster_->has_outlier) return;
  const health::Suspicion suspicion =
      health::ReportResult(host.host->state(), cluster_->outlier, outcome);
  if (suspicion != 0 && owner_->mail().suspect) {
    owner_->mail().suspect(name(), host.host, suspicion);
  }
}

void ClusterView::ReportImmediateFail(HostPools& host) {
  if (host.host->state().immediate_hc_fail.exchange(true, std::memory_order_relaxed)) return;
  if (owner_->mail().immediate_fail) owner_->mail().immediate_fail(name(), host.host);
}

const StatScope<AnswerStat>& ClusterView::Answers(StatScope<AnswerStat>& scope,
                                                  const StatBlock& block) {
  if (!scope) scope = StatScope<AnswerStat>(owner_->stats().Cells(block));
  return scope;
}

const StatScope<Http2Stat>& ClusterView::http2_stats() {
  if (!http2_stats_) {
    http2_stats_ = StatScope<Http2Stat>(owner_->stats().Cells(*cluster_->shared->http2));
  }
  return http2_stats_;
}

const StatScope<AnswerStat>& ClusterView::internal_answers() {
  return Answers(internal_, *cluster_->shared->internal);
}

const StatScope<AnswerStat>& ClusterView::external_answers() {
  return Answers(external_, *cluster_->shared->external);
}

const StatScope<AnswerStat>& ClusterView::canary_answers() {
  return Answers(canary_, *cluster_->shared->canary);
}

const StatScope<AnswerStat>& ClusterView::retry_answers() {
  return Answers(retry_, *cluster_->shared->retry);
}

}  // namespace remora::proxy
