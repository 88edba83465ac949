#ifndef REMORA_PROXY_STREAM_ROUTER_HEADERS_H_
#define REMORA_PROXY_STREAM_ROUTER_HEADERS_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "xds/route.h"

namespace remora::proxy {

// What the router reads from and writes to the request's headers, with Envoy's rules.

// The value of grpc-timeout in milliseconds, rounded up; nothing when absent or malformed.
std::optional<int64_t> GrpcTimeoutMs(const Headers& request);

// Limits in milliseconds, 0: none.
struct RequestTimeouts {
  int64_t global_ms = 0;  // from the end of the request to the end of the response
  int64_t per_try_ms = 0;
  int64_t per_try_idle_ms = 0;
  int status = 504;  // of the answer when time is up
};

// How many milliseconds after its start a stream on this route must be over: by its grpc-timeout
// where the route lets that count, else by the route's limit, else by `otherwise` (the connection
// manager's); none: no limit. A grpc-timeout in the request becomes what is told, so that the
// upstream hears the same.
std::optional<int64_t> LimitStream(const xds::ForwardAction& action,
                                   const std::optional<absl::Duration>& otherwise,
                                   Headers& request);

// The route's limits, with what steering headers and grpc-timeout say; takes the steering headers
// out.
// `retry`: in force, may be null. `respect_expected`: x-envoy-expected-rq-timeout-ms of the
// request, where it has one, is the limit.
RequestTimeouts ReadTimeouts(const xds::ForwardAction& action, const xds::RetryPolicy* retry,
                             bool respect_expected, Headers& request, bool grpc);
inline RequestTimeouts ReadTimeouts(const xds::ForwardAction& action, Headers& request, bool grpc) {
  return ReadTimeouts(action, action.retry.has_value() ? &*action.retry : nullptr, false, request,
                      grpc);
}
// Tells the upstream how long the client will wait: x-envoy-expected-rq-timeout-ms, grpc-timeout.
void WriteTimeouts(const RequestTimeouts& timeouts, const xds::ForwardAction& action,
                   int64_t elapsed_ms, bool write_expected, bool grpc, Headers& request);

// Host and path as the route and, for the host, the chosen weighted cluster (may be null) want
// them. `keep_original`: x-envoy-original-host and -path say what was there.
void RewriteHost(const xds::ForwardAction& action, const xds::WeightedCluster* weighted,
                 const StreamInfo& info, bool keep_original, Headers& request);
void RewritePath(const xds::Route& route, const StreamInfo& info, bool keep_original,
                 Headers& request);
// Replaces :authority; the old one may go into x-forwarded-host and x-envoy-original-host.
void SetAuthority(absl::string_view host, bool append_forwarded_host, bool keep_original,
                  Headers& request);
// The scheme that goes upstream when the request brought none.
void EnsureScheme(bool downstream_tls, Headers& request);

// The HTTP status that a gRPC status stands for in statistics and outlier detection.
int HttpStatusOfGrpc(int grpc_status);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_ROUTER_HEADERS_H_
