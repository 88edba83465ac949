#ifndef REMORA_XDS_RETRY_POLICY_H_
#define REMORA_XDS_RETRY_POLICY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "filters/matchers.h"
#include "xds/extension.h"
#include "xds/parse_context.h"

namespace envoy::config::route::v3 {
class HedgePolicy;
class RetryPolicy;
}  // namespace envoy::config::route::v3

namespace remora::xds {

// Conditions of retry_on, as bits.
enum RetryOn : uint32_t {
  kRetry5xx = 1u << 0,
  kRetryGatewayError = 1u << 1,
  kRetryReset = 1u << 2,
  kRetryResetBeforeRequest = 1u << 3,
  kRetryConnectFailure = 1u << 4,
  kRetryEnvoyRatelimited = 1u << 5,
  kRetryRetriable4xx = 1u << 6,
  kRetryRefusedStream = 1u << 7,
  kRetryRetriableStatusCodes = 1u << 8,
  kRetryRetriableHeaders = 1u << 9,
  kRetryHttp3PostConnectFailure = 1u << 10,
  kRetryGrpcCancelled = 1u << 11,
  kRetryGrpcDeadlineExceeded = 1u << 12,
  kRetryGrpcInternal = 1u << 13,
  kRetryGrpcResourceExhausted = 1u << 14,
  kRetryGrpcUnavailable = 1u << 15,
};

// The bits of a comma-separated list of conditions (also x-envoy-retry-on and
// x-envoy-retry-grpc-on); names that are not known are ignored, `*unknown` says whether there were
// any.
uint32_t ParseRetryOn(absl::string_view conditions, bool* unknown = nullptr);

struct RetryPolicy {
  uint32_t retry_on = 0;  // RetryOn bits
  uint32_t num_retries = 1;
  absl::Duration per_try_timeout;       // zero: none
  absl::Duration per_try_idle_timeout;  // zero: none
  std::vector<uint32_t> retriable_status_codes;
  std::vector<HeaderMatcher> retriable_headers;
  std::vector<HeaderMatcher> retriable_request_headers;
  std::optional<absl::Duration> backoff_base;  // absent: 25 ms (upstream.base_retry_backoff_ms)
  std::optional<absl::Duration> backoff_max;   // absent: ten times the base
  struct ResetHeader {
    std::string name;
    bool unix_timestamp = false;  // else seconds
  };
  std::vector<ResetHeader> reset_headers;
  absl::Duration rate_limited_max = absl::Seconds(300);
  uint32_t host_selection_attempts = 1;
  // Hosts that a retry avoids.
  bool avoid_previous_hosts = false;
  bool omit_canary_hosts = false;
  Metadata omit_host_metadata;
  std::optional<int> previous_priorities_frequency;  // retry priority: previous_priorities

  static RetryPolicy Parse(const envoy::config::route::v3::RetryPolicy& proto,
                           ParseContext& context);
};

struct HedgePolicy {
  bool hedge_on_per_try_timeout = false;
  static HedgePolicy Parse(const envoy::config::route::v3::HedgePolicy& proto,
                           ParseContext& context);
};

}  // namespace remora::xds

#endif  // REMORA_XDS_RETRY_POLICY_H_
