#ifndef REMORA_PROXY_UPSTREAM_TCP_POOL_H_
#define REMORA_PROXY_UPSTREAM_TCP_POOL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "health/admission.h"
#include "lb/policy.h"
#include "proxy/base/timer.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/pool.h"

namespace remora::proxy {

// A raw connection to a host of a cluster: claimed, connected, used by one session, closed. Counts
// what Envoy's TCP pools count and holds the breaker tickets. Embedded in the session; destroying
// it closes the connection.
//
// Threads: its loop's.
class TcpLease : private ConnectionEvents {
 public:
  TcpLease() = default;
  ~TcpLease() { Close(); }
  TcpLease(const TcpLease&) = delete;
  TcpLease& operator=(const TcpLease&) = delete;

  class User {
   public:
    // The connection is there, with its handshake done.
    virtual void OnTcpConnected() = 0;
    virtual void OnTcpFailed(const PoolFailure& failure) = 0;
    // Data, back-pressure and the end of the established connection.
    virtual void OnTcpData(bool eof) = 0;
    virtual void OnTcpOutputBlocked() = 0;
    virtual void OnTcpOutputDrained() = 0;
    virtual void OnTcpClosed(CloseKind kind, bool reset) = 0;

   protected:
    ~User() = default;
  };

  // Whose bytes the connection will carry; outlives Open().
  void set_downstream(const Connection* downstream) { downstream_ = downstream; }
  // Connects to a chosen host. Overflow is answered from inside, everything else in a later turn.
  void Open(ClusterView& view, const lb::Choice& choice, health::RoutingPriority priority,
            User* user);
  // Closes what there is; nothing is called afterwards. Idempotent.
  void Close();

  bool connected() const { return connected_; }
  // From OnTcpConnected() to OnTcpClosed().
  Connection& connection() { return *connection_; }
  HostPools* host() const { return host_; }
  int64_t connect_start_ns() const { return connect_start_ns_; }
  int64_t connect_end_ns() const { return connect_end_ns_; }

 private:
  void OnConnected() override;
  void OnData(bool eof) override;
  void OnOutputBlocked() override;
  void OnOutputDrained() override;
  void OnOutputEmpty() override;
  void OnClosed(CloseKind kind, bool reset) override;

  void OnConnectTimer();
  void FailConnect(PoolFailureKind kind, bool local);
  // Overflow: nothing was opened. The breaker of connections has counted by itself.
  void Refuse(std::optional<ClusterStat> stat);
  // Gives back tickets, counts and the connection.
  void End(bool local);
  void CountBytes();

  ClusterRef cluster_;
  HostPools* host_ = nullptr;
  User* user_ = nullptr;
  const Connection* downstream_ = nullptr;
  std::unique_ptr<Connection> connection_;
  std::optional<Timer> connect_timer_;
  health::Ticket connection_ticket_;
  health::Ticket request_ticket_;  // of pending until connected
  std::string failure_reason_;
  int64_t connect_start_ns_ = 0;
  int64_t connect_end_ns_ = 0;
  uint64_t counted_read_ = 0;
  uint64_t counted_written_ = 0;
  health::RoutingPriority priority_ = health::RoutingPriority::kDefault;
  bool connected_ = false;
  bool pending_counted_ = true;  // in upstream_rq_pending_active, until connected
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_TCP_POOL_H_
