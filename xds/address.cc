#include "xds/address.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/socket_option.pb.h"
#include "filters/api/address.h"

namespace remora::xds {

std::string AddressSpec::ToString() const {
  switch (kind) {
    case Kind::kSocket:
      return host.find(':') == std::string::npos ? absl::StrCat(host, ":", port)
                                                 : absl::StrCat("[", host, "]:", port);
    case Kind::kPipe:
      return host;
    case Kind::kInternal:
      return absl::StrCat("envoy://", host, "/", endpoint_id);
  }
  return "";
}

bool AddressSpec::operator==(const AddressSpec& other) const {
  return kind == other.kind && protocol == other.protocol && host == other.host &&
         port == other.port && named_port == other.named_port && ipv4_compat == other.ipv4_compat &&
         endpoint_id == other.endpoint_id;
}

AddressSpec ParseSocketAddress(const envoy::config::core::v3::SocketAddress& proto,
                               ParseContext& context) {
  AddressSpec out;
  out.protocol = proto.protocol() == envoy::config::core::v3::SocketAddress::UDP
                     ? AddressSpec::Protocol::kUdp
                     : AddressSpec::Protocol::kTcp;
  out.host = proto.address();
  out.port = static_cast<uint16_t>(proto.port_value());
  out.named_port = proto.named_port();
  if (!proto.named_port().empty()) {
    context.ErrorAt("named_port", "IP resolver can't handle port specifier type 4");
  }
  out.resolver_name = proto.resolver_name();
  out.ipv4_compat = proto.ipv4_compat();
  if (!proto.network_namespace_filepath().empty()) {
    context.NotHonoured("network_namespace_filepath");
  }
  return out;
}

AddressSpec ParseAddress(const envoy::config::core::v3::Address& proto, ParseContext& context) {
  using Proto = envoy::config::core::v3::Address;
  AddressSpec out;
  switch (proto.address_case()) {
    case Proto::kSocketAddress: {
      ParseContext::Scope scope(context, "socket_address");
      return ParseSocketAddress(proto.socket_address(), context);
    }
    case Proto::kPipe:
      out.kind = AddressSpec::Kind::kPipe;
      out.host = proto.pipe().path();
      out.pipe_mode = proto.pipe().mode();
      if (!remora::Address::FromPipe(out.host).has_value()) {
        ParseContext::Scope scope(context, "pipe");
        context.ErrorAt("path", absl::StrCat("Path \"", out.host,
                                             "\" exceeds maximum UNIX domain socket "
                                             "path size"));
      }
      break;
    case Proto::kEnvoyInternalAddress:
      out.kind = AddressSpec::Kind::kInternal;
      out.host = proto.envoy_internal_address().server_listener_name();
      out.endpoint_id = proto.envoy_internal_address().endpoint_id();
      break;
    case Proto::ADDRESS_NOT_SET:
      break;  // the proto's own rule says so
  }
  return out;
}

SocketOption ParseSocketOption(const envoy::config::core::v3::SocketOption& proto, ParseContext&) {
  SocketOption out;
  out.level = proto.level();
  out.name = proto.name();
  out.description = proto.description();
  out.state = static_cast<SocketOption::State>(proto.state());
  if (proto.has_int_value()) {
    const int value = static_cast<int>(proto.int_value());
    out.value.resize(sizeof(value));
    std::memcpy(out.value.data(), &value, sizeof(value));
  } else {
    out.value = proto.buf_value();
  }
  return out;
}

std::vector<CidrRange> ParseCidrRanges(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>& list,
    ParseContext& context) {
  std::vector<CidrRange> out;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    absl::StatusOr<CidrRange> range =
        CidrRange::Create(list[i].address_prefix(), list[i].prefix_len().value());
    if (range.ok()) {
      out.push_back(*std::move(range));
    } else {
      context.Error(range.status());
    }
  }
  return out;
}

TcpKeepalive ParseTcpKeepalive(const envoy::config::core::v3::TcpKeepalive& proto) {
  TcpKeepalive out;
  if (proto.has_keepalive_probes()) {
    out.probes = proto.keepalive_probes().value();
  }
  if (proto.has_keepalive_time()) {
    out.time_seconds = proto.keepalive_time().value();
  }
  if (proto.has_keepalive_interval()) {
    out.interval_seconds = proto.keepalive_interval().value();
  }
  return out;
}

namespace {

// Literal addresses, at most one of each family.
void CheckSources(const BindConfig& config, ParseContext& context) {
  std::vector<AddressSpec> all = config.extra_sources;
  if (config.source.has_value()) all.push_back(*config.source);
  int v4 = 0;
  int v6 = 0;
  for (const AddressSpec& source : all) {
    const auto address = remora::Address::FromIp(source.host, source.port);
    if (!address.has_value()) {
      context.Error(absl::StrCat("malformed IP address: ", source.host));
      continue;
    }
    ++(address->kind() == remora::Address::Kind::kIpv4 ? v4 : v6);
  }
  if (v4 > 1 || v6 > 1) {
    context.Error("upstream binding config has two same IP version source addresses");
  }
}

}  // namespace

BindConfig ParseBindConfig(const envoy::config::core::v3::BindConfig& proto,
                           ParseContext& context) {
  BindConfig out;
  if (proto.has_source_address()) {
    ParseContext::Scope scope(context, "source_address");
    out.source = ParseSocketAddress(proto.source_address(), context);
  }
  for (int i = 0; i < proto.extra_source_addresses_size(); ++i) {
    ParseContext::Scope scope(context, "extra_source_addresses", i);
    out.extra_sources.push_back(
        ParseSocketAddress(proto.extra_source_addresses(i).address(), context));
  }
  for (int i = 0; i < proto.additional_source_addresses_size(); ++i) {
    ParseContext::Scope scope(context, "additional_source_addresses", i);
    out.extra_sources.push_back(ParseSocketAddress(proto.additional_source_addresses(i), context));
  }
  CheckSources(out, context);
  out.freebind = proto.freebind().value();
  for (const auto& option : proto.socket_options()) {
    out.socket_options.push_back(ParseSocketOption(option, context));
  }
  if (proto.has_local_address_selector()) {
    context.NotHonoured("local_address_selector");
  }
  return out;
}

}  // namespace remora::xds
