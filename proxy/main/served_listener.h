#ifndef REMORA_PROXY_MAIN_SERVED_LISTENER_H_
#define REMORA_PROXY_MAIN_SERVED_LISTENER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "proxy/base/stats.h"
#include "proxy/net/listen_sockets.h"
#include "proxy/net/listener_filters.h"
#include "proxy/stream/access_log.h"
#include "proxy/stream/http_service.h"
#include "proxy/stream/log_file.h"
#include "proxy/stream/network_filter.h"
#include "proxy/stream/tcp_proxy.h"
#include "xds/listener.h"

namespace remora::proxy {

class ServerTlsContext;
class TokenBuckets;

// Downstream connections of the process, and how many there may be.
//
// Threads: any.
struct ConnectionBudget {
  explicit ConnectionBudget(std::optional<uint64_t> most) : limit(most) {}
  // By the overload manager's limit; without one, by runtime (which may be null).
  bool MayOpen(const Runtime* runtime) const;

  std::atomic<uint64_t> open{0};
  const std::optional<uint64_t> limit;
};

// A filter chain with what main derived from it.
struct ServedChain {
  std::shared_ptr<const xds::FilterChain> config;
  // In order; the last of them serves the connection where neither of the next two is set.
  NetworkFactories network;
  // One of the two at most.
  std::shared_ptr<const HttpService> http;
  std::shared_ptr<const TcpProxySettings> tcp;
  AccessLog tcp_log;
  // Null without TLS, and while a secret is missing: connections are then closed.
  std::shared_ptr<const ServerTlsContext> tls;
  bool wants_tls = false;
  const StatBlock* tls_factory = nullptr;  // SslFactoryStat; null without TLS
};

// A listener as workers serve it. A new object for each change; `id` tells whether it is the same
// listener (same sockets): its connections then stay, except those of chains that are gone.
//
// Threads: made on main, const, shared by workers.
struct ServedListener {
  uint64_t id = 0;
  std::shared_ptr<const xds::Listener> config;
  std::vector<std::shared_ptr<ListenGroup>> sockets;  // empty when it does not bind
  absl::flat_hash_map<const xds::FilterChain*, std::shared_ptr<const ServedChain>> chains;
  AccessLog access_log;
  ListenerFilterStats filter_stats;
  // Connections of the listener on all workers, and the runtime key that limits them.
  std::shared_ptr<std::atomic<uint64_t>> open;
  std::string limit_key;
  std::shared_ptr<ConnectionBudget> process;
  const StatBlock* stats = nullptr;            // ListenerStat
  std::vector<const StatBlock*> worker_stats;  // ListenerWorkerStat, by worker

  const ServedChain* ChainFor(const xds::ConnectionFacts& facts) const;
};

struct ListenerInput {
  std::shared_ptr<const xds::Listener> config;
  // The listener of that name so far, or null: its sockets and unchanged chains are kept.
  std::shared_ptr<const ServedListener> previous;
  bool refresh_tls = false;  // secrets changed: contexts are asked for anew
  size_t workers = 1;
  StatStore* stats = nullptr;
  LogFiles* logs = nullptr;
  TokenBuckets* buckets = nullptr;            // of network filters that share them
  std::shared_ptr<ConnectionBudget> process;  // null: no limit
  ListenSockets* sockets = nullptr;           // null: validate only, bind nothing
  Address host_address;
  std::string node_id;
  std::string service_cluster;
  std::function<absl::StatusOr<std::shared_ptr<const ServerTlsContext>>(
      const xds::DownstreamTls&, const std::string& stat_prefix)>
      tls;
};

// Makes a listener's next state: binds what is not bound, derives what changed. Main thread.
absl::StatusOr<std::shared_ptr<const ServedListener>> BuildListener(const ListenerInput& input);

// The part of statistics that names a listener: its stat_prefix or its address.
std::string ListenerStatName(const xds::Listener& config);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_SERVED_LISTENER_H_
