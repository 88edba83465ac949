#ifndef REMORA_FILTERS_API_HEADER_ID_H_
#define REMORA_FILTERS_API_HEADER_ID_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace remora {

// Names that the proxy itself reads or writes. A header whose name is listed here is found by its
// number; any other (kOther) by its text. To intern a name, add its line; keep each list sorted.
#define REMORA_PSEUDO_HEADERS(X) \
  X(kMethod, ":method")          \
  X(kScheme, ":scheme")          \
  X(kAuthority, ":authority")    \
  X(kPath, ":path")              \
  X(kProtocol, ":protocol")      \
  X(kStatus, ":status")

#define REMORA_INTERNED_HEADERS(X)                                                   \
  X(kAccept, "accept")                                                               \
  X(kAcceptEncoding, "accept-encoding")                                              \
  X(kAcceptLanguage, "accept-language")                                              \
  X(kAccessControlAllowCredentials, "access-control-allow-credentials")              \
  X(kAccessControlAllowHeaders, "access-control-allow-headers")                      \
  X(kAccessControlAllowMethods, "access-control-allow-methods")                      \
  X(kAccessControlAllowOrigin, "access-control-allow-origin")                        \
  X(kAccessControlAllowPrivateNetwork, "access-control-allow-private-network")       \
  X(kAccessControlExposeHeaders, "access-control-expose-headers")                    \
  X(kAccessControlMaxAge, "access-control-max-age")                                  \
  X(kAccessControlRequestHeaders, "access-control-request-headers")                  \
  X(kAccessControlRequestMethod, "access-control-request-method")                    \
  X(kAccessControlRequestPrivateNetwork, "access-control-request-private-network")   \
  X(kAge, "age")                                                                     \
  X(kAllow, "allow")                                                                 \
  X(kAuthorization, "authorization")                                                 \
  X(kCacheControl, "cache-control")                                                  \
  X(kConnection, "connection")                                                       \
  X(kContentEncoding, "content-encoding")                                            \
  X(kContentLength, "content-length")                                                \
  X(kContentType, "content-type")                                                    \
  X(kCookie, "cookie")                                                               \
  X(kDate, "date")                                                                   \
  X(kEtag, "etag")                                                                   \
  X(kExpect, "expect")                                                               \
  X(kExpires, "expires")                                                             \
  X(kForwarded, "forwarded")                                                         \
  X(kGrpcAcceptEncoding, "grpc-accept-encoding")                                     \
  X(kGrpcEncoding, "grpc-encoding")                                                  \
  X(kGrpcMessage, "grpc-message")                                                    \
  X(kGrpcStatus, "grpc-status")                                                      \
  X(kGrpcTimeout, "grpc-timeout")                                                    \
  X(kHost, "host")                                                                   \
  X(kHttp2Settings, "http2-settings")                                                \
  X(kIfMatch, "if-match")                                                            \
  X(kIfModifiedSince, "if-modified-since")                                           \
  X(kIfNoneMatch, "if-none-match")                                                   \
  X(kKeepAlive, "keep-alive")                                                        \
  X(kLastModified, "last-modified")                                                  \
  X(kLocation, "location")                                                           \
  X(kOrigin, "origin")                                                               \
  X(kPragma, "pragma")                                                               \
  X(kProxyAuthenticate, "proxy-authenticate")                                        \
  X(kProxyAuthorization, "proxy-authorization")                                      \
  X(kProxyConnection, "proxy-connection")                                            \
  X(kProxyStatus, "proxy-status")                                                    \
  X(kRange, "range")                                                                 \
  X(kReferer, "referer")                                                             \
  X(kRetryAfter, "retry-after")                                                      \
  X(kServer, "server")                                                               \
  X(kSetCookie, "set-cookie")                                                        \
  X(kStrictTransportSecurity, "strict-transport-security")                           \
  X(kTe, "te")                                                                       \
  X(kTrailer, "trailer")                                                             \
  X(kTraceparent, "traceparent")                                                     \
  X(kTracestate, "tracestate")                                                       \
  X(kTransferEncoding, "transfer-encoding")                                          \
  X(kUpgrade, "upgrade")                                                             \
  X(kUpgradeInsecureRequests, "upgrade-insecure-requests")                           \
  X(kUserAgent, "user-agent")                                                        \
  X(kVary, "vary")                                                                   \
  X(kVia, "via")                                                                     \
  X(kWwwAuthenticate, "www-authenticate")                                            \
  X(kXB3Flags, "x-b3-flags")                                                         \
  X(kXB3Parentspanid, "x-b3-parentspanid")                                           \
  X(kXB3Sampled, "x-b3-sampled")                                                     \
  X(kXB3Spanid, "x-b3-spanid")                                                       \
  X(kXB3Traceid, "x-b3-traceid")                                                     \
  X(kB3, "b3")                                                                       \
  X(kXClientTraceId, "x-client-trace-id")                                            \
  X(kXDatadogTraceId, "x-datadog-trace-id")                                          \
  X(kXEnvoyAttemptCount, "x-envoy-attempt-count")                                    \
  X(kXEnvoyDecoratorOperation, "x-envoy-decorator-operation")                        \
  X(kXEnvoyDegraded, "x-envoy-degraded")                                             \
  X(kXEnvoyDownstreamServiceCluster, "x-envoy-downstream-service-cluster")           \
  X(kXEnvoyDownstreamServiceNode, "x-envoy-downstream-service-node")                 \
  X(kXEnvoyExpectedRqTimeoutMs, "x-envoy-expected-rq-timeout-ms")                    \
  X(kXEnvoyExternalAddress, "x-envoy-external-address")                              \
  X(kXEnvoyForceTrace, "x-envoy-force-trace")                                        \
  X(kXEnvoyHedgeOnPerTryTimeout, "x-envoy-hedge-on-per-try-timeout")                 \
  X(kXEnvoyImmediateHealthCheckFail, "x-envoy-immediate-health-check-fail")          \
  X(kXEnvoyInternal, "x-envoy-internal")                                             \
  X(kXEnvoyIpTags, "x-envoy-ip-tags")                                                \
  X(kXEnvoyIsTimeoutRetry, "x-envoy-is-timeout-retry")                               \
  X(kXEnvoyLocalOverloaded, "x-envoy-local-overloaded")                              \
  X(kXEnvoyMaxRetries, "x-envoy-max-retries")                                        \
  X(kXEnvoyOriginalHost, "x-envoy-original-host")                                    \
  X(kXEnvoyOriginalPath, "x-envoy-original-path")                                    \
  X(kXEnvoyOverloaded, "x-envoy-overloaded")                                         \
  X(kXEnvoyPeerMetadata, "x-envoy-peer-metadata")                                    \
  X(kXEnvoyPeerMetadataId, "x-envoy-peer-metadata-id")                               \
  X(kXEnvoyRatelimited, "x-envoy-ratelimited")                                       \
  X(kXEnvoyRetriableHeaderNames, "x-envoy-retriable-header-names")                   \
  X(kXEnvoyRetriableStatusCodes, "x-envoy-retriable-status-codes")                   \
  X(kXEnvoyRetryGrpcOn, "x-envoy-retry-grpc-on")                                     \
  X(kXEnvoyRetryOn, "x-envoy-retry-on")                                              \
  X(kXEnvoyUnconditionalDropOverload, "x-envoy-unconditional-drop-overload")         \
  X(kXEnvoyUpstreamAltStatName, "x-envoy-upstream-alt-stat-name")                    \
  X(kXEnvoyUpstreamCanary, "x-envoy-upstream-canary")                                \
  X(kXEnvoyUpstreamHealthcheckedCluster, "x-envoy-upstream-healthchecked-cluster")   \
  X(kXEnvoyUpstreamRqPerTryTimeoutMs, "x-envoy-upstream-rq-per-try-timeout-ms")      \
  X(kXEnvoyUpstreamRqTimeoutAltResponse, "x-envoy-upstream-rq-timeout-alt-response") \
  X(kXEnvoyUpstreamRqTimeoutMs, "x-envoy-upstream-rq-timeout-ms")                    \
  X(kXEnvoyUpstreamServiceTime, "x-envoy-upstream-service-time")                     \
  X(kXEnvoyUpstreamStreamDurationMs, "x-envoy-upstream-stream-duration-ms")          \
  X(kXForwardedClientCert, "x-forwarded-client-cert")                                \
  X(kXForwardedFor, "x-forwarded-for")                                               \
  X(kXForwardedHost, "x-forwarded-host")                                             \
  X(kXForwardedPort, "x-forwarded-port")                                             \
  X(kXForwardedProto, "x-forwarded-proto")                                           \
  X(kXOtSpanContext, "x-ot-span-context")                                            \
  X(kXRatelimitLimit, "x-ratelimit-limit")                                           \
  X(kXRatelimitRemaining, "x-ratelimit-remaining")                                   \
  X(kXRatelimitReset, "x-ratelimit-reset")                                           \
  X(kXRealIp, "x-real-ip")                                                           \
  X(kXRequestId, "x-request-id")

enum class HeaderId : uint16_t {
#define REMORA_HEADER_ENUM(id, name) id,
  REMORA_PSEUDO_HEADERS(REMORA_HEADER_ENUM) REMORA_INTERNED_HEADERS(REMORA_HEADER_ENUM)
#undef REMORA_HEADER_ENUM
      kOther,
};

inline constexpr uint16_t kPseudoHeaderCount = 6;
inline constexpr uint16_t kHeaderIdCount = static_cast<uint16_t>(HeaderId::kOther);

inline constexpr bool IsPseudo(HeaderId id) {
  return static_cast<uint16_t>(id) < kPseudoHeaderCount;
}

// The number of a lower-case name, pseudo headers (":path") included; kOther when it has none.
HeaderId LookUpHeader(absl::string_view lower_name);

// The name of an interned header. Requires id != kOther.
absl::string_view HeaderName(HeaderId id);

}  // namespace remora

#endif  // REMORA_FILTERS_API_HEADER_ID_H_
