#include "xds/health_check.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/health_check.pb.h"
#include "envoy/extensions/health_check/event_sinks/file/v3/file.pb.h"
#include "xds/durations.h"
#include "xds/file.h"

namespace remora::xds {
namespace {

using Proto = envoy::config::core::v3::HealthCheck;
using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

health::ActiveCheckConfig ParseSchedule(const Proto& proto) {
  health::ActiveCheckConfig out;
  out.timeout = ChronoFrom(proto.timeout());
  out.interval = ChronoFrom(proto.interval());
  out.unhealthy_threshold = proto.unhealthy_threshold().value();
  out.healthy_threshold = proto.healthy_threshold().value();
  out.initial_jitter = ChronoFrom(proto.initial_jitter());
  out.interval_jitter = ChronoFrom(proto.interval_jitter());
  out.interval_jitter_percent = proto.interval_jitter_percent();
  if (proto.has_no_traffic_interval()) {
    out.no_traffic_interval = ChronoFrom(proto.no_traffic_interval());
  }
  out.unhealthy_interval = ChronoFrom(proto.unhealthy_interval());
  out.unhealthy_edge_interval = ChronoFrom(proto.unhealthy_edge_interval());
  out.healthy_edge_interval = ChronoFrom(proto.healthy_edge_interval());
  out.no_traffic_healthy_interval = ChronoFrom(proto.no_traffic_healthy_interval());
  return out;
}

// Text is hexadecimal, binary is what it is.
std::string ParsePayload(const Proto::Payload& proto, ParseContext& context) {
  if (proto.has_binary()) return proto.binary();
  const std::string& hex = proto.text();
  bool good = hex.size() % 2 == 0;
  for (const char c : hex) good = good && absl::ascii_isxdigit(c);
  if (!good) {
    context.ErrorAt("text", absl::StrCat("invalid hex string '", hex, "'"));
    return "";
  }
  return absl::HexStringToBytes(hex);
}

template <typename List>
std::vector<std::string> ParsePayloads(const List& list, ParseContext& context) {
  std::vector<std::string> out;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, "receive", i);
    out.push_back(ParsePayload(list[i], context));
  }
  return out;
}

template <typename List>
Ranges ParseStatuses(const char* field, const List& list, ParseContext& context) {
  Ranges out;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    const int64_t start = list[i].start();
    const int64_t end = list[i].end();
    if (start < 100 || end > 600 || start >= end) {
      context.Error(absl::StrCat("Invalid http status range: [", start, ", ", end,
                                 ") is not within [100, 600)"));
      continue;
    }
    out.emplace_back(start, end);
  }
  return out;
}

HttpProbe ParseHttp(const Proto::HttpHealthCheck& proto, ParseContext& context) {
  HttpProbe out;
  out.host = proto.host();
  out.path = proto.path();
  if (proto.method() != envoy::config::core::v3::METHOD_UNSPECIFIED) {
    out.method = envoy::config::core::v3::RequestMethod_Name(proto.method());
  }
  if (proto.codec_client_type() == envoy::type::v3::HTTP3) {
    context.ErrorAt("codec_client_type", "HTTP3 is not supported");
  }
  out.http2 = proto.codec_client_type() == envoy::type::v3::HTTP2;
  out.headers_to_add =
      ParseHeaderAdditions("request_headers_to_add", proto.request_headers_to_add(), context);
  for (const std::string& name : proto.request_headers_to_remove()) {
    out.headers_to_remove.push_back(absl::AsciiStrToLower(name));
  }
  out.expected_statuses = ParseStatuses("expected_statuses", proto.expected_statuses(), context);
  out.retriable_statuses = ParseStatuses("retriable_statuses", proto.retriable_statuses(), context);
  if (proto.has_service_name_matcher()) {
    absl::StatusOr<StringMatcher> matcher = StringMatcher::Parse(proto.service_name_matcher());
    if (matcher.ok()) {
      out.service_name = *std::move(matcher);
    } else {
      context.ErrorAt("service_name_matcher", matcher.status().message());
    }
  }
  if (proto.has_send()) {
    ParseContext::Scope scope(context, "send");
    out.send = ParsePayload(proto.send(), context);
  }
  out.receive = ParsePayloads(proto.receive(), context);
  if (proto.has_response_buffer_size()) {
    out.response_buffer_size = proto.response_buffer_size().value();
  }
  return out;
}

TcpProbe ParseTcp(const Proto::TcpHealthCheck& proto, ParseContext& context) {
  TcpProbe out;
  // Envoy sends text only; a payload in `binary` is nothing to send.
  if (proto.send().has_binary()) context.NotHonoured("send.binary");
  if (!proto.send().text().empty()) {
    ParseContext::Scope scope(context, "send");
    out.send = ParsePayload(proto.send(), context);
  }
  out.receive = ParsePayloads(proto.receive(), context);
  if (proto.has_proxy_protocol_config()) {
    context.NotHonoured("proxy_protocol_config");
  }
  return out;
}

void ParseEvents(const Proto& proto, HealthCheck* out, ParseContext& context) {
  out->event_log_path = proto.event_log_path();
  for (int i = 0; i < proto.event_logger_size(); ++i) {
    ParseContext::Scope scope(context, "event_logger", i);
    const Extension sink = ParseExtension(proto.event_logger(i), context);
    envoy::extensions::health_check::event_sinks::file::v3::HealthCheckEventFileSink file;
    if (sink.type_name() == file.GetDescriptor()->full_name()) {
      ParseContext::Scope inner(context, "typed_config");
      if (DecodeInto(sink, &file, context)) {
        out->event_log_path = file.event_log_path();
      }
    } else {
      context.Error(absl::StrCat("health check event sink ", sink.type_url, " is not supported"));
    }
  }
  if (!out->event_log_path.empty()) context.Error(CheckWritable(out->event_log_path));
  out->always_log_failures = proto.always_log_health_check_failures();
  out->always_log_success = proto.always_log_health_check_success();
  if (proto.has_event_service()) context.NotHonoured("event_service");
}

bool Within(const Ranges& ranges, uint32_t status) {
  for (const auto& [start, end] : ranges) {
    if (status >= start && status < end) return true;
  }
  return false;
}

}  // namespace

bool HttpProbe::Expects(uint32_t status) const {
  return expected_statuses.empty() ? status == 200 : Within(expected_statuses, status);
}

bool HttpProbe::Retries(uint32_t status) const { return Within(retriable_statuses, status); }

HealthCheck HealthCheck::Parse(const Proto& proto, ParseContext& context) {
  HealthCheck out;
  out.schedule = ParseSchedule(proto);
  switch (proto.health_checker_case()) {
    case Proto::kHttpHealthCheck: {
      ParseContext::Scope scope(context, "http_health_check");
      out.probe = ParseHttp(proto.http_health_check(), context);
      break;
    }
    case Proto::kTcpHealthCheck: {
      ParseContext::Scope scope(context, "tcp_health_check");
      out.probe = ParseTcp(proto.tcp_health_check(), context);
      break;
    }
    case Proto::kGrpcHealthCheck: {
      ParseContext::Scope scope(context, "grpc_health_check");
      const auto& grpc = proto.grpc_health_check();
      out.probe =
          GrpcProbe{grpc.service_name(), grpc.authority(),
                    ParseHeaderAdditions("initial_metadata", grpc.initial_metadata(), context)};
      break;
    }
    case Proto::kCustomHealthCheck:
      context.ErrorAt("custom_health_check",
                      absl::StrCat(proto.custom_health_check().name(), " is not supported"));
      break;
    case Proto::HEALTH_CHECKER_NOT_SET:
      break;
  }
  if (proto.has_alt_port()) {
    out.alt_port = static_cast<uint16_t>(proto.alt_port().value());
  }
  out.reuse_connection = !proto.has_reuse_connection() || proto.reuse_connection().value();
  ParseEvents(proto, &out, context);
  out.alpn.assign(proto.tls_options().alpn_protocols().begin(),
                  proto.tls_options().alpn_protocols().end());
  if (proto.has_transport_socket_match_criteria()) {
    out.transport_socket_criteria = MetadataValue::From(proto.transport_socket_match_criteria());
  }
  return out;
}

}  // namespace remora::xds
