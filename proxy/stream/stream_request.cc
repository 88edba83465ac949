// The request's side of a stream: from the codec's events to the filters.
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "proxy/stream/http_connection.h"
#include "proxy/stream/http_service.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/local_reply.h"
#include "proxy/stream/request_headers.h"
#include "proxy/stream/request_id.h"
#include "proxy/stream/request_path.h"
#include "proxy/stream/stream.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kConnect = "CONNECT";

bool IsConnect(const Headers& headers) { return headers.method() == kConnect; }

bool WantsContinue(const Headers& headers) {
  return absl::EqualsIgnoreCase(headers.Value(HeaderId::kExpect), "100-continue");
}

}  // namespace

void Stream::OnMalformed(const CodecError& error) {
  if (ended_) return;
  info_.protocol = connection_->codec().protocol();
  info_.flags.Add(ResponseFlag::kDownstreamProtocolError);
  close_requested_ = true;
  ReplyPlain(error.status, error.status == 505 ? "" : StatusText(error.status), error.details);
}

void Stream::OnHeaders(Headers* headers, bool end) {
  if (ended_) return;
  headers_timer_.Stop();
  TouchIdleTimer();
  info_.protocol = connection_->codec().protocol();
  info_.request_headers_bytes = headers->byte_size();
  request_ = Progress::kOpen;
  if (response_ != Progress::kWaiting) {  // a timeout answered already
    if (end) RequestCompleted();
    return;
  }
  request_headers_ = headers;
  info_.request_headers = headers;
  grpc_request_ = IsGrpc();
  if (end) RequestCompleted();
  if (!AdmitRequest(*headers) || ended_) return;
  if (connection_->service().config().flush_access_log_on_new_request) {
    Log(LogMoment::kDownstreamStart);
  }
  if (!BuildChain()) return;
  chain_.RequestHeaders(headers, end);
}

// Makes the headers fit to be routed, in Envoy's order. False when the request was answered.
bool Stream::AdmitRequest(Headers& headers) {
  const xds::HttpConnectionManager& config = connection_->service().config();
  if (!AdmitUnderscores(headers)) return false;
  SendContinue(headers);
  if (headers.authority().empty()) {
    ReplyPlain(400, "", "missing_host_header");
    return false;
  }
  if (!IsValidAuthority(headers.authority())) {
    info_.flags.Add(ResponseFlag::kDownstreamProtocolError);
    ReplyPlain(400, StatusText(400), "http.invalid_authority");
    return false;
  }
  if (!headers.path().empty() && headers.path().front() != '/') {
    connection_->stats().Add(HttpStat::kRqNonRelativePath);
    ReplyPlain(404, "", "absolute_path_rejected");
    return false;
  }
  // A fragment is the client's own affair: whoever sends one means to be read in two ways.
  if (headers.path().find('#') != absl::string_view::npos) {
    ReplyPathRefused(/*redirect=*/false);
    return false;
  }
  switch (NormalizePath(config, headers)) {
    case PathVerdict::kContinue:
      break;
    case PathVerdict::kReject:
      ReplyPathRefused(/*redirect=*/false);
      return false;
    case PathVerdict::kRedirect:
      ReplyPathRefused(/*redirect=*/!IsGrpc());
      return false;
  }
  NormalizeHost(config, info_.downstream->local.port(), IsConnect(headers), headers);
  NormalizeUpgrade(headers);
  if (!UnderstandClient(headers)) return false;
  ChooseRoute();
  DecideTrace(headers);
  return true;
}

// Names with underscores may be taken for other names by servers behind (CGI). False when the
// request was refused for one.
bool Stream::AdmitUnderscores(Headers& headers) {
  const auto has_underscore = [](const Header& header) {
    return header.name.find('_') != absl::string_view::npos;
  };
  switch (connection_->service().config().common.underscores) {
    case xds::UnderscoresAction::kAllow:
      return true;
    case xds::UnderscoresAction::kDropHeader:
      if (const size_t dropped = headers.RemoveIf(has_underscore); dropped != 0) {
        const HttpService& service = connection_->service();
        if (connection_->is_http2()) {
          worker_->http2_stats(service).Add(Http2Stat::kDroppedHeadersWithUnderscores, dropped);
        } else {
          worker_->http1_stats(service).Add(Http1Stat::kDroppedHeadersWithUnderscores, dropped);
        }
      }
      return true;
    case xds::UnderscoresAction::kRejectRequest:
      break;
  }
  bool found = false;
  headers.ForEach([&](const Header& header) { found = found || has_underscore(header); });
  if (!found) return true;
  info_.flags.Add(ResponseFlag::kDownstreamProtocolError);
  if (connection_->is_http2()) {
    worker_->http2_stats(connection_->service()).Add(Http2Stat::kRequestsRejectedWithUnderscores);
    info_.response_code_details = "http2.unexpected_underscore";
    DropCodecStream(/*reset=*/true);
    Finish();
  } else {
    worker_->http1_stats(connection_->service()).Add(Http1Stat::kRequestsRejectedWithUnderscores);
    close_requested_ = true;
    ReplyPlain(400, StatusText(400), "http1.unexpected_underscore");
  }
  return false;
}

void Stream::ReplyPathRefused(bool redirect) {
  if (!redirect) {
    connection_->stats().Add(HttpStat::kRqFailedPathNormalization);
    ReplyPlain(400, "", "path_normalization_failed");
    return;
  }
  connection_->stats().Add(HttpStat::kRqRedirectedWithNormalizedPath);
  LocalReply reply;
  reply.status = 307;
  reply.details = "path_normalization_failed";
  reply.edit = [this](Headers& response) {
    response.Add(HeaderId::kLocation, request_headers_->path());
  };
  Reply(reply, /*route_mutations=*/true);
}

// `expect: 100-continue` is answered here, unless the upstream is to do it.
void Stream::SendContinue(Headers& headers) {
  if (connection_->service().config().proxy_100_continue || !WantsContinue(headers)) return;
  Headers* interim = arena_.New<Headers>(&arena_);
  interim->set_status(100);
  info_.response_code = 100;
  CountResponse(connection_->stats(), 100);
  CountResponse(connection_->listener_stats(), 100);
  codec_stream_->SendInterim(*interim);
  headers.Remove(HeaderId::kExpect);
}

// Notes what the request asks to be upgraded to. An extended CONNECT (RFC 8441) becomes the HTTP/1
// request that it stands for, so that routes and filters see one kind.
void Stream::NormalizeUpgrade(Headers& headers) {
  if (IsConnect(headers) && !headers.protocol().empty()) {
    upgrade_ = arena_.Copy(absl::AsciiStrToLower(headers.protocol()));
    converted_upgrade_ = true;
    headers.set_pseudo_static(HeaderId::kMethod, "GET");
    headers.Add(HeaderId::kUpgrade, headers.protocol());
    headers.AddReference(HeaderId::kConnection, "upgrade");
    headers.set_pseudo_static(HeaderId::kProtocol, "");
    return;
  }
  if (IsConnect(headers)) {
    upgrade_ = kConnect;
    return;
  }
  const absl::string_view upgrade = headers.Value(HeaderId::kUpgrade);
  if (upgrade.empty() || info_.protocol == Protocol::kHttp2) return;
  upgrade_ = arena_.Copy(absl::AsciiStrToLower(upgrade));
}

// False when the request was answered: the client's address must be in it and is not.
bool Stream::UnderstandClient(Headers& headers) {
  const HttpService& service = connection_->service();
  for (const HeaderEdits& edits : service.config().early_header_mutation) {
    edits.Apply(info_, headers);
  }
  const RequestContext context{service.config(),
                               *info_.downstream,
                               service.host_address(),
                               service.node_id(),
                               service.service_cluster(),
                               FindTable(),
                               !upgrade_.empty() && upgrade_ != kConnect,
                               random(),
                               random()};
  const ClientVerdict verdict = PrepareRequestHeaders(context, headers);
  info_.remote = verdict.remote;
  info_.internal_request = verdict.internal;
  if (verdict.reject_status != 0) {
    connection_->stats().Add(HttpStat::kRqRejectedViaIpDetection);
    ReplyPlain(verdict.reject_status, "", "rejecting_because_detection_failed");
    return false;
  }
  info_.request_id = headers.Value(HeaderId::kXRequestId);
  return true;
}

void Stream::DecideTrace(Headers& headers) {
  const xds::HttpConnectionManager& config = connection_->service().config();
  const xds::TracingSampling* sampling =
      config.tracing_sampling ? &*config.tracing_sampling : nullptr;
  if (sampling != nullptr && levels_.route != nullptr && levels_.route->tracing) {
    sampling = &*levels_.route->tracing;
  }
  DecideTracing(config, sampling, runtime(), random(), headers, connection_->stats());
  info_.request_id = headers.Value(HeaderId::kXRequestId);
}

// Makes the filters. False when an upgrade is not allowed and was answered.
bool Stream::BuildChain() {
  const HttpService& service = connection_->service();
  if (upgrade_.empty()) {
    chain_.Build(service.chain());
    return true;
  }
  const HttpService::Chain* chain = service.UpgradeChain(upgrade_, RouteAllowsUpgrade(upgrade_));
  if (chain != nullptr) {
    connection_->stats().Add(HttpStat::kCxUpgradesTotal);
    connection_->stats().Add(HttpStat::kCxUpgradesActive);
    counted_upgrade_ = true;
    chain_.Build(*chain);
    return true;
  }
  chain_.Build(service.chain());
  if (levels_.route == nullptr) return true;
  connection_->stats().Add(HttpStat::kRqWsOnNonWsRoute);
  ReplyPlain(403, "", "upgrade_failed");
  return false;
}

void Stream::OnBody(Body& body, bool end) {
  if (ended_) return;
  info_.bytes_received += body.size();
  TouchIdleTimer();
  if (response_ == Progress::kComplete) {
    if (end) RequestCompleted();
    body.Clear();
    MaybeFinish();
    return;
  }
  if (!end || body.empty() || chain_.size() == 0 || connection_->is_http2()) {
    if (end) RequestCompleted();
    chain_.RequestBody(body, end);
    return;
  }
  // Over HTTP/1 the end is an event of its own, as in Envoy: a filter that answers the last piece
  // answers before the request is complete, and the connection ends with that.
  chain_.RequestBody(body, /*end=*/false);
  if (ended_) return;
  RequestCompleted();
  if (response_ == Progress::kComplete) {
    MaybeFinish();
    return;
  }
  Body nothing;
  chain_.RequestBody(nothing, /*end=*/true);
}

void Stream::OnTrailers(Headers* trailers) {
  if (ended_) return;
  TouchIdleTimer();
  RequestCompleted();
  if (response_ == Progress::kComplete) {
    MaybeFinish();
    return;
  }
  if (connection_->service().config().common.underscores != xds::UnderscoresAction::kAllow) {
    trailers->RemoveIf(
        [](const Header& header) { return header.name.find('_') != absl::string_view::npos; });
  }
  chain_.RequestTrailers(trailers);
}

void Stream::RequestCompleted() {
  request_ = Progress::kComplete;
  request_timer_.Stop();
  info_.timing.request_end_ns = worker_->loop().now_ns();
}

void Stream::PauseRequest() {
  if (codec_stream_ == nullptr) return;
  connection_->stats().Add(HttpStat::kFlowControlPausedReading);
  codec_stream_->PauseReading();
}

void Stream::ResumeRequest() {
  if (codec_stream_ == nullptr) return;
  connection_->stats().Add(HttpStat::kFlowControlResumedReading);
  codec_stream_->ResumeReading();
}

void Stream::OnChainRequestHeaders(Headers* headers, bool end) {
  if (ended_ || response_ != Progress::kWaiting) return;
  connection_->stats().Add(HttpStat::kRouterRqTotal);
  if (!route_chosen_) ChooseRoute();
  if (levels_.route == nullptr || tls_redirect_ || levels_.route->forward() == nullptr) {
    RespondDirectly();
    return;
  }
  routed_ = true;
  CountForRoute(0);
  router_->OnRequestHeaders(this, headers, end, !upgrade_.empty());
}

void Stream::OnChainRequestBody(Body& body, bool end) {
  if (routed_) router_->OnRequestBody(body, end);
}

void Stream::OnChainRequestTrailers(Headers* trailers) {
  if (routed_) router_->OnRequestTrailers(trailers);
}

void Stream::OnChainRequestTooLarge() {
  connection_->stats().Add(HttpStat::kRqTooLarge);
  ReplyPlain(413, StatusText(413), "request_payload_too_large");
}

}  // namespace remora::proxy
