#include "proxy/upstream/dialer.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proxy/net/connection.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/net/socket_stream.h"
#include "proxy/net/tls_transport.h"
#include "proxy/upstream/cluster.h"

namespace remora::proxy {
namespace {

SocketKeepalive KeepaliveOf(const xds::Cluster& config) {
  SocketKeepalive keepalive;
  keepalive.enabled = config.has_tcp_keepalive;
  keepalive.probes = static_cast<int>(config.tcp_keepalive.probes.value_or(0));
  keepalive.time_s = static_cast<int>(config.tcp_keepalive.time_seconds.value_or(0));
  keepalive.interval_s = static_cast<int>(config.tcp_keepalive.interval_seconds.value_or(0));
  return keepalive;
}

// The local end for a peer of this family; an empty address lets the system choose.
Address BindAddress(const Cluster& cluster, Address::Kind family) {
  const xds::BindConfig* bind =
      cluster.config->bind ? &*cluster.config->bind : cluster.default_bind.get();
  if (bind == nullptr) return {};
  std::vector<xds::AddressSpec> specs = bind->extra_sources;
  if (bind->source) specs.insert(specs.begin(), *bind->source);
  for (const xds::AddressSpec& spec : specs) {
    const std::optional<Address> address = Address::FromIp(spec.host, spec.port);
    if (address && address->kind() == family) return *address;
  }
  return {};
}

// The TLVs that the transport adds, and those of the client's side that it lets pass.
std::string TlvsOf(const xds::UpstreamTransport& transport, absl::string_view downstream) {
  std::string out;
  for (const auto& [type, value] : transport.added_tlvs) AppendProxyTlv(type, value, &out);
  for (size_t at = 0; at + 3 <= downstream.size();) {
    const size_t size = 3 + ((static_cast<uint8_t>(downstream[at + 1]) << 8) |
                             static_cast<uint8_t>(downstream[at + 2]));
    const auto type = static_cast<uint8_t>(downstream[at]);
    const bool passes = transport.pass_all_tlvs || std::count(transport.pass_tlvs.begin(),
                                                              transport.pass_tlvs.end(), type) != 0;
    if (passes) absl::StrAppend(&out, downstream.substr(at, size));
    at += size;
  }
  return out;
}

// Who speaks: the client, or without one (a health check) the proxy itself.
std::string PrefaceOf(const xds::UpstreamTransport& transport, const Connection* downstream,
                      Connection& upstream, const Address& to) {
  const int version = transport.proxy_protocol_version;
  if (downstream != nullptr) {
    const ConnectionInfo& client = downstream->info();
    return WriteProxyHeader(version, client.remote, client.local,
                            TlvsOf(transport, downstream->proxy_tlvs()));
  }
  if (version == 2) return WriteProxyHeader(2, {}, {}, {});
  return WriteProxyHeader(1, upstream.stream().local_address(), to, {});
}

constexpr absl::string_view kBindFailed = "failed to bind to ";
constexpr absl::string_view kConnectFailed = "immediate connect error: ";

class SocketsDialer final : public Dialer {
 public:
  std::unique_ptr<Connection> Dial(Loop& loop, const DialTarget& target,
                                   std::string* reason) override {
    const bool tls = target.transport.config != nullptr &&
                     target.transport.config->kind == xds::UpstreamTransport::Kind::kTls;
    if (tls && target.transport.tls == nullptr) {
      *reason = "TLS_error:_Secret_is_not_supplied_by_SDS";
      return nullptr;
    }
    const Address to =
        Address::FromSockaddr(target.host.address().get(), target.host.address().length());
    int error = 0;
    bool binding = false;
    const Address from = BindAddress(target.cluster, to.kind());
    std::unique_ptr<ByteStream> stream =
        ConnectSocket(&loop, to, from, KeepaliveOf(*target.cluster.config), &error, &binding);
    if (stream == nullptr) {
      *reason = binding ? absl::StrCat(kBindFailed, from.ToString(), ": ", strerror(error))
                        : absl::StrCat(kConnectFailed, strerror(error),
                                       "|remote address:", to.ToString());
      return nullptr;
    }
    const bool check_sni = !target.sni.empty() && target.cluster.config->http.auto_san_validation;
    std::unique_ptr<Transport> transport = tls ? MakeClientTls(target.transport.tls, target.stats,
                                                               {target.sni, target.alpn, check_sni})
                                               : MakeRawTransport();
    auto connection =
        std::make_unique<Connection>(&loop, std::move(stream), std::move(transport),
                                     target.cluster.config->per_connection_buffer_limit);
    connection->info().direct_remote = connection->info().remote = to;
    if (target.transport.config != nullptr &&
        target.transport.config->proxy_protocol_version != 0) {
      connection->SetPreface(
          PrefaceOf(*target.transport.config, target.downstream, *connection, to));
    }
    return connection;
  }
};

}  // namespace

PoolFailureKind KindOfDialFailure(absl::string_view reason) {
  return absl::StartsWith(reason, kConnectFailed) ? PoolFailureKind::kConnectFailed
                                                  : PoolFailureKind::kLocalFailed;
}

bool FailedToBind(absl::string_view reason) { return absl::StartsWith(reason, kBindFailed); }

Dialer& SocketDialer() {
  static SocketsDialer dialer;
  return dialer;
}

}  // namespace remora::proxy
