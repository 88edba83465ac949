#ifndef REMORA_FILTERS_API_RESPONSE_FLAG_H_
#define REMORA_FILTERS_API_RESPONSE_FLAG_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace remora {

// Why a response is not simply the upstream's answer; Envoy's flags (id, short, long name), in
// Envoy's order of printing.
#define REMORA_RESPONSE_FLAGS(X)                                                    \
  X(kFailedLocalHealthCheck, "LH", "FailedLocalHealthCheck")                        \
  X(kNoHealthyUpstream, "UH", "NoHealthyUpstream")                                  \
  X(kUpstreamRequestTimeout, "UT", "UpstreamRequestTimeout")                        \
  X(kLocalReset, "LR", "LocalReset")                                                \
  X(kUpstreamRemoteReset, "UR", "UpstreamRemoteReset")                              \
  X(kUpstreamConnectionFailure, "UF", "UpstreamConnectionFailure")                  \
  X(kUpstreamConnectionTermination, "UC", "UpstreamConnectionTermination")          \
  X(kUpstreamOverflow, "UO", "UpstreamOverflow")                                    \
  X(kNoRouteFound, "NR", "NoRouteFound")                                            \
  X(kDelayInjected, "DI", "DelayInjected")                                          \
  X(kFaultInjected, "FI", "FaultInjected")                                          \
  X(kRateLimited, "RL", "RateLimited")                                              \
  X(kUnauthorizedExternalService, "UAEX", "UnauthorizedExternalService")            \
  X(kRateLimitServiceError, "RLSE", "RateLimitServiceError")                        \
  X(kDownstreamConnectionTermination, "DC", "DownstreamConnectionTermination")      \
  X(kUpstreamRetryLimitExceeded, "URX", "UpstreamRetryLimitExceeded")               \
  X(kStreamIdleTimeout, "SI", "StreamIdleTimeout")                                  \
  X(kInvalidEnvoyRequestHeaders, "IH", "InvalidEnvoyRequestHeaders")                \
  X(kDownstreamProtocolError, "DPE", "DownstreamProtocolError")                     \
  X(kUpstreamMaxStreamDurationReached, "UMSDR", "UpstreamMaxStreamDurationReached") \
  X(kResponseFromCacheFilter, "RFCF", "ResponseFromCacheFilter")                    \
  X(kNoFilterConfigFound, "NFCF", "NoFilterConfigFound")                            \
  X(kDurationTimeout, "DT", "DurationTimeout")                                      \
  X(kUpstreamProtocolError, "UPE", "UpstreamProtocolError")                         \
  X(kNoClusterFound, "NC", "NoClusterFound")                                        \
  X(kOverloadManager, "OM", "OverloadManagerTerminated")                            \
  X(kDnsResolutionFailed, "DF", "DnsResolutionFailed")                              \
  X(kDropOverload, "DO", "DropOverload")                                            \
  X(kDownstreamRemoteReset, "DR", "DownstreamRemoteReset")                          \
  X(kUnconditionalDropOverload, "UDO", "UnconditionalDropOverload")

enum class ResponseFlag : uint8_t {
#define REMORA_FLAG_ENUM(id, short_name, long_name) id,
  REMORA_RESPONSE_FLAGS(REMORA_FLAG_ENUM)
#undef REMORA_FLAG_ENUM
};

inline constexpr absl::string_view kResponseFlagShortNames[] = {
#define REMORA_FLAG_NAME(id, short_name, long_name) short_name,
    REMORA_RESPONSE_FLAGS(REMORA_FLAG_NAME)
#undef REMORA_FLAG_NAME
};

inline constexpr absl::string_view kResponseFlagLongNames[] = {
#define REMORA_FLAG_NAME(id, short_name, long_name) long_name,
    REMORA_RESPONSE_FLAGS(REMORA_FLAG_NAME)
#undef REMORA_FLAG_NAME
};

// A set of flags that remembers the order in which they came, which is the order of printing.
class ResponseFlags {
 public:
  void Add(ResponseFlag flag) {
    if (Has(flag)) return;
    bits_ |= Bit(flag);
    if (count_ == kMostOrdered) return;
    order_ |= static_cast<uint64_t>(flag) << (kBitsEach * count_++);
  }
  bool Has(ResponseFlag flag) const { return (bits_ & Bit(flag)) != 0; }
  bool empty() const { return bits_ == 0; }
  uint32_t bits() const { return bits_; }
  // Calls fn(ResponseFlag) for each, the first that was added first.
  template <typename Fn>
  void ForEach(Fn&& fn) const {
    for (int i = 0; i < count_; ++i) {
      fn(static_cast<ResponseFlag>((order_ >> (kBitsEach * i)) & ((1u << kBitsEach) - 1)));
    }
  }

 private:
  static uint32_t Bit(ResponseFlag flag) { return uint32_t{1} << static_cast<uint8_t>(flag); }
  // An exchange has two or three of them at most; more than this many are known but not printed.
  static constexpr int kMostOrdered = 12;
  static constexpr int kBitsEach = 5;

  uint32_t bits_ = 0;
  int32_t count_ = 0;
  uint64_t order_ = 0;
};

}  // namespace remora

#endif  // REMORA_FILTERS_API_RESPONSE_FLAG_H_
