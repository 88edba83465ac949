#ifndef REMORA_PROXY_NET_TLS_TRANSPORT_H_
#define REMORA_PROXY_NET_TLS_TRANSPORT_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proxy/base/stats.h"
#include "proxy/net/tls_context.h"
#include "proxy/net/transport.h"

namespace remora::proxy {

// TLS on the accepting side. The transport keeps the context. `stats`: this thread's slab.
std::unique_ptr<Transport> MakeServerTls(std::shared_ptr<const ServerTlsContext> context,
                                         StatSlab& stats);

// What one upstream connection asks for; the context's settings go before `alpn` and behind `sni`.
struct ClientTlsTarget {
  // Server name to send; empty: as the context says.
  absl::string_view sni;
  // Offered when the context names no protocols.
  absl::Span<const absl::string_view> alpn;
  // The certificate must be for the server name, whatever else it must match.
  bool check_sni = false;
};

// TLS on the connecting side. `stats` may be null: then nothing is counted.
std::unique_ptr<Transport> MakeClientTls(std::shared_ptr<const ClientTlsContext> context,
                                         StatSlab* stats, const ClientTlsTarget& target);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_TLS_TRANSPORT_H_
