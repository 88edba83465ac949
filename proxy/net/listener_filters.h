#ifndef REMORA_PROXY_NET_LISTENER_FILTERS_H_
#define REMORA_PROXY_NET_LISTENER_FILTERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "filters/metadata.h"
#include "proxy/base/stats.h"
#include "proxy/net/connection.h"
#include "proxy/net/http_inspector.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/net/tls_inspector.h"
#include "xds/listener.h"

namespace remora::proxy {

// Where listener filters count, made on main with a listener: one block for each filter (null for
// one that counts nothing), and one that all PROXY protocol filters share.
struct ListenerFilterStats {
  std::vector<const StatBlock*> by_filter;
  const StatBlock* proxy_errors = nullptr;
};
ListenerFilterStats RegisterListenerFilterStats(const std::vector<xds::ListenerFilter>& filters,
                                                StatStore& store);

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

  // Without `stats` nothing is counted; they and `slab` (the loop's) outlive the run.
  explicit ListenerFilterRun(const std::vector<xds::ListenerFilter>& filters,
                             const ListenerFilterStats* stats = nullptr, StatSlab* slab = nullptr)
      : filters_(filters), stats_(stats), slab_(slab) {}

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
  // What rules of PROXY protocol filters made of its TLVs; null when there is nothing.
  const Metadata* metadata() const { return metadata_.get(); }
  // The local address of the connection's info is now where the client meant to go.
  bool destination_restored() const { return destination_restored_; }

 private:
  Result Run(Connection& connection);
  Result RunOne(const xds::ListenerFilter& filter, Connection& connection);
  Result InspectTls(const xds::ListenerFilter& filter, Connection& connection);
  Result InspectHttp(Connection& connection);
  Result ReadProxyHeader(const xds::ListenerFilter& filter, Connection& connection);
  Result RefuseProxyHeader();
  void KeepTlvs(const xds::ListenerFilter& filter, const ProxyHeader& header,
                Connection& connection);
  Result RestoreDestination(Connection& connection);
  // Counts in the block of the filter that runs.
  template <typename Stat>
  void Count(Stat stat);
  template <typename Stat>
  void Record(Stat stat, uint64_t value);

  const std::vector<xds::ListenerFilter>& filters_;
  const ListenerFilterStats* stats_;
  StatSlab* slab_;
  size_t next_ = 0;
  absl::string_view transport_protocol_;
  std::vector<absl::string_view> application_protocols_;
  ClientHello hello_;
  std::unique_ptr<ProxyHeader> proxy_;
  std::unique_ptr<Metadata> metadata_;
  bool destination_restored_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_LISTENER_FILTERS_H_
