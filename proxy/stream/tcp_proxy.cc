#include "proxy/stream/tcp_proxy.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "filters/api/arena.h"
#include "filters/api/filter_state.h"
#include "health/backoff.h"
#include "lb/hash_key.h"
#include "proxy/base/timer.h"
#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/tcp_pool.h"
#include "proxy/upstream/worker_view.h"
#include "xds/tcp_proxy.h"

namespace remora::proxy {
namespace {

constexpr StatDef kTcpStats[] = {
    {"downstream_cx_drain_close", StatKind::kCounter},
    {"downstream_cx_no_route", StatKind::kCounter},
    {"downstream_cx_overload_close", StatKind::kCounter},
    {"downstream_cx_rx_bytes_total", StatKind::kCounter},
    {"downstream_cx_total", StatKind::kCounter},
    {"downstream_cx_tx_bytes_total", StatKind::kCounter},
    {"downstream_flow_control_paused_reading_total", StatKind::kCounter},
    {"downstream_flow_control_resumed_reading_total", StatKind::kCounter},
    {"early_data_received_count_total", StatKind::kCounter},
    {"idle_timeout", StatKind::kCounter},
    {"max_downstream_connection_duration", StatKind::kCounter},
    {"route_delayed_total", StatKind::kCounter},
    {"upstream_flush_total", StatKind::kCounter},
    {"downstream_cx_rx_bytes_buffered", StatKind::kGauge},
    {"downstream_cx_tx_bytes_buffered", StatKind::kGauge},
    {"upstream_flush_active", StatKind::kGauge},
};

// %DOWNSTREAM_LOCAL_CLOSE_REASON% when nothing could be connected; Envoy's words, spelling and
// numbers.
constexpr absl::string_view kConnectFailed = "tcp_initializion_failure:0";
constexpr absl::string_view kNoHealthyHost = "tcp_initializion_failure:1";
constexpr absl::string_view kResourceLimit = "tcp_initializion_failure:2";
constexpr absl::string_view kNoRoute = "tcp_initializion_failure:3";

lb::Duration ToLb(absl::Duration duration) {
  return lb::Duration(absl::ToInt64Nanoseconds(duration));
}

class Session final : public TcpSession,
                      private Loop::TurnItem,
                      private ConnectionEvents,
                      private TcpLease::User {
 public:
  Session(std::unique_ptr<Connection> downstream, std::shared_ptr<const TcpProxySettings> settings,
          WorkerView* view, TcpSessionOwner* owner);
  ~Session() override;

  void Begin(const FilterState* state) override;

  Connection& downstream() override { return *downstream_; }
  StreamInfo& info() override { return info_; }
  void Close() override { End(); }

 private:
  // Downstream's ConnectionEvents.
  void OnConnected() override;
  void OnData(bool eof) override;
  void OnOutputBlocked() override;
  void OnOutputDrained() override;
  void OnOutputEmpty() override { CountBytes(); }
  void OnClosed(CloseKind kind, bool reset) override;
  // TcpLease::User
  void OnTcpConnected() override;
  void OnTcpFailed(const PoolFailure& failure) override;
  void OnTcpData(bool eof) override;
  void OnTcpOutputBlocked() override;
  void OnTcpOutputDrained() override;
  void OnTcpClosed(CloseKind kind, bool reset) override;
  // At the end of the turn in which the session ended.
  void RunAtEndOfTurn() override { owner_->OnTcpSessionEnd(*this); }

  void ReadState(const FilterState* state);
  void StartTimers();
  void Connect();
  Picked Pick(ClusterView& view);
  std::optional<lb::SocketAddress> Destination(uint32_t port_override);
  void GiveUp(ResponseFlag flag, absl::string_view reason);
  void HoldEarlyData(bool eof);
  void NoteHost(const lb::Choice& choice);
  void PassUp();
  void PassDown();
  void CloseIfBothEnded();
  void Touch();
  void OnIdle();
  void OnAge();
  void OnLogTimer();
  void CountBytes();
  void Log(LogMoment moment) {
    // What was read counts, also when a filter kept it.
    info_.bytes_received = downstream_->plain_read();
    info_.downstream_wire_received = info_.bytes_received;
    info_.downstream_wire_sent = info_.bytes_sent;
    if (info_.upstream_local.kind() != Address::Kind::kNone) {
      info_.upstream_wire_sent = info_.bytes_received;
      info_.upstream_wire_received = info_.bytes_sent;
    }
    info_.access_log_type = LogMomentName(moment);
    owner_->OnTcpLog(*this, info_, moment);
    info_.access_log_type = LogMomentName(LogMoment::kConnectionEnd);
  }
  void End();

  const xds::TcpProxy& config() const { return *settings_->config; }
  Loop& loop() { return view_->loop(); }

  std::shared_ptr<const TcpProxySettings> settings_;
  WorkerView* view_;
  TcpSessionOwner* owner_;
  StatScope<TcpStat> stats_;
  Arena arena_;
  StreamInfo info_;
  std::unique_ptr<Connection> downstream_;
  TcpLease upstream_;
  ClusterRef cluster_;
  HostPools* host_ = nullptr;
  std::string cluster_override_;  // by network filters
  absl::string_view cluster_name_;
  const lb::Criteria* criteria_ = nullptr;
  absl::Duration idle_timeout_;
  std::optional<TlsFacts> upstream_tls_;
  std::optional<health::Backoff> backoff_;
  Timer backoff_timer_;
  Timer idle_timer_;
  Timer age_timer_;
  Timer log_timer_;
  std::optional<uint64_t> state_hash_;  // of the filter state that the hash policy names
  uint32_t attempts_ = 0;
  uint64_t counted_read_ = 0;
  uint64_t counted_written_ = 0;
  bool connecting_ = false;      // Connect() was called
  bool early_data_ = false;      // something came before there was a connection
  bool downstream_eof_ = false;  // told upstream, or waits for it
  bool upstream_eof_ = false;
  bool flushing_ = false;  // downstream is gone, the rest still goes upstream
  bool over_ = false;
};

template <typename T, void (T::*kMethod)()>
void Call(void* self) {
  (static_cast<T*>(self)->*kMethod)();
}

Session::Session(std::unique_ptr<Connection> downstream,
                 std::shared_ptr<const TcpProxySettings> settings, WorkerView* view,
                 TcpSessionOwner* owner)
    : settings_(std::move(settings)),
      view_(view),
      owner_(owner),
      stats_(view->stats().Cells(*settings_->stats)),
      downstream_(std::move(downstream)),
      idle_timeout_(config().idle_timeout),
      backoff_timer_(&view->loop().timers(), &Call<Session, &Session::Connect>, this),
      idle_timer_(&view->loop().timers(), &Call<Session, &Session::OnIdle>, this),
      age_timer_(&view->loop().timers(), &Call<Session, &Session::OnAge>, this),
      log_timer_(&view->loop().timers(), &Call<Session, &Session::OnLogTimer>, this) {
  stats_.Add(TcpStat::kDownstreamCxTotal);
  info_.downstream = &downstream_->info();
  info_.remote = downstream_->info().remote;
  info_.timing.start_ns = loop().now_ns();
  info_.timing.start_system_ns = loop().system_now_ns();
  if (config().connect_backoff_base > absl::ZeroDuration()) {
    const lb::Duration base = ToLb(config().connect_backoff_base);
    backoff_.emplace(base, std::max(base, ToLb(config().connect_backoff_max)));
  }
}

Session::~Session() { upstream_.Close(); }

void Session::Begin(const FilterState* state) {
  using Mode = xds::TcpProxy::ConnectMode;
  if (config().flush_access_log_on_start) Log(LogMoment::kTcpStart);
  ReadState(state);
  const bool tls = !downstream_->transport().is_raw();
  const bool waits = config().connect_mode == Mode::kOnDownstreamData ||
                     (config().connect_mode == Mode::kOnDownstreamTls && tls);
  // Nothing is read before there is somewhere to put it.
  if (!config().max_early_data) downstream_->PauseReading(Connection::kPausePeer);
  downstream_->Start(this);
  StartTimers();
  if (!waits) Connect();
}

void Session::ReadState(const FilterState* state) {
  const std::string* cluster = state == nullptr ? nullptr : state->Find(kTcpProxyClusterKey);
  if (cluster != nullptr) {
    cluster_override_ = *cluster;
    cluster_name_ = cluster_override_;
    criteria_ = config().criteria.get();
  } else if (const auto* chosen = config().ChooseWeighted(view_->random().Next())) {
    cluster_name_ = chosen->name;
    criteria_ = chosen->criteria.get();
  } else {
    cluster_name_ = config().cluster;
    criteria_ = config().criteria.get();
  }
  const std::string* idle = state == nullptr ? nullptr : state->Find(kTcpProxyIdleTimeoutKey);
  int64_t ms = 0;
  if (idle != nullptr && absl::SimpleAtoi(*idle, &ms)) idle_timeout_ = absl::Milliseconds(ms);
  if (state == nullptr || config().hash_filter_state.empty()) return;
  const std::string* hashed = state->Find(config().hash_filter_state);
  if (hashed != nullptr) state_hash_ = lb::XxHash64(*hashed);
}

void Session::OnConnected() {
  if (config().connect_mode == xds::TcpProxy::ConnectMode::kOnDownstreamTls && !connecting_) {
    Connect();
  }
}

void Session::StartTimers() {
  absl::Duration age = config().max_connection_duration;
  if (age > absl::ZeroDuration()) {
    const double jitter = config().max_connection_duration_jitter_percent / 100;
    const double share = static_cast<double>(view_->random().Below(1000)) / 1000;
    age_timer_.Start(absl::ToInt64Nanoseconds(age * (1 + jitter * share)));
  }
  if (config().access_log_flush_interval > absl::ZeroDuration()) {
    log_timer_.Start(absl::ToInt64Nanoseconds(config().access_log_flush_interval));
  }
}

void Session::Connect() {
  connecting_ = true;
  ClusterView* view = view_->FindCluster(cluster_name_);
  if (view == nullptr) {
    stats_.Add(TcpStat::kDownstreamCxNoRoute);
    return GiveUp(
        cluster_name_.empty() ? ResponseFlag::kNoRouteFound : ResponseFlag::kNoClusterFound,
        kNoRoute);
  }
  cluster_ = ClusterRef(view);
  info_.upstream_cluster = arena_.Copy(view->config().stat_name());
  info_.upstream_cluster_raw = arena_.Copy(view->config().name);
  if (attempts_ >= config().max_connect_attempts) {
    view->stats().Add(ClusterStat::kCxConnectAttemptsExceeded);
    return GiveUp(ResponseFlag::kUpstreamRetryLimitExceeded, kConnectFailed);
  }
  const Picked picked = Pick(*view);
  if (!picked) return GiveUp(ResponseFlag::kNoHealthyUpstream, kNoHealthyHost);
  info_.attempt_count = ++attempts_;
  cluster_ = ClusterRef(picked.view);
  NoteHost(picked.choice);
  upstream_.set_downstream(downstream_.get());
  upstream_.Open(*picked.view, picked.choice, health::RoutingPriority::kDefault, this);
}

Picked Session::Pick(ClusterView& view) {
  lb::PickContext context(view_->random(), lb::TimePoint(loop().now_ns()));
  if (config().hash_source_ip && info_.remote.is_ip()) {
    context.has_hash = true;
    context.hash = lb::XxHash64(info_.remote.IpString(arena_));
  }
  if (state_hash_) {
    context.has_hash = true;
    context.hash = *state_hash_;
  }
  if (view.config().policy.subset != nullptr) context.criteria = criteria_;
  context.cluster_rq_active =
      view.breakers(health::RoutingPriority::kDefault).counter(health::Resource::kRequests);
  PickWish wish;
  std::optional<lb::SocketAddress> destination;
  if (view.config().type == xds::Cluster::Type::kOriginalDst) {
    destination = Destination(view.config().original_dst.port_override);
    if (destination) wish.destination = &*destination;
  }
  return view.PickHost(context, wish);
}

// Where the client meant to go, if a listener filter found out.
std::optional<lb::SocketAddress> Session::Destination(uint32_t port_override) {
  const ConnectionInfo& client = downstream_->info();
  if (!client.local_restored || !client.local.is_ip()) return std::nullopt;
  const uint32_t port = port_override != 0 ? port_override : client.local.port();
  auto address = lb::SocketAddress::Ip(client.local.IpString(arena_), static_cast<uint16_t>(port));
  if (!address.ok()) return std::nullopt;
  return *std::move(address);
}

void Session::NoteHost(const lb::Choice& choice) {
  info_.upstream_host = arena_.Copy(choice.host->address_string());
  info_.upstream_host_name = arena_.Copy(choice.entry->attributes->hostname);
  host_ = &cluster_->PoolsOf(*choice.entry);
}

void Session::OnTcpConnected() {
  Connection& upstream = upstream_.connection();
  cluster_->ReportResult(*host_, cluster_->cluster().outlier.split_local_origin
                                     ? health::Outcome::kConnected
                                     : health::Outcome::kRequestSucceeded);
  info_.upstream_remote = upstream.info().remote;
  info_.upstream_local = upstream.info().local;
  info_.upstream_connection_id = upstream.info().id;
  if (upstream.info().tls != nullptr) {
    // Logged when the connection itself may be gone.
    upstream_tls_ = *upstream.info().tls;
    info_.upstream_tls = &*upstream_tls_;
  }
  info_.timing.upstream_connect_start_ns = upstream_.connect_start_ns();
  info_.timing.upstream_connect_end_ns = upstream_.connect_end_ns();
  info_.timing.upstream_handshake_end_ns = upstream.info().handshake_done_ns;
  downstream_->ResumeReading(Connection::kPausePeer);
  if (!downstream_->input().empty() || downstream_eof_) downstream_->RedeliverInput();
  Touch();
  if (config().flush_access_log_on_connected) Log(LogMoment::kTcpUpstreamConnected);
}

void Session::OnTcpFailed(const PoolFailure& failure) {
  info_.upstream_transport_failure_reason = arena_.Copy(failure.transport_reason);
  if (failure.kind == PoolFailureKind::kOverflow) {
    return GiveUp(ResponseFlag::kUpstreamOverflow, kResourceLimit);
  }
  info_.flags.Add(ResponseFlag::kUpstreamConnectionFailure);
  cluster_->ReportResult(*host_, failure.kind == PoolFailureKind::kTimeout
                                     ? health::Outcome::kConnectTimeout
                                     : health::Outcome::kConnectFailed);
  if (backoff_.has_value() && attempts_ < config().max_connect_attempts) {
    backoff_timer_.Start(backoff_->Next(view_->random()).count());
  } else {
    Connect();
  }
}

void Session::GiveUp(ResponseFlag flag, absl::string_view reason) {
  info_.flags.Add(flag);
  downstream_->info().local_close_reason = reason;
  End();
}

void Session::OnData(bool eof) {
  if (over_) return;
  downstream_eof_ = downstream_eof_ || eof;
  if (upstream_.connected()) return PassUp();
  HoldEarlyData(eof);
}

// There is no upstream connection yet: what came stays in input().
void Session::HoldEarlyData(bool eof) {
  if (!std::exchange(early_data_, true)) stats_.Add(TcpStat::kEarlyDataReceived);
  if (downstream_->input().size() >= config().max_early_data.value_or(0)) {
    downstream_->PauseReading(Connection::kPausePeer);
  }
  if (connecting_ || config().connect_mode != xds::TcpProxy::ConnectMode::kOnDownstreamData) return;
  if (!downstream_->input().empty()) return Connect();
  // A client that left without a word needs no upstream.
  if (eof) End();
}

void Session::PassUp() {
  Touch();
  Body& input = downstream_->input();
  Connection& upstream = upstream_.connection();
  upstream.output().Append(input);
  upstream.Flush();
  CountBytes();
  if (!downstream_eof_) return;
  upstream.CloseWrite();
  CloseIfBothEnded();
}

void Session::OnTcpData(bool eof) {
  upstream_eof_ = upstream_eof_ || eof;
  if (downstream_->closed()) {
    // Only the way up is still of interest.
    upstream_.connection().input().Clear();
    if (eof) End();
    return;
  }
  PassDown();
}

void Session::PassDown() {
  Touch();
  Body& input = upstream_.connection().input();
  info_.bytes_sent += input.size();
  downstream_->output().Append(input);
  downstream_->Flush();
  if (!upstream_eof_) return;
  downstream_->CloseWrite();
  CloseIfBothEnded();
}

// Both sides said that they are done: what is buffered goes out, then all is closed.
void Session::CloseIfBothEnded() {
  if (!downstream_eof_ || !upstream_eof_) return;
  downstream_->CloseAfterFlush(0);
  if (upstream_.connected()) upstream_.connection().CloseAfterFlush(0);
}

void Session::OnOutputBlocked() {
  if (!upstream_.connected()) return;
  upstream_.connection().PauseReading(Connection::kPausePeer);
  cluster_->stats().Add(ClusterStat::kFlowControlPausedReading);
}

void Session::OnOutputDrained() {
  if (!upstream_.connected()) return;
  upstream_.connection().ResumeReading(Connection::kPausePeer);
  cluster_->stats().Add(ClusterStat::kFlowControlResumedReading);
}

void Session::OnTcpOutputBlocked() {
  downstream_->PauseReading(Connection::kPausePeer);
  stats_.Add(TcpStat::kDownstreamFlowControlPausedReading);
}

void Session::OnTcpOutputDrained() {
  downstream_->ResumeReading(Connection::kPausePeer);
  stats_.Add(TcpStat::kDownstreamFlowControlResumedReading);
}

void Session::OnClosed(CloseKind /*kind*/, bool reset) {
  if (over_) return;
  CountBytes();
  if (!upstream_.connected()) return End();
  if (reset || upstream_.connection().unsent() == 0) return End();
  // What the client sent last still reaches the upstream.
  flushing_ = true;
  stats_.Add(TcpStat::kUpstreamFlushTotal);
  stats_.Add(TcpStat::kUpstreamFlushActive);
  upstream_.connection().CloseAfterFlush(0);
}

void Session::OnTcpClosed(CloseKind /*kind*/, bool reset) {
  if (over_) return;
  if (downstream_->closed()) return End();
  if (reset) {
    downstream_->Close(/*reset=*/true);
    return End();
  }
  downstream_->CloseAfterFlush(0);
}

void Session::Touch() {
  if (idle_timeout_ > absl::ZeroDuration()) {
    idle_timer_.Start(absl::ToInt64Nanoseconds(idle_timeout_));
  }
}

void Session::OnIdle() {
  stats_.Add(TcpStat::kIdleTimeout);
  downstream_->info().local_close_reason = "tcp_session_idle_timeout";
  End();
}

void Session::OnAge() {
  stats_.Add(TcpStat::kMaxDownstreamConnectionDuration);
  info_.flags.Add(ResponseFlag::kDurationTimeout);
  downstream_->info().local_close_reason = "max_connection_duration_reached";
  End();
}

void Session::OnLogTimer() {
  Log(LogMoment::kTcpPeriodic);
  log_timer_.Start(absl::ToInt64Nanoseconds(config().access_log_flush_interval));
}

void Session::CountBytes() {
  const uint64_t read = downstream_->bytes_read();
  const uint64_t written = downstream_->bytes_written();
  stats_.Add(TcpStat::kDownstreamCxRxBytesTotal, read - std::exchange(counted_read_, read));
  stats_.Add(TcpStat::kDownstreamCxTxBytesTotal,
             written - std::exchange(counted_written_, written));
}

void Session::End() {
  if (std::exchange(over_, true)) return;
  for (Timer* timer : {&backoff_timer_, &idle_timer_, &age_timer_, &log_timer_}) timer->Stop();
  if (flushing_) stats_.Sub(TcpStat::kUpstreamFlushActive);
  info_.timing.end_ns = loop().now_ns();
  Log(LogMoment::kTcpConnectionEnd);
  upstream_.Close();
  downstream_->Close();
  CountBytes();
  loop().AtEndOfTurn(this);
}

}  // namespace

StatSchema TcpStatSchema() { return kTcpStats; }

std::unique_ptr<TcpSession> TcpSession::Make(std::unique_ptr<Connection> downstream,
                                             std::shared_ptr<const TcpProxySettings> settings,
                                             WorkerView* view, TcpSessionOwner* owner) {
  return std::make_unique<Session>(std::move(downstream), std::move(settings), view, owner);
}

}  // namespace remora::proxy
