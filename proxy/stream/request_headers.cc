#include "proxy/stream/request_headers.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/stream/request_id.h"

namespace remora::proxy {
namespace {

using Config = xds::HttpConnectionManager;

// Only "trailers" may pass; the codec has dropped other values already where it could.
void SanitizeTe(Headers& request) {
  const std::optional<absl::string_view> te = request.GetJoined(HeaderId::kTe);
  if (!te || *te == "trailers") return;
  request.Remove(HeaderId::kTe);
  if (absl::StrContains(*te, "trailers")) request.AddReference(HeaderId::kTe, "trailers");
}

bool IsAbsoluteUrl(absl::string_view url) {
  const size_t end = url.find("://");
  if (end == absl::string_view::npos || end == 0) return false;
  const absl::string_view scheme = url.substr(0, end);
  if (!absl::EqualsIgnoreCase(scheme, "http") && !absl::EqualsIgnoreCase(scheme, "https")) {
    return false;
  }
  const absl::string_view rest = url.substr(end + 3);
  const absl::string_view host = rest.substr(0, rest.find_first_of("/?#"));
  // A comma: what was repeated, and is joined by now.
  return !host.empty() && host.find_first_of(", \"<>") == absl::string_view::npos;
}

// A referer that is repeated or no URL is dropped.
void SanitizeReferer(Headers& request) {
  const Header* first = request.Find(HeaderId::kReferer);
  if (first == nullptr) return;
  int count = 0;
  request.ForEachValue(HeaderId::kReferer, [&](absl::string_view) { ++count; });
  if (count > 1 || !IsAbsoluteUrl(first->value)) request.Remove(HeaderId::kReferer);
}

void RemoveHopByHop(bool upgrade, Headers& request) {
  if (!upgrade) {
    request.Remove(HeaderId::kConnection);
    request.Remove(HeaderId::kUpgrade);
  }
  SanitizeTe(request);
  request.Remove(HeaderId::kXEnvoyInternal);
  request.Remove(HeaderId::kKeepAlive);
  request.Remove(HeaderId::kProxyConnection);
  request.Remove(HeaderId::kTransferEncoding);
  SanitizeReferer(request);
}

absl::string_view SchemeOfConnection(const ConnectionInfo& connection) {
  return connection.tls != nullptr ? "https" : "http";
}

void AppendXff(const RequestContext& context, Headers& request) {
  const Address& peer = context.connection.remote;
  const bool local = peer.is_loopback() && context.host_address.is_ip();
  const Address& shown = local ? context.host_address : peer;
  if (!shown.is_ip()) return;
  Arena& arena = request.arena();
  absl::string_view text = shown.IpString(arena);
  if (context.config.represent_ipv4_as_mapped_ipv6 && !local &&
      shown.kind() == Address::Kind::kIpv4) {
    text = arena.Concat("::ffff:", text);
  }
  request.AppendValue(HeaderId::kXForwardedFor, text, ",");
}

void SetForwardedPort(const RequestContext& context, Headers& request) {
  if (!context.config.append_x_forwarded_port || !context.connection.local.is_ip()) return;
  if (context.config.xff_num_trusted_hops > 0 && request.Has(HeaderId::kXForwardedPort)) return;
  const absl::AlphaNum port(context.connection.local.port());
  request.Set(HeaderId::kXForwardedPort, port.Piece());
}

struct Client {
  Address address;
  bool trusted = false;  // its address may be looked up in internal_address_config
  int reject_status = 0;
};

Client ClientOfThisConnection(const RequestContext& context, Headers& request) {
  const Config& config = context.config;
  Client client;
  client.trusted = !request.Has(HeaderId::kXForwardedFor);
  if (config.xff_num_trusted_hops > 0) {
    client.address = AddressFromXff(request, config.xff_num_trusted_hops - 1).address;
  }
  if (client.address.kind() == Address::Kind::kNone) client.address = context.connection.remote;
  if (!config.skip_xff_append) AppendXff(context, request);
  if (config.xff_num_trusted_hops == 0 || !request.Has(HeaderId::kXForwardedProto)) {
    request.SetReference(HeaderId::kXForwardedProto, SchemeOfConnection(context.connection));
  }
  SetForwardedPort(context, request);
  return client;
}

Client ClientOfForwardedFor(const RequestContext& context, const Headers& request) {
  const ForwardedAddress found = AddressFromXff(request, context.config.xff_num_trusted_hops);
  if (!found.found) return {context.connection.remote, false};
  return {found.address, found.single};
}

Client ClientByDetection(const RequestContext& context, Headers& request) {
  const DetectedClient found = DetectClient(context.config, context.connection.remote, request);
  if (found.reject_status != 0) return {context.connection.remote, false, found.reject_status};
  if (found.append_xff) AppendXff(context, request);
  if (!found.found) return {context.connection.remote, false};
  return {found.address, found.trusted};
}

// What counts as inside where the configuration names no ranges: private networks (RFC 1918,
// RFC 4193) and this machine.
bool IsPrivate(const Address& address) {
  static const auto* const ranges = [] {
    auto* out = new std::vector<CidrRange>;
    for (const auto& [prefix, length] :
         std::initializer_list<std::pair<const char*, uint32_t>>{{"10.0.0.0", 8},
                                                                 {"192.168.0.0", 16},
                                                                 {"172.16.0.0", 12},
                                                                 {"127.0.0.1", 32},
                                                                 {"fd00::", 8},
                                                                 {"::1", 128}}) {
      out->push_back(*CidrRange::Create(prefix, length));
    }
    return out;
  }();
  return std::any_of(ranges->begin(), ranges->end(),
                     [&](const CidrRange& range) { return range.Contains(address); });
}

bool IsInternal(const Config& config, const Address& address) {
  if (address.kind() == Address::Kind::kPipe) return config.internal_unix_sockets;
  if (config.has_internal_address_config && config.internal_ranges.empty()) {
    return IsPrivate(address);
  }
  return std::any_of(config.internal_ranges.begin(), config.internal_ranges.end(),
                     [&](const CidrRange& range) { return range.Contains(address); });
}

void SetScheme(const RequestContext& context, Headers& request) {
  if (!request.Has(HeaderId::kXForwardedProto)) {
    request.SetReference(HeaderId::kXForwardedProto, SchemeOfConnection(context.connection));
  }
  if (!context.config.scheme_to_overwrite.empty()) {
    request.set_pseudo(HeaderId::kScheme, context.config.scheme_to_overwrite);
    request.Set(HeaderId::kXForwardedProto, context.config.scheme_to_overwrite);
    return;
  }
  absl::string_view scheme = request.scheme();
  if (scheme.empty()) {
    const absl::string_view forwarded = request.Value(HeaderId::kXForwardedProto);
    const bool usable =
        absl::EqualsIgnoreCase(forwarded, "http") || absl::EqualsIgnoreCase(forwarded, "https");
    scheme = usable ? forwarded : SchemeOfConnection(context.connection);
    request.set_pseudo_static(HeaderId::kScheme,
                              absl::EqualsIgnoreCase(scheme, "https") ? "https" : "http");
    return;
  }
  if (std::any_of(scheme.begin(), scheme.end(), absl::ascii_isupper)) {
    request.set_pseudo(HeaderId::kScheme, absl::AsciiStrToLower(scheme));
  }
}

// What only a client inside may ask of the proxies.
void RemoveInternalHeaders(bool edge, const xds::RouteTable* routes, Headers& request) {
  constexpr HeaderId kEdge[] = {HeaderId::kXEnvoyDecoratorOperation,
                                HeaderId::kXEnvoyDownstreamServiceCluster,
                                HeaderId::kXEnvoyDownstreamServiceNode};
  constexpr HeaderId kExternal[] = {HeaderId::kXEnvoyRetriableStatusCodes,
                                    HeaderId::kXEnvoyRetriableHeaderNames,
                                    HeaderId::kXEnvoyRetryOn,
                                    HeaderId::kXEnvoyRetryGrpcOn,
                                    HeaderId::kXEnvoyMaxRetries,
                                    HeaderId::kXEnvoyUpstreamAltStatName,
                                    HeaderId::kXEnvoyUpstreamRqTimeoutMs,
                                    HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs,
                                    HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse,
                                    HeaderId::kXEnvoyExpectedRqTimeoutMs,
                                    HeaderId::kXEnvoyForceTrace,
                                    HeaderId::kXEnvoyIpTags,
                                    HeaderId::kXEnvoyHedgeOnPerTryTimeout};
  if (edge) {
    for (const HeaderId id : kEdge) request.Remove(id);
  }
  for (const HeaderId id : kExternal) request.Remove(id);
  request.Remove("x-envoy-original-url");
  if (routes == nullptr) return;
  for (const std::string& name : routes->internal_only_headers()) request.Remove(name);
}

void SetUserAgent(const RequestContext& context, Headers& request) {
  if (!context.config.add_user_agent) return;
  request.SetReference(HeaderId::kXEnvoyDownstreamServiceCluster, context.service_cluster);
  if (request.Value(HeaderId::kUserAgent).empty()) {
    request.SetReference(HeaderId::kUserAgent, context.service_cluster);
  }
  if (!context.node_id.empty()) {
    request.SetReference(HeaderId::kXEnvoyDownstreamServiceNode, context.node_id);
  }
}

}  // namespace

ForwardedAddress AddressFromXff(const Headers& request, uint32_t hops) {
  ForwardedAddress out;
  const std::optional<absl::string_view> joined = request.GetJoined(HeaderId::kXForwardedFor);
  if (!joined) return out;
  absl::string_view rest = *joined;
  for (uint32_t i = 0; i < hops; ++i) {
    const size_t comma = rest.rfind(',');
    if (comma == absl::string_view::npos) return out;
    rest = rest.substr(0, comma);
  }
  const size_t comma = rest.rfind(',');
  const absl::string_view last =
      absl::StripAsciiWhitespace(comma == absl::string_view::npos ? rest : rest.substr(comma + 1));
  const std::optional<Address> address = Address::FromIp(last, 0);
  if (!address) return out;
  out.address = *address;
  out.found = true;
  out.single = hops == 0 && comma == absl::string_view::npos;
  return out;
}

void AppendVia(const std::string& via, Headers& headers) {
  if (!via.empty()) headers.AppendValue(HeaderId::kVia, via, ", ");
}

ClientVerdict PrepareRequestHeaders(const RequestContext& context, Headers& request) {
  const Config& config = context.config;
  RemoveHopByHop(context.upgrade, request);
  const Client client = config.use_remote_address ? ClientOfThisConnection(context, request)
                        : !config.original_ip_detection.empty()
                            ? ClientByDetection(context, request)
                            : ClientOfForwardedFor(context, request);
  ClientVerdict verdict;
  verdict.reject_status = client.reject_status;
  if (client.reject_status != 0) {
    verdict.remote = client.address;
    return verdict;
  }
  SetScheme(context, request);

  verdict.remote = client.address;
  verdict.internal = client.trusted && IsInternal(config, client.address);
  verdict.edge = !verdict.internal && config.use_remote_address;
  if (verdict.internal) {
    request.SetReference(HeaderId::kXEnvoyInternal, "true");
  } else {
    RemoveInternalHeaders(verdict.edge, context.routes, request);
  }
  SetUserAgent(context, request);
  AppendVia(config.via, request);
  if (verdict.edge && client.address.is_ip()) {
    request.Set(HeaderId::kXEnvoyExternalAddress, client.address.IpString(request.arena()));
  }
  SetRequestId(config, verdict.edge, context.random_high, context.random_low, request);
  PrepareClientCert(config, context.connection.tls, request);
  return verdict;
}

}  // namespace remora::proxy
