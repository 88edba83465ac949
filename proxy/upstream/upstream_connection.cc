#include "proxy/upstream/upstream_connection.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/codec_options.h"
#include "proxy/upstream/dialer.h"

namespace remora::proxy {
namespace {

// Envoy's default for responses of either version.
constexpr uint32_t kMaxResponseHeadersKb = 60;
constexpr int64_t kNsPerMs = 1000000;

int64_t Ns(absl::Duration duration) { return absl::ToInt64Nanoseconds(duration); }

}  // namespace

UpstreamConnection::UpstreamConnection(HttpPool* pool, health::Ticket ticket)
    : pool_(pool),
      ticket_(std::move(ticket)),
      connect_timer_(
          &pool->view().loop().timers(),
          [](void* self) { static_cast<UpstreamConnection*>(self)->OnConnectTimer(); }, this),
      idle_timer_(
          &pool->view().loop().timers(),
          [](void* self) { static_cast<UpstreamConnection*>(self)->OnIdleTimer(); }, this),
      age_timer_(
          &pool->view().loop().timers(),
          [](void* self) { static_cast<UpstreamConnection*>(self)->OnAgeTimer(); }, this),
      keepalive_timer_(
          &pool->view().loop().timers(),
          [](void* self) { static_cast<UpstreamConnection*>(self)->OnKeepaliveTimer(); }, this),
      loop_(&pool->view().loop()) {
  const xds::UpstreamHttpOptions& http = view().config().http;
  if (http.common.max_requests_per_connection != 0) {
    remaining_requests_ = http.common.max_requests_per_connection;
  }
  if (pool->protocol() != UpstreamProtocol::kHttp1) {
    expected_ = std::min(http.http2.max_concurrent_streams, remaining_requests_);
  }
  ++view().connections_;
  stats().Add(ClusterStat::kCxTotal);
  stats().Add(ClusterStat::kCxActive);
  if (pool->protocol() == UpstreamProtocol::kHttp1) stats().Add(ClusterStat::kCxHttp1Total);
  if (pool->protocol() == UpstreamProtocol::kHttp2) stats().Add(ClusterStat::kCxHttp2Total);
  lb::HostState& state = pool->host().host->state();
  state.cx_total.fetch_add(1, std::memory_order_relaxed);
  state.cx_active.fetch_add(1, std::memory_order_relaxed);
  Dial();
}

UpstreamConnection::~UpstreamConnection() = default;

void ConnectionHold::Release() {
  UpstreamConnection* connection = std::exchange(connection_, nullptr);
  if (connection == nullptr || --connection->holds_ != 0) return;
  if (connection->state_ != UpstreamConnection::kClosed) return;
  connection->loop_->graveyard().Bury(std::unique_ptr<UpstreamConnection>(connection));
}

ClusterView& UpstreamConnection::view() { return pool_->view(); }
const StatScope<ClusterStat>& UpstreamConnection::stats() { return pool_->view().stats(); }

void UpstreamConnection::Dial() {
  static constexpr absl::string_view kAlpn[] = {"h2", "http/1.1"};
  absl::Span<const absl::string_view> alpn = kAlpn;
  if (pool_->protocol() == UpstreamProtocol::kHttp1) alpn = alpn.subspan(1);
  if (pool_->protocol() == UpstreamProtocol::kHttp2) alpn = alpn.subspan(0, 1);

  ClusterShared& shared = *view().cluster().shared;
  if (!shared.had_traffic.load(std::memory_order_relaxed)) {
    shared.had_traffic.store(true, std::memory_order_relaxed);
  }
  connect_start_ns_ = view().loop().now_ns();
  const DialTarget target{*pool_->host().host,
                          view().cluster(),
                          view().transport(pool_->transport()),
                          pool_->sni(),
                          alpn,
                          &view().owner().stats()};
  connection_ = view().owner().dialer().Dial(view().loop(), target, &failure_reason_);
  if (connection_ == nullptr) {
    if (FailedToBind(failure_reason_)) stats().Add(ClusterStat::kBindErrors);
    connect_timer_.Start(0);
    return;
  }
  connect_timer_.Start(Ns(view().config().connect_timeout));
  connection_->Start(this);
}

void UpstreamConnection::OnConnectTimer() {
  if (connection_ != nullptr) {
    timed_out_ = true;
    stats().Add(ClusterStat::kCxConnectTimeout);
  }
  Close(/*local=*/true);
}

void UpstreamConnection::OnConnected() {
  connect_timer_.Stop();
  connect_end_ns_ = view().loop().now_ns();
  stats().Record(ClusterStat::kCxConnectMs,
                 static_cast<uint64_t>((connect_end_ns_ - connect_start_ns_) / kNsPerMs));
  bool http2 = pool_->protocol() == UpstreamProtocol::kHttp2;
  if (pool_->protocol() == UpstreamProtocol::kAuto) {
    const TlsFacts* tls = connection_->info().tls;
    http2 = tls != nullptr && tls->alpn == "h2";
    stats().Add(http2 ? ClusterStat::kCxHttp2Total : ClusterStat::kCxHttp1Total);
  }
  MakeCodec(http2);
  const xds::UpstreamHttpOptions& http = view().config().http;
  if (http.common.max_connection_duration.has_value()) {
    age_timer_.Start(Ns(*http.common.max_connection_duration));
  }
  if (http2 && http.http2.keepalive_interval > absl::ZeroDuration()) {
    keepalive_timer_.Start(Ns(http.http2.keepalive_interval));
  }
  pool_->OnConnected(this);
}

void UpstreamConnection::MakeCodec(bool http2) {
  const xds::Cluster& config = view().config();
  const xds::UpstreamHttpOptions& http = config.http;
  const uint32_t header_bytes =
      http.common.max_response_headers_kb.value_or(kMaxResponseHeadersKb) * 1024;
  if (http2) {
    Http2Options options = CodecOptions(http.http2, http.common);
    options.max_headers_bytes = header_bytes;
    options.buffer_limit = config.per_connection_buffer_limit;
    options.stats = view().http2_counts().counts();
    view().http2_stats().Add(Http2Stat::kUpstreamConnections);
    max_streams_ = options.max_concurrent_streams;
    codec_ = MakeHttp2ClientCodec(this, this, options);
  } else {
    Http1Options options = CodecOptions(http.http1, http.common);
    options.max_headers_bytes = header_bytes;
    options.buffer_limit = config.per_connection_buffer_limit;
    max_streams_ = 1;
    view().owner().stats().Cells(*view().cluster().shared->http1);  // shown from now on
    codec_ = MakeHttp1ClientCodec(this, this, options);
  }
}

CodecStream* UpstreamConnection::OpenStream(MessageSink* sink) {
  CodecStream* stream = codec_->NewStream(sink);
  if (stream == nullptr) {
    // The codec knows better than the pool: out of the ready ones it goes.
    pool_->Move(this, Usable() ? kBusy : kDraining);
    return nullptr;
  }
  ++leased_;
  ++requests_;
  idle_timer_.Stop();
  if (remaining_requests_ != UINT32_MAX && --remaining_requests_ == 0) {
    stats().Add(ClusterStat::kCxMaxRequests);
    pool_->Move(this, kDraining);
  } else if (Room() == 0) {
    pool_->Move(this, kBusy);
  }
  return stream;
}

void UpstreamConnection::StreamFinished(bool clean) {
  --leased_;
  if (state_ == kClosed) return;
  if (clean && !codec_->can_reuse() && protocol() != Protocol::kHttp2) {
    stats().Add(ClusterStat::kCxCloseNotify);
  }
  CountBytes();
  Settle();
  if (state_ == kReady && pool_->waiting() != 0) pool_->ServeWaiting();
}

bool UpstreamConnection::Usable() const {
  return !drain_ && remaining_requests_ != 0 && codec_->can_reuse();
}

uint32_t UpstreamConnection::Room() const {
  const auto taken = std::max<size_t>(leased_, codec_->open_streams());
  return taken < max_streams_ ? max_streams_ - static_cast<uint32_t>(taken) : 0;
}

void UpstreamConnection::Settle() {
  if (state_ == kClosed || codec_ == nullptr) return;
  // In a pool that drains, a connection lasts as long as there is somebody to serve.
  if (pool_->draining() && leased_ == 0 && pool_->waiting() == 0) drain_ = true;
  const State fitting = !Usable() ? kDraining : Room() != 0 ? kReady : kBusy;
  if (fitting != state_) pool_->Move(this, fitting);
  if (leased_ != 0 || codec_->open_streams() != 0) return;
  if (state_ == kDraining) {
    view().loop().AtEndOfTurn(this);
    return;
  }
  const absl::Duration idle = view().config().http.common.IdleTimeout();
  if (idle > absl::ZeroDuration()) idle_timer_.Start(Ns(idle));
}

void UpstreamConnection::RunAtEndOfTurn() {
  if (state_ == kDraining && leased_ == 0 && codec_->open_streams() == 0) Close(/*local=*/true);
}

void UpstreamConnection::Drain() {
  if (drain_ || state_ == kClosed) return;
  drain_ = true;
  Settle();
}

void UpstreamConnection::OnIdleTimer() {
  stats().Add(ClusterStat::kCxIdleTimeout);
  Close(/*local=*/true);
}

void UpstreamConnection::OnAgeTimer() {
  stats().Add(ClusterStat::kCxMaxDurationReached);
  Drain();
}

void UpstreamConnection::OnKeepaliveTimer() {
  const xds::Http2Options& http2 = view().config().http.http2;
  if (ping_open_) {
    view().http2_stats().Add(Http2Stat::kKeepaliveTimeout);
    Close(/*local=*/true);
    return;
  }
  ping_open_ = true;
  codec_->SendPing();
  keepalive_timer_.Start(Ns(http2.keepalive_timeout));
}

void UpstreamConnection::OnPingAck() {
  ping_open_ = false;
  keepalive_timer_.Start(Ns(view().config().http.http2.keepalive_interval));
}

void UpstreamConnection::OnGoAway() {
  stats().Add(ClusterStat::kCxCloseNotify);
  Drain();
}

void UpstreamConnection::OnMaxStreams(uint32_t most) {
  max_streams_ = std::min(most, view().config().http.http2.max_concurrent_streams);
  Settle();
  if (state_ == kReady && pool_->waiting() != 0) pool_->ServeWaiting();
}

void UpstreamConnection::OnStreamClosed() {
  Settle();
  if (state_ == kReady && pool_->waiting() != 0) pool_->ServeWaiting();
}

void UpstreamConnection::OnData(bool eof) {
  CountBytes();
  if (state_ == kClosed || codec_ == nullptr) return;
  const bool idle = leased_ == 0;
  if (const std::unique_ptr<CodecError> error = codec_->Feed(connection_->input())) {
    if (state_ == kClosed) return;
    // What comes on an idle HTTP/1 connection (a 408, say) breaks no exchange.
    if (!idle || protocol() == Protocol::kHttp2) {
      stats().Add(ClusterStat::kCxProtocolError);
      protocol_error_ = true;
    }
    Close(/*local=*/true);
    return;
  }
  if (state_ == kClosed) return;
  if (!connection_->input().empty()) {
    // The codec waits for a reader that paused: nothing more is read meanwhile, and the end of the
    // stream is not told before all that came before it (WantFeed brings both back).
    connection_->PauseReading(Connection::kPauseUser);
    return;
  }
  if (eof) {
    // The codec's news ends the leases before the connection is counted out.
    cut_exchanges_ = leased_ != 0;
    codec_->OnEof();
    Close(/*local=*/false);
    return;
  }
  if (codec_->wants_close()) Settle();
}

void UpstreamConnection::OnOutputBlocked() {
  stats().Add(ClusterStat::kFlowControlBackedUp);
  if (codec_ != nullptr) codec_->OnOutputBlocked();
}

void UpstreamConnection::OnOutputDrained() {
  stats().Add(ClusterStat::kFlowControlDrained);
  if (codec_ != nullptr) codec_->OnOutputDrained();
}

void UpstreamConnection::OnOutputEmpty() {
  CountBytes();
  if (codec_ != nullptr) codec_->OnOutputEmpty();
}

void UpstreamConnection::OnClosed(CloseKind kind, bool /*reset*/) {
  End(kind == CloseKind::kLocal);
}

void UpstreamConnection::Close(bool local) {
  if (state_ == kClosed) return;
  End(local);
  if (connection_ != nullptr) connection_->Close();
}

void UpstreamConnection::End(bool local) {
  if (state_ == kClosed) return;
  const bool connecting = state_ == kConnecting;
  if (connecting) {
    stats().Add(ClusterStat::kCxConnectFail);
    pool_->host().host->state().cx_connect_fail.fetch_add(1, std::memory_order_relaxed);
    if (connection_ != nullptr) {
      failure_reason_ = std::string(connection_->info().transport_failure_reason);
    }
  }
  CountEnd(local);
  HttpPool* pool = pool_;
  pool->Remove(this);
  if (codec_ != nullptr) codec_->OnConnectionClosed({});
  if (!connecting) {
    pool->ServeWaiting();
    return;
  }
  PoolFailure failure;
  failure.kind = timed_out_               ? PoolFailureKind::kTimeout
                 : connection_ == nullptr ? KindOfDialFailure(failure_reason_)
                                          : PoolFailureKind::kConnectFailed;
  failure.transport_reason = failure_reason_;
  pool->OnConnectFailed(failure);
}

// Everything that was counted when the connection was made is taken back, once.
void UpstreamConnection::CountEnd(bool local) {
  CountBytes();
  for (Timer* timer : {&connect_timer_, &idle_timer_, &age_timer_, &keepalive_timer_})
    timer->Stop();
  ticket_.Release();
  --view().connections_;
  pool_->host().host->state().cx_active.fetch_sub(1, std::memory_order_relaxed);
  stats().Sub(ClusterStat::kCxActive);
  stats().Add(ClusterStat::kCxDestroy);
  stats().Add(local ? ClusterStat::kCxDestroyLocal : ClusterStat::kCxDestroyRemote);
  if (leased_ != 0 || cut_exchanges_) {
    stats().Add(ClusterStat::kCxDestroyWithActiveRq);
    stats().Add(local ? ClusterStat::kCxDestroyLocalWithActiveRq
                      : ClusterStat::kCxDestroyRemoteWithActiveRq);
  }
  if (connect_end_ns_ != 0) stats().Record(ClusterStat::kRqPerCx, requests_);
  stats().Record(ClusterStat::kCxLengthMs,
                 static_cast<uint64_t>((view().loop().now_ns() - connect_start_ns_) / kNsPerMs));
}

void UpstreamConnection::CountBytes() {
  if (connection_ == nullptr) return;
  if (protocol() == Protocol::kHttp2) view().http2_counts().Publish(view().http2_stats());
  const uint64_t read = connection_->bytes_read();
  const uint64_t written = connection_->bytes_written();
  if (read != counted_read_) {
    stats().Add(ClusterStat::kCxRxBytesTotal, read - counted_read_);
    counted_read_ = read;
  }
  if (written != counted_written_) {
    stats().Add(ClusterStat::kCxTxBytesTotal, written - counted_written_);
    counted_written_ = written;
  }
}

}  // namespace remora::proxy
