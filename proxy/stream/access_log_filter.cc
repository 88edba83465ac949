#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "filters/api/headers.h"
#include "filters/grpc_status.h"
#include "proxy/stream/access_log.h"

namespace remora::proxy {
namespace {

using Filter = xds::AccessLogFilter;

bool Compare(const Filter& filter, const Runtime* runtime, uint64_t value) {
  const uint64_t other = runtime == nullptr || filter.runtime_key.empty()
                             ? filter.value
                             : runtime->Integer(filter.runtime_key, filter.value);
  switch (filter.op) {
    case Filter::Op::kEq:
      return value == other;
    case Filter::Op::kGe:
      return value >= other;
    case Filter::Op::kLe:
      return value <= other;
    case Filter::Op::kNe:
      return value != other;
  }
  return false;
}

uint64_t DurationMs(const StreamInfo& info) {
  if (info.timing.end_ns == 0) return 0;
  return static_cast<uint64_t>(std::max<int64_t>(info.timing.end_ns - info.timing.start_ns, 0)) /
         1000000;
}

bool HasFlag(const Filter& filter, const ResponseFlags& flags) {
  if (filter.names.empty()) return !flags.empty();
  for (size_t i = 0; i < std::size(kResponseFlagShortNames); ++i) {
    if (!flags.Has(static_cast<ResponseFlag>(i))) continue;
    if (std::find(filter.names.begin(), filter.names.end(), kResponseFlagShortNames[i]) !=
        filter.names.end()) {
      return true;
    }
  }
  return false;
}

// A request id carries the random number of its exchange in its first eight hex digits, so that
// every proxy on the way decides alike.
uint64_t SamplingNumber(const Filter& filter, const LogFilterInput& input) {
  if (!filter.independent_randomness && input.info.request_id.size() >= 8) {
    uint32_t number = 0;
    if (absl::SimpleHexAtoi(input.info.request_id.substr(0, 8), &number)) return number;
  }
  return input.random;
}

bool PassesRuntime(const Filter& filter, const LogFilterInput& input) {
  const FractionalPercent fraction =
      input.runtime == nullptr ? filter.fraction
                               : input.runtime->Fraction(filter.runtime_key, filter.fraction);
  return fraction.Includes(SamplingNumber(filter, input));
}

bool PassesGrpcStatus(const Filter& filter, const StreamInfo& info) {
  const int status = GrpcStatusOf(info);
  const bool found =
      std::find(filter.codes.begin(), filter.codes.end(), status) != filter.codes.end();
  return found != filter.exclude;
}

bool PassesMetadata(const Filter& filter, const StreamInfo& info) {
  if (filter.metadata.empty()) return true;
  if (info.dynamic_metadata == nullptr) return filter.match_if_key_not_found;
  return filter.metadata.front().Match(*info.dynamic_metadata);
}

bool PassesLogType(const Filter& filter, LogMoment moment) {
  const bool found = std::find(filter.names.begin(), filter.names.end(), LogMomentName(moment)) !=
                     filter.names.end();
  return found != filter.exclude;
}

// The fourteenth digit of a request id says that the exchange is traced.
bool IsTraced(const StreamInfo& info) {
  return info.request_id.size() == 36 && info.request_id[14] != '4';
}

}  // namespace

bool PassesLogFilter(const xds::AccessLogFilter& filter, const LogFilterInput& input) {
  const auto passes = [&](const Filter& child) { return PassesLogFilter(child, input); };
  switch (filter.kind) {
    case Filter::Kind::kStatusCode:
      return Compare(filter, input.runtime, input.info.response_code);
    case Filter::Kind::kDuration:
      return Compare(filter, input.runtime, DurationMs(input.info));
    case Filter::Kind::kNotHealthCheck:
      return !input.info.health_check;
    case Filter::Kind::kTraceable:
      return IsTraced(input.info);
    case Filter::Kind::kRuntime:
      return PassesRuntime(filter, input);
    case Filter::Kind::kAnd:
      return std::all_of(filter.children.begin(), filter.children.end(), passes);
    case Filter::Kind::kOr:
      return std::any_of(filter.children.begin(), filter.children.end(), passes);
    case Filter::Kind::kHeader:
      return input.info.request_headers != nullptr &&
             MatchAll(filter.header, *input.info.request_headers);
    case Filter::Kind::kResponseFlag:
      return HasFlag(filter, input.info.flags);
    case Filter::Kind::kGrpcStatus:
      return PassesGrpcStatus(filter, input.info);
    case Filter::Kind::kMetadata:
      return PassesMetadata(filter, input.info);
    case Filter::Kind::kLogType:
      return PassesLogType(filter, input.moment);
    case Filter::Kind::kExtension:
      return true;
  }
  return true;
}

}  // namespace remora::proxy
