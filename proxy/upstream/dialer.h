#ifndef REMORA_PROXY_UPSTREAM_DIALER_H_
#define REMORA_PROXY_UPSTREAM_DIALER_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lb/host.h"
#include "proxy/base/loop.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/pool.h"

namespace remora::proxy {

// What a connection to a host needs to know. References are valid during the call.
struct DialTarget {
  const lb::Host& host;
  const Cluster& cluster;
  const ClusterTransport& transport;
  // Server name from the request (auto_sni); empty: as configured.
  absl::string_view sni;
  // Offered by ALPN unless the TLS settings name others.
  absl::Span<const absl::string_view> alpn;
  // The calling thread's, for the handshake's counts; null: it is not counted.
  StatSlab* stats = nullptr;
  // The client's connection that this one is for alone, for a PROXY protocol header; may be null.
  const Connection* downstream = nullptr;
};

// Plug point: how upstream connections come to be. The sockets' one is the default; tests put
// in-memory streams in its place.
class Dialer {
 public:
  virtual ~Dialer() = default;
  // A connection that is connecting; not started. Null when it cannot even be tried: `reason` then
  // says why.
  virtual std::unique_ptr<Connection> Dial(Loop& loop, const DialTarget& target,
                                           std::string* reason) = 0;
};

// What a connection that could not even be tried failed by, from the reason that the dialer gave.
PoolFailureKind KindOfDialFailure(absl::string_view reason);
// Whether it was the local end that could not be had.
bool FailedToBind(absl::string_view reason);

// Connects sockets; dresses them in TLS as the target's transport says. Stateless, for any loop.
Dialer& SocketDialer();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_DIALER_H_
