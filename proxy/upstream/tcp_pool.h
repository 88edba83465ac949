#ifndef REMORA_PROXY_UPSTREAM_TCP_POOL_H_
#define REMORA_PROXY_UPSTREAM_TCP_POOL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "health/admission.h"
#include "lb/policy.h"
#include "proxy/base/timer.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/pool.h"

namespace remora::proxy {

// A raw connection to a host of a cluster: claimed, connected, used by one session, closed. Counts
// what Envoy's TCP pools count and holds the breaker tickets. Embedded in the session; destroying it
// closes the connection.
//
// Threads: its loop's.
class TcpLease : private ConnectionEvents {
 public:
  TcpLease();
  ~TcpLease();
  TcpLease(const TcpLease&) = delete;
  TcpLease& operator=(const TcpLease&) = delete;

  class User {
   public:
    // The connection is there, with its handshake done. The user's events are set by then.
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

  // Connects to a chosen host. The answer comes in a later turn, except overflow, which may come from
  // inside.
  void Open(ClusterView& view, const lb::Choice& choice, health::RoutingPriority priority, User* user);
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
  void OnClosed(CloseKind kind, bool reset) override;

  void OnConnectTimeout();
  void Fail(PoolFailureKind kind, absl::string_view reason);
  void Ended(bool local);
  void CountBytes();

  ClusterRef cluster_;
  HostPools* host_ = nullptr;
  User* user_ = nullptr;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Timer> connect_timer_;
  health::Ticket connection_ticket_;
  health::Ticket request_ticket_;  // of pending until connected
  std::string failure_reason_;
  int64_t connect_start_ns_ = 0;
  int64_t connect_end_ns_ = 0;
  uint64_t counted_read_ = 0;
  uint64_t counted_written_ = 0;
  bool connected_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_TCP_POOL_H_
