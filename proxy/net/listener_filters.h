#ifndef REMORA_PROXY_NET_LISTENER_FILTERS_H_
#define REMORA_PROXY_NET_LISTENER_FILTERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proxy/net/connection.h"
#include "proxy/net/http_inspector.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/net/tls_inspector.h"
#include "xds/listener.h"

namespace remora::proxy {

// The listener filters of one accepted connection, run in order before its filter chain is chosen.
// They look at what the client sent first, which stays in connection.input(); only the PROXY
// protocol's header is taken out.
//
// Threads: the connection's loop. Lifetime: the filters' configuration outlives it; what it learned
// (names are referred to by connection.info()) is valid as long as it lives.
class ListenerFilterRun {
 public:
  enum class Result {
    kDone,
    kNeedMore,  // call OnData() again when more has arrived
    kReject,    // close the connection
  };

  explicit ListenerFilterRun(const std::vector<xds::ListenerFilter>& filters) : filters_(filters) {}

  // Runs filters up to the first that needs bytes.
  Result OnStart(Connection& connection) { return Run(connection); }
  // New bytes are in connection.input().
  Result OnData(Connection& connection) { return Run(connection); }

  // "tls", or "" when nobody found out.
  absl::string_view transport_protocol() const { return transport_protocol_; }
  // What the ClientHello offers, or what http_inspector recognised.
  absl::Span<const absl::string_view> application_protocols() const {
    return application_protocols_;
  }
  // Of the PROXY protocol's header, when there was one.
  const ProxyHeader* proxy_header() const { return proxy_.get(); }

 private:
  Result Run(Connection& connection);
  Result RunOne(const xds::ListenerFilter& filter, Connection& connection);
  Result InspectTls(const xds::ListenerFilter& filter, Connection& connection);
  Result InspectHttp(Connection& connection);
  Result ReadProxyHeader(const xds::ListenerFilter& filter, Connection& connection);
  Result RestoreDestination(Connection& connection);

  const std::vector<xds::ListenerFilter>& filters_;
  size_t next_ = 0;
  absl::string_view transport_protocol_;
  std::vector<absl::string_view> application_protocols_;
  ClientHello hello_;
  std::unique_ptr<ProxyHeader> proxy_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_LISTENER_FILTERS_H_
