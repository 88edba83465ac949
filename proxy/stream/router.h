#ifndef REMORA_PROXY_STREAM_ROUTER_H_
#define REMORA_PROXY_STREAM_ROUTER_H_

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "filters/api/filter.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "proxy/base/loop.h"
#include "proxy/codec/codec.h"

namespace remora::xds {
class RouteTable;
struct InternalRedirectPolicy;
struct Route;
struct VirtualHost;
struct WeightedCluster;
}  // namespace remora::xds

namespace remora::proxy {

class RandomSource;
class WorkerView;

// A host that a filter named for a request.
struct HostOverride {
  absl::string_view address;  // "ip:port"; empty: none
  bool strict = false;        // no other will do
};

// What the router needs of the exchange it serves (implemented by Stream). Everything is valid
// until Router::Cancel() or the last response event.
class RouterHost {
 public:
  virtual Loop& loop() = 0;
  virtual WorkerView& view() = 0;
  virtual Arena& arena() = 0;
  virtual StreamInfo& info() = 0;
  virtual uint64_t random() = 0;
  // The choice made by the connection manager; a route with a ForwardAction.
  virtual const xds::RouteTable& route_table() = 0;
  virtual const xds::VirtualHost& virtual_host() = 0;
  virtual const xds::Route& route() = 0;
  // Request and (later) response headers get the mutations of the route's levels here, in Envoy's
  // order; `weighted` is the chosen entry of weighted clusters or null. Implemented by the stream
  // layer because redirects and direct responses need it as well.
  virtual void MutateRequestHeaders(Headers& headers, const xds::WeightedCluster* weighted) = 0;
  virtual void MutateResponseHeaders(Headers& headers, const xds::WeightedCluster* weighted) = 0;
  // Bytes of request body that may be kept for a retry.
  virtual uint64_t retry_buffer_limit() = 0;
  // The runtime layers of this moment; may be null.
  virtual const Runtime* runtime() { return nullptr; }
  // x-envoy-expected-rq-timeout-ms of the request is its timeout
  // (Router.respect_expected_rq_timeout).
  virtual bool respect_expected_timeout() { return false; }
  // Answers are counted for the cluster, by code and by kind (Router.dynamic_stats).
  virtual bool dynamic_stats() { return true; }
  // The router adds no x-envoy-* headers (Router.suppress_envoy_headers).
  virtual bool suppress_envoy_headers() { return false; }
  // This machine's address, as it stands in x-forwarded-for of requests that the proxy itself makes
  // (mirrors); null: none is added.
  virtual const Address* own_address() { return nullptr; }
  virtual HostOverride host_override() { return {}; }
  // True when the client is trusted to steer by x-envoy-* request headers.
  virtual bool internal_request() = 0;
  // The connection manager's idle timeout of this stream was replaced by the route's (0: none).
  virtual void SetIdleTimeout(int64_t idle_ns) = 0;

  // The response, in the order of MessageSink. A final response ends the router's part of it.
  virtual void OnUpstreamInterim(Headers* headers) = 0;
  virtual void OnUpstreamHeaders(Headers* headers, bool end) = 0;
  virtual void OnUpstreamBody(Body& body, bool end) = 0;
  virtual void OnUpstreamTrailers(Headers* trailers) = 0;
  // Nothing was sent downstream yet: the router answers by itself. Flags and details are already in
  // info().
  virtual void OnRouterReply(const LocalReply& reply) = 0;
  // The response had begun and cannot be finished: the downstream stream must be reset (or, for
  // HTTP/1, its connection closed without a clean end).
  virtual void OnUpstreamAborted(absl::string_view details) = 0;
  // An answer that sends the request on, and may do so inside the proxy: makes the request the one
  // that the answer asks for. False when that cannot be; the request is what it was then.
  virtual bool PrepareInternalRedirect(const xds::InternalRedirectPolicy& /*policy*/,
                                       Headers& /*response*/) {
    return false;
  }
  // After it: ends this pass, which `response` answered, and begins another with the request as it
  // is now and what there was of a body. The router was cancelled and may serve again.
  virtual void RestartRequest(Headers& /*response*/, Body& /*body*/, bool /*has_body*/,
                              Headers* /*trailers*/) {}
  // The upstream cannot take more of the request body now / can again.
  virtual void PauseRequest() = 0;
  virtual void ResumeRequest() = 0;

 protected:
  ~RouterHost() = default;
};

// The terminal filter: route -> pick -> attempts -> response. Handles timeouts, retries, hash
// policies, breakers, x-envoy-* headers, statistics of cluster and host, response flags.
//
// Threads: the worker's. Lifetime: made by its Stream, in place; Cancel() (or the destructor) drops
// every attempt, after which nothing of the host is called.
class Router {
 public:
  // Streams are pooled with their routers, so making one does not allocate.
  static std::unique_ptr<Router> Create();
  virtual ~Router() = default;

  // Starts an exchange. `headers` is what the filters left of the request; the router edits it
  // (host and path rewrites, x-envoy-* fields). `upgrade`: the request asks for an accepted upgrade
  // or is a CONNECT; both directions stay open after the response headers.
  virtual void OnRequestHeaders(RouterHost* host, Headers* headers, bool end, bool upgrade) = 0;
  virtual void OnRequestBody(Body& body, bool end) = 0;
  virtual void OnRequestTrailers(Headers* trailers) = 0;
  // Downstream cannot take more of the response now / can again.
  virtual void PauseResponse() = 0;
  virtual void ResumeResponse() = 0;
  // The exchange is over for other reasons. Idempotent; also resets the object for its next use.
  virtual void Cancel() = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_ROUTER_H_
