#include "xds/config_source.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/config/core/v3/grpc_service.pb.h"
#include "xds/durations.h"
#include "xds/secret.h"

namespace remora::xds {
namespace {

using GrpcProto = envoy::config::core::v3::GrpcService;
using ApiProto = envoy::config::core::v3::ApiConfigSource;

std::string Bytes(const char* field, const envoy::config::core::v3::DataSource& source,
                  ParseContext& context) {
  ParseContext::Scope scope(context, field);
  return ParseDataSource(source, context).bytes;
}

void ParseGoogleGrpc(const GrpcProto::GoogleGrpc& proto, GrpcService* out, ParseContext& context) {
  ParseContext::Scope scope(context, "google_grpc");
  out->target_uri = proto.target_uri();
  out->stat_prefix = proto.stat_prefix();
  if (proto.channel_credentials().has_ssl_credentials()) {
    ParseContext::Scope inner(context, "channel_credentials.ssl_credentials");
    const auto& tls = proto.channel_credentials().ssl_credentials();
    out->target_tls = true;
    if (tls.has_root_certs()) {
      out->target_root_certificates = Bytes("root_certs", tls.root_certs(), context);
    }
    if (tls.has_cert_chain()) {
      out->target_certificate_chain = Bytes("cert_chain", tls.cert_chain(), context);
    }
    if (tls.has_private_key()) {
      out->target_private_key = Bytes("private_key", tls.private_key(), context);
    }
  }
  if (proto.call_credentials_size() != 0) {
    context.NotHonoured("call_credentials");
  }
  if (!proto.credentials_factory_name().empty()) {
    context.NotHonoured("credentials_factory_name");
  }
}

ApiConfigSource::Type ApiType(const ApiProto& proto, ParseContext& context) {
  switch (proto.api_type()) {
    case ApiProto::REST:
      return ApiConfigSource::Type::kRest;
    case ApiProto::GRPC:
      return ApiConfigSource::Type::kGrpc;
    case ApiProto::DELTA_GRPC:
      return ApiConfigSource::Type::kDeltaGrpc;
    case ApiProto::AGGREGATED_GRPC:
      return ApiConfigSource::Type::kAggregatedGrpc;
    case ApiProto::AGGREGATED_DELTA_GRPC:
      return ApiConfigSource::Type::kAggregatedDeltaGrpc;
    default:
      context.ErrorAt("api_type", "is not a type that can be used");
      return ApiConfigSource::Type::kGrpc;
  }
}

}  // namespace

GrpcService ParseGrpcService(const GrpcProto& proto, ParseContext& context) {
  GrpcService out;
  if (proto.has_envoy_grpc()) {
    out.cluster = proto.envoy_grpc().cluster_name();
    out.authority = proto.envoy_grpc().authority();
    out.skip_envoy_headers = proto.envoy_grpc().skip_envoy_headers();
    out.max_receive_message_length = proto.envoy_grpc().max_receive_message_length().value();
    if (proto.envoy_grpc().has_retry_policy()) {
      context.NotHonoured("envoy_grpc.retry_policy");
    }
  } else if (proto.has_google_grpc()) {
    ParseGoogleGrpc(proto.google_grpc(), &out, context);
  }
  if (proto.has_timeout()) out.timeout = FromProto(proto.timeout());
  for (const auto& header : proto.initial_metadata()) {
    out.initial_metadata.emplace_back(
        header.key(), header.raw_value().empty() ? header.value() : header.raw_value());
  }
  if (proto.has_retry_policy()) context.NotHonoured("retry_policy");
  return out;
}

ApiConfigSource ParseApiConfigSource(const ApiProto& proto, ParseContext& context) {
  ApiConfigSource out;
  out.type = ApiType(proto, context);
  if (proto.transport_api_version() == envoy::config::core::v3::V2) {
    context.ErrorAt("transport_api_version", "V2 xDS transport protocol version is not supported");
  }
  for (int i = 0; i < proto.grpc_services_size(); ++i) {
    ParseContext::Scope scope(context, "grpc_services", i);
    out.grpc_services.push_back(ParseGrpcService(proto.grpc_services(i), context));
  }
  out.cluster_names.assign(proto.cluster_names().begin(), proto.cluster_names().end());
  const bool rest = out.type == ApiConfigSource::Type::kRest;
  if (rest) {
    if (out.cluster_names.size() != 1) {
      context.ErrorAt("cluster_names", "REST must name exactly one cluster");
    }
    if (!proto.has_refresh_delay()) {
      context.ErrorAt("refresh_delay",
                      "refresh_delay is required for REST API configuration sources");
    }
  } else if (out.grpc_services.empty()) {
    context.ErrorAt("grpc_services", "a gRPC source must name a service");
  } else if (!out.cluster_names.empty()) {
    context.ErrorAt("cluster_names", "is for REST; a gRPC source names grpc_services");
  }
  out.refresh_delay = FromProto(proto.refresh_delay());
  if (proto.has_request_timeout()) {
    out.request_timeout = FromProto(proto.request_timeout());
  }
  out.set_node_on_first_message_only = proto.set_node_on_first_message_only();
  if (proto.has_rate_limit_settings()) {
    out.rate_limited = true;
    const auto& limit = proto.rate_limit_settings();
    if (limit.has_max_tokens()) {
      out.rate_limit_tokens = limit.max_tokens().value();
    }
    if (limit.has_fill_rate()) {
      out.rate_limit_fill_per_second = limit.fill_rate().value();
    }
  }
  if (proto.config_validators_size() != 0) {
    context.NotHonoured("config_validators");
  }
  return out;
}

ConfigSource ParseConfigSource(const envoy::config::core::v3::ConfigSource& proto,
                               ParseContext& context) {
  using Proto = envoy::config::core::v3::ConfigSource;
  ConfigSource out;
  switch (proto.config_source_specifier_case()) {
    case Proto::kPath:
      out.kind = ConfigSource::Kind::kPath;
      out.path = proto.path();
      break;
    case Proto::kPathConfigSource:
      out.kind = ConfigSource::Kind::kPath;
      out.path = proto.path_config_source().path();
      out.watched_directory = proto.path_config_source().watched_directory().path();
      break;
    case Proto::kApiConfigSource: {
      ParseContext::Scope scope(context, "api_config_source");
      out.kind = ConfigSource::Kind::kApi;
      out.api = ParseApiConfigSource(proto.api_config_source(), context);
      break;
    }
    case Proto::kAds:
      out.kind = ConfigSource::Kind::kAds;
      break;
    case Proto::kSelf:
      out.kind = ConfigSource::Kind::kSelf;
      break;
    case Proto::CONFIG_SOURCE_SPECIFIER_NOT_SET:
      break;
  }
  if (out.kind == ConfigSource::Kind::kPath && ::access(out.path.c_str(), F_OK) != 0) {
    context.Error(absl::StrCat("paths must refer to an existing path in the system: '", out.path,
                               "' does not exist"));
  }
  if (out.kind != ConfigSource::Kind::kNone && !context.node_known()) {
    context.Error(kNodeRequired);
  }
  if (proto.resource_api_version() == envoy::config::core::v3::V2) {
    context.Warn("resource_api_version V2 is deprecated and read as V3");
  }
  if (proto.has_initial_fetch_timeout()) {
    out.initial_fetch_timeout = FromProto(proto.initial_fetch_timeout());
  }
  return out;
}

}  // namespace remora::xds
