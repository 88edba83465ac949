#include "absl/strings/str_cat.h"
#include "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/cluster_parse.h"
#include "xds/tls.h"

namespace remora::xds {
namespace {

namespace sockets = envoy::extensions::transport_sockets;
using SocketProto = envoy::config::core::v3::TransportSocket;

template <typename Proto>
bool Is(const Extension& extension) {
  return extension.type_name() == Proto::descriptor()->full_name();
}

UpstreamTransport ParseTransport(const SocketProto& proto, ParseContext& context);

void ParseProxyProtocol(const Extension& config, UpstreamTransport* out, ParseContext& context) {
  sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport proto;
  if (!DecodeInto(config, &proto, context)) return;
  {
    ParseContext::Scope scope(context, "transport_socket");
    *out = ParseTransport(proto.transport_socket(), context);
  }
  out->proxy_protocol_version =
      proto.config().version() == envoy::config::core::v3::ProxyProtocolConfig::V2 ? 2 : 1;
  using PassThrough = envoy::config::core::v3::ProxyProtocolPassThroughTLVs;
  const PassThrough& pass = proto.config().pass_through_tlvs();
  out->pass_all_tlvs =
      proto.config().has_pass_through_tlvs() && pass.match_type() == PassThrough::INCLUDE_ALL;
  for (const uint32_t type : pass.tlv_type()) {
    out->pass_tlvs.push_back(static_cast<uint8_t>(type));
  }
  for (const auto& tlv : proto.config().added_tlvs()) {
    if (tlv.has_format_string()) {
      context.NotHonoured("config.added_tlvs.format_string");
    } else {
      out->added_tlvs.emplace_back(static_cast<uint8_t>(tlv.type()), tlv.value());
    }
  }
}

UpstreamTransport ParseTransport(const SocketProto& proto, ParseContext& context) {
  UpstreamTransport out;
  ParseContext::Scope scope(context, "typed_config");
  const Extension config = ParseExtension(proto.name(), proto.typed_config(), context);
  if (Is<sockets::tls::v3::UpstreamTlsContext>(config)) {
    out.kind = UpstreamTransport::Kind::kTls;
    sockets::tls::v3::UpstreamTlsContext tls;
    DecodeInto(config, &tls, context);
    auto parsed = UpstreamTls::Parse(tls, context);
    if (parsed.ok()) out.tls = *std::move(parsed);
  } else if (Is<sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport>(config)) {
    ParseProxyProtocol(config, &out, context);
  } else if (!Is<sockets::raw_buffer::v3::RawBuffer>(config)) {
    context.Error(absl::StrCat("Didn't find a registered implementation for '", proto.name(),
                               "' with type URL: '", config.type_name(), "'"));
  }
  return out;
}

// ALPN chooses the protocol only where every connection can speak it.
void CheckAuto(const Cluster& cluster, ParseContext& context) {
  if (cluster.http.protocol != UpstreamHttpOptions::Protocol::kAuto) return;
  bool tls = cluster.transport.kind == UpstreamTransport::Kind::kTls;
  for (const TransportMatch& match : cluster.transport_matches) {
    tls = tls && match.transport.kind == UpstreamTransport::Kind::kTls;
  }
  if (!tls) {
    context.Error(absl::StrCat("ALPN configured for cluster ", cluster.name,
                               " which has a non-ALPN transport socket"));
  }
}

}  // namespace

void ParseTransports(const ClusterProto& proto, Cluster* out, ParseContext& context) {
  if (proto.has_transport_socket()) {
    ParseContext::Scope scope(context, "transport_socket");
    out->transport = ParseTransport(proto.transport_socket(), context);
  }
  for (int i = 0; i < proto.transport_socket_matches_size(); ++i) {
    ParseContext::Scope scope(context, "transport_socket_matches", i);
    const auto& item = proto.transport_socket_matches(i);
    TransportMatch match;
    match.name = item.name();
    match.criteria = MetadataValue::From(item.match());
    ParseContext::Scope inner(context, "transport_socket");
    match.transport = ParseTransport(item.transport_socket(), context);
    out->transport_matches.push_back(std::move(match));
  }
  if (proto.has_transport_socket_matcher()) {
    // Guessing a transport could send in the clear what was to be encrypted.
    context.ErrorAt("transport_socket_matcher", "is not supported");
  }
  CheckAuto(*out, context);
}

const UpstreamTransport& Cluster::TransportFor(const Metadata* host_metadata) const {
  static const std::vector<std::string>* const kRoot = new std::vector<std::string>;
  for (const TransportMatch& match : transport_matches) {
    const MetadataValue::Fields* wanted = match.criteria.fields();
    if (wanted == nullptr || wanted->empty()) return match.transport;
    const MetadataValue* given = host_metadata == nullptr
                                     ? nullptr
                                     : host_metadata->Find("envoy.transport_socket_match", *kRoot);
    bool all = given != nullptr;
    for (auto it = wanted->begin(); all && it != wanted->end(); ++it) {
      const MetadataValue* value = given->Find(it->first);
      all = value != nullptr && *value == it->second;
    }
    if (all) return match.transport;
  }
  return transport;
}

}  // namespace remora::xds
