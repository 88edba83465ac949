#include "absl/strings/str_cat.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "xds/listener.h"

namespace remora::xds {
namespace {

namespace listener = envoy::extensions::filters::listener;
using Predicate = envoy::config::listener::v3::ListenerFilterChainMatchPredicate;

void ParseTlsInspector(ListenerFilter* out, ParseContext& context) {
  listener::tls_inspector::v3::TlsInspector proto;
  out->kind = ListenerFilter::Kind::kTlsInspector;
  if (!DecodeInto(out->config, &proto, context)) return;
  out->ja3 = proto.enable_ja3_fingerprinting().value();
  out->ja4 = proto.enable_ja4_fingerprinting().value();
  if (proto.has_initial_read_buffer_size()) {
    out->initial_read_size = proto.initial_read_buffer_size().value();
  }
  if (proto.has_max_client_hello_size()) {
    out->max_client_hello_size = proto.max_client_hello_size().value();
  }
  out->close_on_client_hello_error = proto.close_connection_on_client_hello_parsing_errors();
  if (out->ja3) context.NotHonoured("enable_ja3_fingerprinting");
  if (out->ja4) context.NotHonoured("enable_ja4_fingerprinting");
  if (out->close_on_client_hello_error) {
    context.NotHonoured("close_connection_on_client_hello_parsing_errors");
  }
}

void ParseProxyProtocol(ListenerFilter* out, ParseContext& context) {
  using Version = envoy::config::core::v3::ProxyProtocolConfig;
  using PassThrough = envoy::config::core::v3::ProxyProtocolPassThroughTLVs;
  listener::proxy_protocol::v3::ProxyProtocol proto;
  out->kind = ListenerFilter::Kind::kProxyProtocol;
  if (!DecodeInto(out->config, &proto, context)) return;
  out->allow_without_proxy_protocol = proto.allow_requests_without_proxy_protocol();
  for (const int version : proto.disallowed_versions()) {
    if (version == Version::V1) out->allow_v1 = false;
    if (version == Version::V2) out->allow_v2 = false;
  }
  if (!out->allow_v1 && !out->allow_v2 && !out->allow_without_proxy_protocol) {
    context.ErrorAt("disallowed_versions",
                    "Proxy Protocol filter is misconfigured: all supported "
                    "versions are disallowed");
  }
  if (proto.has_pass_through_tlvs()) {
    out->tlv_pass_all = proto.pass_through_tlvs().match_type() == PassThrough::INCLUDE_ALL;
    for (const uint32_t type : proto.pass_through_tlvs().tlv_type()) {
      out->tlv_pass.push_back(static_cast<uint8_t>(type));
    }
  }
  for (const auto& rule : proto.rules()) {
    out->tlv_rules.push_back({static_cast<uint8_t>(rule.tlv_type()),
                              rule.on_tlv_present().metadata_namespace(),
                              rule.on_tlv_present().key()});
  }
  out->stat_prefix = proto.stat_prefix();
  if (proto.tlv_location() != 0) context.NotHonoured("tlv_location");
}

void ParseKind(ListenerFilter* out, ParseContext& context) {
  const absl::string_view type = out->config.type_name();
  if (type == listener::tls_inspector::v3::TlsInspector::descriptor()->full_name()) {
    ParseTlsInspector(out, context);
  } else if (type == listener::http_inspector::v3::HttpInspector::descriptor()->full_name()) {
    out->kind = ListenerFilter::Kind::kHttpInspector;
  } else if (type == listener::original_dst::v3::OriginalDst::descriptor()->full_name()) {
    out->kind = ListenerFilter::Kind::kOriginalDst;
  } else if (type == listener::proxy_protocol::v3::ProxyProtocol::descriptor()->full_name()) {
    ParseProxyProtocol(out, context);
  } else {
    context.Error(absl::StrCat("Didn't find a registered implementation for '", out->name,
                               "' with type URL: '", type, "'"));
  }
}

void ParseChildren(const Predicate::MatchSet& set, ListenerFilterPredicate* out,
                   ParseContext& context) {
  for (int i = 0; i < set.rules_size(); ++i) {
    ParseContext::Scope scope(context, "rules", i);
    out->children.push_back(ListenerFilterPredicate::Parse(set.rules(i), context));
  }
}

}  // namespace

ListenerFilterPredicate ListenerFilterPredicate::Parse(const Predicate& proto,
                                                       ParseContext& context) {
  ListenerFilterPredicate out;
  switch (proto.rule_case()) {
    case Predicate::kAnyMatch:
      out.kind = Kind::kAny;
      break;
    case Predicate::kDestinationPortRange:
      out.kind = Kind::kPortRange;
      out.port_start = proto.destination_port_range().start();
      out.port_end = proto.destination_port_range().end();
      break;
    case Predicate::kNotMatch: {
      out.kind = Kind::kNot;
      ParseContext::Scope scope(context, "not_match");
      out.children.push_back(Parse(proto.not_match(), context));
      break;
    }
    case Predicate::kAndMatch: {
      out.kind = Kind::kAnd;
      ParseContext::Scope scope(context, "and_match");
      ParseChildren(proto.and_match(), &out, context);
      break;
    }
    case Predicate::kOrMatch: {
      out.kind = Kind::kOr;
      ParseContext::Scope scope(context, "or_match");
      ParseChildren(proto.or_match(), &out, context);
      break;
    }
    case Predicate::RULE_NOT_SET:
      break;
  }
  return out;
}

bool ListenerFilterPredicate::Matches(uint16_t destination_port) const {
  switch (kind) {
    case Kind::kAny:
      return true;
    case Kind::kPortRange:
      return destination_port >= port_start && destination_port < port_end;
    case Kind::kNot:
      return !children[0].Matches(destination_port);
    case Kind::kAnd:
      for (const auto& child : children) {
        if (!child.Matches(destination_port)) return false;
      }
      return true;
    case Kind::kOr:
      for (const auto& child : children) {
        if (child.Matches(destination_port)) return true;
      }
      return false;
  }
  return false;
}

ListenerFilter ListenerFilter::Parse(const envoy::config::listener::v3::ListenerFilter& proto,
                                     ParseContext& context) {
  ListenerFilter out;
  out.name = proto.name();
  if (proto.has_config_discovery()) {
    context.ErrorAt("config_discovery", "is not supported");
  } else {
    ParseContext::Scope scope(context, "typed_config");
    out.config = ParseExtension(out.name, proto.typed_config(), context);
    ParseKind(&out, context);
  }
  if (proto.has_filter_disabled()) {
    ParseContext::Scope scope(context, "filter_disabled");
    out.disabled = ListenerFilterPredicate::Parse(proto.filter_disabled(), context);
  }
  return out;
}

}  // namespace remora::xds
