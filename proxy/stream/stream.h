#ifndef REMORA_PROXY_STREAM_STREAM_H_
#define REMORA_PROXY_STREAM_STREAM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/arena.h"
#include "filters/api/filter.h"
#include "filters/api/filter_state.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "filters/metadata.h"
#include "proxy/base/timer.h"
#include "proxy/codec/codec.h"
#include "proxy/stream/access_log.h"
#include "proxy/stream/apply_mutations.h"
#include "proxy/stream/filter_chain.h"
#include "proxy/stream/router.h"
#include "proxy/upstream/worker_view.h"

namespace remora::proxy {

class HttpConnection;
class HttpService;
class HttpWorker;

// One exchange: request and response of one downstream stream. Pins the snapshot, makes the request
// fit to be routed, matches the route, runs the filters both ways, answers by itself or lets the
// router, keeps the timers, logs. It ends exactly once.
//
//   codec -> OnHeaders, OnBody, OnTrailers -> filters -> router or a reply of our own
//   router -> OnUpstream* -> filters -> codec
//
// The request's side is in stream_request.cc, the response's in stream_response.cc, routes and
// replies of our own in stream_route.cc, timers and the end in stream.cc. stream_redirect.cc starts
// a request anew.
//
// Threads: its worker's. Lifetime: pooled by HttpWorker. Begin() takes it into use; after it ended
// it stays as it is until the turn is over (its own frames may be on the stack), then Clear()s.
class Stream final : public MessageSink, public RouterHost, public FilterChainHost {
 public:
  explicit Stream(HttpWorker* worker);
  ~Stream();

  void Begin(HttpConnection* connection, CodecStream* codec_stream);
  // The codec found the request malformed before it had a message to show; answers if it can.
  void OnMalformed(const CodecError& error);
  // Gives all of the exchange back to the pools.
  void Clear();
  bool ended() const { return ended_; }

  // MessageSink. arena() serves all three sides.
  Arena& arena() override { return arena_; }
  void OnInterim(Headers*) override {}
  void OnHeaders(Headers* headers, bool end) override;
  void OnBody(Body& body, bool end) override;
  void OnTrailers(Headers* trailers) override;
  void OnReset(ResetReason reason, absl::string_view details) override;
  void OnSendBlocked() override;
  void OnSendDrained() override;

  // RouterHost (and FilterChainHost where they ask for the same).
  Loop& loop() override;
  WorkerView& view() override;
  StreamInfo& info() override { return info_; }
  uint64_t random() override;
  const xds::RouteTable& route_table() override { return *levels_.table; }
  const xds::VirtualHost& virtual_host() override { return *levels_.virtual_host; }
  const xds::Route& route() override { return *levels_.route; }
  void MutateRequestHeaders(Headers& headers, const xds::WeightedCluster* weighted) override;
  void MutateResponseHeaders(Headers& headers, const xds::WeightedCluster* weighted) override;
  uint64_t retry_buffer_limit() override { return request_buffer_limit(); }
  bool suppress_envoy_headers() override;
  bool dynamic_stats() override;
  bool respect_expected_timeout() override;
  bool internal_request() override { return info_.internal_request; }
  void SetIdleTimeout(int64_t idle_ns) override;
  void OnUpstreamInterim(Headers* headers) override;
  void OnUpstreamHeaders(Headers* headers, bool end) override;
  void OnUpstreamBody(Body& body, bool end) override;
  void OnUpstreamTrailers(Headers* trailers) override;
  void OnRouterReply(const LocalReply& reply) override;
  void OnUpstreamAborted(absl::string_view details) override;
  void PauseRequest() override;
  void ResumeRequest() override;
  bool PrepareInternalRedirect(const xds::InternalRedirectPolicy& policy,
                               Headers& response) override;
  void RestartRequest(Headers& response, Body& body, bool has_body, Headers* trailers) override;

  // FilterChainHost
  Metadata& dynamic_metadata() override { return dynamic_metadata_; }
  FilterState& filter_state() override;
  void OverrideHost(absl::string_view address, bool strict) override {
    host_override_ = {address, strict};
  }
  HostOverride host_override() override { return host_override_; }
  const Runtime* runtime() override;
  StatSlab& stat_slab() override;
  bool server_failing() override;
  absl::string_view local_cluster_name() override;
  const Address* own_address() override;
  Headers* request_headers() override { return request_headers_; }
  Headers* response_headers() override { return response_headers_; }
  Levels route_levels() override { return levels_; }
  void ClearRoute() override;
  uint64_t request_buffer_limit() override;
  uint64_t response_buffer_limit() override;
  void OnChainRequestHeaders(Headers* headers, bool end) override;
  void OnChainRequestBody(Body& body, bool end) override;
  void OnChainRequestTrailers(Headers* trailers) override;
  void OnChainResponseHeaders(Headers* headers, bool end) override;
  void OnChainResponseBody(Body& body, bool end) override;
  void OnChainResponseTrailers(Headers* trailers) override;
  void OnChainReply(const LocalReply& reply) override {
    Reply(reply, /*route_mutations=*/!reply.is_response);
  }
  void OnChainRequestTooLarge() override;
  void OnChainResponseTooLarge() override;
  void PauseResponse() override;
  void ResumeResponse() override;

 private:
  friend class HttpWorker;
  friend class HttpConnection;

  // How far one direction has come.
  enum class Progress : uint8_t { kWaiting, kOpen, kComplete };

  // Request.
  bool AdmitRequest(Headers& headers);
  bool AdmitUnderscores(Headers& headers);
  void ReplyPathRefused(bool redirect);
  void SendContinue(Headers& headers);
  void NormalizeUpgrade(Headers& headers);
  bool UnderstandClient(Headers& headers);
  void DecideTrace(Headers& headers);
  bool BuildChain();
  void RequestCompleted();

  // Route.
  bool IsGrpc() const;
  const xds::RouteTable* FindTable();
  const xds::RouteTable* FindScopedTable(const xds::ScopedRoutes& scoped);
  void ChooseRoute();
  void NoteRoute();
  void NoteCluster();
  // The route says how long the stream may last.
  void LimitDuration(const xds::ForwardAction& action);
  void CountForRoute(int status);
  void RespondDirectly();
  void RespondRedirect(const xds::RedirectAction& redirect);
  void RespondFixed(const xds::DirectResponseAction& direct);
  void RespondTlsRedirect();
  std::optional<bool> RouteAllowsUpgrade(absl::string_view type) const;

  // Response.
  // A reply of our own; when response headers are out already, the exchange is aborted instead.
  void Reply(const LocalReply& reply, bool route_mutations);
  void ReplyPlain(int status, absl::string_view body, absl::string_view details);
  void SendHeaders(Headers& headers, bool end);
  bool AcceptUpgrade(Headers& headers);
  void ResponseCompleted();
  // Gives the downstream stream up in the midst of its response.
  void Abort();

  // Redirects inside the proxy.
  bool AcceptRedirectRoute(const xds::InternalRedirectPolicy& policy, const xds::Route& from,
                           bool from_http, bool to_http);

  // Timers.
  void TouchIdleTimer();
  void OnIdleTimeout();
  void OnRequestTimeout();
  void OnHeadersTimeout();
  void OnDurationTimeout();
  void OnLogTimer();

  // End.
  void MaybeFinish();
  void DropCodecStream(bool reset);
  void NoteWireBytes();
  void Finish();
  void Log(LogMoment moment);

  HttpWorker* worker_;
  HttpConnection* connection_ = nullptr;
  CodecStream* codec_stream_ = nullptr;  // null once both its directions ended
  Arena arena_;
  StreamInfo info_;
  Metadata dynamic_metadata_;
  std::optional<FilterState> filter_state_;
  HostOverride host_override_;
  SnapshotPin pin_;
  std::string scope_key_;
  FilterChain chain_;
  std::unique_ptr<Router> router_;
  Levels levels_;
  const StatBlock* vcluster_stats_ = nullptr;
  const StatBlock* route_stats_ = nullptr;
  Headers* request_headers_ = nullptr;
  Headers* response_headers_ = nullptr;
  uint32_t internal_redirects_ = 0;
  // Redirects taken, for those that may be taken once: from which route to which.
  std::vector<std::pair<const xds::Route*, absl::string_view>> redirects_taken_;
  absl::string_view upgrade_;  // the protocol that the request asks for; empty: none
  Timer headers_timer_;
  Timer request_timer_;
  Timer idle_timer_;
  Timer duration_timer_;
  Timer log_timer_;
  int64_t idle_ns_ = 0;
  uint32_t response_pauses_ = 0;
  Progress request_ = Progress::kWaiting;
  Progress response_ = Progress::kWaiting;
  bool routed_ = false;        // the router has the request
  bool grpc_request_ = false;  // as it came
  bool route_chosen_ = false;  // levels_ are those of the headers as they are
  bool tls_redirect_ = false;  // the virtual host wants TLS
  bool local_reply_ = false;
  bool close_requested_ = false;  // this exchange is to be the connection's last
  bool upgraded_ = false;
  bool converted_upgrade_ = false;  // it came as an HTTP/2 extended CONNECT
  bool counted_upgrade_ = false;
  bool ended_ = true;
  Stream* next_ = nullptr;  // of the connection's list, or the pool's
  Stream* prev_ = nullptr;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_STREAM_H_
