#include "proxy/stream/side_calls.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "filters/api/arena.h"
#include "filters/api/stream_info.h"
#include "proxy/base/graveyard.h"
#include "proxy/base/timer.h"
#include "proxy/grpc/client.h"
#include "proxy/stream/attempt.h"
#include "proxy/upstream/cluster_view.h"

namespace remora::proxy {
namespace {

// One request and its answer, which is collected. The handle may be dropped from inside `done`, so
// the call is buried.
class PendingHttp final : public Mortal, private Loop::TurnItem, private AttemptEvents {
 public:
  PendingHttp(WorkerView& view, const HttpCall& call, HttpCallDone done);
  ~PendingHttp() override { Stop(); }

  void Begin(absl::string_view cluster);
  void Stop();
  Loop& loop() { return view_.loop(); }

 private:
  void OnAttemptReady(Attempt& /*attempt*/) override {}
  void OnAttemptInterim(Attempt& /*attempt*/, Headers* /*headers*/) override {}
  void OnAttemptHeaders(Attempt& attempt, Headers* headers, bool end) override;
  void OnAttemptBody(Attempt& attempt, Body& body, bool end) override;
  void OnAttemptTrailers(Attempt& /*attempt*/, Headers* /*trailers*/) override {
    End(HttpCallEnd::kAnswered);
  }
  void OnAttemptFailed(Attempt& attempt, AttemptFailure failure,
                       absl::string_view transport_reason) override;
  void OnAttemptTimeout(Attempt& /*attempt*/, Limit /*limit*/) override {
    End(HttpCallEnd::kTimeout);
  }
  void OnAttemptBlocked() override {}
  void OnAttemptDrained() override {}
  void RunAtEndOfTurn() override;

  void Charge(int status);
  void OnTimeout();
  void Try();
  // Whether what came is to be asked for once more.
  bool WantsRetry() const;
  void StartRetry();
  // Tells the filter when the turn is over.
  void End(HttpCallEnd end);

  WorkerView& view_;
  HttpCallDone done_;  // null: nothing is called any more
  ClusterRef cluster_;
  SnapshotPin pin_;
  Arena arena_;
  StreamInfo info_;
  Headers* request_;
  Body request_body_;
  const Headers* headers_ = nullptr;
  Body body_;
  uint64_t most_;
  int64_t timeout_ms_;
  int64_t sent_ns_ = 0;
  std::optional<HttpCallEnd> end_;
  Timer timer_;
  SideRetries retries_;
  uint32_t retried_ = 0;
  Timer retry_timer_;
  std::unique_ptr<Attempt> attempt_;
};

PendingHttp::PendingHttp(WorkerView& view, const HttpCall& call, HttpCallDone done)
    : view_(view),
      done_(std::move(done)),
      request_(call.headers->CopyTo(&arena_)),
      most_(call.max_answer_bytes),
      timeout_ms_(call.timeout_ms),
      timer_(
          &view.loop().timers(), [](void* self) { static_cast<PendingHttp*>(self)->OnTimeout(); },
          this),
      retries_(call.retries),
      retry_timer_(
          &view.loop().timers(), [](void* self) { static_cast<PendingHttp*>(self)->Try(); }, this) {
  // A request of the proxy's own.
  request_->Set(HeaderId::kXEnvoyInternal, "true");
  if (call.timeout_ms > 0) {
    request_->Set(HeaderId::kXEnvoyExpectedRqTimeoutMs, absl::AlphaNum(call.timeout_ms).Piece());
  }
  if (call.body != nullptr) request_body_.AppendShared(*call.body);
}

void PendingHttp::Begin(absl::string_view name) {
  ClusterView* cluster = view_.FindCluster(name);
  if (cluster == nullptr) return End(HttpCallEnd::kNoCluster);
  cluster_ = ClusterRef(cluster);
  if (timeout_ms_ > 0) timer_.StartMs(timeout_ms_);
  Try();
}

void PendingHttp::Try() {
  ClusterView* cluster = cluster_.get();
  lb::PickContext context(view_.random(), lb::TimePoint(view_.loop().now_ns()));
  const lb::Choice choice = cluster->Pick(context);
  if (!choice) {
    Charge(503);
    return End(HttpCallEnd::kFailed);
  }
  pin_ = view_.Pin();
  sent_ns_ = view_.loop().now_ns();
  PoolKey key;
  using Config = xds::UpstreamHttpOptions::Protocol;
  const Config protocol = cluster->config().http.protocol;
  if (protocol == Config::kHttp2) key.protocol = UpstreamProtocol::kHttp2;
  if (protocol == Config::kAuto) key.protocol = UpstreamProtocol::kAuto;
  key.transport = cluster->TransportIndex(*choice.entry);

  Attempt::Start start;
  start.cluster = cluster;
  start.choice = choice;
  start.key = key;
  start.headers = request_;
  start.end = request_body_.empty();
  start.info = &info_;
  start.arena = &arena_;
  attempt_.reset(new Attempt(this));
  Attempt& attempt = *attempt_;
  attempt.Begin(start);
  if (attempt_.get() != &attempt || start.end) return;
  Body body;
  body.AppendShared(request_body_);
  attempt.SendBody(body, true);
}

void PendingHttp::Charge(int status) {
  CountAnswer(cluster_->stats(), status);
  CountAnswer(cluster_->internal_answers(), status);
}

void PendingHttp::OnAttemptHeaders(Attempt& attempt, Headers* headers, bool end) {
  const int status = headers->status();
  Charge(status);
  cluster_->ReportStatus(*attempt.host(), status);
  lb::HostState& state = attempt.host()->host->state();
  (status < 500 ? state.rq_success : state.rq_error).fetch_add(1, std::memory_order_relaxed);
  const auto ms = static_cast<uint64_t>((view_.loop().now_ns() - sent_ns_) / 1000000);
  cluster_->stats().Record(ClusterStat::kRqTime, ms);
  cluster_->internal_answers().Record(AnswerStat::kTime, ms);
  headers->Set(HeaderId::kXEnvoyUpstreamServiceTime, absl::AlphaNum(ms).Piece());
  headers_ = headers;
  if (end) End(HttpCallEnd::kAnswered);
}

void PendingHttp::OnAttemptBody(Attempt& /*attempt*/, Body& body, bool end) {
  body_.Append(body);
  if (body_.size() > most_) return End(HttpCallEnd::kFailed);
  if (end) End(HttpCallEnd::kAnswered);
}

void PendingHttp::OnAttemptFailed(Attempt& attempt, AttemptFailure failure,
                                  absl::string_view /*transport_reason*/) {
  if (failure != AttemptFailure::kOverflow) {
    cluster_->ReportResult(*attempt.host(), health::Outcome::kConnectFailed);
  }
  if (!attempt.headers_received()) Charge(TextOf(failure).status);
  End(HttpCallEnd::kFailed);
}

void PendingHttp::OnTimeout() {
  cluster_->stats().Add(ClusterStat::kRqTimeout);
  if (headers_ == nullptr) Charge(504);
  End(HttpCallEnd::kTimeout);
}

void PendingHttp::End(HttpCallEnd end) {
  if (end_.has_value()) return;
  end_ = end;
  loop().AtEndOfTurn(this);
}

bool PendingHttp::WantsRetry() const {
  if (retried_ >= retries_.most || !cluster_) return false;
  constexpr int kServerError = 500;
  return *end_ == HttpCallEnd::kFailed ||
         (*end_ == HttpCallEnd::kAnswered && headers_->status() >= kServerError);
}

void PendingHttp::StartRetry() {
  ++retried_;
  cluster_->stats().Add(ClusterStat::kRqRetry);
  end_.reset();
  headers_ = nullptr;
  body_.Clear();
  pin_.Release();
  constexpr uint32_t kMostDoublings = 16;
  const int64_t delay =
      std::min(retries_.longest_ms, retries_.base_ms << std::min(retried_ - 1, kMostDoublings));
  retry_timer_.StartMs(1 +
                       static_cast<int64_t>(view_.random().Next() %
                                            static_cast<uint64_t>(std::max<int64_t>(delay, 1))));
}

void PendingHttp::RunAtEndOfTurn() {
  if (!done_ || !end_.has_value()) return;
  Attempt::Drop(std::move(attempt_), loop());
  if (WantsRetry()) return StartRetry();
  timer_.Stop();
  const HttpCallDone done = std::exchange(done_, nullptr);
  HttpAnswer answer;
  answer.end = *end_;
  if (answer.end == HttpCallEnd::kAnswered) {
    answer.headers = headers_;
    answer.body = body_.Linearize(body_.size());
  }
  done(answer);
}

void PendingHttp::Stop() {
  done_ = nullptr;
  timer_.Stop();
  retry_timer_.Stop();
  Unlink();
  if (attempt_ != nullptr) Attempt::Drop(std::move(attempt_), loop());
  pin_.Release();
  cluster_.Release();
}

class HttpHandle final : public SideCall {
 public:
  explicit HttpHandle(std::unique_ptr<PendingHttp> call) : call_(std::move(call)) {}
  ~HttpHandle() override {
    call_->Stop();
    Loop& loop = call_->loop();
    loop.graveyard().Bury(std::move(call_));
  }

 private:
  std::unique_ptr<PendingHttp> call_;
};

class GrpcHandle final : public SideCall {
 public:
  explicit GrpcHandle(std::unique_ptr<GrpcUnaryCall> call) : call_(std::move(call)) {}

 private:
  std::unique_ptr<GrpcUnaryCall> call_;
};

GrpcCallOptions OptionsOf(const GrpcCall& call) {
  GrpcCallOptions options;
  options.method = std::string(call.method);
  options.authority = std::string(call.authority);
  options.metadata = call.metadata;
  options.metadata.emplace_back("x-envoy-internal", "true");
  options.timeout_ms = call.timeout_ms;
  return options;
}

class GrpcSide final : public SideStream, private GrpcStreamEvents {
 public:
  GrpcSide(WorkerView& view, const GrpcCall& call, SideStreamEvents* events)
      : events_(events), stream_(OpenGrpcStream(view, call.cluster, OptionsOf(call), this)) {}

  void Send(absl::string_view message) override { stream_->Send(message); }
  void CloseSend() override { stream_->CloseSend(); }

 private:
  void OnGrpcMessage(Body& message) override {
    events_->OnSideMessage(message.Linearize(message.size()));
  }
  void OnGrpcClosed(const GrpcStatus& status, const Headers* /*trailers*/) override {
    events_->OnSideClosed(status.code, status.message);
  }

  SideStreamEvents* events_;
  std::unique_ptr<GrpcStream> stream_;
};

}  // namespace

std::unique_ptr<SideCall> StartHttpCall(WorkerView& view, const HttpCall& call, HttpCallDone done) {
  auto pending = std::make_unique<PendingHttp>(view, call, std::move(done));
  pending->Begin(call.cluster);
  return std::make_unique<HttpHandle>(std::move(pending));
}

std::unique_ptr<SideCall> StartGrpcSideCall(WorkerView& view, const GrpcCall& call,
                                            GrpcCallDone done) {
  return std::make_unique<GrpcHandle>(
      StartGrpcCall(view, call.cluster, OptionsOf(call), call.request,
                    [done = std::move(done)](const GrpcStatus& status, Body& response) {
                      done({status.code, status.message, response.Linearize(response.size())});
                    }));
}

std::unique_ptr<SideStream> OpenGrpcSideStream(WorkerView& view, const GrpcCall& call,
                                               SideStreamEvents* events) {
  return std::make_unique<GrpcSide>(view, call, events);
}

}  // namespace remora::proxy
