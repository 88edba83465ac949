// The response's side of a stream: from the router or a reply of our own to the codec.
#include <utility>

#include "absl/strings/match.h"
#include "proxy/stream/http_connection.h"
#include "proxy/stream/http_service.h"
#include "proxy/stream/http_worker.h"
#include "proxy/stream/local_reply.h"
#include "proxy/stream/response_headers.h"
#include "proxy/stream/stream.h"

namespace remora::proxy {

void Stream::ReplyPlain(int status, absl::string_view body, absl::string_view details) {
  LocalReply reply;
  reply.status = status;
  reply.body = body;
  reply.details = details;
  Reply(reply, /*route_mutations=*/true);
}

void Stream::Reply(const LocalReply& reply, bool route_mutations) {
  if (ended_) return;
  info_.response_code_details = reply.details;
  local_reply_ = true;
  if (response_ != Progress::kWaiting) {
    Abort();
    return;
  }
  // A malformed or refused message leaves an HTTP/1 connection in doubt.
  if (reply.status == 400 && !connection_->is_http2() &&
      !connection_->service().config().http1.stream_error_on_invalid.value_or(
          connection_->service().config().stream_error_on_invalid_http_message)) {
    close_requested_ = true;
  }
  // In place of a response that is on its way, the reply passes the filters by.
  const bool direct = response_headers_ != nullptr;
  chain_.StartReply();
  const bool forwards = levels_.route != nullptr && levels_.route->forward() != nullptr;
  LocalReplyContext context{
      connection_->service().config(), {}, runtime(), random(), arena_, info_};
  context.grpc = grpc_request_;
  if (route_mutations && forwards && !tls_redirect_) {
    context.levels = {levels_.table, levels_.virtual_host, levels_.route, nullptr};
  }
  const PreparedReply prepared = PrepareLocalReply(reply, context);
  router_->Cancel();
  routed_ = false;
  response_headers_ = prepared.headers;
  const bool end = prepared.body.empty();
  direct ? OnChainResponseHeaders(prepared.headers, end)
         : chain_.ResponseHeaders(prepared.headers, end);
  if (ended_ || end) return;
  Body body;
  body.Append(prepared.body);
  direct ? OnChainResponseBody(body, /*end=*/true) : chain_.ResponseBody(body, /*end=*/true);
}

void Stream::OnRouterReply(const LocalReply& reply) {
  if (ended_) return;
  CountForRoute(reply.status);
  Reply(reply, /*route_mutations=*/true);
}

void Stream::OnUpstreamInterim(Headers* headers) {
  if (ended_ || response_ != Progress::kWaiting || codec_stream_ == nullptr) return;
  TouchIdleTimer();
  // Where the proxy answers `expect` itself, what the upstream says in between is its own affair.
  if (!connection_->service().config().proxy_100_continue) return;
  headers->Remove(HeaderId::kConnection);
  headers->Remove(HeaderId::kTransferEncoding);
  info_.response_code = headers->status();
  CountResponse(connection_->stats(), headers->status());
  CountResponse(connection_->listener_stats(), headers->status());
  codec_stream_->SendInterim(*headers);
}

void Stream::OnUpstreamHeaders(Headers* headers, bool end) {
  if (ended_) return;
  TouchIdleTimer();
  CountForRoute(headers->status());
  response_headers_ = headers;
  info_.response_headers = headers;
  chain_.ResponseHeaders(headers, end);
}

void Stream::OnUpstreamBody(Body& body, bool end) {
  if (ended_) return;
  TouchIdleTimer();
  chain_.ResponseBody(body, end);
}

void Stream::OnUpstreamTrailers(Headers* trailers) {
  if (ended_) return;
  TouchIdleTimer();
  info_.response_trailers = trailers;
  chain_.ResponseTrailers(trailers);
}

void Stream::OnUpstreamAborted(absl::string_view details) {
  if (ended_) return;
  info_.response_code_details = details;
  connection_->stats().Add(HttpStat::kRqResetAfterResponseStarted);
  if (response_ == Progress::kWaiting) {
    // A filter holds the response: nothing went down yet, but it can only be abandoned.
    chain_.StartReply();
  }
  Abort();
}

// True when the response turns the stream into a tunnel. Each side's version says it in its own
// way.
bool Stream::AcceptUpgrade(Headers& headers) {
  if (upgrade_.empty()) return false;
  const int status = headers.status();
  if (upgrade_ == "CONNECT") return status / 100 == 2;
  const bool accepted =
      status == 101 || (status == 200 && info_.upstream_protocol == Protocol::kHttp2);
  if (!accepted) return false;
  if (converted_upgrade_) {
    headers.set_status(200);
    headers.Remove(HeaderId::kUpgrade);
    headers.Remove(HeaderId::kConnection);
  } else if (status == 200) {
    headers.set_status(101);
    headers.Set(HeaderId::kUpgrade, upgrade_);
    headers.SetReference(HeaderId::kConnection, "upgrade");
  }
  return true;
}

void Stream::OnChainResponseHeaders(Headers* headers, bool end) {
  if (ended_ || response_ != Progress::kWaiting) return;
  response_ = Progress::kOpen;
  response_headers_ = headers;
  info_.response_headers = headers;
  SendHeaders(*headers, end);
}

void Stream::SendHeaders(Headers& headers, bool end) {
  const HttpService& service = connection_->service();
  upgraded_ = AcceptUpgrade(headers);
  PrepareResponseHeaders(service.config(), request_headers_, worker_->DateText(), upgraded_,
                         local_reply_, info_, service.node_id(), headers);
  info_.response_code = headers.status();
  if (request_ != Progress::kComplete) {
    connection_->stats().Add(HttpStat::kRqResponseBeforeRqComplete);
    if (!connection_->is_http2()) close_requested_ = true;
  }
  const bool last = connection_->DrainsAtResponse(close_requested_);
  if (last && !upgraded_) connection_->codec().Shutdown(/*final=*/true);
  if (!info_.health_check) {
    CountResponse(connection_->stats(), headers.status());
    CountResponse(connection_->listener_stats(), headers.status());
  }
  info_.response_headers_bytes = headers.byte_size();
  info_.timing.downstream_first_tx_ns = worker_->loop().now_ns();
  if (upgraded_ && service.config().flush_log_on_tunnel_established) {
    Log(LogMoment::kTunnelEstablished);
  }
  if (codec_stream_ == nullptr) return;
  if (end) response_ = Progress::kComplete;
  codec_stream_->SendHeaders(headers, end);
  if (end && !ended_) ResponseCompleted();
}

void Stream::OnChainResponseBody(Body& body, bool end) {
  if (ended_ || response_ != Progress::kOpen || codec_stream_ == nullptr) return;
  info_.bytes_sent += body.size();
  if (end) response_ = Progress::kComplete;
  codec_stream_->SendBody(body, end);
  if (end && !ended_) ResponseCompleted();
}

void Stream::OnChainResponseTrailers(Headers* trailers) {
  if (ended_ || response_ != Progress::kOpen || codec_stream_ == nullptr) return;
  info_.response_trailers = trailers;
  info_.response_trailers_bytes = trailers->byte_size();
  response_ = Progress::kComplete;
  if (trailers->size() == 0) {
    // A filter took them all.
    Body nothing;
    codec_stream_->SendBody(nothing, /*end=*/true);
  } else {
    codec_stream_->SendTrailers(*trailers);
  }
  if (!ended_) ResponseCompleted();
}

void Stream::ResponseCompleted() {
  info_.timing.downstream_last_tx_ns = worker_->loop().now_ns();
  TouchIdleTimer();
  MaybeFinish();
}

void Stream::OnChainResponseTooLarge() {
  connection_->stats().Add(HttpStat::kRsTooLarge);
  ReplyPlain(500, StatusText(500), "response_payload_too_large");
}

void Stream::OnSendBlocked() {
  if (!ended_) PauseResponse();
}

void Stream::OnSendDrained() {
  if (ended_) return;
  TouchIdleTimer();
  ResumeResponse();
  MaybeFinish();
}

void Stream::PauseResponse() {
  if (response_pauses_++ == 0 && routed_) router_->PauseResponse();
}

void Stream::ResumeResponse() {
  if (response_pauses_ == 0) return;
  if (--response_pauses_ == 0 && routed_) router_->ResumeResponse();
}

}  // namespace remora::proxy
