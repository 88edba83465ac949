#include "proxy/stream/request_id.h"

#include <optional>

#include "absl/strings/numbers.h"

namespace remora::proxy {
namespace {

constexpr size_t kUuidSize = 36;
constexpr size_t kReasonAt = 14;

bool CarriesReason(absl::string_view id) { return id.size() == kUuidSize; }

TraceReason ReasonOf(absl::string_view id) {
  if (!CarriesReason(id)) return TraceReason::kNotTraceable;
  switch (id[kReasonAt]) {
    case '9':
      return TraceReason::kSampled;
    case 'a':
      return TraceReason::kServiceForced;
    case 'b':
      return TraceReason::kClientForced;
    default:
      return TraceReason::kNotTraceable;
  }
}

void SetReason(TraceReason reason, Headers& request) {
  const absl::string_view id = request.Value(HeaderId::kXRequestId);
  if (!CarriesReason(id) || id[kReasonAt] == static_cast<char>(reason)) return;
  char* const text = request.arena().AllocateChars(kUuidSize);
  id.copy(text, kUuidSize);
  text[kReasonAt] = static_cast<char>(reason);
  request.SetReference(HeaderId::kXRequestId, absl::string_view(text, kUuidSize));
}

bool Samples(const Runtime* runtime, absl::string_view key,
             const std::optional<FractionalPercent>& share, uint64_t number) {
  const FractionalPercent configured = share.value_or(FractionalPercent{100, 100});
  const FractionalPercent fraction =
      runtime == nullptr ? configured : runtime->Fraction(key, configured);
  return fraction.Includes(number);
}

void Count(TraceReason reason, const StatScope<HttpStat>& stats) {
  switch (reason) {
    case TraceReason::kNotTraceable:
      stats.Add(HttpStat::kTracingNotTraceable);
      break;
    case TraceReason::kSampled:
      stats.Add(HttpStat::kTracingRandomSampling);
      break;
    case TraceReason::kServiceForced:
      stats.Add(HttpStat::kTracingServiceForced);
      break;
    case TraceReason::kClientForced:
      stats.Add(HttpStat::kTracingClientEnabled);
      break;
  }
}

}  // namespace

void WriteUuid(uint64_t random_high, uint64_t random_low, char* out) {
  constexpr char kHex[] = "0123456789abcdef";
  random_high = (random_high & ~uint64_t{0xf000}) | 0x4000;
  random_low = (random_low & ~(uint64_t{3} << 62)) | uint64_t{1} << 63;
  for (int i = 0; i < 32; ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) *out++ = '-';
    const uint64_t word = i < 16 ? random_high : random_low;
    *out++ = kHex[word >> (60 - 4 * (i % 16)) & 15];
  }
}

void SetRequestId(const xds::HttpConnectionManager& config, bool edge, uint64_t random_high,
                  uint64_t random_low, Headers& request) {
  if (!config.generate_request_id) return;
  const bool has_id = !request.Value(HeaderId::kXRequestId).empty();
  if (has_id && (!edge || config.preserve_external_request_id)) {
    if (edge && config.pack_trace_reason) SetReason(TraceReason::kNotTraceable, request);
    return;
  }
  char* const text = request.arena().AllocateChars(kUuidSize);
  WriteUuid(random_high, random_low, text);
  request.SetReference(HeaderId::kXRequestId, absl::string_view(text, kUuidSize));
}

TraceReason DecideTracing(const xds::HttpConnectionManager& config,
                          const xds::TracingSampling* sampling, const Runtime* runtime,
                          uint64_t random, Headers& request, const StatScope<HttpStat>& stats) {
  if (sampling == nullptr) return TraceReason::kNotTraceable;
  if (!config.use_request_id_for_trace_sampling) return TraceReason::kSampled;
  const absl::string_view id = request.Value(HeaderId::kXRequestId);
  uint32_t leading = 0;
  if (!CarriesReason(id) || !absl::SimpleHexAtoi(id.substr(0, 8), &leading)) {
    return TraceReason::kNotTraceable;
  }
  const uint64_t number = leading % 10000;
  TraceReason reason = ReasonOf(id);
  if (reason == TraceReason::kNotTraceable) {
    if (request.Has(HeaderId::kXClientTraceId) &&
        Samples(runtime, "tracing.client_enabled", sampling->client, random)) {
      reason = TraceReason::kClientForced;
    } else if (request.Has(HeaderId::kXEnvoyForceTrace)) {
      reason = TraceReason::kServiceForced;
    } else if (Samples(runtime, "tracing.random_sampling", sampling->random, number)) {
      reason = TraceReason::kSampled;
    }
  }
  if (reason != TraceReason::kNotTraceable &&
      !Samples(runtime, "tracing.global_enabled", sampling->overall, number)) {
    reason = TraceReason::kNotTraceable;
  }
  if (config.pack_trace_reason) SetReason(reason, request);
  Count(reason, stats);
  return reason;
}

}  // namespace remora::proxy
