#include "proxy/stream/log_entry.h"

#include <string>

#include "absl/strings/match.h"
#include "envoy/data/accesslog/v3/accesslog.pb.h"
#include "filters/api/filter_state.h"
#include "filters/api/headers.h"
#include "filters/metadata.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/time_util.h"
#include "google/protobuf/wrappers.pb.h"
#include "proxy/stream/grpc_log.h"

namespace remora::proxy {
namespace {

namespace data = envoy::data::accesslog::v3;
using google::protobuf::util::TimeUtil;

void SetAddress(const Address& address, envoy::config::core::v3::Address* out) {
  if (address.kind() == Address::Kind::kPipe) {
    out->mutable_pipe()->set_path(address.ToString());
    return;
  }
  out->mutable_socket_address()->set_address(address.IpString());
  out->mutable_socket_address()->set_port_value(address.port());
}

data::TLSProperties::TLSVersion VersionOf(absl::string_view version) {
  if (version == "TLSv1.3") return data::TLSProperties::TLSv1_3;
  if (version == "TLSv1.2") return data::TLSProperties::TLSv1_2;
  if (version == "TLSv1.1") return data::TLSProperties::TLSv1_1;
  if (version == "TLSv1") return data::TLSProperties::TLSv1;
  return data::TLSProperties::VERSION_UNSPECIFIED;
}

void AddNames(const std::vector<std::string>& uris, const std::vector<std::string>& dns,
              data::TLSProperties::CertificateProperties* out) {
  for (const std::string& name : uris) out->add_subject_alt_name()->set_uri(name);
  for (const std::string& name : dns) out->add_subject_alt_name()->set_dns(name);
}

void FillTls(const ConnectionInfo& connection, data::TLSProperties* out) {
  const TlsFacts& tls = *connection.tls;
  out->set_tls_version(VersionOf(tls.version));
  out->set_tls_sni_hostname(std::string(connection.requested_server_name));
  out->set_tls_session_id(tls.session_id);
  auto* local = out->mutable_local_certificate_properties();
  AddNames(tls.local_uri_sans, tls.local_dns_sans, local);
  local->set_subject(tls.local_subject);
  auto* peer = out->mutable_peer_certificate_properties();
  AddNames(tls.peer_uri_sans, tls.peer_dns_sans, peer);
  peer->set_subject(tls.peer_subject);
  peer->set_issuer(tls.peer_issuer);
}

void FillTimes(const StreamTiming& timing, data::AccessLogCommon* out) {
  *out->mutable_start_time() = TimeUtil::NanosecondsToTimestamp(timing.start_system_ns);
  const auto set = [&](int64_t moment,
                       google::protobuf::Duration* (data::AccessLogCommon::*field)()) {
    if (moment != 0) *(out->*field)() = TimeUtil::NanosecondsToDuration(moment - timing.start_ns);
  };
  using Common = data::AccessLogCommon;
  set(timing.request_end_ns, &Common::mutable_time_to_last_rx_byte);
  set(timing.upstream_first_tx_ns, &Common::mutable_time_to_first_upstream_tx_byte);
  set(timing.upstream_last_tx_ns, &Common::mutable_time_to_last_upstream_tx_byte);
  set(timing.upstream_first_rx_ns, &Common::mutable_time_to_first_upstream_rx_byte);
  set(timing.upstream_last_rx_ns, &Common::mutable_time_to_last_upstream_rx_byte);
  set(timing.downstream_first_tx_ns, &Common::mutable_time_to_first_downstream_tx_byte);
  set(timing.downstream_last_tx_ns, &Common::mutable_time_to_last_downstream_tx_byte);
  set(timing.end_ns, &Common::mutable_duration);
}

struct FlagField {
  ResponseFlag flag;
  void (data::ResponseFlags::*set)(bool);
};
constexpr FlagField kFlags[] = {
    {ResponseFlag::kFailedLocalHealthCheck, &data::ResponseFlags::set_failed_local_healthcheck},
    {ResponseFlag::kNoHealthyUpstream, &data::ResponseFlags::set_no_healthy_upstream},
    {ResponseFlag::kUpstreamRequestTimeout, &data::ResponseFlags::set_upstream_request_timeout},
    {ResponseFlag::kLocalReset, &data::ResponseFlags::set_local_reset},
    {ResponseFlag::kUpstreamRemoteReset, &data::ResponseFlags::set_upstream_remote_reset},
    {ResponseFlag::kUpstreamConnectionFailure,
     &data::ResponseFlags::set_upstream_connection_failure},
    {ResponseFlag::kUpstreamConnectionTermination,
     &data::ResponseFlags::set_upstream_connection_termination},
    {ResponseFlag::kUpstreamOverflow, &data::ResponseFlags::set_upstream_overflow},
    {ResponseFlag::kNoRouteFound, &data::ResponseFlags::set_no_route_found},
    {ResponseFlag::kDelayInjected, &data::ResponseFlags::set_delay_injected},
    {ResponseFlag::kFaultInjected, &data::ResponseFlags::set_fault_injected},
    {ResponseFlag::kRateLimited, &data::ResponseFlags::set_rate_limited},
    {ResponseFlag::kRateLimitServiceError, &data::ResponseFlags::set_rate_limit_service_error},
    {ResponseFlag::kDownstreamConnectionTermination,
     &data::ResponseFlags::set_downstream_connection_termination},
    {ResponseFlag::kUpstreamRetryLimitExceeded,
     &data::ResponseFlags::set_upstream_retry_limit_exceeded},
    {ResponseFlag::kStreamIdleTimeout, &data::ResponseFlags::set_stream_idle_timeout},
    {ResponseFlag::kInvalidEnvoyRequestHeaders,
     &data::ResponseFlags::set_invalid_envoy_request_headers},
    {ResponseFlag::kDownstreamProtocolError, &data::ResponseFlags::set_downstream_protocol_error},
    {ResponseFlag::kUpstreamMaxStreamDurationReached,
     &data::ResponseFlags::set_upstream_max_stream_duration_reached},
    {ResponseFlag::kResponseFromCacheFilter, &data::ResponseFlags::set_response_from_cache_filter},
    {ResponseFlag::kNoFilterConfigFound, &data::ResponseFlags::set_no_filter_config_found},
    {ResponseFlag::kDurationTimeout, &data::ResponseFlags::set_duration_timeout},
    {ResponseFlag::kUpstreamProtocolError, &data::ResponseFlags::set_upstream_protocol_error},
    {ResponseFlag::kNoClusterFound, &data::ResponseFlags::set_no_cluster_found},
    {ResponseFlag::kOverloadManager, &data::ResponseFlags::set_overload_manager},
    {ResponseFlag::kDnsResolutionFailed, &data::ResponseFlags::set_dns_resolution_failure},
    {ResponseFlag::kDownstreamRemoteReset, &data::ResponseFlags::set_downstream_remote_reset},
};

void FillFlags(const ResponseFlags& flags, data::AccessLogCommon* out) {
  for (const FlagField& field : kFlags) {
    if (flags.Has(field.flag)) (out->mutable_response_flags()->*field.set)(true);
  }
  if (flags.Has(ResponseFlag::kUnauthorizedExternalService)) {
    out->mutable_response_flags()->mutable_unauthorized_details()->set_reason(
        data::ResponseFlags::Unauthorized::EXTERNAL_SERVICE);
  }
}

void FillNotes(const GrpcLogTarget& target, const StreamInfo& info, data::AccessLogCommon* out) {
  if (info.dynamic_metadata != nullptr) {
    for (const auto& [space, value] : info.dynamic_metadata->namespaces) {
      (void)google::protobuf::util::JsonStringToMessage(
          value.ToJson(), &(*out->mutable_metadata()->mutable_filter_metadata())[space]);
    }
  }
  if (info.filter_state == nullptr) return;
  for (const std::string& key : target.filter_state_objects) {
    const std::string* text = info.filter_state->Find(key);
    if (text == nullptr) continue;
    google::protobuf::StringValue value;
    value.set_value(*text);
    (*out->mutable_filter_state_objects())[key].PackFrom(value);
  }
}

data::AccessLogType TypeOf(LogMoment moment) {
  switch (moment) {
    case LogMoment::kDownstreamEnd:
      return data::DownstreamEnd;
    case LogMoment::kDownstreamStart:
      return data::DownstreamStart;
    case LogMoment::kDownstreamPeriodic:
      return data::DownstreamPeriodic;
    case LogMoment::kTunnelEstablished:
      return data::DownstreamTunnelSuccessfullyEstablished;
    case LogMoment::kTcpConnectionEnd:
      return data::TcpConnectionEnd;
    case LogMoment::kTcpPeriodic:
      return data::TcpPeriodic;
    case LogMoment::kTcpStart:
      return data::TcpConnectionStart;
    case LogMoment::kTcpUpstreamConnected:
      return data::TcpUpstreamConnected;
    case LogMoment::kConnectionEnd:
      break;
  }
  return data::NotSet;
}

void FillCommon(const GrpcLogTarget& target, const StreamInfo& info, LogMoment moment,
                data::AccessLogCommon* out) {
  const ConnectionInfo& connection = *info.downstream;
  SetAddress(info.remote, out->mutable_downstream_remote_address());
  SetAddress(connection.direct_remote, out->mutable_downstream_direct_remote_address());
  SetAddress(connection.local, out->mutable_downstream_local_address());
  if (connection.tls != nullptr) FillTls(connection, out->mutable_tls_properties());
  FillTimes(info.timing, out);
  if (info.upstream_remote.kind() != Address::Kind::kNone)
    SetAddress(info.upstream_remote, out->mutable_upstream_remote_address());
  if (info.upstream_local.kind() != Address::Kind::kNone)
    SetAddress(info.upstream_local, out->mutable_upstream_local_address());
  out->set_upstream_cluster(std::string(info.upstream_cluster));
  out->set_upstream_transport_failure_reason(std::string(info.upstream_transport_failure_reason));
  out->set_downstream_transport_failure_reason(std::string(connection.transport_failure_reason));
  out->set_connection_termination_details(std::string(connection.termination_details));
  out->set_upstream_request_attempt_count(info.attempt_count);
  out->set_route_name(std::string(info.route_name));
  out->set_stream_id(std::string(info.request_id));
  out->set_downstream_wire_bytes_sent(info.downstream_wire_sent);
  out->set_downstream_wire_bytes_received(info.downstream_wire_received);
  out->set_upstream_wire_bytes_sent(info.upstream_wire_sent);
  out->set_upstream_wire_bytes_received(info.upstream_wire_received);
  FillFlags(info.flags, out);
  FillNotes(target, info, out);
  out->set_access_log_type(TypeOf(moment));
  out->set_intermediate_log_entry(moment == LogMoment::kDownstreamPeriodic ||
                                  moment == LogMoment::kTcpPeriodic);
}

// The values of some fields of a message, by name; what repeats is joined by commas.
template <typename Map>
void FillFields(const std::vector<std::string>& names, const Headers* from, Map* out) {
  if (from == nullptr) return;
  for (const std::string& name : names) {
    const Header* header = from->Find(name);
    if (header != nullptr) (*out)[name] = std::string(header->value);
  }
}

envoy::config::core::v3::RequestMethod MethodOf(absl::string_view method) {
  envoy::config::core::v3::RequestMethod out = envoy::config::core::v3::METHOD_UNSPECIFIED;
  envoy::config::core::v3::RequestMethod_Parse(std::string(method), &out);
  return out;
}

void FillRequest(const GrpcLogTarget& target, const StreamInfo& info,
                 data::HTTPRequestProperties* out) {
  const Headers& request = *info.request_headers;
  const auto text = [&request](HeaderId id) { return std::string(request.Value(id)); };
  out->set_request_method(MethodOf(request.method()));
  out->set_scheme(std::string(request.scheme()));
  out->set_authority(std::string(request.authority()));
  out->set_path(std::string(request.path()));
  out->set_user_agent(text(HeaderId::kUserAgent));
  out->set_referer(text(HeaderId::kReferer));
  out->set_forwarded_for(text(HeaderId::kXForwardedFor));
  out->set_request_id(text(HeaderId::kXRequestId));
  out->set_original_path(text(HeaderId::kXEnvoyOriginalPath));
  out->set_request_headers_bytes(info.request_headers_bytes);
  out->set_request_body_bytes(info.bytes_received);
  out->set_upstream_header_bytes_sent(info.upstream_header_sent);
  out->set_downstream_header_bytes_received(info.downstream_header_received);
  FillFields(target.request_headers, &request, out->mutable_request_headers());
}

}  // namespace

void FillHttpEntry(const GrpcLogTarget& target, const StreamInfo& info, LogMoment moment,
                   data::HTTPAccessLogEntry* out) {
  FillCommon(target, info, moment, out->mutable_common_properties());
  switch (info.protocol) {
    case Protocol::kHttp10:
      out->set_protocol_version(data::HTTPAccessLogEntry::HTTP10);
      break;
    case Protocol::kHttp11:
      out->set_protocol_version(data::HTTPAccessLogEntry::HTTP11);
      break;
    case Protocol::kHttp2:
      out->set_protocol_version(data::HTTPAccessLogEntry::HTTP2);
      break;
    case Protocol::kNone:
      break;
  }
  if (info.request_headers != nullptr) FillRequest(target, info, out->mutable_request());
  auto* response = out->mutable_response();
  if (info.response_code != 0)
    response->mutable_response_code()->set_value(static_cast<uint32_t>(info.response_code));
  response->set_response_code_details(std::string(info.response_code_details));
  response->set_response_headers_bytes(info.response_headers_bytes);
  response->set_response_body_bytes(info.bytes_sent);
  response->set_upstream_header_bytes_received(info.upstream_header_received);
  response->set_downstream_header_bytes_sent(info.downstream_header_sent);
  FillFields(target.response_headers, info.response_headers, response->mutable_response_headers());
  FillFields(target.response_trailers, info.response_trailers,
             response->mutable_response_trailers());
}

void FillTcpEntry(const GrpcLogTarget& target, const StreamInfo& info, LogMoment moment,
                  data::TCPAccessLogEntry* out) {
  FillCommon(target, info, moment, out->mutable_common_properties());
  out->mutable_connection_properties()->set_received_bytes(info.bytes_received);
  out->mutable_connection_properties()->set_sent_bytes(info.bytes_sent);
}

}  // namespace remora::proxy
