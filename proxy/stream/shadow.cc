#include "proxy/stream/shadow.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "filters/api/arena.h"
#include "proxy/base/timer.h"
#include "proxy/stream/apply_mutations.h"
#include "proxy/stream/attempt.h"
#include "proxy/upstream/cluster_view.h"

namespace remora::proxy {
namespace {

class MirroredRequest final : public Background, public Shadow, private AttemptEvents {
 public:
  MirroredRequest(WorkerView& view, ClusterView* cluster, const Origin& origin);
  ~MirroredRequest() override { attempt_.reset(); }

  void AddBody(const Body& body) override { body_.AppendShared(body); }
  void AddTrailers(const Headers& trailers) override { trailers_ = trailers.CopyTo(&arena_); }

 private:
  void Begin(std::unique_ptr<Shadow> self) override;

  void OnAttemptReady(Attempt& /*attempt*/) override {}
  void OnAttemptInterim(Attempt& /*attempt*/, Headers* /*headers*/) override {}
  void OnAttemptHeaders(Attempt& attempt, Headers* headers, bool end) override;
  void OnAttemptBody(Attempt& attempt, Body& body, bool end) override;
  void OnAttemptTrailers(Attempt& attempt, Headers* trailers) override;
  void OnAttemptFailed(Attempt& attempt, AttemptFailure failure,
                       absl::string_view transport_reason) override;
  void OnAttemptTimeout(Attempt& /*attempt*/, Limit /*limit*/) override { End(); }
  void OnAttemptBlocked() override {}
  void OnAttemptDrained() override {}

  void Charge(int status);
  void OnTimeout();
  void End();

  WorkerView& view_;
  ClusterRef cluster_;
  SnapshotPin pin_;
  Arena arena_;
  StreamInfo info_;
  Headers* headers_;
  Headers* trailers_ = nullptr;
  Body body_;
  int64_t timeout_ms_;
  int64_t sent_ns_ = 0;
  Timer timer_;
  std::unique_ptr<Attempt> attempt_;
};

MirroredRequest::MirroredRequest(WorkerView& view, ClusterView* cluster, const Origin& origin)
    : view_(view),
      cluster_(cluster),
      headers_(origin.headers->CopyTo(&arena_)),
      timeout_ms_(origin.timeout_ms),
      timer_(
          &view.loop().timers(),
          [](void* self) { static_cast<MirroredRequest*>(self)->OnTimeout(); }, this) {
  const xds::MirrorPolicy& policy = *origin.policy;
  if (!policy.host_rewrite.empty()) {
    headers_->set_pseudo(HeaderId::kAuthority, policy.host_rewrite);
  } else if (policy.append_shadow_suffix) {
    headers_->set_pseudo(HeaderId::kAuthority, ShadowHost(headers_->authority()));
  }
  for (const std::string& name : policy.remove_headers) headers_->Remove(name);
  ApplyAdditions(policy.add_headers, *origin.info, *headers_);
  // The copy is a request of the proxy's own.
  headers_->Set(HeaderId::kXEnvoyInternal, "true");
  if (origin.own_address != nullptr && origin.own_address->is_ip()) {
    headers_->AppendValue(HeaderId::kXForwardedFor, origin.own_address->IpString(arena_), ",");
  }
}

void MirroredRequest::Begin(std::unique_ptr<Shadow> self) {
  self.release();
  view_.Adopt(std::unique_ptr<Background>(this));
  lb::PickContext context(view_.random(), lb::TimePoint(view_.loop().now_ns()));
  const Picked picked = cluster_->PickHost(context, PickWish());
  if (!picked) {
    Charge(503);
    return End();
  }
  pin_ = view_.Pin();
  if (timeout_ms_ > 0) timer_.StartMs(timeout_ms_);
  sent_ns_ = view_.loop().now_ns();
  PoolKey key;
  using Config = xds::UpstreamHttpOptions::Protocol;
  const Config protocol = picked.view->config().http.protocol;
  if (protocol == Config::kHttp2) key.protocol = UpstreamProtocol::kHttp2;
  if (protocol == Config::kAuto) key.protocol = UpstreamProtocol::kAuto;
  key.transport = picked.view->TransportIndex(*picked.choice.entry);

  Attempt::Start start;
  start.cluster = picked.view;
  start.choice = picked.choice;
  start.key = key;
  start.headers = headers_;
  start.end = body_.empty() && trailers_ == nullptr;
  start.info = &info_;
  start.arena = &arena_;
  attempt_.reset(new Attempt(this));
  Attempt& attempt = *attempt_;
  attempt.Begin(start);
  if (attempt_.get() != &attempt || start.end) return;
  attempt.SendBody(body_, trailers_ == nullptr);
  if (attempt_.get() == &attempt && trailers_ != nullptr) attempt.SendTrailers(trailers_);
}

void MirroredRequest::Charge(int status) {
  CountAnswer(cluster_->stats(), status);
  CountAnswer(cluster_->internal_answers(), status);
}

void MirroredRequest::OnAttemptHeaders(Attempt& attempt, Headers* headers, bool end) {
  const int status = headers->status();
  Charge(status);
  cluster_->ReportStatus(*attempt.host(), status);
  lb::HostState& state = attempt.host()->host->state();
  (status < 500 ? state.rq_success : state.rq_error).fetch_add(1, std::memory_order_relaxed);
  const auto ms = static_cast<uint64_t>((view_.loop().now_ns() - sent_ns_) / 1000000);
  cluster_->stats().Record(ClusterStat::kRqTime, ms);
  cluster_->internal_answers().Record(AnswerStat::kTime, ms);
  if (end) End();
}

void MirroredRequest::OnAttemptBody(Attempt& /*attempt*/, Body& body, bool end) {
  body.Clear();
  if (end) End();
}

void MirroredRequest::OnAttemptTrailers(Attempt& /*attempt*/, Headers* /*trailers*/) { End(); }

void MirroredRequest::OnAttemptFailed(Attempt& attempt, AttemptFailure failure,
                                      absl::string_view /*transport_reason*/) {
  if (failure != AttemptFailure::kOverflow) {
    cluster_->ReportResult(*attempt.host(), health::Outcome::kConnectFailed);
  }
  if (!attempt.headers_received()) Charge(TextOf(failure).status);
  End();
}

void MirroredRequest::OnTimeout() {
  cluster_->stats().Add(ClusterStat::kRqTimeout);
  if (attempt_ != nullptr && !attempt_->headers_received()) Charge(504);
  End();
}

void MirroredRequest::End() {
  timer_.Stop();
  Attempt::Drop(std::move(attempt_), view_.loop());
  view_.Dismiss(this);
}

}  // namespace

std::unique_ptr<Shadow> Shadow::Create(WorkerView& view, const Origin& origin) {
  const xds::MirrorPolicy& policy = *origin.policy;
  if (policy.fraction.has_value() &&
      !policy.fraction->Includes(origin.runtime, view.random().Next())) {
    return nullptr;
  }
  const absl::string_view name = policy.cluster.empty()
                                     ? origin.headers->Get(policy.cluster_header).value_or("")
                                     : absl::string_view(policy.cluster);
  ClusterView* cluster = view.FindCluster(name);
  if (cluster == nullptr) return nullptr;
  return std::make_unique<MirroredRequest>(view, cluster, origin);
}

void Shadow::Launch(std::unique_ptr<Shadow> shadow) {
  Shadow* raw = shadow.get();
  raw->Begin(std::move(shadow));
}

std::string ShadowHost(absl::string_view authority) {
  const size_t colon = authority.rfind(':');
  const bool has_port =
      colon != absl::string_view::npos && authority.find(']', colon) == absl::string_view::npos;
  if (!has_port) return absl::StrCat(authority, "-shadow");
  return absl::StrCat(authority.substr(0, colon), "-shadow", authority.substr(colon));
}

}  // namespace remora::proxy
