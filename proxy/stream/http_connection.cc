#include "proxy/stream/http_connection.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "proxy/codec/detect.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/stream.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kRemoteDisconnect = "downstream_remote_disconnect";
constexpr absl::string_view kLocalDisconnect = "downstream_local_disconnect";

int64_t Nanoseconds(absl::Duration duration) { return absl::ToInt64Nanoseconds(duration); }

}  // namespace

// What the codec talks to.
class HttpConnection::CodecDoor final : public CodecHost, public ServerCodecEvents {
 public:
  explicit CodecDoor(HttpConnection* connection) : connection_(connection) {}

  Body& output() override { return connection_->connection_->output(); }
  void WantFlush() override { connection_->connection_->Flush(); }
  void WantFeed() override {
    connection_->connection_->ResumeReading(Connection::kPauseUser);
    connection_->connection_->RedeliverInput();
  }
  void OnIdleChange(bool) override {}
  int64_t now_ns() override { return connection_->worker_->loop().now_ns(); }
  MessageSink* OnNewStream(CodecStream* stream) override {
    return connection_->OnNewStream(stream);
  }
  void OnPingAck() override { connection_->awaiting_ping_ = false; }

 private:
  HttpConnection* connection_;
};

HttpConnection::HttpConnection(HttpWorker* worker, std::shared_ptr<const HttpService> service,
                               std::unique_ptr<Connection> connection, HttpConnectionOwner* owner)
    : worker_(worker),
      service_(std::move(service)),
      connection_(std::move(connection)),
      owner_(owner),
      stats_(worker->stats().Cells(service_->stats())),
      listener_stats_(worker->stats().Cells(service_->listener_stats())),
      door_(std::make_unique<CodecDoor>(this)),
      start_ns_(worker->loop().now_ns()),
      idle_timer_(
          &worker->loop().timers(),
          [](void* self) { static_cast<HttpConnection*>(self)->OnIdleTimeout(); }, this),
      duration_timer_(
          &worker->loop().timers(),
          [](void* self) { static_cast<HttpConnection*>(self)->OnMaxDuration(); }, this),
      drain_timer_(
          &worker->loop().timers(),
          [](void* self) { static_cast<HttpConnection*>(self)->OnDrainTimeout(); }, this),
      keepalive_timer_(
          &worker->loop().timers(),
          [](void* self) { static_cast<HttpConnection*>(self)->OnKeepalive(); }, this) {
  stats_.Add(HttpStat::kCxTotal);
  stats_.Add(HttpStat::kCxActive);
}

HttpConnection::~HttpConnection() {
  if (!ended_) {
    owner_ = nullptr;
    ResetStreams(kLocalDisconnect);
    End(CloseKind::kLocal);
  }
}

void HttpConnection::Start(bool started) {
  const xds::CommonHttpOptions& common = service_->config().common;
  if (common.max_connection_duration) {
    duration_timer_.Start(Nanoseconds(*common.max_connection_duration));
  }
  ArmIdleTimer();
  if (!started) {
    connection_->Start(this);
    return;
  }
  connection_->SetEvents(this);
  OnConnected();
  if (!connection_->input().empty()) connection_->RedeliverInput();
}

bool HttpConnection::is_http2() const {
  return codec_ != nullptr && codec_->protocol() == Protocol::kHttp2;
}

void HttpConnection::OnConnected() {
  if (connected_) return;
  connected_ = true;
  if (connection_->info().tls != nullptr) {
    stats_.Add(HttpStat::kCxSslTotal);
    stats_.Add(HttpStat::kCxSslActive);
  }
  switch (service_->config().codec) {
    case xds::HttpConnectionManager::Codec::kHttp1:
      MakeCodec(/*http2=*/false);
      break;
    case xds::HttpConnectionManager::Codec::kHttp2:
      MakeCodec(/*http2=*/true);
      break;
    default:
      if (connection_->info().tls == nullptr) break;
      // What both sides agreed on in the handshake counts, not what the bytes look like.
      if (connection_->info().tls->alpn == "h2") MakeCodec(/*http2=*/true);
      if (connection_->info().tls->alpn == "http/1.1") MakeCodec(/*http2=*/false);
  }
}

// False while too little has arrived to tell.
bool HttpConnection::ChooseCodec(bool eof) {
  Body& input = connection_->input();
  if (input.empty()) return false;
  const absl::string_view head = input.Linearize(std::min(input.size(), kHttp2Preface.size()));
  const DetectedProtocol detected = DetectProtocol(head);
  if (detected == DetectedProtocol::kNeedMore && !eof) return false;
  MakeCodec(detected == DetectedProtocol::kHttp2);
  return true;
}

void HttpConnection::MakeCodec(bool http2) {
  if (http2) {
    Http2Options options = service_->http2();
    options.stats = worker_->http2_counts().counts();
    worker_->http2_stats(*service_).Add(Http2Stat::kDownstreamConnections);
    codec_ = MakeHttp2ServerCodec(door_.get(), door_.get(), options);
    const int64_t interval = Nanoseconds(service_->config().http2.keepalive_interval);
    if (interval > 0) keepalive_timer_.Start(interval);
  } else {
    worker_->http1_stats(*service_);  // shown from now on
    codec_ = MakeHttp1ServerCodec(door_.get(), door_.get(), service_->http1());
  }
  stats_.Add(http2 ? HttpStat::kCxHttp2Total : HttpStat::kCxHttp1Total);
  stats_.Add(http2 ? HttpStat::kCxHttp2Active : HttpStat::kCxHttp1Active);
  if (drain_ != Drain::kNone) codec_->Shutdown(/*final=*/false);
}

void HttpConnection::OnData(bool eof) {
  CountBytes();
  eof_ = eof_ || eof;
  if (close_when_flushed_) {
    connection_->input().Clear();
  } else if (codec_ != nullptr || ChooseCodec(eof_)) {
    Feed();
  }
  if (ended_ || !eof_) return;
  // A client that closes its side has left, whatever it still waits for.
  CountActiveAtEnd(/*remote=*/true);
  ResetStreams(kRemoteDisconnect);
  if (!ended_) connection_->CloseAfterFlush(0);
}

void HttpConnection::CountActiveAtEnd(bool remote) {
  if (stream_count_ == 0) return;
  stats_.Add(HttpStat::kCxDestroyActiveRq);
  stats_.Add(remote ? HttpStat::kCxDestroyRemoteActiveRq : HttpStat::kCxDestroyLocalActiveRq);
}

void HttpConnection::Feed() {
  const std::unique_ptr<CodecError> error = codec_->Feed(connection_->input());
  if (ended_) return;
  if (error != nullptr) {
    OnCodecError(*error);
    return;
  }
  // What the codec leaves behind waits for an answer to go out first: no more is read meanwhile.
  if (!connection_->input().empty() && !eof_) connection_->PauseReading(Connection::kPauseUser);
  connection_->Flush();
  MaybeClose();
}

void HttpConnection::OnCodecError(const CodecError& error) {
  stats_.Add(HttpStat::kCxProtocolError);
  connection_->info().local_close_reason = error.details;
  // Only the newest stream can be without its headers.
  if (error.status != 0 && streams_ != nullptr && !is_http2()) streams_->OnMalformed(error);
  if (ended_) return;
  broken_ = true;
  ResetStreams(error.details);
  if (ended_) return;
  CloseWhenFlushed();
}

MessageSink* HttpConnection::OnNewStream(CodecStream* codec_stream) {
  idle_timer_.Stop();
  ++requests_;
  const uint32_t most = service_->config().common.max_requests_per_connection;
  if (most != 0 && requests_ >= most && drain_ == Drain::kNone) {
    stats_.Add(HttpStat::kCxMaxRequestsReached);
    StartDrain();
  }
  Stream* stream = worker_->TakeStream().release();
  stream->prev_ = nullptr;
  stream->next_ = streams_;
  if (streams_ != nullptr) streams_->prev_ = stream;
  streams_ = stream;
  ++stream_count_;
  stream->Begin(this, codec_stream);
  return stream;
}

void HttpConnection::OnStreamEnded(Stream* stream) {
  if (stream->prev_ != nullptr) stream->prev_->next_ = stream->next_;
  if (stream->next_ != nullptr) stream->next_->prev_ = stream->prev_;
  if (streams_ == stream) streams_ = stream->next_;
  stream->prev_ = stream->next_ = nullptr;
  --stream_count_;
  if (is_http2()) worker_->http2_counts().Publish(worker_->http2_stats(*service_));
  worker_->GiveBack(std::unique_ptr<Stream>(stream));
  if (stream_count_ != 0 || ended_) return;
  ArmIdleTimer();
  MaybeClose();
}

bool HttpConnection::DrainsAtResponse(bool close_requested) {
  if (drain_ == Drain::kNone && owner_ != nullptr && owner_->ShouldDrain()) {
    StartDrain();
    stats_.Add(HttpStat::kCxDrainClose);
  }
  if (drain_ == Drain::kNone && close_requested) drain_ = Drain::kClosing;
  return drain_ != Drain::kNone && !is_http2();
}

void HttpConnection::StartDrain() {
  if (drain_ != Drain::kNone || ended_) return;
  drain_ = Drain::kAnnounced;
  if (codec_ != nullptr) codec_->Shutdown(/*final=*/false);
  connection_->Flush();
  drain_timer_.Start(Nanoseconds(service_->config().drain_timeout));
}

void HttpConnection::OnDrainTimeout() {
  drain_ = Drain::kClosing;
  if (codec_ == nullptr) {
    connection_->CloseAfterFlush(0);
    return;
  }
  codec_->Shutdown(/*final=*/true);
  connection_->Flush();
  MaybeClose();
}

void HttpConnection::ArmIdleTimer() {
  if (close_when_flushed_ || drain_ == Drain::kClosing) return;
  const xds::HttpConnectionManager& config = service_->config();
  int64_t idle = Nanoseconds(config.common.IdleTimeout());
  // Responses that the client's windows hold back may not stay for as long as a quiet connection.
  const int64_t flush =
      Nanoseconds(config.stream_flush_timeout.value_or(config.stream_idle_timeout));
  if (is_flushing() && flush > 0 && (idle == 0 || flush < idle)) idle = flush;
  if (idle > 0) idle_timer_.Start(idle);
}

// The exchanges are over, but bytes of theirs still wait in the codec.
bool HttpConnection::is_flushing() const {
  return stream_count_ == 0 && codec_ != nullptr && codec_->open_streams() != 0;
}

void HttpConnection::OnIdleTimeout() {
  if (is_flushing()) {
    connection_->info().local_close_reason = "stream_flush_timeout";
    Close();
    return;
  }
  stats_.Add(HttpStat::kCxIdleTimeout);
  if (codec_ == nullptr) {
    connection_->CloseAfterFlush(0);
  } else {
    StartDrain();
  }
}

void HttpConnection::OnMaxDuration() {
  stats_.Add(HttpStat::kCxMaxDurationReached);
  if (codec_ == nullptr) {
    connection_->CloseAfterFlush(0);
  } else {
    StartDrain();
  }
}

void HttpConnection::OnKeepalive() {
  const xds::Http2Options& options = service_->config().http2;
  if (std::exchange(awaiting_ping_, true)) {
    connection_->info().local_close_reason = "http2.ping_timeout";
    Close();
    return;
  }
  codec_->SendPing();
  connection_->Flush();
  keepalive_timer_.Start(Nanoseconds(options.keepalive_timeout));
}

void HttpConnection::CloseWhenFlushed() {
  if (ended_ || close_when_flushed_) return;
  close_when_flushed_ = true;
  idle_timer_.Stop();
  connection_->input().Clear();
  ResetStreams(kLocalDisconnect);
  if (ended_) return;
  connection_->CloseAfterFlush(absl::ToInt64Milliseconds(service_->config().delayed_close_timeout));
}

void HttpConnection::Close() {
  if (ended_) return;
  ResetStreams(kLocalDisconnect);
  if (!ended_) connection_->Close();
}

// No exchange is under way and none is to come.
void HttpConnection::MaybeClose() {
  if (ended_ || close_when_flushed_ || stream_count_ != 0 || codec_ == nullptr) return;
  if (!codec_->wants_close() && !(drain_ == Drain::kClosing && !is_http2())) return;
  close_when_flushed_ = true;
  idle_timer_.Stop();
  connection_->CloseAfterFlush(absl::ToInt64Milliseconds(service_->config().delayed_close_timeout));
}

void HttpConnection::ResetStreams(absl::string_view details) {
  if (codec_ != nullptr && stream_count_ != 0) codec_->OnConnectionClosed(details);
}

void HttpConnection::OnOutputBlocked() {
  if (codec_ != nullptr) codec_->OnOutputBlocked();
}

void HttpConnection::OnOutputDrained() {
  if (codec_ != nullptr) codec_->OnOutputDrained();
}

void HttpConnection::OnOutputEmpty() {
  CountBytes();
  if (codec_ == nullptr || ended_) return;
  codec_->OnOutputEmpty();
  if (!ended_ && stream_count_ == 0) ArmIdleTimer();
}

void HttpConnection::OnClosed(CloseKind kind, bool /*reset*/) {
  // Who closed first counts, whoever finished it.
  if (eof_ && !close_when_flushed_) kind = CloseKind::kRemote;
  CountActiveAtEnd(kind == CloseKind::kRemote);
  ResetStreams(kind == CloseKind::kRemote ? kRemoteDisconnect : kLocalDisconnect);
  End(kind);
}

void HttpConnection::CountBytes() {
  const uint64_t read = connection_->bytes_read();
  const uint64_t written = connection_->bytes_written();
  if (read != counted_read_) stats_.Add(HttpStat::kCxRxBytesTotal, read - counted_read_);
  if (written != counted_written_) {
    stats_.Add(HttpStat::kCxTxBytesTotal, written - counted_written_);
  }
  counted_read_ = read;
  counted_written_ = written;
}

void HttpConnection::End(CloseKind kind) {
  if (std::exchange(ended_, true)) return;
  CountBytes();
  for (Timer* timer : {&idle_timer_, &duration_timer_, &drain_timer_, &keepalive_timer_}) {
    timer->Stop();
  }
  stats_.Add(HttpStat::kCxDestroy);
  stats_.Add(kind == CloseKind::kRemote ? HttpStat::kCxDestroyRemote : HttpStat::kCxDestroyLocal);
  stats_.Sub(HttpStat::kCxActive);
  if (connected_ && connection_->info().tls != nullptr) stats_.Sub(HttpStat::kCxSslActive);
  if (codec_ != nullptr) {
    stats_.Sub(is_http2() ? HttpStat::kCxHttp2Active : HttpStat::kCxHttp1Active);
  }
  stats_.Record(HttpStat::kCxLengthMs, (worker_->loop().now_ns() - start_ns_) / 1000000);
  if (owner_ != nullptr) owner_->OnHttpConnectionEnded(this);
}

}  // namespace remora::proxy
