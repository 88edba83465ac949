#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/stream/router_exchange.h"
#include "proxy/upstream/worker_view.h"

namespace remora::proxy {
namespace {

constexpr int64_t kRestOfRequestMs = 10;

void CountHost(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

absl::string_view WithoutBlanks(absl::string_view text, Arena& arena) {
  char* out = arena.AllocateChars(text.size());
  std::replace_copy_if(
      text.begin(), text.end(), out, [](char c) { return absl::ascii_isspace(c); }, '_');
  return {out, text.size()};
}

std::optional<int> GrpcStatusOf(const Headers& headers) {
  const auto text = headers.Get(HeaderId::kGrpcStatus);
  int status = 0;
  if (!text.has_value() || !absl::SimpleAtoi(*text, &status)) return std::nullopt;
  return status;
}

}  // namespace

void Exchange::OnAttemptReady(Attempt& attempt) {
  if (action_->auto_host_rewrite && !attempt.entry()->attributes->hostname.empty()) {
    SetAuthority(attempt.entry()->attributes->hostname, action_->append_x_forwarded_host,
                 adds_headers(), *headers_);
  }
  if (request_ended_ && timeouts_.per_try_ms > 0) attempt.StartPerTryTimer(timeouts_.per_try_ms);
}

void Exchange::OnAttemptInterim(Attempt& /*attempt*/, Headers* headers) {
  Charge(headers->status(), headers);
  // Something of this answer is on its way: no other answer may replace it.
  retry_.Reset();
  kept_.Clear();
  host_->OnUpstreamInterim(headers);
}

void Exchange::OnAttemptHeaders(Attempt& attempt, Headers* headers, bool end) {
  if (hedges_ && SettleLate(attempt, true)) return;
  if (websocket_ && headers->status() != 101 && info().upstream_protocol != Protocol::kHttp2) {
    // The handshake failed: of the upstream's answer only its status is passed on.
    headers = BareAnswer(headers->status());
    end = true;
  }
  ReportAnswer(*headers);
  if (retry_.enabled() && RetryAfterAnswer(*headers)) return;
  retry_.Reset();
  if (action_->internal_redirect.has_value() && RedirectInside(*headers)) return;
  kept_.Clear();
  response_started_ = true;
  EditResponse(*headers);
  if (adds_headers()) AddServiceTime(*headers);
  Charge(headers->status(), headers);
  CountAnswerOfHost(*headers, end);
  for (size_t i = 0; i < cookies_.count; ++i) {
    headers->AddReference(HeaderId::kSetCookie, cookies_.values[i]);
  }
  info().response_code_details = "via_upstream";
  info().response_code = headers->status();
  host_->MutateResponseHeaders(*headers, weighted_);
  hold_ = attempt.TakeHold();
  if (end) ResponseCompleted();
  host_->OnUpstreamHeaders(headers, end);
}

// True when the answer sent the request on inside the proxy: this exchange is over.
bool Exchange::RedirectInside(Headers& response) {
  const xds::InternalRedirectPolicy& policy = *action_->internal_redirect;
  if (!policy.Includes(response.status())) return false;
  if (!request_ended_ || body_lost_ || !response.Has(HeaderId::kLocation) ||
      !host_->PrepareInternalRedirect(policy, response)) {
    stats().Add(ClusterStat::kInternalRedirectFailed);
    return false;
  }
  stats().Add(ClusterStat::kInternalRedirectSucceeded);
  RouterHost* host = host_;
  Headers* trailers = trailers_;
  const bool has_body = body_seen_;
  Body body;
  body.Append(kept_);
  hold_ = attempt_->TakeHold();
  host->RestartRequest(response, body, has_body, trailers);
  return true;
}

Headers* Exchange::BareAnswer(int status) {
  Arena& arena = host_->arena();
  auto* headers = arena.New<Headers>(&arena);
  headers->set_status(status);
  headers->AddReference(HeaderId::kContentLength, "0");
  return headers;
}

void Exchange::OnAttemptBody(Attempt& /*attempt*/, Body& body, bool end) {
  if (end) {
    // A gRPC answer without trailers is no success.
    if (std::exchange(grpc_success_open_, false)) {
      CountHost(attempt_->host()->host->state().rq_error);
    }
    ResponseCompleted();
  }
  host_->OnUpstreamBody(body, end);
}

void Exchange::OnAttemptTrailers(Attempt& attempt, Headers* trailers) {
  if (std::exchange(grpc_success_open_, false)) {
    lb::HostState& state = attempt.host()->host->state();
    const auto status = GrpcStatusOf(*trailers);
    const bool good = status.has_value() && HttpStatusOfGrpc(*status) < 500;
    CountHost(good ? state.rq_success : state.rq_error);
  }
  ResponseCompleted();
  host_->OnUpstreamTrailers(trailers);
}

// What the answer says of the host.
void Exchange::ReportAnswer(const Headers& headers) {
  int status = headers.status();
  if (grpc_) {
    if (const auto code = GrpcStatusOf(headers)) status = HttpStatusOfGrpc(*code);
  }
  attempt_->cluster().ReportStatus(*attempt_->host(), status);
  if (headers.Has(HeaderId::kXEnvoyImmediateHealthCheckFail)) {
    attempt_->cluster().ReportImmediateFail(*attempt_->host());
  }
}

void Exchange::CountAnswerOfHost(const Headers& headers, bool end) {
  lb::HostState& state = attempt_->host()->host->state();
  if (headers.status() >= 500) {
    CountHost(state.rq_error);
    return;
  }
  if (!grpc_) {
    CountHost(state.rq_success);
    return;
  }
  if (!end) {
    grpc_success_open_ = true;
    return;
  }
  const auto status = GrpcStatusOf(headers);
  const bool good = status.has_value() && HttpStatusOfGrpc(*status) < 500;
  CountHost(good ? state.rq_success : state.rq_error);
}

void Exchange::EditResponse(Headers& headers) {
  if (!host_->virtual_host().include_attempt_count_in_response) return;
  headers.Set(HeaderId::kXEnvoyAttemptCount, absl::AlphaNum(attempts_).Piece());
}

void Exchange::AddServiceTime(Headers& headers) {
  // Without the end of the request there is nothing to count from.
  if (request_end_ms_ < 0) return;
  headers.Set(HeaderId::kXEnvoyUpstreamServiceTime,
              absl::AlphaNum(now_ms() - request_end_ms_).Piece());
}

void Exchange::ResponseCompleted() {
  StopTimers();
  if (request_end_ms_ >= 0 && !info().health_check && host_->dynamic_stats()) {
    const auto took = static_cast<uint64_t>(now_ms() - request_end_ms_);
    stats().Record(ClusterStat::kRqTime, took);
    (internal_ ? cluster_->internal_answers() : cluster_->external_answers())
        .Record(AnswerStat::kTime, took);
  }
  // Nobody will read the rest of the request.
  if (!request_ended_) DropAttempt();
}

// Counts an answer of the cluster, ours included.
void Exchange::Charge(int status, const Headers* headers) {
  if (info().health_check || !host_->dynamic_stats()) return;
  CountAnswer(stats(), status);
  CountAnswer(internal_ ? cluster_->internal_answers() : cluster_->external_answers(), status);
  const bool canary =
      (attempt_ != nullptr && attempt_->entry()->attributes->canary) ||
      (headers != nullptr && headers->Value(HeaderId::kXEnvoyUpstreamCanary) == "true");
  if (canary) CountAnswer(cluster_->canary_answers(), status);
  if (!alt_stat_name_.empty()) ChargeAltName(status);
}

// x-envoy-upstream-alt-stat-name: the same numbers once more, under that name.
void Exchange::ChargeAltName(int status) {
  StatSlab& slab = host_->view().stats();
  const std::string prefix =
      absl::StrCat("cluster.", cluster_->config().stat_name(), ".", alt_stat_name_, ".");
  for (const absl::string_view kind : {"", internal_ ? "internal." : "external."}) {
    const std::string name = absl::StrCat(prefix, kind, "upstream_rq_");
    slab.AddNamed(absl::StrCat(name, "completed"), 1);
    slab.AddNamed(absl::StrCat(name, status / 100, "xx"), 1);
    slab.AddNamed(absl::StrCat(name, status), 1);
  }
}

// An attempt ended without an answer, and what the client gets (or got) instead is `status`.
void Exchange::ChargeFailure(int status) {
  if (response_started_) {
    if (std::exchange(grpc_success_open_, false)) {
      CountHost(attempt_->host()->host->state().rq_error);
    }
    return;
  }
  Charge(status, nullptr);
  if (attempt_ != nullptr) CountHost(attempt_->host()->host->state().rq_error);
}

void Exchange::OnAttemptFailed(Attempt& attempt, AttemptFailure failure,
                               absl::string_view transport_reason) {
  if (hedges_ && SettleLate(attempt, false)) return;
  const AttemptFailureText& text = TextOf(failure);
  Arena& arena = host_->arena();
  // Envoy puts no blanks into details, and the transport's reason into them but not into bodies.
  const absl::string_view reason = WithoutBlanks(transport_reason, arena);
  info().upstream_transport_failure_reason = reason;
  if (failure != AttemptFailure::kOverflow) {
    attempt.cluster().ReportResult(*attempt.host(), health::Outcome::kConnectFailed);
  }
  if (RetryAfterFailure(failure, /*timed_out=*/false)) return;
  ChargeFailure(text.status);

  const absl::string_view event = response_started_ ? "upstream_reset_after_response_started{"
                                                    : "upstream_reset_before_response_started{";
  absl::string_view details = arena.Concat(event, text.detail);
  if (!reason.empty()) details = arena.Concat(details, "|", reason);
  details = arena.Concat(details, "}");
  const absl::string_view body = arena.Concat(
      "upstream connect error or disconnect/reset before headers. ",
      attempts_ > 1 ? "retried and the latest reset reason: " : "reset reason: ", text.text);
  info().flags.Add(text.flag);
  if (failure == AttemptFailure::kRemoteConnectFailed && !request_ended_ &&
      info().protocol != Protocol::kHttp2) {
    GiveSoon(text.status, body, details);
    return;
  }
  Give(text.status, body, details,
       failure == AttemptFailure::kOverflow ? "x-envoy-overloaded" : "");
}

// A reply before the end of an HTTP/1 request costs its connection. Who refuses does so faster than
// many clients write the second half of what they send, so that is waited for, for a moment.
void Exchange::GiveSoon(int status, absl::string_view body, absl::string_view details) {
  hold_ = attempt_->TakeHold();
  DropLate();
  DropAttempt();
  retry_.Reset();
  kept_.Clear();
  body_lost_ = true;
  soon_ = {status, body, details};
  backoff_timer_.emplace(
      &host_->loop().timers(), [](void* self) { static_cast<Exchange*>(self)->GiveNow(); }, this);
  backoff_timer_->StartMs(kRestOfRequestMs);
}

void Exchange::GiveNow() {
  const Soon soon = std::exchange(soon_, {});
  Give(soon.status, soon.body, soon.details);
}

void Exchange::Hedge() {
  attempt_->cluster().ReportResult(*attempt_->host(), health::Outcome::kConnectTimeout);
  if (response_started_ || !retry_.enabled() ||
      !Granted(retry_.OnLate(cluster_->breakers(priority())))) {
    return;
  }
  late_.push_back(std::move(attempt_));
  ScheduleRetry(/*timed_out=*/true);
}

bool Exchange::SettleLate(Attempt& attempt, bool answered) {
  if (attempt_.get() == &attempt) {
    // The newest try: when it fails, the late ones are waited for.
    if (answered) {
      DropLate();
      return false;
    }
    if (late_.empty()) return false;
    attempt_.swap(late_.back());
    Attempt::Drop(std::move(late_.back()), host_->loop());
    late_.pop_back();
    return true;
  }
  for (auto it = late_.begin(); it != late_.end(); ++it) {
    if (it->get() != &attempt) continue;
    std::unique_ptr<Attempt> own = std::move(*it);
    late_.erase(it);
    const bool waits = backoff_timer_.has_value() && backoff_timer_->armed();
    if (!answered && (attempt_ != nullptr || waits)) {
      Attempt::Drop(std::move(own), host_->loop());
      return true;
    }
    backoff_timer_.reset();
    DropLate();
    DropAttempt();
    attempt_ = std::move(own);
    if (answered) retry_.Reset();  // its retry did not bring the answer
    return false;
  }
  return false;
}

void Exchange::OnAttemptTimeout(Attempt& attempt, Limit limit) {
  if (hedges_ && limit == Limit::kPerTry) {
    if (attempt_.get() == &attempt) Hedge();
    return;
  }
  if (hedges_ && SettleLate(attempt, false)) return;
  if (limit == Limit::kStreamDuration) {
    stats().Add(ClusterStat::kRqMaxDurationReached);
    if (RetryAfterFailure(AttemptFailure::kLocalReset, /*timed_out=*/false)) return;
    info().flags.Add(ResponseFlag::kUpstreamMaxStreamDurationReached);
    Give(request_ended_ ? 504 : 408, "upstream max stream duration reached",
         "upstream_max_stream_duration_reached");
    return;
  }
  const bool idle = limit == Limit::kPerTryIdle;
  stats().Add(idle ? ClusterStat::kRqPerTryIdleTimeout : ClusterStat::kRqPerTryTimeout);
  CountHost(attempt.host()->host->state().rq_timeout);
  attempt.cluster().ReportResult(*attempt.host(), health::Outcome::kConnectTimeout);
  if (RetryAfterFailure(AttemptFailure::kLocalReset, /*timed_out=*/true)) return;
  ChargeFailure(timeouts_.status);
  if (idle) {
    info().flags.Add(ResponseFlag::kUpstreamRequestTimeout);
    GiveTimeout("upstream_per_try_idle_timeout");
    return;
  }
  info().flags.Add(ResponseFlag::kUpstreamRequestTimeout);
  GiveTimeout("upstream_per_try_timeout");
}

void Exchange::OnResponseTimer() {
  // Not while waiting between two tries.
  if (attempt_ != nullptr) stats().Add(ClusterStat::kRqTimeout);
  if (attempt_ != nullptr && !attempt_->headers_received()) {
    CountHost(attempt_->host()->host->state().rq_timeout);
    attempt_->cluster().ReportResult(*attempt_->host(), health::Outcome::kConnectTimeout);
    ChargeFailure(timeouts_.status);
  }
  info().flags.Add(ResponseFlag::kUpstreamRequestTimeout);
  GiveTimeout("response_timeout");
}

void Exchange::GiveTimeout(absl::string_view details) {
  Give(timeouts_.status, timeouts_.status == 504 ? "upstream request timeout" : "", details);
}

void Exchange::Give(int status, absl::string_view body, absl::string_view details,
                    absl::string_view marker_header) {
  StopTimers();
  if (attempt_ != nullptr) hold_ = attempt_->TakeHold();
  DropLate();
  DropAttempt();
  retry_.Reset();
  kept_.Clear();
  info().response_code_details = details;
  RouterHost* host = host_;
  if (response_started_) {
    host->OnUpstreamAborted(details);
    return;
  }
  LocalReply reply;
  reply.status = status;
  reply.body = body;
  reply.details = details;
  const char* marker = marker_header.empty() || !adds_headers() ? nullptr : marker_header.data();
  reply.edit = [this, marker](Headers& headers) {
    if (marker != nullptr) headers.AddReference(marker, "true");
    if (attempts_ != 0) EditResponse(headers);
  };
  host->OnRouterReply(reply);
}

bool Exchange::RetryAfterFailure(AttemptFailure failure, bool timed_out) {
  if (response_started_ || !retry_.enabled()) return false;
  const Retry::Verdict verdict =
      retry_.OnFailure(failure, attempt_->sent(), timed_out, cluster_->breakers(priority()));
  if (!Granted(verdict)) return false;
  CountHost(attempt_->host()->host->state().rq_error);
  ScheduleRetry(timed_out);
  return true;
}

bool Exchange::RetryAfterAnswer(const Headers& headers) {
  const Retry::Verdict verdict = retry_.OnAnswer(headers, cluster_->breakers(priority()));
  if (!Granted(verdict)) return false;
  CountHost(attempt_->host()->host->state().rq_error);
  CountAnswer(cluster_->retry_answers(), headers.status());
  ScheduleRetry(/*timed_out=*/false);
  return true;
}

bool Exchange::Granted(Retry::Verdict verdict) {
  if (retry_.succeeded()) stats().Add(ClusterStat::kRqRetrySuccess);
  switch (verdict) {
    case Retry::Verdict::kYes:
      return true;
    case Retry::Verdict::kExhausted:
      stats().Add(ClusterStat::kRqRetryLimitExceeded);
      info().flags.Add(ResponseFlag::kUpstreamRetryLimitExceeded);
      return false;
    case Retry::Verdict::kOverflow:
      stats().Add(ClusterStat::kRqRetryOverflow);
      info().flags.Add(ResponseFlag::kUpstreamOverflow);
      return false;
    case Retry::Verdict::kNo:
      return false;
  }
  return false;
}

void Exchange::ScheduleRetry(bool timed_out) {
  timeout_retry_ = timed_out;
  DropAttempt();
  bool limited = false;
  const lb::Duration delay = retry_.NextDelay(host_->view().random(), &limited);
  backoff_limited_ = limited;
  backoff_timer_.emplace(
      &host_->loop().timers(), [](void* self) { static_cast<Exchange*>(self)->TryAgain(); }, this);
  backoff_timer_->Start(delay.count());
}

void Exchange::TryAgain() {
  stats().Add(ClusterStat::kRqRetry);
  stats().Add(backoff_limited_ ? ClusterStat::kRqRetryBackoffRatelimited
                               : ClusterStat::kRqRetryBackoffExponential);
  info().attempt_count = ++attempts_;
  const Picked picked = cluster_->removed() ? Picked() : PickHost();
  if (!picked || !picked.view->MayPool(picked.choice, KeyFor(picked))) {
    info().flags.Add(ResponseFlag::kNoHealthyUpstream);
    Charge(503, nullptr);
    Give(503, "no healthy upstream", "no_healthy_upstream");
    return;
  }
  const xds::VirtualHost& virtual_host = host_->virtual_host();
  if (virtual_host.include_request_attempt_count) {
    headers_->Set(HeaderId::kXEnvoyAttemptCount, absl::AlphaNum(attempts_).Piece());
  }
  if (virtual_host.include_is_timeout_retry_header) {
    headers_->SetReference(HeaderId::kXEnvoyIsTimeoutRetry, timeout_retry_ ? "true" : "false");
  }
  const int64_t elapsed = request_end_ms_ < 0 ? 0 : now_ms() - request_end_ms_;
  WriteExpectedTimeout(elapsed);
  StartAttempt(picked, KeyFor(picked));
}

void Exchange::OnAttemptBlocked() {
  if (std::exchange(request_paused_, true)) return;
  host_->PauseRequest();
}

void Exchange::OnAttemptDrained() {
  if (!std::exchange(request_paused_, false)) return;
  host_->ResumeRequest();
}

}  // namespace remora::proxy
