#include "proxy/grpc/client.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "filters/api/arena.h"
#include "proxy/base/graveyard.h"
#include "proxy/base/timer.h"
#include "proxy/grpc/frames.h"
#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/worker_view.h"

namespace remora::proxy {
namespace {

// The call itself. Its handle (below) may be dropped from inside an event, so the call is buried,
// and after each event it looks whether it is still wanted.
class Call final : public Mortal, private Loop::TurnItem, private StreamLease, private MessageSink {
 public:
  Call(WorkerView& view, const GrpcCallOptions& options, GrpcStreamEvents* events);
  ~Call() override { Stop(); }

  void Begin(absl::string_view cluster);
  bool Send(absl::string_view message);
  void CloseSend();
  void PauseReading();
  void ResumeReading();
  // Nothing is called any more.
  void Stop();

  Loop& loop() { return view_.loop(); }

 private:
  // StreamLease
  MessageSink* lease_sink() override { return this; }
  void OnLeased() override;
  void OnLeaseFailed(const PoolFailure& failure) override;
  // MessageSink
  Arena& arena() override { return arena_; }
  void OnInterim(Headers* /*headers*/) override {}
  void OnHeaders(Headers* headers, bool end) override;
  void OnBody(Body& body, bool end) override;
  void OnTrailers(Headers* trailers) override;
  void OnReset(ResetReason reason, absl::string_view details) override;
  void OnSendBlocked() override { blocked_ = true; }
  void OnSendDrained() override;
  // Late news: the end, and messages that waited for ResumeReading().
  void RunAtEndOfTurn() override;

  void MakeHeaders(bool tls);
  void Deliver();
  void PeerEnded(const Headers* headers);
  void End(int code, std::string message);
  void Count(int http_status, bool good);

  WorkerView& view_;
  GrpcCallOptions options_;
  GrpcStreamEvents* events_;  // null: stopped
  Arena arena_;
  ClusterRef cluster_;
  HostPools* host_ = nullptr;
  Headers* request_ = nullptr;
  const Headers* trailers_ = nullptr;
  Body waiting_;
  GrpcFrameReader reader_;
  std::optional<Timer> deadline_;
  std::optional<GrpcStatus> end_;  // to be told once the messages are delivered
  uint32_t pauses_ = 0;
  bool send_closed_ = false;
  bool headers_sent_ = false;
  bool send_ended_ = false;
  bool blocked_ = false;
  bool peer_ended_ = false;
};

Call::Call(WorkerView& view, const GrpcCallOptions& options, GrpcStreamEvents* events)
    : view_(view), options_(options), events_(events), reader_(options.max_message_bytes) {}

void Call::Begin(absl::string_view name) {
  ClusterView* cluster = view_.FindCluster(name);
  if (cluster == nullptr) return End(kGrpcUnavailable, absl::StrCat("no cluster '", name, "'"));
  cluster_ = ClusterRef(cluster);
  if (options_.timeout_ms > 0) {
    deadline_.emplace(
        &loop().timers(),
        [](void* self) {
          auto* call = static_cast<Call*>(self);
          call->StreamLease::Cancel();
          call->End(kGrpcDeadlineExceeded, "deadline exceeded");
        },
        this);
    deadline_->StartMs(options_.timeout_ms);
  }
  lb::PickContext context(view_.random(), lb::TimePoint(loop().now_ns()));
  const Picked picked = cluster->PickHost(context, PickWish());
  if (!picked) return End(kGrpcUnavailable, "no healthy upstream");
  const lb::Choice& choice = picked.choice;
  if (picked.view != cluster) {
    // A member of an aggregate serves: what is counted and kept is its own.
    cluster = picked.view;
    cluster_ = ClusterRef(cluster);
  }
  host_ = &cluster->PoolsOf(*choice.entry);
  ++host_->refs;
  PoolKey key;
  const bool by_alpn = cluster->config().http.protocol == xds::UpstreamHttpOptions::Protocol::kAuto;
  key.protocol = by_alpn ? UpstreamProtocol::kAuto : UpstreamProtocol::kHttp2;
  key.transport = cluster->TransportIndex(*choice.entry);
  MakeHeaders(cluster->transport(key.transport).config->kind == xds::UpstreamTransport::Kind::kTls);
  StreamLease::Open(cluster->PoolFor(choice, key));
}

void Call::MakeHeaders(bool tls) {
  request_ = arena_.New<Headers>(&arena_);
  request_->set_pseudo_static(HeaderId::kMethod, "POST");
  request_->set_pseudo_static(HeaderId::kScheme, tls ? "https" : "http");
  request_->set_pseudo(HeaderId::kPath, options_.method);
  request_->set_pseudo(HeaderId::kAuthority,
                       options_.authority.empty() ? cluster_->name() : options_.authority);
  request_->AddReference(HeaderId::kTe, "trailers");
  if (options_.timeout_ms > 0) {
    request_->Add(HeaderId::kGrpcTimeout, GrpcTimeoutValue(options_.timeout_ms));
  }
  request_->AddReference(HeaderId::kContentType, "application/grpc");
  for (const auto& [name, value] : options_.metadata) request_->Add(name, value);
}

void Call::OnLeased() {
  cluster_->ReportResult(*host_, health::Outcome::kConnected);
  for (uint32_t i = 0; i < pauses_; ++i) stream()->PauseReading();
  headers_sent_ = true;
  stream()->SendHeaders(*request_, false);
  if (!open()) return;
  if (!waiting_.empty() || send_closed_) {
    stream()->SendBody(waiting_, send_closed_);
    send_ended_ = send_closed_;
  }
}

void Call::OnLeaseFailed(const PoolFailure& failure) {
  if (failure.kind != PoolFailureKind::kOverflow) {
    cluster_->ReportResult(*host_, failure.kind == PoolFailureKind::kTimeout
                                       ? health::Outcome::kConnectTimeout
                                       : health::Outcome::kConnectFailed);
  }
  Count(503, false);
  absl::string_view why = "connection failure";
  if (failure.kind == PoolFailureKind::kOverflow) why = "overflow";
  if (failure.kind == PoolFailureKind::kTimeout) why = "connection timeout";
  End(kGrpcUnavailable, absl::StrCat("upstream ", why, failure.transport_reason.empty() ? "" : ": ",
                                     failure.transport_reason));
}

bool Call::Send(absl::string_view message) {
  if (events_ == nullptr || end_.has_value() || send_closed_) return true;
  AppendGrpcFrame(message, &waiting_);
  if (headers_sent_ && open()) stream()->SendBody(waiting_, false);
  return !blocked_;
}

void Call::CloseSend() {
  if (std::exchange(send_closed_, true) || !headers_sent_ || !open()) return;
  stream()->SendBody(waiting_, true);
  send_ended_ = true;
  if (peer_ended_) StreamLease::Finish();
}

void Call::PauseReading() {
  ++pauses_;
  if (open()) stream()->PauseReading();
}

void Call::ResumeReading() {
  if (pauses_ == 0) return;
  if (--pauses_ == 0 && (reader_.left() != 0 || end_.has_value())) loop().AtEndOfTurn(this);
  if (open()) stream()->ResumeReading();
}

void Call::OnHeaders(Headers* headers, bool end) {
  if (events_ == nullptr) return;
  const int status = headers->status();
  if (end) return PeerEnded(headers);
  if (status != 200) {
    Count(status, false);
    StreamLease::Cancel();
    return End(GrpcCodeOfHttpStatus(status), absl::StrCat("HTTP status ", status));
  }
  events_->OnGrpcInitialMetadata(*headers);
}

void Call::OnBody(Body& body, bool end) {
  reader_.Add(body);
  Deliver();
  if (end && events_ != nullptr) PeerEnded(nullptr);
}

void Call::OnTrailers(Headers* trailers) {
  if (events_ != nullptr) PeerEnded(trailers);
}

// `headers`: where the status is, or null when the answer just ended.
void Call::PeerEnded(const Headers* headers) {
  peer_ended_ = true;
  trailers_ = headers;
  if (send_ended_) {
    StreamLease::Finish();
  } else {
    // Nobody will read what we still might send.
    StreamLease::Cancel();
  }
  const auto text = headers == nullptr ? std::nullopt : headers->Get(HeaderId::kGrpcStatus);
  int code = kGrpcUnknown;
  if (!text.has_value()) {
    const int status = headers == nullptr ? 200 : headers->status();
    Count(status == 0 ? 200 : status, false);
    const bool http_error = status != 0 && status != 200;
    return End(http_error ? GrpcCodeOfHttpStatus(status) : kGrpcUnknown,
               http_error ? absl::StrCat("HTTP status ", status) : "missing grpc-status");
  }
  if (!absl::SimpleAtoi(*text, &code) || code < 0) code = kGrpcUnknown;
  Count(200, code == kGrpcOk);
  End(code, DecodeGrpcMessage(headers->Value(HeaderId::kGrpcMessage)));
}

void Call::OnReset(ResetReason reason, absl::string_view /*details*/) {
  StreamLease::Finish();
  if (events_ == nullptr) return;
  if (reason == ResetReason::kRemoteReset) cluster_->stats().Add(ClusterStat::kRqRxReset);
  cluster_->ReportResult(*host_, health::Outcome::kConnectFailed);
  Count(503, false);
  switch (reason) {
    case ResetReason::kConnectionClosed:
      return End(kGrpcUnavailable, "connection termination");
    case ResetReason::kRemoteRefused:
      return End(kGrpcUnavailable, "stream refused");
    case ResetReason::kRemoteReset:
      return End(kGrpcUnavailable, "remote reset");
    default:
      return End(kGrpcInternal, "protocol error");
  }
}

void Call::OnSendDrained() {
  if (!std::exchange(blocked_, false) || events_ == nullptr) return;
  events_->OnGrpcSendDrained();
}

void Call::Deliver() {
  Body message;
  while (events_ != nullptr && pauses_ == 0) {
    switch (reader_.Take(&message)) {
      case GrpcFrameReader::Next::kMore:
        return;
      case GrpcFrameReader::Next::kTooLong:
        StreamLease::Cancel();
        return End(kGrpcResourceExhausted, "message is too long");
      case GrpcFrameReader::Next::kCompressed:
        StreamLease::Cancel();
        return End(kGrpcUnimplemented, "message is compressed");
      case GrpcFrameReader::Next::kMessage:
        events_->OnGrpcMessage(message);
    }
  }
}

void Call::Count(int http_status, bool good) {
  CountAnswer(cluster_->stats(), http_status);
  CountAnswer(cluster_->internal_answers(), http_status);
  lb::HostState& state = host_->host->state();
  (good ? state.rq_success : state.rq_error).fetch_add(1, std::memory_order_relaxed);
  if (http_status != 503) cluster_->ReportStatus(*host_, http_status);
}

void Call::End(int code, std::string message) {
  if (end_.has_value()) return;
  deadline_.reset();
  end_ = GrpcStatus{code, std::move(message)};
  loop().AtEndOfTurn(this);
}

void Call::RunAtEndOfTurn() {
  if (events_ == nullptr) return;
  Deliver();
  if (events_ == nullptr || !end_.has_value() || (pauses_ != 0 && reader_.left() != 0)) return;
  GrpcStreamEvents* events = std::exchange(events_, nullptr);
  const GrpcStatus status = *std::move(end_);
  events->OnGrpcClosed(status, trailers_);
}

void Call::Stop() {
  events_ = nullptr;
  deadline_.reset();
  Unlink();
  StreamLease::Cancel();
  if (host_ != nullptr) --std::exchange(host_, nullptr)->refs;
  cluster_.Release();
}

class Handle final : public GrpcStream {
 public:
  explicit Handle(std::unique_ptr<Call> call) : call_(std::move(call)) {}
  ~Handle() override {
    call_->Stop();
    Loop& loop = call_->loop();
    loop.graveyard().Bury(std::move(call_));
  }
  bool Send(absl::string_view message) override { return call_->Send(message); }
  void CloseSend() override { call_->CloseSend(); }
  void PauseReading() override { call_->PauseReading(); }
  void ResumeReading() override { call_->ResumeReading(); }

 private:
  std::unique_ptr<Call> call_;
};

class Unary final : public GrpcUnaryCall, private GrpcStreamEvents {
 public:
  Unary(WorkerView& view, absl::string_view cluster, const GrpcCallOptions& options,
        absl::string_view request, GrpcUnaryDone done)
      : done_(std::move(done)), stream_(OpenGrpcStream(view, cluster, options, this)) {
    stream_->Send(request);
    stream_->CloseSend();
  }

 private:
  void OnGrpcMessage(Body& message) override { response_.Swap(message); }
  void OnGrpcClosed(const GrpcStatus& status, const Headers* /*trailers*/) override {
    GrpcUnaryDone done = std::move(done_);
    Body response;
    if (status.ok()) response.Swap(response_);
    done(status, response);
  }

  GrpcUnaryDone done_;
  Body response_;
  std::unique_ptr<GrpcStream> stream_;
};

}  // namespace

int GrpcCodeOfHttpStatus(int status) {
  switch (status) {
    case 400:
      return kGrpcInternal;
    case 401:
      return kGrpcUnauthenticated;
    case 403:
      return kGrpcPermissionDenied;
    case 404:
      return kGrpcUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return kGrpcUnavailable;
    default:
      return kGrpcUnknown;
  }
}

std::unique_ptr<GrpcStream> OpenGrpcStream(WorkerView& view, absl::string_view cluster,
                                           const GrpcCallOptions& options,
                                           GrpcStreamEvents* events) {
  auto call = std::make_unique<Call>(view, options, events);
  call->Begin(cluster);
  return std::make_unique<Handle>(std::move(call));
}

std::unique_ptr<GrpcUnaryCall> StartGrpcCall(WorkerView& view, absl::string_view cluster,
                                             const GrpcCallOptions& options,
                                             absl::string_view request, GrpcUnaryDone done) {
  return std::make_unique<Unary>(view, cluster, options, request, std::move(done));
}

}  // namespace remora::proxy
