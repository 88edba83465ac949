#include "proxy/net/listener_filters.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace remora::proxy {
namespace {

// Of the kernel's NAT: linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h.
constexpr int kOriginalDestination = 80;

constexpr absl::string_view kTls = "tls";

absl::string_view AllOf(Body& input) { return input.Linearize(input.size()); }

// "tls_inspector."
enum class TlsStat {
  kTooLarge,
  kTlsFound,
  kTlsNotFound,
  kAlpnFound,
  kAlpnNotFound,
  kSniFound,
  kSniNotFound,
  kBytesProcessed,
};
constexpr StatDef kTlsStats[] = {
    {"client_hello_too_large", StatKind::kCounter}, {"tls_found", StatKind::kCounter},
    {"tls_not_found", StatKind::kCounter},          {"alpn_found", StatKind::kCounter},
    {"alpn_not_found", StatKind::kCounter},         {"sni_found", StatKind::kCounter},
    {"sni_not_found", StatKind::kCounter},          {"bytes_processed", StatKind::kHistogram},
};
// "http_inspector."
enum class HttpStat { kReadError, kHttp10, kHttp11, kHttp2, kNotFound };
constexpr StatDef kHttpStats[] = {
    {"read_error", StatKind::kCounter},     {"http10_found", StatKind::kCounter},
    {"http11_found", StatKind::kCounter},   {"http2_found", StatKind::kCounter},
    {"http_not_found", StatKind::kCounter},
};
// "proxy_proto.", "proxy_proto.PREFIX."
enum class ProxyStat {
  kNotFoundAllowed,
  kNotFoundDisallowed,
  kV1Disallowed,
  kV1Error,
  kV1Found,
  kV2Disallowed,
  kV2Error,
  kV2Found,
};
constexpr StatDef kProxyStats[] = {
    {"not_found_allowed", StatKind::kCounter},      {"not_found_disallowed", StatKind::kCounter},
    {"versions.v1.disallowed", StatKind::kCounter}, {"versions.v1.error", StatKind::kCounter},
    {"versions.v1.found", StatKind::kCounter},      {"versions.v2.disallowed", StatKind::kCounter},
    {"versions.v2.error", StatKind::kCounter},      {"versions.v2.found", StatKind::kCounter},
};
enum class ProxyErrorStat { kError };
constexpr StatDef kProxyErrorStats[] = {{"downstream_cx_proxy_proto_error", StatKind::kCounter}};

}  // namespace

ListenerFilterStats RegisterListenerFilterStats(const std::vector<xds::ListenerFilter>& filters,
                                                StatStore& store) {
  using Kind = xds::ListenerFilter::Kind;
  ListenerFilterStats out;
  for (const xds::ListenerFilter& filter : filters) {
    const StatBlock* block = nullptr;
    if (filter.kind == Kind::kTlsInspector) block = store.Register("tls_inspector.", kTlsStats);
    if (filter.kind == Kind::kHttpInspector) block = store.Register("http_inspector.", kHttpStats);
    if (filter.kind == Kind::kProxyProtocol) {
      block = store.Register(
          absl::StrCat("proxy_proto.", filter.stat_prefix, filter.stat_prefix.empty() ? "" : "."),
          kProxyStats);
      out.proxy_errors = store.Register("", kProxyErrorStats);
    }
    out.by_filter.push_back(block);
  }
  return out;
}

template <typename Stat>
void ListenerFilterRun::Count(Stat stat) {
  if (stats_ != nullptr) StatScope<Stat>(slab_->Cells(*stats_->by_filter[next_])).Add(stat);
}

template <typename Stat>
void ListenerFilterRun::Record(Stat stat, uint64_t value) {
  if (stats_ == nullptr) return;
  StatScope<Stat>(slab_->Cells(*stats_->by_filter[next_])).Record(stat, value);
}

ListenerFilterRun::Result ListenerFilterRun::Run(Connection& connection) {
  while (next_ < filters_.size()) {
    const xds::ListenerFilter& filter = filters_[next_];
    const bool off = filter.disabled && filter.disabled->Matches(connection.info().local.port());
    if (!off) {
      const Result result = RunOne(filter, connection);
      if (result != Result::kDone) return result;
    }
    ++next_;
  }
  return Result::kDone;
}

ListenerFilterRun::Result ListenerFilterRun::RunOne(const xds::ListenerFilter& filter,
                                                    Connection& connection) {
  switch (filter.kind) {
    case xds::ListenerFilter::Kind::kTlsInspector:
      return InspectTls(filter, connection);
    case xds::ListenerFilter::Kind::kHttpInspector:
      return InspectHttp(connection);
    case xds::ListenerFilter::Kind::kOriginalDst:
      return RestoreDestination(connection);
    case xds::ListenerFilter::Kind::kProxyProtocol:
      return ReadProxyHeader(filter, connection);
    case xds::ListenerFilter::Kind::kOther:
      return Result::kDone;  // refused with the listener
  }
  return Result::kReject;
}

ListenerFilterRun::Result ListenerFilterRun::InspectTls(const xds::ListenerFilter& filter,
                                                        Connection& connection) {
  switch (ParseClientHello(AllOf(connection.input()), filter.max_client_hello_size, &hello_)) {
    case HelloResult::kNeedMore:
      return Result::kNeedMore;
    case HelloResult::kTooLarge:
      Count(TlsStat::kTooLarge);
      return Result::kReject;
    case HelloResult::kNotTls:
      Count(TlsStat::kTlsNotFound);
      Record(TlsStat::kBytesProcessed, connection.input().size());
      return Result::kDone;
    case HelloResult::kTls:
      break;
  }
  Count(TlsStat::kTlsFound);
  Count(hello_.server_name.empty() ? TlsStat::kSniNotFound : TlsStat::kSniFound);
  Count(hello_.alpn.empty() ? TlsStat::kAlpnNotFound : TlsStat::kAlpnFound);
  Record(TlsStat::kBytesProcessed, connection.input().size());
  transport_protocol_ = kTls;
  connection.info().requested_server_name = hello_.server_name;
  application_protocols_.assign(hello_.alpn.begin(), hello_.alpn.end());
  return Result::kDone;
}

ListenerFilterRun::Result ListenerFilterRun::InspectHttp(Connection& connection) {
  if (transport_protocol_ == kTls) return Result::kDone;
  switch (GuessHttp(AllOf(connection.input()))) {
    case HttpGuess::kNeedMore:
      return Result::kNeedMore;
    case HttpGuess::kNotHttp:
      Count(HttpStat::kNotFound);
      break;
    case HttpGuess::kHttp10:
      Count(HttpStat::kHttp10);
      application_protocols_.assign(1, "http/1.0");
      break;
    case HttpGuess::kHttp11:
      Count(HttpStat::kHttp11);
      application_protocols_.assign(1, "http/1.1");
      break;
    case HttpGuess::kHttp2:
      Count(HttpStat::kHttp2);
      application_protocols_.assign(1, "h2c");
      break;
  }
  return Result::kDone;
}

ListenerFilterRun::Result ListenerFilterRun::ReadProxyHeader(const xds::ListenerFilter& filter,
                                                             Connection& connection) {
  auto header = std::make_unique<ProxyHeader>();
  const ProxyHeaderResult result = ParseProxyHeader(AllOf(connection.input()), header.get());
  if (result == ProxyHeaderResult::kNeedMore) return Result::kNeedMore;
  const bool allowed = header->version == 1 ? filter.allow_v1 : filter.allow_v2;
  if (result == ProxyHeaderResult::kNone ||
      (header->version != 0 && !allowed && filter.allow_without_proxy_protocol)) {
    // Where nobody is asked for a header, one of a version that is switched off is the stream's
    // own.
    const bool passes = filter.allow_without_proxy_protocol;
    Count(passes ? ProxyStat::kNotFoundAllowed : ProxyStat::kNotFoundDisallowed);
    return passes ? Result::kDone : RefuseProxyHeader();
  }
  const bool first = header->version == 1;
  if (!allowed) {
    Count(first ? ProxyStat::kV1Disallowed : ProxyStat::kV2Disallowed);
    return Result::kReject;
  }
  if (result == ProxyHeaderResult::kBroken) {
    Count(first ? ProxyStat::kV1Error : ProxyStat::kV2Error);
    return RefuseProxyHeader();
  }
  Count(first ? ProxyStat::kV1Found : ProxyStat::kV2Found);
  connection.input().Consume(header->size);
  if (header->source.kind() != Address::Kind::kNone) {
    connection.info().remote = header->source;
    destination_restored_ = connection.info().local != header->destination;
    connection.info().local_restored |= destination_restored_;
    connection.info().local = header->destination;
  }
  KeepTlvs(filter, *header, connection);
  proxy_ = std::move(header);
  return Result::kDone;
}

// TLVs that may be passed on, and those that rules turn into metadata.
void ListenerFilterRun::KeepTlvs(const xds::ListenerFilter& filter, const ProxyHeader& header,
                                 Connection& connection) {
  constexpr absl::string_view kNamespace = "envoy.filters.listener.proxy_protocol";
  for (const ProxyHeader::Tlv& tlv : header.tlvs) {
    const bool passes = filter.tlv_pass_all ||
                        std::count(filter.tlv_pass.begin(), filter.tlv_pass.end(), tlv.type) != 0;
    if (passes) AppendProxyTlv(tlv.type, tlv.value, &connection.proxy_tlvs());
    for (const xds::ListenerFilter::TlvRule& rule : filter.tlv_rules) {
      if (rule.type != tlv.type) continue;
      if (metadata_ == nullptr) metadata_ = std::make_unique<Metadata>();
      MetadataValue& space =
          metadata_->namespaces[rule.metadata_namespace.empty() ? std::string(kNamespace)
                                                                : rule.metadata_namespace];
      if (space.fields() == nullptr) space = MetadataValue::Fields();
      (*space.mutable_fields())[rule.key] = tlv.value;
    }
  }
}

ListenerFilterRun::Result ListenerFilterRun::RefuseProxyHeader() {
  if (stats_ != nullptr) {
    StatScope<ProxyErrorStat>(slab_->Cells(*stats_->proxy_errors)).Add(ProxyErrorStat::kError);
  }
  return Result::kReject;
}

ListenerFilterRun::Result ListenerFilterRun::RestoreDestination(Connection& connection) {
  const int descriptor = connection.stream().descriptor();
  if (descriptor < 0 || !connection.info().local.is_ip()) return Result::kDone;
  const int level = connection.info().local.kind() == Address::Kind::kIpv4 ? SOL_IP : SOL_IPV6;
  sockaddr_storage storage;
  socklen_t size = sizeof(storage);
  if (getsockopt(descriptor, level, kOriginalDestination, &storage, &size) != 0)
    return Result::kDone;
  const Address meant = Address::FromSockaddr(reinterpret_cast<sockaddr*>(&storage), size);
  // The kernel also tracks connections that nobody redirected: those were meant for this socket, or
  // for what a PROXY header says.
  sockaddr_storage own;
  socklen_t own_size = sizeof(own);
  const bool redirected =
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &own_size) != 0 ||
      Address::FromSockaddr(reinterpret_cast<sockaddr*>(&own), own_size) != meant;
  if (meant.is_ip() && redirected) {
    destination_restored_ = true;
    connection.info().local_restored = true;
    connection.info().local = meant;
  }
  return Result::kDone;
}

}  // namespace remora::proxy
