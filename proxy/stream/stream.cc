#include "proxy/stream/stream.h"

#include <utility>

#include "absl/time/time.h"
#include "proxy/stream/http_connection.h"
#include "proxy/stream/http_service.h"
#include "proxy/stream/http_worker.h"

namespace remora::proxy {
namespace {

void StartTimer(Timer& timer, absl::Duration delay) {
  if (delay > absl::ZeroDuration()) timer.Start(absl::ToInt64Nanoseconds(delay));
}

}  // namespace

Stream::Stream(HttpWorker* worker)
    : worker_(worker),
      chain_(this),
      router_(worker->MakeRouter()),
      headers_timer_(
          &worker->loop().timers(),
          [](void* self) { static_cast<Stream*>(self)->OnHeadersTimeout(); }, this),
      request_timer_(
          &worker->loop().timers(),
          [](void* self) { static_cast<Stream*>(self)->OnRequestTimeout(); }, this),
      idle_timer_(
          &worker->loop().timers(), [](void* self) { static_cast<Stream*>(self)->OnIdleTimeout(); },
          this),
      duration_timer_(
          &worker->loop().timers(),
          [](void* self) { static_cast<Stream*>(self)->OnDurationTimeout(); }, this),
      log_timer_(
          &worker->loop().timers(), [](void* self) { static_cast<Stream*>(self)->OnLogTimer(); },
          this) {}

Stream::~Stream() { Clear(); }

void Stream::Begin(HttpConnection* connection, CodecStream* codec_stream) {
  connection_ = connection;
  codec_stream_ = codec_stream;
  ended_ = false;
  pin_ = view().Pin();
  Loop& loop = worker_->loop();
  info_.downstream = &connection->connection().info();
  info_.remote = info_.downstream->remote;
  info_.filter_state = info_.downstream->filter_state;
  info_.timing.start_ns = loop.now_ns();
  info_.timing.start_system_ns = loop.system_now_ns();
  info_.protocol = connection->codec().protocol();
  info_.stream_id = worker_->NextStreamId();

  const StatScope<HttpStat>& stats = connection->stats();
  stats.Add(HttpStat::kRqTotal);
  stats.Add(HttpStat::kRqActive);
  stats.Add(connection->is_http2() ? HttpStat::kRqHttp2Total : HttpStat::kRqHttp1Total);

  const xds::HttpConnectionManager& config = connection->service().config();
  StartTimer(headers_timer_, config.request_headers_timeout);
  StartTimer(request_timer_, config.request_timeout);
  if (config.common.max_stream_duration) {
    StartTimer(duration_timer_, *config.common.max_stream_duration);
  }
  StartTimer(log_timer_, config.access_log_flush_interval);
  idle_ns_ = absl::ToInt64Nanoseconds(config.stream_idle_timeout);
  TouchIdleTimer();
}

void Stream::Clear() {
  chain_.End();
  router_->Cancel();
  for (Timer* timer :
       {&headers_timer_, &request_timer_, &idle_timer_, &duration_timer_, &log_timer_}) {
    timer->Stop();
  }
  pin_.Release();
  connection_ = nullptr;
  codec_stream_ = nullptr;
  info_ = StreamInfo();
  if (!dynamic_metadata_.empty()) dynamic_metadata_ = Metadata();
  filter_state_.reset();
  host_override_ = HostOverride();
  levels_ = Levels();
  vcluster_stats_ = route_stats_ = nullptr;
  request_headers_ = response_headers_ = nullptr;
  upgrade_ = {};
  internal_redirects_ = 0;
  redirects_taken_.clear();
  response_pauses_ = 0;
  request_ = response_ = Progress::kWaiting;
  grpc_request_ = false;
  routed_ = route_chosen_ = tls_redirect_ = local_reply_ = close_requested_ = false;
  upgraded_ = converted_upgrade_ = counted_upgrade_ = false;
  ended_ = true;
  arena_.Reset();
}

Loop& Stream::loop() { return worker_->loop(); }
WorkerView& Stream::view() { return worker_->view(); }
uint64_t Stream::random() { return worker_->random(); }
FilterState& Stream::filter_state() {
  if (!filter_state_) {
    filter_state_.emplace().parent = info_.filter_state;
    info_.filter_state = &*filter_state_;
  }
  return *filter_state_;
}
const Runtime* Stream::runtime() { return worker_->runtime(); }
StatSlab& Stream::stat_slab() { return worker_->stats(); }
bool Stream::server_failing() { return worker_->server_failing(); }
const Address* Stream::own_address() { return &connection_->service().host_address(); }

absl::string_view Stream::local_cluster_name() { return connection_->service().service_cluster(); }
bool Stream::dynamic_stats() { return connection_->service().dynamic_stats(); }
bool Stream::suppress_envoy_headers() { return connection_->service().suppress_envoy_headers(); }
bool Stream::respect_expected_timeout() {
  return connection_->service().respect_expected_timeout();
}

uint64_t Stream::request_buffer_limit() {
  if (levels_.route != nullptr && levels_.route->request_buffer_limit) {
    return *levels_.route->request_buffer_limit;
  }
  if (levels_.virtual_host != nullptr && levels_.virtual_host->request_buffer_limit) {
    return *levels_.virtual_host->request_buffer_limit;
  }
  return connection_->service().buffer_limit();
}

uint64_t Stream::response_buffer_limit() { return connection_->service().buffer_limit(); }

void Stream::SetIdleTimeout(int64_t idle_ns) {
  idle_ns_ = idle_ns;
  TouchIdleTimer();
}

void Stream::TouchIdleTimer() {
  if (idle_ns_ > 0) {
    idle_timer_.Start(idle_ns_);
  } else {
    idle_timer_.Stop();
  }
}

void Stream::OnIdleTimeout() {
  connection_->stats().Add(HttpStat::kRqIdleTimeout);
  info_.flags.Add(ResponseFlag::kStreamIdleTimeout);
  ReplyPlain(request_ == Progress::kComplete ? 504 : 408, "stream timeout", "stream_idle_timeout");
}

void Stream::OnRequestTimeout() {
  connection_->stats().Add(HttpStat::kRqTimeout);
  ReplyPlain(408, "request timeout", "request_overall_timeout");
}

void Stream::OnHeadersTimeout() {
  connection_->stats().Add(HttpStat::kRqHeaderTimeout);
  ReplyPlain(408, "request header timeout", "request_header_timeout");
}

void Stream::OnDurationTimeout() {
  constexpr int kDeadlineExceeded = 4;
  connection_->stats().Add(HttpStat::kRqMaxDurationReached);
  LocalReply reply;
  reply.status = request_ == Progress::kComplete ? 504 : 408;
  reply.body = "downstream duration timeout";
  reply.details = "max_duration_timeout";
  reply.grpc_status = kDeadlineExceeded;
  Reply(reply, /*route_mutations=*/true);
}

void Stream::OnLogTimer() {
  Log(LogMoment::kDownstreamPeriodic);
  StartTimer(log_timer_, connection_->service().config().access_log_flush_interval);
}

// Both directions are through, or one is and the protocol lets the other not matter any more.
void Stream::MaybeFinish() {
  if (ended_ || response_ != Progress::kComplete) return;
  if (request_ == Progress::kComplete) {
    DropCodecStream(/*reset=*/false);
    Finish();
    return;
  }
  if (connection_->is_http2()) {
    // A reset would overtake what the client's window still holds back.
    if (codec_stream_ != nullptr && codec_stream_->unsent_bytes() != 0) return;
    connection_->stats().Add(HttpStat::kRqRxReset);
    DropCodecStream(/*reset=*/true);
    Finish();
    return;
  }
  connection_->stats().Add(HttpStat::kRqRxReset);
  HttpConnection* connection = connection_;
  DropCodecStream(/*reset=*/true);
  Finish();
  connection->CloseWhenFlushed();
}

// The codec forgets its stream; what it counted is kept for the log.
void Stream::DropCodecStream(bool reset) {
  if (codec_stream_ == nullptr) return;
  NoteWireBytes();
  CodecStream* stream = std::exchange(codec_stream_, nullptr);
  if (reset) stream->Reset(ResetReason::kLocalReset);
}

void Stream::NoteWireBytes() {
  const CodecStream::WireBytes bytes = codec_stream_->wire_bytes();
  info_.downstream_wire_received = bytes.received;
  info_.downstream_wire_sent = bytes.sent;
  info_.downstream_header_received = bytes.header_received;
  info_.downstream_header_sent = bytes.header_sent;
  info_.downstream_fields_received = bytes.fields_received;
  info_.downstream_fields_sent = bytes.fields_sent;
}

void Stream::OnReset(ResetReason reason, absl::string_view details) {
  if (ended_) return;
  if (codec_stream_ != nullptr) NoteWireBytes();
  codec_stream_ = nullptr;
  connection_->stats().Add(HttpStat::kRqRxReset);
  switch (reason) {
    case ResetReason::kConnectionClosed:
      info_.flags.Add(connection_->broken() ? ResponseFlag::kDownstreamProtocolError
                                            : ResponseFlag::kDownstreamConnectionTermination);
      break;
    case ResetReason::kRemoteReset:
    case ResetReason::kRemoteRefused:
    case ResetReason::kConnectError:
    case ResetReason::kOverflow:  // headers over the limit: Envoy's flag for them
      info_.flags.Add(ResponseFlag::kDownstreamRemoteReset);
      break;
    case ResetReason::kProtocolError:
      info_.flags.Add(ResponseFlag::kDownstreamProtocolError);
      break;
    case ResetReason::kLocalReset:
      break;
  }
  if (!details.empty()) info_.response_code_details = details;
  Finish();
}

void Stream::Abort() {
  connection_->stats().Add(HttpStat::kRqTxReset);
  HttpConnection* connection = connection_;
  const bool http2 = connection->is_http2();
  DropCodecStream(/*reset=*/true);
  Finish();
  if (!http2) connection->CloseWhenFlushed();
}

void Stream::Finish() {
  if (ended_) return;
  ended_ = true;
  info_.timing.end_ns = worker_->loop().now_ns();
  for (Timer* timer :
       {&headers_timer_, &request_timer_, &idle_timer_, &duration_timer_, &log_timer_}) {
    timer->Stop();
  }
  const StatScope<HttpStat>& stats = connection_->stats();
  stats.Sub(HttpStat::kRqActive);
  if (counted_upgrade_) stats.Sub(HttpStat::kCxUpgradesActive);
  if (!info_.health_check && response_ == Progress::kComplete) {
    stats.Record(HttpStat::kRqTime, (info_.timing.end_ns - info_.timing.start_ns) / 1000000);
  }
  if (info_.flags.Has(ResponseFlag::kNoClusterFound)) stats.Add(HttpStat::kNoCluster);
  Log(LogMoment::kDownstreamEnd);
  chain_.Stop();
  router_->Cancel();
  connection_->OnStreamEnded(this);
}

void Stream::Log(LogMoment moment) {
  const AccessLog& log = connection_->service().access_log();
  if (log.empty()) return;
  if (request_headers_ != nullptr) info_.request_headers_bytes = request_headers_->byte_size();
  const int64_t end = info_.timing.end_ns;
  if (end == 0) info_.timing.end_ns = worker_->loop().now_ns();
  info_.access_log_type = LogMomentName(moment);
  log.Log(info_, moment, runtime(), random(), worker_->logs());
  info_.timing.end_ns = end;
}

}  // namespace remora::proxy
