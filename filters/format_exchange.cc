// Command operators that read the exchange as a whole: times, sizes, names, reasons, metadata.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "filters/api/filter_state.h"
#include "filters/format_fields.h"
#include "filters/json_text.h"
#include "filters/metadata.h"

namespace remora {
namespace {

absl::Status ParseTimeFormat(absl::string_view argument, FormatArgs* args) {
  absl::StatusOr<TimeFormat> format = TimeFormat::Parse(argument, args->mode == 1);
  if (!format.ok()) return format.status();
  args->time = *std::move(format);
  return absl::OkStatus();
}

FormatValue StartTime(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  args.time.Append(info.timing.start_system_ns, scratch);
  return FormatValue::Text(*scratch);
}

FormatValue EmitTime(const FormatArgs& args, const StreamInfo&, std::string* scratch) {
  args.time.Append(absl::GetCurrentTimeNanos(), scratch);
  return FormatValue::Text(*scratch);
}

using Point = int64_t StreamTiming::*;

FormatValue Since(int64_t from, int64_t to, int64_t unit) {
  if (from == 0 || to == 0) return {};
  return FormatValue::Number(std::max<int64_t>(to - from, 0) / unit);
}

template <Point kFrom, Point kTo>
FormatValue Milliseconds(const FormatArgs&, const StreamInfo& info, std::string*) {
  return Since(info.timing.*kFrom, info.timing.*kTo, 1000000);
}

FormatValue HandshakeDuration(const FormatArgs&, const StreamInfo& info, std::string*) {
  if (info.downstream == nullptr) return {};
  // Of a connection's later requests it lies before the start.
  const int64_t done = info.downstream->handshake_done_ns;
  if (done == 0 || info.timing.start_ns == 0) return {};
  return FormatValue::Number((done - info.timing.start_ns) / 1000000);
}

FormatValue PoolReadyDuration(const FormatArgs&, const StreamInfo& info, std::string*) {
  return Since(info.timing.start_ns, info.timing.upstream_pool_ready_ns, 1000000);
}

struct NamedPoint {
  absl::string_view name;
  Point point;
};
constexpr NamedPoint kPoints[] = {
    {"DS_RX_BEG", &StreamTiming::start_ns},
    {"DS_RX_END", &StreamTiming::request_end_ns},
    {"US_CX_BEG", &StreamTiming::upstream_connect_start_ns},
    {"US_CX_END", &StreamTiming::upstream_connect_end_ns},
    {"US_HS_END", &StreamTiming::upstream_handshake_end_ns},
    {"US_TX_BEG", &StreamTiming::upstream_first_tx_ns},
    {"US_TX_END", &StreamTiming::upstream_last_tx_ns},
    {"US_RX_BEG", &StreamTiming::upstream_first_rx_ns},
    {"US_RX_END", &StreamTiming::upstream_last_rx_ns},
    {"DS_TX_BEG", &StreamTiming::downstream_first_tx_ns},
    {"DS_TX_END", &StreamTiming::downstream_last_tx_ns},
};
constexpr int kPointCount = sizeof(kPoints) / sizeof(kPoints[0]);

int PointIndex(absl::string_view name) {
  for (int i = 0; i < kPointCount; ++i) {
    if (kPoints[i].name == name) return i;
  }
  return kPointCount;
}

// "FROM:TO:ms". Points that are not known are never reached.
absl::Status ParseDuration(absl::string_view argument, FormatArgs* args) {
  const std::vector<absl::string_view> parts = absl::StrSplit(argument, ':');
  if (parts.size() != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("Invalid common duration configuration: ", argument, "."));
  }
  const int from = PointIndex(parts[0]);
  const int to = PointIndex(parts[1]);
  const int unit = parts[2] == "ms" ? 0 : parts[2] == "us" ? 1 : parts[2] == "ns" ? 2 : -1;
  if (unit < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("Invalid common duration precision: ", parts[2], "."));
  }
  args->mode = from | to << 8 | unit << 16;
  return absl::OkStatus();
}

FormatValue CommonDuration(const FormatArgs& args, const StreamInfo& info, std::string*) {
  constexpr int64_t kUnits[] = {1000000, 1000, 1};
  const int from = args.mode & 255;
  const int to = args.mode >> 8 & 255;
  if (from == kPointCount || to == kPointCount) return {};
  return Since(info.timing.*kPoints[from].point, info.timing.*kPoints[to].point,
               kUnits[args.mode >> 16]);
}

template <uint64_t StreamInfo::* kField>
FormatValue Bytes(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::Number(info.*kField);
}

template <absl::string_view StreamInfo::* kField>
FormatValue Name(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::TextOrMissing(info.*kField);
}

absl::string_view WithoutPort(absl::string_view name) {
  if (name.empty() || name.back() == ']') return name;
  return name.substr(0, name.rfind(':'));
}

FormatValue HostName(const FormatArgs& args, const StreamInfo& info, std::string*) {
  const absl::string_view name =
      info.upstream_host_name.empty() ? info.upstream_host : info.upstream_host_name;
  return FormatValue::TextOrMissing(args.mode == 1 ? WithoutPort(name) : name);
}

template <absl::string_view StreamInfo::* kField>
FormatValue HostsWithoutPort(const FormatArgs&, const StreamInfo& info, std::string* scratch) {
  for (absl::string_view host : absl::StrSplit(info.*kField, ',', absl::SkipEmpty())) {
    absl::StrAppend(scratch, scratch->empty() ? "" : ",", WithoutPort(host));
  }
  return FormatValue::TextOrMissing(*scratch);
}

FormatValue RouteResolutions(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::Number(info.route_resolutions);
}

// TCP tells neither, and QUIC is not served.
FormatValue Zero(const FormatArgs&, const StreamInfo&, std::string*) {
  return FormatValue::Number(0);
}

FormatValue AttemptCount(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::Number(info.attempt_count);
}

FormatValue UpstreamConnectionId(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::Number(info.upstream_connection_id);
}

FormatValue Flags(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  const absl::Span<const absl::string_view> names =
      args.mode == 1 ? absl::MakeConstSpan(kResponseFlagLongNames)
                     : absl::MakeConstSpan(kResponseFlagShortNames);
  info.flags.ForEach([&](ResponseFlag flag) {
    absl::StrAppend(scratch, scratch->empty() ? "" : ",", names[static_cast<size_t>(flag)]);
  });
  return scratch->empty() ? FormatValue::Text("-") : FormatValue::Text(*scratch);
}

FormatValue LogType(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::Text(info.access_log_type);
}

FormatValue HostOfMachine(const FormatArgs&, const StreamInfo&, std::string*) {
  static const std::string* const name = [] {
    char buffer[256] = {};
    ::gethostname(buffer, sizeof buffer - 1);
    return new std::string(buffer);
  }();
  return FormatValue::TextOrMissing(*name);
}

FormatValue FixedText(const FormatArgs& args, const StreamInfo&, std::string*) {
  return FormatValue::TextOrMissing(args.text);
}

absl::Status ParseEnvironment(absl::string_view argument, FormatArgs* args) {
  const char* value = std::getenv(std::string(argument).c_str());
  if (value != nullptr) args->text = value;
  return absl::OkStatus();
}

FormatValue UniqueId(const FormatArgs&, const StreamInfo&, std::string* scratch) {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  const uint64_t a = engine();
  const uint64_t b = engine();
  char text[40];
  std::snprintf(text, sizeof text, "%08x-%04x-4%03x-%04x-%012llx", static_cast<uint32_t>(a >> 32),
                static_cast<uint32_t>(a >> 16 & 0xffff), static_cast<uint32_t>(a & 0xfff),
                static_cast<uint32_t>(b >> 48 & 0x3fff) | 0x8000,
                static_cast<unsigned long long>(b & 0xffffffffffff));
  scratch->assign(text);
  return FormatValue::Text(*scratch);
}

FormatValue Nothing(const FormatArgs&, const StreamInfo&, std::string*) { return {}; }
FormatValue EmptyText(const FormatArgs&, const StreamInfo&, std::string*) {
  return FormatValue::Text("");
}
FormatValue NormalClose(const FormatArgs&, const StreamInfo&, std::string*) {
  return FormatValue::Text("Normal");
}
FormatValue UpstreamClose(const FormatArgs&, const StreamInfo& info, std::string*) {
  return FormatValue::TextOrMissing(info.upstream_host.empty() ? "" : "Normal");
}

enum MetadataOf {
  kDynamic,
  kRoute,
  kCluster,
  kUpstreamHost,
  kVirtualHost,
  kListener,
  kFilterChain,
};

const Metadata* MetadataFor(int mode, const StreamInfo& info) {
  switch (mode) {
    case kDynamic:
      return info.dynamic_metadata;
    case kRoute:
      return info.route_metadata;
    case kCluster:
      return info.cluster_metadata;
    case kVirtualHost:
      return info.virtual_host_metadata;
    case kListener:
      return info.downstream == nullptr ? nullptr : info.downstream->listener_metadata;
    case kFilterChain:
      return info.downstream == nullptr ? nullptr : info.downstream->filter_chain_metadata;
    default:
      return info.upstream_metadata;
  }
}

FormatValue MetadataText(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  const Metadata* metadata = MetadataFor(args.mode, info);
  if (metadata == nullptr) return {};
  const MetadataValue* value = metadata->Find(args.name, args.path);
  if (value == nullptr || value->is_null()) return {};
  if (value->text() != nullptr) return FormatValue::Text(*value->text());
  *scratch = value->ToJson();
  return FormatValue::Json(*scratch);
}

// "NAMESPACE:KEY:KEY".
absl::Status ParseMetadataPath(absl::string_view argument, FormatArgs* args) {
  std::vector<std::string> parts = absl::StrSplit(argument, ':');
  args->name = std::move(parts.front());
  parts.erase(parts.begin());
  args->path = std::move(parts);
  return absl::OkStatus();
}

// "TYPE:NAMESPACE:KEY".
absl::Status ParseTypedMetadata(absl::string_view argument, FormatArgs* args) {
  constexpr std::pair<absl::string_view, int> kTypes[] = {{"DYNAMIC", kDynamic},
                                                          {"ROUTE", kRoute},
                                                          {"CLUSTER", kCluster},
                                                          {"UPSTREAM_HOST", kUpstreamHost},
                                                          {"VIRTUAL_HOST", kVirtualHost},
                                                          {"LISTENER", kListener},
                                                          {"LISTENER_FILTER_CHAIN", kFilterChain}};
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(argument, absl::MaxSplits(':', 1));
  for (const auto& [name, mode] : kTypes) {
    if (name != parts.first) continue;
    args->mode = mode;
    return ParseMetadataPath(parts.second, args);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(parts.first, " is not supported type of metadata"));
}

enum FilterStateForm { kTyped, kPlain, kField };

// KEY, KEY:PLAIN (the text as it is) or KEY:TYPED (as JSON). Whoever notes more than a text notes
// its JSON under "KEY.json".
FormatValue FilterStateText(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  const std::string* text =
      info.filter_state == nullptr ? nullptr : info.filter_state->Find(args.name);
  // A text has no fields.
  if (text == nullptr || args.mode == kField) return {};
  if (args.mode == kPlain) return FormatValue::Text(*text);
  if (const std::string* json = info.filter_state->Find(args.name + ".json"); json != nullptr) {
    return FormatValue::Json(*json);
  }
  AppendJsonString(*text, scratch);
  return FormatValue::Json(*scratch);
}

absl::Status ParseFilterState(absl::string_view argument, FormatArgs* args) {
  const std::vector<absl::string_view> parts = absl::StrSplit(argument, ':');
  if (parts[0].empty()) {
    return absl::InvalidArgumentError("Invalid filter state configuration, key cannot be empty.");
  }
  args->name = std::string(parts[0]);
  if (parts.size() == 1) return absl::OkStatus();
  if (parts[1] == "PLAIN") {
    args->mode = kPlain;
  } else if (parts[1] == "FIELD" && parts.size() > 2) {
    args->mode = kField;
  } else if (parts[1] != "TYPED") {
    return absl::InvalidArgumentError(
        "Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.");
  }
  return absl::OkStatus();
}

constexpr auto kNone = FormatSyntax::kNone;
constexpr auto kOptional = FormatSyntax::kOptional;
constexpr auto kRequired = FormatSyntax::kRequired;
constexpr auto kNoSize = FormatSyntax::kOptionalNoSize;
using I = StreamInfo;
using T = StreamTiming;

constexpr FormatField kFields[] = {
    {"START_TIME", kNoSize, StartTime, ParseTimeFormat, 0},
    {"START_TIME_LOCAL", kNoSize, StartTime, ParseTimeFormat, 1},
    {"EMIT_TIME", kNoSize, EmitTime, ParseTimeFormat, 0},
    {"EMIT_TIME_LOCAL", kNoSize, EmitTime, ParseTimeFormat, 1},
    {"DURATION", kNone, Milliseconds<&T::start_ns, &T::end_ns>, nullptr, 0},
    {"REQUEST_DURATION", kNone, Milliseconds<&T::start_ns, &T::request_end_ns>, nullptr, 0},
    {"REQUEST_TX_DURATION", kNone, Milliseconds<&T::start_ns, &T::upstream_last_tx_ns>, nullptr, 0},
    {"RESPONSE_DURATION", kNone, Milliseconds<&T::start_ns, &T::upstream_first_rx_ns>, nullptr, 0},
    {"RESPONSE_TX_DURATION", kNone,
     Milliseconds<&T::upstream_first_rx_ns, &T::downstream_last_tx_ns>, nullptr, 0},
    {"DOWNSTREAM_HANDSHAKE_DURATION", kNone, HandshakeDuration, nullptr, 0},
    {"UPSTREAM_CONNECTION_POOL_READY_DURATION", kNone, PoolReadyDuration, nullptr, 0},
    {"COMMON_DURATION", kRequired, CommonDuration, ParseDuration, 0},
    {"BYTES_RECEIVED", kNone, Bytes<&I::bytes_received>, nullptr, 0},
    {"BYTES_SENT", kNone, Bytes<&I::bytes_sent>, nullptr, 0},
    {"REQUEST_HEADERS_BYTES", kNone, Bytes<&I::request_headers_bytes>, nullptr, 0},
    {"RESPONSE_HEADERS_BYTES", kNone, Bytes<&I::response_headers_bytes>, nullptr, 0},
    {"RESPONSE_TRAILERS_BYTES", kNone, Bytes<&I::response_trailers_bytes>, nullptr, 0},
    {"UPSTREAM_WIRE_BYTES_SENT", kNone, Bytes<&I::upstream_wire_sent>, nullptr, 0},
    {"UPSTREAM_WIRE_BYTES_RECEIVED", kNone, Bytes<&I::upstream_wire_received>, nullptr, 0},
    {"UPSTREAM_HEADER_BYTES_SENT", kNone, Bytes<&I::upstream_header_sent>, nullptr, 0},
    {"UPSTREAM_HEADER_BYTES_RECEIVED", kNone, Bytes<&I::upstream_header_received>, nullptr, 0},
    {"DOWNSTREAM_WIRE_BYTES_SENT", kNone, Bytes<&I::downstream_wire_sent>, nullptr, 0},
    {"DOWNSTREAM_WIRE_BYTES_RECEIVED", kNone, Bytes<&I::downstream_wire_received>, nullptr, 0},
    {"DOWNSTREAM_HEADER_BYTES_SENT", kNone, Bytes<&I::downstream_header_sent>, nullptr, 0},
    {"DOWNSTREAM_HEADER_BYTES_RECEIVED", kNone, Bytes<&I::downstream_header_received>, nullptr, 0},
    {"ROUTE_NAME", kNone, Name<&I::route_name>, nullptr, 0},
    {"VIRTUAL_CLUSTER_NAME", kNone, Name<&I::virtual_cluster_name>, nullptr, 0},
    {"UPSTREAM_CLUSTER", kNone, Name<&I::upstream_cluster>, nullptr, 0},
    {"UPSTREAM_CLUSTER_RAW", kNone, Name<&I::upstream_cluster_raw>, nullptr, 0},
    {"UPSTREAM_HOST", kNone, Name<&I::upstream_host>, nullptr, 0},
    {"UPSTREAM_HOSTS_ATTEMPTED", kNone, Name<&I::upstream_hosts_attempted>, nullptr, 0},
    {"UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", kNone, HostsWithoutPort<&I::upstream_hosts_attempted>,
     nullptr, 0},
    {"UPSTREAM_HOST_NAMES_ATTEMPTED", kNone, Name<&I::upstream_host_names_attempted>, nullptr, 0},
    {"UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", kNone,
     HostsWithoutPort<&I::upstream_host_names_attempted>, nullptr, 0},
    {"UPSTREAM_CONNECTION_IDS_ATTEMPTED", kNone, Name<&I::upstream_connections_attempted>, nullptr,
     0},
    {"ROUTE_RESOLUTION_COUNT", kNone, RouteResolutions, nullptr, 0},
    {"ROUNDTRIP_DURATION", kNone, Nothing, nullptr, 0},
    {"DOWNSTREAM_CX_RTT", kNone, Zero, nullptr, 0},
    {"BYTES_RETRANSMITTED", kNone, Zero, nullptr, 0},
    {"PACKETS_RETRANSMITTED", kNone, Zero, nullptr, 0},
    {"UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", kNone, Bytes<&I::upstream_fields_sent>, nullptr, 0},
    {"UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", kNone, Bytes<&I::upstream_fields_received>,
     nullptr, 0},
    {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", kNone, Bytes<&I::downstream_fields_sent>, nullptr,
     0},
    {"DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", kNone, Bytes<&I::downstream_fields_received>,
     nullptr, 0},
    {"UPSTREAM_FILTER_STATE", kOptional, Nothing, ParseFilterState, kTyped},
    {"UPSTREAM_HOST_NAME", kNone, HostName, nullptr, 0},
    {"UPSTREAM_HOST_NAME_WITHOUT_PORT", kNone, HostName, nullptr, 1},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", kNone, AttemptCount, nullptr, 0},
    {"UPSTREAM_CONNECTION_ID", kNone, UpstreamConnectionId, nullptr, 0},
    {"STREAM_ID", kNone, Name<&I::request_id>, nullptr, 0},
    {"RESPONSE_FLAGS", kNone, Flags, nullptr, 0},
    {"RESPONSE_FLAGS_LONG", kNone, Flags, nullptr, 1},
    {"ACCESS_LOG_TYPE", kNone, LogType, nullptr, 0},
    {"HOSTNAME", kNone, HostOfMachine, nullptr, 0},
    {"ENVIRONMENT", kRequired, FixedText, ParseEnvironment, 0},
    {"UNIQUE_ID", kNone, UniqueId, nullptr, 0},
    {"TRACE_ID", kNone, Nothing, nullptr, 0},
    {"SPAN_ID", kNone, Nothing, nullptr, 0},
    {"CUSTOM_FLAGS", kNone, EmptyText, nullptr, 0},
    {"TLS_JA3_FINGERPRINT", kNone, Nothing, nullptr, 0},
    {"TLS_JA4_FINGERPRINT", kNone, Nothing, nullptr, 0},
    {"DOWNSTREAM_DETECTED_CLOSE_TYPE", kNone, NormalClose, nullptr, 0},
    {"UPSTREAM_DETECTED_CLOSE_TYPE", kNone, UpstreamClose, nullptr, 0},
    {"UPSTREAM_LOCAL_CLOSE_REASON", kNone, Nothing, nullptr, 0},
    {"DYNAMIC_METADATA", kRequired, MetadataText, ParseMetadataPath, kDynamic},
    {"CLUSTER_METADATA", kRequired, MetadataText, ParseMetadataPath, kCluster},
    {"UPSTREAM_METADATA", kRequired, MetadataText, ParseMetadataPath, kUpstreamHost},
    {"METADATA", kRequired, MetadataText, ParseTypedMetadata, kDynamic},
    {"FILTER_STATE", kOptional, FilterStateText, ParseFilterState, kTyped},
};

}  // namespace

absl::Span<const FormatField> ExchangeFormatFields() { return kFields; }

}  // namespace remora
