#include "proxy/stream/router.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "filters/grpc_status.h"
#include "proxy/stream/router_exchange.h"
#include "proxy/upstream/worker_view.h"
#include "xds/cluster_routing.h"
#include "xds/tls.h"

namespace remora::proxy {
namespace {

absl::string_view WithoutPort(absl::string_view host) {
  if (!host.empty() && host[0] == '[') {
    const size_t end = host.find(']');
    return end == absl::string_view::npos ? host : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

}  // namespace

const std::vector<xds::HashPolicy>& Exchange::hash_policies() const {
  const xds::ClusterRouting* routing = cluster_->config().routing.get();
  return routing == nullptr || routing->hash_policies.empty() ? action_->hash_policies
                                                              : routing->hash_policies;
}

const std::vector<xds::MirrorPolicy>& Exchange::mirrors() const {
  const xds::ClusterRouting* routing = cluster_->config().routing.get();
  return routing == nullptr || routing->mirrors.empty() ? action_->mirrors : routing->mirrors;
}

const xds::RetryPolicy* Exchange::retry_policy() const {
  const xds::ClusterRouting* routing = cluster_->config().routing.get();
  if (routing != nullptr && routing->retry.has_value()) return &*routing->retry;
  return action_->retry.has_value() ? &*action_->retry : nullptr;
}

std::unique_ptr<Router> Router::Create() { return std::make_unique<Exchange>(); }

void Exchange::OnRequestHeaders(RouterHost* host, Headers* headers, bool end, bool upgrade) {
  host_ = host;
  headers_ = headers;
  action_ = host->route().forward();
  body_seen_ = !end;
  websocket_ = upgrade && absl::EqualsIgnoreCase(headers->Value(HeaderId::kUpgrade), "websocket");
  if (!FindCluster()) return;
  info().attempt_count = attempts_ = 1;
  grpc_ = IsGrpcRequest(*headers);
  internal_ = headers->Value(HeaderId::kXEnvoyInternal) == "true";
  if (DropsOverload()) return;

  if (!hash_policies().empty()) {
    hash_ = HashOfRequest(hash_policies(), *headers, info(), &cookies_);
  }
  const Picked picked = PickHost();
  if (!picked || !picked.view->MayPool(picked.choice, KeyFor(picked))) {
    info().flags.Add(ResponseFlag::kNoHealthyUpstream);
    Charge(503, nullptr);
    Give(503, "no healthy upstream", "no_healthy_upstream");
    return;
  }
  // The server name is the client's, before the route rewrites the host.
  const PoolKey key = KeyFor(picked);
  PrepareHeaders();
  if (!mirrors().empty()) MakeShadows();
  if (end) RequestEnded();
  StartAttempt(picked, key);
}

absl::string_view Exchange::ChooseClusterName() {
  switch (action_->cluster_by) {
    case xds::ForwardAction::ClusterBy::kName:
      return action_->cluster;
    case xds::ForwardAction::ClusterBy::kHeader:
      return headers_->Get(action_->cluster).value_or(absl::string_view());
    case xds::ForwardAction::ClusterBy::kWeights:
      weighted_ = ChooseWeighted();
      if (weighted_ == nullptr) return {};
      return weighted_->cluster_header.empty()
                 ? absl::string_view(weighted_->name)
                 : headers_->Get(weighted_->cluster_header).value_or(absl::string_view());
    case xds::ForwardAction::ClusterBy::kPlugin:
      return {};
  }
  return {};
}

const xds::WeightedCluster* Exchange::ChooseWeighted() {
  uint64_t total = 0;
  for (const xds::WeightedCluster& cluster : action_->weighted) total += cluster.weight;
  if (total == 0) return nullptr;
  uint64_t draw = host_->random();
  if (!action_->weight_header.empty()) {
    uint64_t given = 0;
    if (absl::SimpleAtoi(headers_->Get(action_->weight_header).value_or(""), &given)) draw = given;
  } else if (action_->weight_by_hash_policy && !action_->hash_policies.empty()) {
    draw = HashOfRequest(action_->hash_policies, *headers_, info(), &cookies_).value_or(draw);
    cookies_.count = 0;  // made once more, the same, when the host is picked
  }
  uint64_t at = draw % total;
  for (const xds::WeightedCluster& cluster : action_->weighted) {
    if (at < cluster.weight) return &cluster;
    at -= cluster.weight;
  }
  return nullptr;
}

bool Exchange::FindCluster() {
  const absl::string_view name = ChooseClusterName();
  ClusterView* view = host_->view().FindCluster(name);
  if (view == nullptr) {
    info().flags.Add(ResponseFlag::kNoClusterFound);
    Give(action_->cluster_not_found_status, {}, "cluster_not_found");
    return false;
  }
  cluster_ = ClusterRef(view);
  Arena& arena = host_->arena();
  info().upstream_cluster = arena.Copy(view->config().stat_name());
  info().upstream_cluster_raw = arena.Copy(view->config().name);
  info().cluster_metadata = &view->config().metadata;
  return true;
}

bool Exchange::DropsOverload() {
  const auto& drop = cluster_->cluster().drop_overload;
  if (!drop.has_value() || drop->share.numerator == 0) return false;
  const bool always = drop->share.numerator >= drop->share.denominator;
  if (!always && !drop->share.Includes(host_->random())) return false;
  info().flags.Add(always ? ResponseFlag::kUnconditionalDropOverload : ResponseFlag::kDropOverload);
  Charge(503, nullptr);
  if (always) {
    Give(503, "unconditional drop overload", "unconditional_drop_overload",
         "x-envoy-unconditional-drop-overload");
  } else {
    Give(503, "drop overload", "drop_overload", "x-envoy-drop-overload");
  }
  return true;
}

PoolKey Exchange::KeyFor(const Picked& picked) {
  using Config = xds::UpstreamHttpOptions::Protocol;
  PoolKey key;
  switch (picked.view->config().http.protocol) {
    case Config::kHttp1:
      key.protocol = UpstreamProtocol::kHttp1;
      break;
    case Config::kHttp2:
      key.protocol = UpstreamProtocol::kHttp2;
      break;
    case Config::kUseDownstream:
      key.protocol =
          info().protocol == Protocol::kHttp2 ? UpstreamProtocol::kHttp2 : UpstreamProtocol::kHttp1;
      break;
    case Config::kAuto:
      key.protocol = UpstreamProtocol::kAuto;
      break;
  }
  key.priority = priority();
  key.transport = picked.view->TransportIndex(*picked.choice.entry);
  key.sni = SniFor(picked);
  return key;
}

absl::string_view Exchange::SniFor(const Picked& picked) {
  const xds::UpstreamHttpOptions& http = picked.view->config().http;
  if (http.auto_sni) {
    absl::string_view host = headers_->authority();
    if (!http.override_auto_sni_header.empty()) {
      const auto other = headers_->Get(http.override_auto_sni_header);
      if (other.has_value() && !other->empty()) host = *other;
    }
    host = WithoutPort(host);
    // A server name is a name: literals are not sent (RFC 6066 section 3).
    return Address::FromIp(host, 0).has_value() ? absl::string_view() : host;
  }
  const xds::UpstreamTransport& transport =
      *picked.view->transport(picked.view->TransportIndex(*picked.choice.entry)).config;
  if (transport.tls != nullptr && transport.tls->auto_host_sni) {
    return picked.choice.entry->attributes->hostname;
  }
  return {};
}

void Exchange::PrepareHeaders() {
  timeouts_ =
      ReadTimeouts(*action_, retry_policy(), host_->respect_expected_timeout(), *headers_, grpc_);
  const absl::string_view hedge = headers_->Value(HeaderId::kXEnvoyHedgeOnPerTryTimeout);
  hedges_ = action_->hedge.has_value() && action_->hedge->hedge_on_per_try_timeout;
  if (hedge == "true" || hedge == "false") hedges_ = hedge == "true";
  WriteExpectedTimeout(0);
  alt_stat_name_ = host_->arena().Copy(headers_->Value(HeaderId::kXEnvoyUpstreamAltStatName));
  headers_->Remove(HeaderId::kXEnvoyUpstreamAltStatName);
  headers_->Remove(HeaderId::kXEnvoyHedgeOnPerTryTimeout);
  if (host_->virtual_host().include_request_attempt_count) {
    headers_->SetReference(HeaderId::kXEnvoyAttemptCount, "1");
  }
  host_->MutateRequestHeaders(*headers_, weighted_);
  RewriteHost(*action_, weighted_, info(), adds_headers(), *headers_);
  RewritePath(host_->route(), info(), adds_headers(), *headers_);
  EnsureScheme(info().downstream != nullptr && info().downstream->tls != nullptr, *headers_);
  retry_.Begin(retry_policy(), *headers_);
  if (action_->idle_timeout.has_value()) {
    host_->SetIdleTimeout(absl::ToInt64Nanoseconds(*action_->idle_timeout));
  }
}

// A hedged try is not cut short: the upstream may take all the time there is.
void Exchange::WriteExpectedTimeout(int64_t elapsed_ms) {
  RequestTimeouts shown = timeouts_;
  if (hedges_) shown.per_try_ms = 0;
  WriteTimeouts(shown, *action_, elapsed_ms, adds_headers(), grpc_, *headers_);
}

void Exchange::StartAttempt(const Picked& picked, const PoolKey& key) {
  if (retry_.enabled()) {
    retry_.Tried(picked.choice.host);
    tried_priorities_.push_back(picked.choice.entry->priority);
  }
  pin_ = host_->view().Pin();
  attempt_.reset(new Attempt(this));
  for (uint32_t i = 0; i < response_pauses_; ++i) attempt_->PauseResponse();
  Attempt::Start start;
  start.cluster = picked.view;
  start.choice = picked.choice;
  start.key = key;
  start.headers = headers_;
  start.end = !body_seen_;
  start.info = &info();
  start.arena = &host_->arena();
  start.idle_ms = timeouts_.per_try_idle_ms;
  Attempt& attempt = *attempt_;
  attempt.Begin(start);
  // A failure from inside may have ended everything.
  if (attempt_.get() != &attempt || attempts_ == 1) return;
  if (kept_.empty() && !request_ended_) return;
  Body again;
  again.AppendShared(kept_);
  if (!again.empty() || (body_seen_ && trailers_ == nullptr && request_ended_)) {
    attempt.SendBody(again, request_ended_ && trailers_ == nullptr);
  }
  if (attempt_.get() == &attempt && trailers_ != nullptr) attempt.SendTrailers(trailers_);
}

// True unless the exchange ended because of it.
bool Exchange::KeepBody(const Body& body) {
  if (!keeps_body()) return true;
  if (kept_.size() + body.size() <= host_->retry_buffer_limit()) {
    kept_.AppendShared(body);
    return true;
  }
  // Too much to keep: this try is the last one.
  body_lost_ = true;
  stats().Add(ClusterStat::kRetryOrShadowAbandoned);
  retry_.Reset();
  kept_.Clear();
  if (attempt_ != nullptr) return true;
  Give(507, "exceeded request buffer limit while retrying upstream",
       "request_payload_exceeded_retry_buffer_limit");
  return false;
}

void Exchange::OnRequestBody(Body& body, bool end) {
  if (host_ == nullptr) return;
  if (!KeepBody(body)) return;
  if (!shadows_.empty()) CopyToShadows(body);
  if (end) RequestEnded();
  if (attempt_ != nullptr) attempt_->SendBody(body, end);
  if (end && host_ != nullptr && soon_.status != 0) GiveNow();
}

void Exchange::OnRequestTrailers(Headers* trailers) {
  if (host_ == nullptr) return;
  trailers_ = trailers;
  for (const auto& shadow : shadows_) shadow->AddTrailers(*trailers);
  RequestEnded();
  if (attempt_ != nullptr) attempt_->SendTrailers(trailers);
  if (host_ != nullptr && soon_.status != 0) GiveNow();
}

void Exchange::MakeShadows() {
  Shadow::Origin origin;
  origin.headers = headers_;
  origin.timeout_ms = timeouts_.global_ms;
  origin.own_address = host_->own_address();
  origin.info = &info();
  origin.runtime = host_->runtime();
  for (const xds::MirrorPolicy& policy : mirrors()) {
    origin.policy = &policy;
    auto shadow = Shadow::Create(host_->view(), origin);
    if (shadow != nullptr) shadows_.push_back(std::move(shadow));
  }
}

void Exchange::CopyToShadows(const Body& body) {
  shadow_bytes_ += body.size();
  if (shadow_bytes_ > host_->retry_buffer_limit()) {
    stats().Add(ClusterStat::kRetryOrShadowAbandoned);
    shadows_.clear();
    return;
  }
  for (const auto& shadow : shadows_) shadow->AddBody(body);
}

void Exchange::LaunchShadows() {
  for (auto& shadow : shadows_) Shadow::Launch(std::move(shadow));
  shadows_.clear();
}

void Exchange::RequestEnded() {
  if (!shadows_.empty()) LaunchShadows();
  request_ended_ = true;
  request_end_ms_ = now_ms();
  if (timeouts_.global_ms > 0) {
    response_timer_.emplace(
        &host_->loop().timers(),
        [](void* self) { static_cast<Exchange*>(self)->OnResponseTimer(); }, this);
    response_timer_->StartMs(timeouts_.global_ms);
  }
  if (attempt_ != nullptr && attempt_->ready() && !attempt_->headers_received() &&
      timeouts_.per_try_ms > 0) {
    attempt_->StartPerTryTimer(timeouts_.per_try_ms);
  }
}

void Exchange::PauseResponse() {
  ++response_pauses_;
  if (attempt_ != nullptr) attempt_->PauseResponse();
}

void Exchange::ResumeResponse() {
  if (response_pauses_ == 0) return;
  --response_pauses_;
  if (attempt_ != nullptr) attempt_->ResumeResponse();
}

void Exchange::DropLate() {
  for (auto& late : late_) Attempt::Drop(std::move(late), host_->loop());
  late_.clear();
}

void Exchange::DropAttempt() {
  if (attempt_ == nullptr) return;
  Attempt::Drop(std::move(attempt_), host_->loop());
  if (std::exchange(request_paused_, false)) host_->ResumeRequest();
}

void Exchange::StopTimers() {
  response_timer_.reset();
  backoff_timer_.reset();
  soon_ = {};
}

void Exchange::Cancel() {
  if (host_ == nullptr) return;
  // They belong to what is let go of here.
  info().cluster_metadata = info().upstream_metadata = nullptr;
  StopTimers();
  request_paused_ = false;
  DropLate();
  DropAttempt();
  hold_.Release();
  retry_.Reset();
  kept_.Clear();
  shadows_.clear();
  cluster_.Release();
  pin_.Release();
  host_ = nullptr;
  action_ = nullptr;
  weighted_ = nullptr;
  headers_ = trailers_ = nullptr;
  alt_stat_name_ = {};
  timeouts_ = RequestTimeouts();
  cookies_.count = 0;
  tried_priorities_.clear();
  own_criteria_ = nullptr;
  hash_.reset();
  request_end_ms_ = -1;
  shadow_bytes_ = 0;
  attempts_ = response_pauses_ = named_hosts_tried_ = 0;
  grpc_ = internal_ = websocket_ = timeout_retry_ = hedges_ = body_seen_ = false;
  request_ended_ = response_started_ = grpc_success_open_ = body_lost_ = false;
}

}  // namespace remora::proxy
