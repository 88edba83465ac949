#include "proxy/upstream/tcp_pool.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "filters/api/filter_state.h"
#include "filters/api/stream_info.h"
#include "proxy/upstream/dialer.h"

namespace remora::proxy {
namespace {

constexpr int64_t kNsPerMs = 1000000;

uint64_t MsSince(int64_t start_ns, const Loop& loop) {
  return static_cast<uint64_t>((loop.now_ns() - start_ns) / kNsPerMs);
}

const std::string* Noted(const FilterState* state, absl::string_view key) {
  return state == nullptr ? nullptr : state->Find(key);
}

}  // namespace

void TcpLease::Open(ClusterView& view, const lb::Choice& choice, health::RoutingPriority priority,
                    User* user) {
  user_ = user;
  cluster_ = ClusterRef(&view);
  host_ = &view.PoolsOf(*choice.entry);
  ++host_->refs;
  counted_read_ = counted_written_ = 0;
  failure_reason_.clear();
  const StatScope<ClusterStat>& stats = view.stats();

  request_ticket_ = view.breakers(priority).TryTake(health::Resource::kPending);
  if (!request_ticket_) return Refuse(ClusterStat::kRqPendingOverflow);
  // A session waits for its own connection only, so a connection that may not be is an overflow,
  // the first one too.
  connection_ticket_ = view.TakeConnection(*host_->host, priority, /*first=*/false);
  if (!connection_ticket_) return Refuse(std::nullopt);
  stats.Add(ClusterStat::kRqPendingTotal);
  stats.Add(ClusterStat::kRqPendingActive);
  stats.Add(ClusterStat::kCxTotal);
  stats.Add(ClusterStat::kCxActive);
  ++view.connections_;
  ++host_->raw_connections;
  lb::HostState& state = host_->host->state();
  state.cx_total.fetch_add(1, std::memory_order_relaxed);
  state.cx_active.fetch_add(1, std::memory_order_relaxed);
  view.cluster().shared->had_traffic.store(true, std::memory_order_relaxed);

  priority_ = priority;
  connect_start_ns_ = view.loop().now_ns();
  connect_timer_.emplace(
      &view.loop().timers(), [](void* self) { static_cast<TcpLease*>(self)->OnConnectTimer(); },
      this);
  const ConnectionInfo* client = downstream_ == nullptr ? nullptr : &downstream_->info();
  const FilterState* noted = client == nullptr ? nullptr : client->filter_state;
  std::vector<absl::string_view> protocols;
  if (const std::string* text = Noted(noted, "envoy.network.application_protocols")) {
    protocols = absl::StrSplit(*text, ',');
  }
  const std::string* name = Noted(noted, "envoy.network.upstream_server_name");
  const DialTarget target{*host_->host,
                          view.cluster(),
                          view.transport(view.TransportIndex(*choice.entry)),
                          name == nullptr ? absl::string_view() : absl::string_view(*name),
                          protocols,
                          &view.owner().stats(),
                          downstream_};
  connection_ = view.owner().dialer().Dial(view.loop(), target, &failure_reason_);
  if (connection_ == nullptr) {
    connect_timer_->Start(0);
    return;
  }
  connect_timer_->Start(absl::ToInt64Nanoseconds(view.config().connect_timeout));
  connection_->Start(this);
}

void TcpLease::Refuse(std::optional<ClusterStat> stat) {
  if (stat.has_value()) cluster_->stats().Add(*stat);
  request_ticket_.Release();
  --std::exchange(host_, nullptr)->refs;
  cluster_.Release();
  std::exchange(user_, nullptr)->OnTcpFailed(PoolFailure{PoolFailureKind::kOverflow, {}});
}

void TcpLease::OnConnected() {
  connect_timer_->Stop();
  ClusterView& view = *cluster_;
  const StatScope<ClusterStat>& stats = view.stats();
  connect_end_ns_ = view.loop().now_ns();
  stats.Record(ClusterStat::kCxConnectMs, MsSince(connect_start_ns_, view.loop()));
  stats.Sub(ClusterStat::kRqPendingActive);
  request_ticket_ = view.breakers(priority_).TryTake(health::Resource::kRequests);
  if (!request_ticket_) {
    stats.Add(ClusterStat::kRqActiveOverflow);
    User* user = user_;
    pending_counted_ = false;
    End(/*local=*/true);
    user->OnTcpFailed(PoolFailure{PoolFailureKind::kOverflow, {}});
    return;
  }
  connected_ = true;
  stats.Add(ClusterStat::kRqTotal);
  stats.Add(ClusterStat::kRqActive);
  lb::HostState& state = host_->host->state();
  state.rq_total.fetch_add(1, std::memory_order_relaxed);
  state.rq_active.fetch_add(1, std::memory_order_relaxed);
  user_->OnTcpConnected();
}

void TcpLease::OnConnectTimer() {
  const bool tried = connection_ != nullptr;
  if (tried) cluster_->stats().Add(ClusterStat::kCxConnectTimeout);
  FailConnect(tried ? PoolFailureKind::kTimeout : PoolFailureKind::kLocalFailed, /*local=*/true);
}

void TcpLease::FailConnect(PoolFailureKind kind, bool local) {
  if (connection_ != nullptr) {
    failure_reason_ = std::string(connection_->info().transport_failure_reason);
  }
  cluster_->stats().Add(ClusterStat::kCxConnectFail);
  cluster_->stats().Add(ClusterStat::kRqPendingFailureEject);
  host_->host->state().cx_connect_fail.fetch_add(1, std::memory_order_relaxed);
  User* user = user_;
  End(local);
  user->OnTcpFailed(PoolFailure{kind, failure_reason_});
}

void TcpLease::OnData(bool eof) {
  CountBytes();
  user_->OnTcpData(eof);
}

void TcpLease::OnOutputBlocked() {
  cluster_->stats().Add(ClusterStat::kFlowControlBackedUp);
  user_->OnTcpOutputBlocked();
}

void TcpLease::OnOutputDrained() {
  cluster_->stats().Add(ClusterStat::kFlowControlDrained);
  user_->OnTcpOutputDrained();
}

void TcpLease::OnOutputEmpty() { CountBytes(); }

void TcpLease::OnClosed(CloseKind kind, bool reset) {
  if (user_ == nullptr) return;
  if (!connected_) {
    FailConnect(PoolFailureKind::kConnectFailed, kind == CloseKind::kLocal);
    return;
  }
  User* user = user_;
  End(kind == CloseKind::kLocal);
  user->OnTcpClosed(kind, reset);
}

void TcpLease::Close() {
  if (user_ == nullptr) return;
  if (!connected_) cluster_->stats().Add(ClusterStat::kRqCancelled);
  End(/*local=*/true);
}

void TcpLease::End(bool local) {
  CountBytes();
  user_ = nullptr;
  connect_timer_.reset();
  ClusterView& view = *cluster_;
  const StatScope<ClusterStat>& stats = view.stats();
  lb::HostState& state = host_->host->state();
  stats.Sub(ClusterStat::kCxActive);
  stats.Add(ClusterStat::kCxDestroy);
  stats.Add(local ? ClusterStat::kCxDestroyLocal : ClusterStat::kCxDestroyRemote);
  stats.Record(ClusterStat::kCxLengthMs, MsSince(connect_start_ns_, view.loop()));
  state.cx_active.fetch_sub(1, std::memory_order_relaxed);
  if (std::exchange(connected_, false)) {
    stats.Add(ClusterStat::kCxDestroyWithActiveRq);
    stats.Add(local ? ClusterStat::kCxDestroyLocalWithActiveRq
                    : ClusterStat::kCxDestroyRemoteWithActiveRq);
    stats.Sub(ClusterStat::kRqActive);
    state.rq_active.fetch_sub(1, std::memory_order_relaxed);
  } else if (pending_counted_) {
    stats.Sub(ClusterStat::kRqPendingActive);
  }
  pending_counted_ = true;
  request_ticket_.Release();
  connection_ticket_.Release();
  --view.connections_;
  --host_->raw_connections;
  --std::exchange(host_, nullptr)->refs;
  if (connection_ != nullptr) {
    connection_->Close();
    view.loop().graveyard().Bury(std::move(connection_));
  }
  view.OnSomethingEnded();
  cluster_.Release();
}

void TcpLease::CountBytes() {
  if (connection_ == nullptr) return;
  const StatScope<ClusterStat>& stats = cluster_->stats();
  const uint64_t read = connection_->bytes_read();
  const uint64_t written = connection_->bytes_written();
  stats.Add(ClusterStat::kCxRxBytesTotal, read - std::exchange(counted_read_, read));
  stats.Add(ClusterStat::kCxTxBytesTotal, written - std::exchange(counted_written_, written));
}

}  // namespace remora::proxy
