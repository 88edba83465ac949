#include "absl/strings/str_cat.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/durations.h"
#include "xds/http_connection_manager.h"
#include "xds/listener.h"
#include "xds/network_filter.h"
#include "xds/tcp_proxy.h"
#include "xds/tls.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

namespace network = envoy::extensions::filters::network;
namespace sockets = envoy::extensions::transport_sockets;
using FilterProto = envoy::config::listener::v3::Filter;
using HcmProto = network::http_connection_manager::v3::HttpConnectionManager;
using TcpProto = network::tcp_proxy::v3::TcpProxy;

template <typename Proto>
bool Is(const Extension& extension) {
  return extension.type_name() == Proto::descriptor()->full_name();
}

NetworkFilter ParseFilter(const FilterProto& proto, ParseContext& context) {
  NetworkFilter out;
  out.name = proto.name();
  if (proto.has_config_discovery()) {
    context.ErrorAt("config_discovery", "is not supported");
    return out;
  }
  ParseContext::Scope scope(context, "typed_config");
  const Extension config = ParseExtension(out.name, proto.typed_config(), context);
  if (Is<HcmProto>(config)) {
    HcmProto hcm;
    if (!DecodeInto(config, &hcm, context) && hcm.ByteSizeLong() == 0) {
      return out;
    }
    auto parsed = HttpConnectionManager::Parse(hcm, context);
    if (parsed.ok()) out.http = *std::move(parsed);
  } else if (Is<TcpProto>(config)) {
    TcpProto tcp;
    DecodeInto(config, &tcp, context);
    auto parsed = TcpProxy::Parse(tcp, context);
    if (parsed.ok()) out.tcp = *std::move(parsed);
  } else {
    bool known = false;
    out.type = std::string(config.type_name());
    out.settings = ParseNetworkSettings(config, &known, context);
    if (!known) {
      context.Error(absl::StrCat("Didn't find a registered implementation for '", out.name,
                                 "' with type URL: '", config.type_name(), "'"));
    }
  }
  return out;
}

NetworkFilterKind KindOf(const FilterProto& proto) {
  const absl::string_view type = TypeName(proto.typed_config().type_url());
  if (type == HcmProto::descriptor()->full_name()) {
    return {"envoy.filters.network.http_connection_manager", true};
  }
  if (type == TcpProto::descriptor()->full_name()) return {"envoy.filters.network.tcp_proxy", true};
  return NetworkFilterKindOf(type);
}

void ParseFilters(const envoy::config::listener::v3::FilterChain& proto, FilterChain* out,
                  ParseContext& context) {
  for (int i = 0; i < proto.filters_size(); ++i) {
    ParseContext::Scope scope(context, "filters", i);
    out->filters.push_back(ParseFilter(proto.filters(i), context));
    const NetworkFilterKind kind = KindOf(proto.filters(i));
    const bool last = i + 1 == proto.filters_size();
    if (kind.terminal && !last) {
      context.Error(absl::StrCat("Error: terminal filter named ", proto.filters(i).name(),
                                 " of type ", kind.name,
                                 " must be the last filter in a network filter chain."));
    } else if (!kind.terminal && last && !kind.name.empty()) {
      context.Error(absl::StrCat("Error: non-terminal filter named ", proto.filters(i).name(),
                                 " of type ", kind.name,
                                 " is the last filter in a network filter chain."));
    }
  }
}

void ParseTransport(const envoy::config::core::v3::TransportSocket& proto, FilterChain* out,
                    ParseContext& context) {
  ParseContext::Scope scope(context, "transport_socket");
  ParseContext::Scope inner(context, "typed_config");
  const Extension config = ParseExtension(proto.name(), proto.typed_config(), context);
  if (Is<sockets::tls::v3::DownstreamTlsContext>(config)) {
    sockets::tls::v3::DownstreamTlsContext tls;
    if (!DecodeInto(config, &tls, context)) return;
    auto parsed = DownstreamTls::Parse(tls, context);
    if (parsed.ok()) out->tls = *std::move(parsed);
  } else if (!Is<sockets::raw_buffer::v3::RawBuffer>(config)) {
    context.Error(absl::StrCat("Didn't find a registered implementation for '", proto.name(),
                               "' with type URL: '", config.type_name(), "'"));
  }
}

}  // namespace

std::shared_ptr<const FilterChain> FilterChain::Parse(
    const envoy::config::listener::v3::FilterChain& proto, ParseContext& context) {
  auto out = std::make_shared<FilterChain>();
  out->name = proto.name();
  out->key = SerializeDeterministically(proto);
  {
    ParseContext::Scope scope(context, "filter_chain_match");
    out->match = FilterChainMatchRule::Parse(proto.filter_chain_match(), context);
  }
  ParseFilters(proto, out.get(), context);
  if (proto.has_transport_socket()) {
    ParseTransport(proto.transport_socket(), out.get(), context);
  }
  out->transport_connect_timeout = FromProto(proto.transport_socket_connect_timeout());
  out->metadata = Metadata::From(proto.metadata());
  return out;
}

}  // namespace remora::xds
