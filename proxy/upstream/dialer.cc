#include "proxy/upstream/dialer.h"

#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/net/connection.h"
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
Address BindAddress(const xds::Cluster& config, Address::Kind family) {
  if (!config.bind) return {};
  std::vector<xds::AddressSpec> specs = config.bind->extra_sources;
  if (config.bind->source) specs.insert(specs.begin(), *config.bind->source);
  for (const xds::AddressSpec& spec : specs) {
    const std::optional<Address> address = Address::FromIp(spec.host, spec.port);
    if (address && address->kind() == family) return *address;
  }
  return {};
}

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
    std::unique_ptr<ByteStream> stream =
        ConnectSocket(&loop, to, BindAddress(*target.cluster.config, to.kind()),
                      KeepaliveOf(*target.cluster.config), &error);
    if (stream == nullptr) {
      *reason = absl::StrCat("immediate connect error: ", strerror(error));
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
    return connection;
  }
};

}  // namespace

Dialer& SocketDialer() {
  static SocketsDialer dialer;
  return dialer;
}

}  // namespace remora::proxy
