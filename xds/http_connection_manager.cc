#include "xds/http_connection_manager.h"

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/http/original_ip_detection/custom_header/v3/custom_header.pb.h"
#include "envoy/extensions/http/original_ip_detection/xff/v3/xff.pb.h"
#include "envoy/extensions/request_id/uuid/v3/uuid.pb.h"
#include "xds/address.h"
#include "xds/durations.h"
#include "xds/http_filters.h"
#include "xds/scoped_route.h"
#include "xds/secret.h"

namespace remora::xds {
namespace {

using Proto =
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
namespace detection = envoy::extensions::http::original_ip_detection;

void ParseCodec(const Proto& proto, HttpConnectionManager* out, ParseContext& context) {
  switch (proto.codec_type()) {
    case Proto::HTTP1:
      out->codec = HttpConnectionManager::Codec::kHttp1;
      break;
    case Proto::HTTP2:
      out->codec = HttpConnectionManager::Codec::kHttp2;
      break;
    case Proto::HTTP3:
      out->codec = HttpConnectionManager::Codec::kHttp3;
      context.ErrorAt("codec_type", "HTTP3 is not supported");
      break;
    default:
      out->codec = HttpConnectionManager::Codec::kAuto;
  }
  {
    ParseContext::Scope scope(context, "common_http_protocol_options");
    out->common = ParseCommonHttpOptions(proto.common_http_protocol_options(), context);
  }
  {
    ParseContext::Scope scope(context, "http_protocol_options");
    out->http1 = ParseHttp1Options(proto.http_protocol_options(), context);
  }
  ParseContext::Scope scope(context, "http2_protocol_options");
  out->http2 = ParseHttp2Options(proto.http2_protocol_options(), context);
}

void ParseRoutes(const Proto& proto, HttpConnectionManager* out, ParseContext& context) {
  if (proto.has_rds()) {
    ParseContext::Scope scope(context, "rds");
    out->rds_name = proto.rds().route_config_name();
    if (!proto.rds().has_config_source() &&
        !absl::StartsWith(proto.rds().route_config_name(), "xdstp:")) {
      context.Error(
          "An RDS config must have either a 'config_source' or an xDS-TP based "
          "'route_config_name'.");
    }
    ParseContext::Scope inner(context, "config_source");
    out->rds_source = ParseConfigSource(proto.rds().config_source(), context);
  } else if (proto.has_route_config()) {
    ParseContext::Scope scope(context, "route_config");
    absl::StatusOr<std::shared_ptr<const RouteTable>> table =
        RouteTable::Parse(proto.route_config(), context);
    if (table.ok()) out->route_table = *std::move(table);
  } else if (proto.has_scoped_routes()) {
    ParseContext::Scope scope(context, "scoped_routes");
    out->scoped = ScopedRoutes::Parse(proto.scoped_routes(), context);
  }
}

void ParseTimeouts(const Proto& proto, HttpConnectionManager* out) {
  if (proto.has_stream_idle_timeout()) {
    out->stream_idle_timeout = FromProto(proto.stream_idle_timeout());
  }
  if (proto.has_stream_flush_timeout()) {
    out->stream_flush_timeout = FromProto(proto.stream_flush_timeout());
  }
  out->request_timeout = FromProto(proto.request_timeout());
  out->request_headers_timeout = FromProto(proto.request_headers_timeout());
  if (proto.has_drain_timeout()) {
    out->drain_timeout = FromProto(proto.drain_timeout());
  }
  if (proto.has_delayed_close_timeout()) {
    out->delayed_close_timeout = FromProto(proto.delayed_close_timeout());
  }
  out->http1_safe_max_connection_duration = proto.http1_safe_max_connection_duration();
}

OriginalIpDetection ParseDetection(const envoy::config::core::v3::TypedExtensionConfig& proto,
                                   ParseContext& context) {
  OriginalIpDetection out;
  const Extension extension = ParseExtension(proto, context);
  ParseContext::Scope scope(context, "typed_config");
  detection::xff::v3::XffConfig xff;
  detection::custom_header::v3::CustomHeaderConfig custom;
  if (extension.type_name() == xff.GetDescriptor()->full_name()) {
    if (!DecodeInto(extension, &xff, context)) return out;
    out.trusted_hops = xff.xff_num_trusted_hops();
    out.trusted_ranges =
        ParseCidrRanges("xff_trusted_cidrs.cidrs", xff.xff_trusted_cidrs().cidrs(), context);
    out.skip_xff_append = !xff.has_skip_xff_append() || xff.skip_xff_append().value();
    if (out.trusted_hops != 0 && xff.has_xff_trusted_cidrs()) {
      context.Error("Cannot set both xff_num_trusted_hops and xff_trusted_cidrs");
    }
  } else if (extension.type_name() == custom.GetDescriptor()->full_name()) {
    if (!DecodeInto(extension, &custom, context)) return out;
    out.kind = OriginalIpDetection::Kind::kCustomHeader;
    out.header = absl::AsciiStrToLower(custom.header_name());
    out.allow_as_trusted = custom.allow_extension_to_set_address_as_trusted();
    if (custom.has_reject_with_status()) {
      const int status = custom.reject_with_status().code();
      out.reject_status = status >= 400 && status < 512 ? status : 403;
    }
  } else {
    context.Error(
        absl::StrCat("original IP detection extension not found: '", extension.type_url, "'"));
  }
  return out;
}

void ParseTrust(const Proto& proto, HttpConnectionManager* out, ParseContext& context) {
  out->use_remote_address = proto.use_remote_address().value();
  out->xff_num_trusted_hops = proto.xff_num_trusted_hops();
  out->skip_xff_append = proto.skip_xff_append();
  out->append_x_forwarded_port = proto.append_x_forwarded_port();
  out->represent_ipv4_as_mapped_ipv6 = proto.represent_ipv4_remote_address_as_ipv4_mapped_ipv6();
  out->has_internal_address_config = proto.has_internal_address_config();
  out->internal_unix_sockets = proto.internal_address_config().unix_sockets();
  out->internal_ranges = ParseCidrRanges("internal_address_config.cidr_ranges",
                                         proto.internal_address_config().cidr_ranges(), context);
  for (int i = 0; i < proto.original_ip_detection_extensions_size(); ++i) {
    ParseContext::Scope scope(context, "original_ip_detection_extensions", i);
    out->original_ip_detection.push_back(
        ParseDetection(proto.original_ip_detection_extensions(i), context));
  }
  if (out->original_ip_detection.empty()) return;
  if (out->use_remote_address) {
    context.Error(
        "Original IP detection extensions and use_remote_address may "
        "not be mixed");
  }
  if (out->xff_num_trusted_hops != 0) {
    context.Error(
        "Original IP detection extensions and xff_num_trusted_hops "
        "may not be mixed");
  }
}

void ParseEarlyMutations(const Proto& proto, HttpConnectionManager* out, ParseContext& context) {
  namespace early = envoy::extensions::http::early_header_mutation::header_mutation::v3;
  for (int i = 0; i < proto.early_header_mutation_extensions_size(); ++i) {
    ParseContext::Scope scope(context, "early_header_mutation_extensions", i);
    const Extension extension = ParseExtension(proto.early_header_mutation_extensions(i), context);
    ParseContext::Scope inner(context, "typed_config");
    early::HeaderMutation config;
    if (extension.type_name() != config.GetDescriptor()->full_name()) {
      context.Error(absl::StrCat("Didn't find a registered implementation for '", extension.name,
                                 "' with type URL: '", extension.type_url, "'"));
      continue;
    }
    if (!DecodeInto(extension, &config, context)) continue;
    absl::StatusOr<HeaderEdits> edits = HeaderEdits::Parse(config.mutations());
    if (edits.ok()) {
      out->early_header_mutation.push_back(*std::move(edits));
    } else {
      context.Error(edits.status());
    }
  }
}

void ParseIdentity(const Proto& proto, HttpConnectionManager* out, ParseContext& context) {
  if (!proto.server_name().empty()) out->server_name = proto.server_name();
  out->server_header =
      static_cast<HttpConnectionManager::ServerHeader>(proto.server_header_transformation());
  out->via = proto.via();
  out->add_user_agent = proto.add_user_agent().value();
  out->client_cert =
      static_cast<HttpConnectionManager::ClientCert>(proto.forward_client_cert_details());
  const auto& details = proto.set_current_client_cert_details();
  out->xfcc_subject = details.subject().value();
  out->xfcc_cert = details.cert();
  out->xfcc_chain = details.chain();
  out->xfcc_dns = details.dns();
  out->xfcc_uri = details.uri();
  out->xfcc_issuer = details.issuer();
  if (details.format() != 0) {
    context.NotHonoured("set_current_client_cert_details.format");
  }
  out->generate_request_id =
      !proto.has_generate_request_id() || proto.generate_request_id().value();
  out->preserve_external_request_id = proto.preserve_external_request_id();
  out->always_set_request_id_in_response = proto.always_set_request_id_in_response();
  if (!proto.has_request_id_extension()) return;
  ParseContext::Scope scope(context, "request_id_extension.typed_config");
  const Extension extension =
      ParseExtension("", proto.request_id_extension().typed_config(), context);
  envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig uuid;
  if (extension.type_name() != uuid.GetDescriptor()->full_name()) {
    return context.Error(absl::StrCat("Didn't find a registered implementation for type: '",
                                      extension.type_name(), "'"));
  }
  if (!DecodeInto(extension, &uuid, context)) return;
  out->pack_trace_reason = !uuid.has_pack_trace_reason() || uuid.pack_trace_reason().value();
  out->use_request_id_for_trace_sampling = !uuid.has_use_request_id_for_trace_sampling() ||
                                           uuid.use_request_id_for_trace_sampling().value();
}

void ParsePaths(const Proto& proto, HttpConnectionManager* out, ParseContext& context) {
  using Slashes = HttpConnectionManager::EscapedSlashes;
  out->normalize_path = proto.normalize_path().value();
  out->merge_slashes = proto.merge_slashes();
  switch (proto.path_with_escaped_slashes_action()) {
    case Proto::REJECT_REQUEST:
      out->escaped_slashes = Slashes::kReject;
      break;
    case Proto::UNESCAPE_AND_REDIRECT:
      out->escaped_slashes = Slashes::kUnescapeAndRedirect;
      break;
    case Proto::UNESCAPE_AND_FORWARD:
      out->escaped_slashes = Slashes::kUnescapeAndForward;
      break;
    default:
      out->escaped_slashes = Slashes::kKeep;
  }
  if (proto.strip_matching_host_port() && proto.strip_any_host_port()) {
    context.Error(
        "Error: Only one of `strip_matching_host_port` or "
        "`strip_any_host_port` can be set.");
  }
  if (proto.strip_any_host_port()) {
    out->strip_port = HttpConnectionManager::StripPort::kAny;
  } else if (proto.strip_matching_host_port()) {
    out->strip_port = HttpConnectionManager::StripPort::kMatching;
  }
  out->strip_trailing_host_dot = proto.strip_trailing_host_dot();
  const auto& scheme = proto.scheme_header_transformation();
  out->scheme_to_overwrite = scheme.scheme_to_overwrite();
  out->scheme_match_upstream = scheme.match_upstream();
  if (proto.has_path_normalization_options()) {
    context.NotHonoured("path_normalization_options");
  }
}

void ParseLocalReplies(const Proto& proto, HttpConnectionManager* out, ParseContext& context) {
  ParseContext::Scope scope(context, "local_reply_config");
  const auto& config = proto.local_reply_config();
  for (int i = 0; i < config.mappers_size(); ++i) {
    ParseContext::Scope item(context, "mappers", i);
    const auto& from = config.mappers(i);
    LocalReplyMapper mapper;
    {
      ParseContext::Scope filter(context, "filter");
      mapper.filter = AccessLogFilter::Parse(from.filter(), context);
    }
    if (from.has_status_code()) {
      mapper.status = static_cast<int>(from.status_code().value());
    }
    if (from.has_body()) {
      ParseContext::Scope body(context, "body");
      mapper.body = ParseDataSource(from.body(), context).bytes;
    }
    if (from.has_body_format_override()) {
      ParseContext::Scope format(context, "body_format_override");
      mapper.format = Format::Parse(from.body_format_override(), context);
    }
    mapper.headers = ParseHeaderAdditions("headers_to_add", from.headers_to_add(), context);
    out->local_reply_mappers.push_back(std::move(mapper));
  }
  if (config.has_body_format()) {
    ParseContext::Scope format(context, "body_format");
    out->local_reply_format = Format::Parse(config.body_format(), context);
  }
}

void ParseUpgrades(const Proto& proto, HttpConnectionManager* out, ParseContext& context) {
  absl::flat_hash_set<std::string> seen;
  for (int i = 0; i < proto.upgrade_configs_size(); ++i) {
    ParseContext::Scope scope(context, "upgrade_configs", i);
    const auto& from = proto.upgrade_configs(i);
    HttpUpgradeConfig upgrade;
    upgrade.type = absl::AsciiStrToLower(from.upgrade_type());
    upgrade.enabled = !from.has_enabled() || from.enabled().value();
    if (!seen.insert(upgrade.type).second) {
      context.Error(absl::StrCat("Error: multiple upgrade configs with the same name: '",
                                 from.upgrade_type(), "'"));
    }
    upgrade.filters = ParseHttpFilters("filters", from.filters(), context);
    out->upgrades.push_back(std::move(upgrade));
  }
}

void ParseLogging(const Proto& proto, HttpConnectionManager* out, ParseContext& context) {
  for (int i = 0; i < proto.access_log_size(); ++i) {
    ParseContext::Scope scope(context, "access_log", i);
    out->access_logs.push_back(AccessLog::Parse(proto.access_log(i), context));
  }
  out->access_log_flush_interval = FromProto(proto.access_log_flush_interval());
  out->flush_access_log_on_new_request = proto.flush_access_log_on_new_request();
  if (proto.has_access_log_options()) {
    const auto& options = proto.access_log_options();
    if (proto.has_access_log_flush_interval() || proto.flush_access_log_on_new_request()) {
      context.Error(
          "Only one of access_log_options or the deprecated access log "
          "fields can be specified.");
    }
    out->access_log_flush_interval = FromProto(options.access_log_flush_interval());
    out->flush_access_log_on_new_request = options.flush_access_log_on_new_request();
    out->flush_log_on_tunnel_established = options.flush_log_on_tunnel_successfully_established();
  }
  if (proto.has_proxy_status_config()) {
    const auto& status = proto.proxy_status_config();
    out->proxy_status = true;
    out->proxy_status_remove_details = status.remove_details();
    out->proxy_status_remove_connection_termination_details =
        status.remove_connection_termination_details();
    out->proxy_status_remove_response_flags = status.remove_response_flags();
    out->proxy_status_recommended_code = status.set_recommended_response_code();
    out->proxy_status_use_node_id = status.use_node_id();
    out->proxy_status_name = status.literal_proxy_name();
  }
}

void WarnOfTheRest(const Proto& proto, ParseContext& context) {
  if (proto.has_tracing()) context.NotHonoured("tracing");
  if (proto.has_http3_protocol_options()) {
    context.NotHonoured("http3_protocol_options");
  }
  if (proto.has_forward_client_cert_matcher()) {
    context.NotHonoured("forward_client_cert_matcher");
  }
  if (proto.has_typed_header_validation_config()) {
    context.NotHonoured("typed_header_validation_config");
  }
  if (proto.append_local_overload()) {
    context.NotHonoured("append_local_overload");
  }
  if (proto.has_drain_timeout_jitter()) {
    context.NotHonoured("drain_timeout_jitter");
  }
  if (proto.has_forward_proto_config()) {
    context.NotHonoured("forward_proto_config");
  }
  if (proto.record_route_resolution_stats()) {
    context.NotHonoured("record_route_resolution_stats");
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const HttpConnectionManager>> HttpConnectionManager::Parse(
    const Proto& proto, ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<HttpConnectionManager>();
  out->stat_prefix = proto.stat_prefix();
  ParseCodec(proto, out.get(), context);
  ParseRoutes(proto, out.get(), context);
  out->filters = ParseHttpFilters("http_filters", proto.http_filters(), context);
  ParseUpgrades(proto, out.get(), context);
  if (proto.has_max_request_headers_kb()) {
    out->max_request_headers_kb = proto.max_request_headers_kb().value();
  }
  ParseTimeouts(proto, out.get());
  ParseIdentity(proto, out.get(), context);
  ParseTrust(proto, out.get(), context);
  ParseEarlyMutations(proto, out.get(), context);
  ParsePaths(proto, out.get(), context);
  out->proxy_100_continue = proto.proxy_100_continue();
  out->stream_error_on_invalid_http_message = proto.stream_error_on_invalid_http_message().value();
  ParseLocalReplies(proto, out.get(), context);
  ParseLogging(proto, out.get(), context);
  WarnOfTheRest(proto, context);
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

}  // namespace remora::xds
