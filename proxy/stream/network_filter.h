#ifndef REMORA_PROXY_STREAM_NETWORK_FILTER_H_
#define REMORA_PROXY_STREAM_NETWORK_FILTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/filter_state.h"
#include "filters/api/stream_info.h"
#include "filters/metadata.h"
#include "proxy/base/stats.h"
#include "proxy/net/connection.h"
#include "xds/listener.h"

namespace remora::proxy {

class HttpWorker;
class NetworkChain;
class TokenBuckets;

// Keys of the filter state that the TCP proxy reads.
inline constexpr absl::string_view kTcpProxyClusterKey = "envoy.tcp_proxy.cluster";
inline constexpr absl::string_view kTcpProxyIdleTimeoutKey =
    "envoy.tcp_proxy.per_connection_idle_timeout_ms";

// Plug point: a filter of one raw connection, in front of what serves it. Hooks are called on the
// connection's loop; a hook may close the connection through its chain.
class NetworkFilter {
 public:
  enum class Verdict {
    kContinue,
    kStop,  // nothing behind this filter is asked; it has closed the connection or will
  };

  virtual ~NetworkFilter() = default;

  // Before the first byte and before a TLS handshake.
  virtual Verdict OnNewConnection() { return Verdict::kContinue; }
  // Bytes (after the handshake) are in the connection's input(), or it ended. What is left there
  // goes to the next filter. Called for each arrival for as long as wants_data().
  virtual Verdict OnData(bool /*eof*/) { return Verdict::kContinue; }
  virtual bool wants_data() const { return false; }
  // The connection is over; the last call, always made.
  virtual void OnClosed() {}
};

// Const, made on main, shared by workers.
class NetworkFilterFactory {
 public:
  virtual ~NetworkFilterFactory() = default;
  // `chain` outlives the filter.
  virtual std::unique_ptr<NetworkFilter> Create(NetworkChain& chain) const = 0;
};
using NetworkFactories = std::vector<std::shared_ptr<const NetworkFilterFactory>>;

struct NetworkFactoryInput {
  StatStore* stats = nullptr;
  TokenBuckets* buckets = nullptr;  // shared by key; outlives the call only
};

// The factory for a filter's settings, from the table in network_registry.cc. Main thread.
absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> MakeNetworkFactory(
    const xds::NetworkFilter& config, const NetworkFactoryInput& input);

// The network filters of one connection. Stands at the connection's gate: what serves the
// connection hears of bytes only once every filter let them pass.
//
// Threads: the connection's loop. Lifetime: the connection's user keeps it until the connection is
// buried.
class NetworkChain final : private ConnectionGate {
 public:
  // `info` is the connection's account for logs. All outlive the chain's last hook.
  NetworkChain(HttpWorker* worker, Connection* connection, StreamInfo* info,
               const NetworkFactories& factories);
  ~NetworkChain();

  // Runs OnNewConnection of all, in order. False: a filter keeps or has closed the connection, and
  // nothing may begin to serve it.
  bool Begin();

  // For filters.
  HttpWorker& worker() { return *worker_; }
  Connection& connection() { return *connection_; }
  StreamInfo& info() { return *info_; }
  FilterState& state() { return state_; }
  void SetState(absl::string_view key, std::string text);
  // Sets one field of a namespace of the connection's dynamic metadata.
  void SetMetadata(absl::string_view space, absl::string_view key, MetadataValue value);
  // Closes at once; `reason` is static and goes to the log (%DOWNSTREAM_LOCAL_CLOSE_REASON%).
  void Close(absl::string_view reason);

 private:
  // ConnectionGate
  bool Admit(bool eof) override;
  void OnConnectionClosed() override;

  HttpWorker* worker_;
  Connection* connection_;
  StreamInfo* info_;
  std::vector<std::unique_ptr<NetworkFilter>> filters_;
  std::vector<NetworkFilter*> readers_;  // those that still want data, in order
  FilterState state_;
  Metadata metadata_;
  bool closed_told_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_NETWORK_FILTER_H_
