#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "xds/cluster_parse.h"
#include "xds/cluster_routing.h"
#include "xds/route_parse.h"

namespace remora::xds {
namespace {

using OptionsProto = envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
using Protocol = UpstreamHttpOptions::Protocol;

// Parses one set of options below `field`.
template <typename Proto, typename Parse>
auto Under(const char* field, const Proto& proto, Parse parse, ParseContext& context) {
  ParseContext::Scope scope(context, field);
  return parse(proto, context);
}

void ParseExplicit(const OptionsProto::ExplicitHttpConfig& proto, UpstreamHttpOptions* out,
                   ParseContext& context) {
  ParseContext::Scope scope(context, "explicit_http_config");
  if (proto.has_http3_protocol_options()) {
    return context.ErrorAt("http3_protocol_options", "HTTP3 is not supported");
  }
  if (proto.has_http2_protocol_options()) {
    out->protocol = Protocol::kHttp2;
    out->http2 =
        Under("http2_protocol_options", proto.http2_protocol_options(), ParseHttp2Options, context);
  } else {
    out->protocol = Protocol::kHttp1;
    out->http1 =
        Under("http_protocol_options", proto.http_protocol_options(), ParseHttp1Options, context);
  }
}

// use_downstream_protocol_config and auto_config hold the same pair.
template <typename Proto>
void ParseBoth(const char* field, Protocol protocol, const Proto& proto, UpstreamHttpOptions* out,
               ParseContext& context) {
  ParseContext::Scope scope(context, field);
  out->protocol = protocol;
  out->http1 =
      Under("http_protocol_options", proto.http_protocol_options(), ParseHttp1Options, context);
  out->http2 =
      Under("http2_protocol_options", proto.http2_protocol_options(), ParseHttp2Options, context);
  if (proto.has_http3_protocol_options()) context.NotHonoured("http3_protocol_options");
}

void ParseUpstream(const envoy::config::core::v3::UpstreamHttpProtocolOptions& proto,
                   UpstreamHttpOptions* out) {
  out->auto_sni = proto.auto_sni();
  out->auto_san_validation = proto.auto_san_validation();
  out->override_auto_sni_header = absl::AsciiStrToLower(proto.override_auto_sni_header());
}

void ParseTyped(const OptionsProto& proto, UpstreamHttpOptions* out, ParseContext& context) {
  out->common = Under("common_http_protocol_options", proto.common_http_protocol_options(),
                      ParseCommonHttpOptions, context);
  ParseUpstream(proto.upstream_http_protocol_options(), out);
  switch (proto.upstream_protocol_options_case()) {
    case OptionsProto::kExplicitHttpConfig:
      ParseExplicit(proto.explicit_http_config(), out, context);
      break;
    case OptionsProto::kUseDownstreamProtocolConfig:
      ParseBoth("use_downstream_protocol_config", Protocol::kUseDownstream,
                proto.use_downstream_protocol_config(), out, context);
      break;
    case OptionsProto::kAutoConfig:
      ParseBoth("auto_config", Protocol::kAuto, proto.auto_config(), out, context);
      break;
    case OptionsProto::UPSTREAM_PROTOCOL_OPTIONS_NOT_SET:
      break;
  }
  if (proto.http_filters_size() != 0) context.NotHonoured("http_filters");
  if (proto.has_header_validation_config()) context.NotHonoured("header_validation_config");
  if (proto.has_outlier_detection()) context.NotHonoured("outlier_detection");
}

void ParseRouting(const OptionsProto& proto, Cluster* out, ParseContext& context) {
  if (proto.request_mirror_policies_size() != 0) {
    RoutingOf(out)->mirrors = ParseMirrors(proto.request_mirror_policies(), context);
  }
  if (proto.hash_policy_size() != 0 &&
      (out->routing == nullptr || out->routing->hash_policies.empty())) {
    RoutingOf(out)->hash_policies = ParseHashPolicies(proto.hash_policy(), context);
  }
  if (proto.has_retry_policy()) {
    ParseContext::Scope scope(context, "retry_policy");
    RoutingOf(out)->retry = RetryPolicy::Parse(proto.retry_policy(), context);
  }
}

// The cluster's own fields, older than the typed options and ignored beside
// them.
void ParseLegacy(const ClusterProto& proto, UpstreamHttpOptions* out, ParseContext& context) {
  out->common = Under("common_http_protocol_options", proto.common_http_protocol_options(),
                      ParseCommonHttpOptions, context);
  if (proto.has_max_requests_per_connection()) {
    out->common.max_requests_per_connection = proto.max_requests_per_connection().value();
  }
  ParseUpstream(proto.upstream_http_protocol_options(), out);
  out->http1 =
      Under("http_protocol_options", proto.http_protocol_options(), ParseHttp1Options, context);
  out->http2 =
      Under("http2_protocol_options", proto.http2_protocol_options(), ParseHttp2Options, context);
  if (proto.protocol_selection() == ClusterProto::USE_DOWNSTREAM_PROTOCOL) {
    out->protocol = Protocol::kUseDownstream;
  } else if (proto.has_http2_protocol_options()) {
    out->protocol = Protocol::kHttp2;
  }
}

}  // namespace

ClusterRouting* RoutingOf(Cluster* cluster) {
  if (cluster->routing == nullptr) cluster->routing = std::make_shared<ClusterRouting>();
  return cluster->routing.get();
}

void ParseHttp(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  bool typed = false;
  for (const auto& [name, any] : proto.typed_extension_protocol_options()) {
    ParseContext::Scope scope(context, "typed_extension_protocol_options", absl::string_view(name));
    const Extension config = ParseExtension(name, any, context);
    OptionsProto options;
    if (config.type_name() != options.GetDescriptor()->full_name()) {
      context.Error(absl::StrCat(
          "Didn't find a registered network or http filter or protocol options implementation for "
          "name: '",
          name, "'"));
      continue;
    }
    DecodeInto(config, &options, context);
    ParseTyped(options, &out->http, context);
    ParseRouting(options, out, context);
    typed = true;
  }
  if (!typed) ParseLegacy(proto, &out->http, context);
}

}  // namespace remora::xds
