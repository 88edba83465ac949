#ifndef REMORA_PROXY_UPSTREAM_CLUSTER_VIEW_H_
#define REMORA_PROXY_UPSTREAM_CLUSTER_VIEW_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "health/outlier.h"
#include "lb/policy.h"
#include "proxy/base/loop.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/cluster_stats.h"
#include "proxy/upstream/codec_stats.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/worker_view.h"

namespace remora::proxy {

class TcpLease;

// All that one worker has open towards one host.
struct HostPools {
  ClusterView* view = nullptr;
  std::shared_ptr<lb::Host> host;
  std::vector<std::unique_ptr<HttpPool>> http;  // few: by protocol, priority, transport
  uint32_t raw_connections = 0;                 // of TCP sessions, connecting ones included
  // Of a host that this worker made for a request (original destination): its entry.
  std::unique_ptr<const lb::HostEntry> own_entry;
  std::vector<health::Ticket> pool_tickets;  // one for each of `http`
  uint32_t refs = 0;                         // exchanges and sessions that point here
  bool parting =
      false;  // the host left the cluster, or its settings changed: no new picks come here

  bool unused() const;
};

// What a request wishes of a pick beyond its PickContext. All of it may be absent.
struct PickWish {
  // The address to use if that host may be used now.
  absl::string_view override_host;
  bool override_strict = false;  // no other host then
  // Original destination clusters: where the request goes.
  const lb::SocketAddress* destination = nullptr;
};

// A chosen host and the cluster that it is of: for aggregate clusters one of their members.
struct Picked {
  lb::Choice choice;
  ClusterView* view = nullptr;

  explicit operator bool() const { return static_cast<bool>(choice); }
};

// A worker's half of a cluster: the picker, the pools, the tickets and the numbers. Made when the
// cluster is first used on the worker.
//
// Threads: its loop's. Lifetime: owned by WorkerView; outlives the cluster's removal for as long as
// a ClusterRef, a connection or a waiting exchange needs it.
class ClusterView {
 public:
  ClusterView(WorkerView* owner, std::shared_ptr<const Cluster> cluster);
  ~ClusterView();
  ClusterView(const ClusterView&) = delete;
  ClusterView& operator=(const ClusterView&) = delete;

  const Cluster& cluster() const { return *cluster_; }
  const xds::Cluster& config() const { return *cluster_->config; }
  const std::string& name() const { return cluster_->config->name; }
  WorkerView& owner() { return *owner_; }
  Loop& loop() { return owner_->loop(); }

  // Chooses a host and counts how (`lb_*`, `upstream_cx_none_healthy`). The entry is valid until
  // the snapshot of this turn is retired (SnapshotPin).
  // Of aggregate and original destination clusters it finds none: PickHost().
  lb::Choice Pick(lb::PickContext& context);
  // The same for clusters of every kind. `context.priority_load` may be replaced.
  Picked PickHost(lb::PickContext& context, const PickWish& wish);
  // The entry of the host with this printed address, or null. The first look-up after an update of
  // the endpoints takes O(hosts).
  const lb::HostEntry* FindHost(absl::string_view address);
  // Whether there is a pool for a chosen host or there may be one more; pools without connections
  // make room. Otherwise counts an overflow.
  bool MayPool(const lb::Choice& choice, const PoolKey& key);
  // The pool for a chosen host; made when it is first needed.
  HttpPool& PoolFor(const lb::Choice& choice, const PoolKey& key);
  // Which of the cluster's transports a host gets: PoolKey::transport.
  int TransportIndex(const lb::HostEntry& entry) const;
  const ClusterTransport& transport(int index) const;
  HostPools& PoolsOf(const lb::HostEntry& entry);

  health::Breakers& breakers(health::RoutingPriority priority) {
    return cluster_->shared->breakers.at(priority);
  }
  // A ticket for one connection more to this host, by the cluster's breaker and its cap per host.
  // An empty one was counted as overflow; `first` (nothing else is open to the host here) always
  // gets one.
  health::Ticket TakeConnection(const lb::Host& host, health::RoutingPriority priority, bool first);

  // Outcomes of tries, for outlier detection. Mail main when a threshold is crossed.
  void ReportStatus(HostPools& host, int status);
  void ReportResult(HostPools& host, health::Outcome outcome);
  // x-envoy-immediate-health-check-fail.
  void ReportImmediateFail(HostPools& host);

  const StatScope<ClusterStat>& stats() const { return stats_; }
  const StatScope<AnswerStat>& internal_answers();
  const StatScope<AnswerStat>& external_answers();
  const StatScope<AnswerStat>& canary_answers();
  // Answers that were not passed on because the request was tried again.
  const StatScope<AnswerStat>& retry_answers();

  // Counts of the HTTP/2 codecs of this cluster on this loop; cells are made with the first codec.
  CountedCodecs& http2_counts() { return http2_counts_; }
  const StatScope<Http2Stat>& http2_stats();

  size_t connections() const { return connections_; }
  bool removed() const { return removed_; }

 private:
  friend class WorkerView;
  friend class ClusterRef;
  friend class HttpPool;
  friend class UpstreamConnection;
  friend class TcpLease;

  // The successor of cluster_; what it replaces comes back, to be sent home.
  std::shared_ptr<const Cluster> Update(std::shared_ptr<const Cluster> cluster);
  void MarkRemoved();
  void DrainAll();
  bool InUse() const { return refs_ != 0 || connections_ != 0 || !parting_.empty(); }
  // Something ended. If this view is parting with something, that is looked after at the end of the
  // turn.
  void OnSomethingEnded() {
    if (removed_ || !parting_.empty()) owner_->WantSweep();
  }
  // Cells are made when something is first counted.
  const StatScope<AnswerStat>& Answers(StatScope<AnswerStat>& scope, const StatBlock& block);
  void CountNotes(uint32_t notes);
  Picked PickMember(lb::PickContext& context);
  void ReadMembers();
  lb::Choice PickDestination(const lb::SocketAddress* destination);
  bool MayOverride(const lb::Host& host) const;
  void LetMadeHostsGo();
  void SweepParting();
  void Part(std::unique_ptr<HostPools> pools);

  WorkerView* owner_;
  std::shared_ptr<const Cluster> cluster_;
  std::unique_ptr<lb::Picker> picker_;
  StatScope<ClusterStat> stats_;
  StatScope<AnswerStat> internal_;
  StatScope<AnswerStat> external_;
  StatScope<AnswerStat> canary_;
  StatScope<AnswerStat> retry_;
  StatScope<Http2Stat> http2_stats_;
  CountedCodecs http2_counts_;
  absl::flat_hash_map<const lb::Host*, std::unique_ptr<HostPools>> pools_;
  // By printed address, of the set in force; read when first needed.
  absl::flat_hash_map<absl::string_view, const lb::HostEntry*> by_address_;
  bool by_address_read_ = false;
  // Hosts that main does not know yet (original destination).
  absl::flat_hash_map<std::string, HostPools*> made_hosts_;
  // Aggregate clusters: the priorities of all members, one after the other.
  struct Level {
    ClusterView* view;
    uint32_t priority;
  };
  std::vector<Level> levels_;
  lb::PriorityState level_state_;
  lb::PriorityLoad one_level_;
  uint64_t levels_generation_ = 0;
  std::vector<std::unique_ptr<HostPools>> parting_;  // hosts that left, pools of old settings
  size_t connections_ = 0;
  uint32_t refs_ = 0;
  bool removed_ = false;
};

// Keeps a ClusterView; a plain count. Move-only; must not outlive the WorkerView.
class ClusterRef {
 public:
  ClusterRef() = default;
  explicit ClusterRef(ClusterView* view) : view_(view) {
    if (view_ != nullptr) ++view_->refs_;
  }
  ClusterRef(ClusterRef&& other) noexcept : view_(std::exchange(other.view_, nullptr)) {}
  ClusterRef& operator=(ClusterRef&& other) noexcept {
    if (this != &other) {
      Release();
      view_ = std::exchange(other.view_, nullptr);
    }
    return *this;
  }
  ~ClusterRef() { Release(); }

  void Release() {
    ClusterView* view = std::exchange(view_, nullptr);
    if (view != nullptr && --view->refs_ == 0 && view->removed_) view->OnSomethingEnded();
  }
  ClusterView* get() const { return view_; }
  ClusterView* operator->() const { return view_; }
  ClusterView& operator*() const { return *view_; }
  explicit operator bool() const { return view_ != nullptr; }

 private:
  ClusterView* view_ = nullptr;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_CLUSTER_VIEW_H_
