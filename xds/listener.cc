#include "xds/listener.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "xds/durations.h"
#include "xds/type_registry.h"

namespace remora::xds {

using ListenerProto = envoy::config::listener::v3::Listener;

namespace {

// A name for a listener that has none, unlike any other.
std::string MadeUpName() {
  std::random_device random;
  return absl::StrFormat("%08x-%04x-4%03x-%04x-%08x%04x", random(), random() & 0xffff,
                         random() & 0xfff, (random() & 0x3fff) | 0x8000, random(),
                         random() & 0xffff);
}

bool HasFilter(const Listener& listener, ListenerFilter::Kind kind) {
  return std::any_of(listener.listener_filters.begin(), listener.listener_filters.end(),
                     [&](const ListenerFilter& filter) { return filter.kind == kind; });
}

bool NeedsTlsInspector(const FilterChainMatchRule& rule) {
  return rule.transport_protocol == "tls" ||
         (rule.transport_protocol.empty() &&
          (!rule.server_names.empty() || !rule.application_protocols.empty()));
}

}  // namespace

// Fills a listener from its proto.
class Listener::Parser {
 public:
  Parser(Listener* listener, ParseContext& context) : listener_(*listener), context_(context) {}

  void Parse(const ListenerProto& proto) {
    listener_.name = proto.name().empty() ? MadeUpName() : proto.name();
    listener_.original = SerializeDeterministically(proto);
    listener_.socket_key = SocketKey(proto);
    ParseAddresses(proto);
    ParseSocket(proto);
    ParseBehaviour(proto);
    for (int i = 0; i < proto.listener_filters_size(); ++i) {
      ParseContext::Scope scope(context_, "listener_filters", i);
      listener_.listener_filters.push_back(
          ListenerFilter::Parse(proto.listener_filters(i), context_));
    }
    ParseChains(proto);
    AddImpliedFilters(proto);
    for (int i = 0; i < proto.access_log_size(); ++i) {
      ParseContext::Scope scope(context_, "access_log", i);
      listener_.access_logs.push_back(AccessLog::Parse(proto.access_log(i), context_));
    }
    RefuseOrWarn(proto);
  }

 private:
  static std::string SocketKey(ListenerProto proto) {
    proto.clear_filter_chains();
    proto.clear_default_filter_chain();
    return SerializeDeterministically(proto);
  }

  void ParseAddresses(const ListenerProto& proto) {
    if (proto.has_internal_listener()) {
      listener_.kind = Kind::kInternal;
      context_.ErrorAt("internal_listener", "is not supported");
      return;
    }
    if (proto.has_api_listener()) {
      listener_.kind = Kind::kApi;
      context_.ErrorAt("api_listener", "is not supported");
      return;
    }
    if (!proto.has_address()) {
      return context_.ErrorAt("address", "value is required");
    }
    {
      ParseContext::Scope scope(context_, "address");
      listener_.address = ParseListenAddress(proto.address());
    }
    for (int i = 0; i < proto.additional_addresses_size(); ++i) {
      ParseContext::Scope scope(context_, "additional_addresses", i);
      ParseContext::Scope inner(context_, "address");
      listener_.additional_addresses.push_back(
          ParseListenAddress(proto.additional_addresses(i).address()));
    }
  }

  AddressSpec ParseListenAddress(const envoy::config::core::v3::Address& proto) {
    AddressSpec address = ParseAddress(proto, context_);
    if (address.kind == AddressSpec::Kind::kSocket) {
      if (address.protocol == AddressSpec::Protocol::kUdp) {
        context_.Error("UDP listeners are not supported");
      } else if (!remora::Address::FromIp(address.host, address.port).has_value()) {
        context_.Error(absl::StrCat("malformed IP address: ", address.host));
      }
    } else if (address.kind == AddressSpec::Kind::kInternal) {
      context_.Error("a listener does not listen on an internal address");
    }
    return address;
  }

  void ParseSocket(const ListenerProto& proto) {
    const auto truth = [](const auto& field, bool set, bool otherwise) {
      return set ? field.value() : otherwise;
    };
    listener_.bind_to_port =
        truth(proto.bind_to_port(), proto.has_bind_to_port(), true) &&
        truth(proto.deprecated_v1().bind_to_port(), proto.deprecated_v1().has_bind_to_port(), true);
    listener_.reuse_port = truth(proto.enable_reuse_port(), proto.has_enable_reuse_port(), true);
    listener_.transparent = proto.transparent().value();
    listener_.freebind = proto.freebind().value();
    listener_.exact_balance = proto.connection_balance_config().has_exact_balance();
    listener_.mptcp = proto.enable_mptcp();
    for (const auto& option : proto.socket_options()) {
      listener_.socket_options.push_back(ParseSocketOption(option, context_));
    }
    if (proto.has_tcp_fast_open_queue_length()) {
      listener_.fast_open_queue = proto.tcp_fast_open_queue_length().value();
    }
    listener_.backlog = proto.tcp_backlog_size().value();
    listener_.max_accepts_per_event = proto.max_connections_to_accept_per_socket_event().value();
    if (proto.has_tcp_keepalive()) {
      listener_.tcp_keepalive = ParseTcpKeepalive(proto.tcp_keepalive());
    }
  }

  void ParseBehaviour(const ListenerProto& proto) {
    listener_.stat_prefix = proto.stat_prefix();
    listener_.use_original_dst = proto.use_original_dst().value();
    if (proto.has_per_connection_buffer_limit_bytes()) {
      listener_.per_connection_buffer_limit = proto.per_connection_buffer_limit_bytes().value();
    }
    listener_.ignore_global_connection_limit = proto.ignore_global_conn_limit();
    listener_.bypass_overload_manager = proto.bypass_overload_manager();
    listener_.direction = static_cast<Direction>(proto.traffic_direction());
    listener_.drain_type = static_cast<DrainType>(proto.drain_type());
    if (proto.has_listener_filters_timeout()) {
      listener_.listener_filters_timeout = FromProto(proto.listener_filters_timeout());
    }
    listener_.continue_on_listener_filters_timeout = proto.continue_on_listener_filters_timeout();
    listener_.metadata = Metadata::From(proto.metadata());
  }

  void ParseChains(const ListenerProto& proto) {
    for (int i = 0; i < proto.filter_chains_size(); ++i) {
      ParseContext::Scope scope(context_, "filter_chains", i);
      listener_.filter_chains.push_back(FilterChain::Parse(proto.filter_chains(i), context_));
      const FilterChain& chain = *listener_.filter_chains.back();
      if (proto.has_filter_chain_matcher()) continue;
      const absl::Status status = listener_.matcher_.Add(chain.match, &chain);
      if (!status.ok()) {
        context_.Error(
            absl::StrCat("error adding listener '", listener_.name, "': ", status.message()));
      }
    }
    if (proto.has_default_filter_chain()) {
      ParseContext::Scope scope(context_, "default_filter_chain");
      listener_.default_filter_chain = FilterChain::Parse(proto.default_filter_chain(), context_);
    }
    if (proto.filter_chains().empty() && !proto.has_default_filter_chain() &&
        listener_.kind == Kind::kTcp) {
      context_.ErrorAt("filter_chains",
                       absl::StrCat("error adding listener '", listener_.address.ToString(),
                                    "': no filter chains specified"));
    }
  }

  // Listener filters that other fields ask for without naming them.
  void AddImpliedFilters(const ListenerProto& proto) {
    const auto add = [&](ListenerFilter::Kind kind, absl::string_view name) {
      if (HasFilter(listener_, kind)) return;
      ListenerFilter filter;
      filter.kind = kind;
      filter.name = std::string(name);
      listener_.listener_filters.push_back(std::move(filter));
    };
    if (listener_.use_original_dst) {
      add(ListenerFilter::Kind::kOriginalDst, "envoy.filters.listener.original_dst");
    }
    if (proto.filter_chains_size() != 0 && proto.filter_chains(0).use_proxy_proto().value()) {
      add(ListenerFilter::Kind::kProxyProtocol, "envoy.filters.listener.proxy_protocol");
    }
    for (const auto& chain : listener_.filter_chains) {
      if (!NeedsTlsInspector(chain->match)) continue;
      if (!HasFilter(listener_, ListenerFilter::Kind::kTlsInspector)) {
        context_.Warn(absl::StrCat("adding listener '", listener_.name,
                                   "': filter chain match rules require TLS Inspector listener "
                                   "filter, but it isn't configured, so it is added"));
      }
      add(ListenerFilter::Kind::kTlsInspector, "envoy.filters.listener.tls_inspector");
    }
  }

  void RefuseOrWarn(const ListenerProto& proto) {
    if (proto.has_filter_chain_matcher()) {
      context_.ErrorAt("filter_chain_matcher", "is not supported");
    }
    // Without an address of UDP it says nothing.
    if (proto.has_udp_listener_config()) context_.NotHonoured("udp_listener_config");
    if (proto.has_fcds_config()) {
      context_.ErrorAt("fcds_config", "is not supported");
    }
    if (proto.connection_balance_config().has_exact_balance()) {
      context_.NotHonoured("connection_balance_config.exact_balance");
    }
    if (proto.connection_balance_config().has_extend_balance()) {
      context_.NotHonoured("connection_balance_config.extend_balance");
    }
    if (proto.has_stats_matcher()) context_.NotHonoured("stats_matcher");
    if (proto.has_per_connection_buffer_high_watermark_timeout()) {
      context_.NotHonoured("per_connection_buffer_high_watermark_timeout");
    }
  }

  Listener& listener_;
  ParseContext& context_;
};

const FilterChain* Listener::Match(const ConnectionFacts& facts) const {
  const FilterChain* chain = matcher_.Match(facts);
  return chain != nullptr ? chain : default_filter_chain.get();
}

absl::StatusOr<std::shared_ptr<const Listener>> Listener::Parse(const ListenerProto& proto,
                                                                ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<Listener>();
  Parser(out.get(), context).Parse(proto);
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

}  // namespace remora::xds
