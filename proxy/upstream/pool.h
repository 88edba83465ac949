#ifndef REMORA_PROXY_UPSTREAM_POOL_H_
#define REMORA_PROXY_UPSTREAM_POOL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "health/admission.h"
#include "lb/host.h"
#include "proxy/base/loop.h"
#include "proxy/codec/codec.h"
#include "proxy/upstream/cluster.h"

namespace remora::proxy {

class ClusterView;
class HttpPool;
class UpstreamConnection;
struct HostPools;

enum class PoolFailureKind : uint8_t {
  kOverflow,       // a breaker is open
  kConnectFailed,  // refused, reset or closed before it was usable, handshake failed
  kLocalFailed,    // never tried: no descriptor, no TLS context
  kTimeout,        // connect_timeout, the handshake included
};

struct PoolFailure {
  PoolFailureKind kind = PoolFailureKind::kConnectFailed;
  // Why the transport failed ("TLS_error:|..."), for bodies and logs; valid during the call.
  absl::string_view transport_reason;
};

// One exchange's claim on an upstream stream. Embedded in whoever makes the exchange; destroying or
// cancelling it gives the claim up (a waiting one leaves the queue, an open stream is reset).
//
//   Open() -> OnLeased() | OnLeaseFailed(), perhaps from inside Open() -> ... -> Finish()
class StreamLease {
 public:
  StreamLease() = default;
  StreamLease(const StreamLease&) = delete;
  StreamLease& operator=(const StreamLease&) = delete;

  // Asks `pool` for a stream. A pooled connection that is ready serves at once.
  void Open(HttpPool& pool);
  // The exchange is over in both directions or was reset by the codec: the stream is dead and the
  // connection may be used again.
  void Finish();
  // Gives up: resets the stream if there is one. Nothing is called afterwards. Idempotent.
  void Cancel();

  bool waiting() const { return state_ == State::kWaiting; }
  bool open() const { return state_ == State::kOpen; }
  CodecStream* stream() const { return stream_; }
  UpstreamConnection* connection() const { return connection_; }

 protected:
  // The deriving class cancels in its own destructor, while its sink still stands.
  ~StreamLease() = default;

  // The receiving end for the stream.
  virtual MessageSink* lease_sink() = 0;
  // stream() and connection() are there; headers may be sent.
  virtual void OnLeased() = 0;
  // The lease is as new; it may be opened again, also on another pool.
  virtual void OnLeaseFailed(const PoolFailure& failure) = 0;

 private:
  friend class HttpPool;
  friend class UpstreamConnection;
  enum class State : uint8_t { kIdle, kWaiting, kOpen };

  State state_ = State::kIdle;
  bool clean_ = true;
  HttpPool* pool_ = nullptr;
  UpstreamConnection* connection_ = nullptr;
  CodecStream* stream_ = nullptr;
  health::Ticket ticket_;  // of pending, then of requests
  StreamLease* prev_ = nullptr;
  StreamLease* next_ = nullptr;
};

enum class UpstreamProtocol : uint8_t { kHttp1, kHttp2, kAuto };

// What tells the pools of one host apart.
struct PoolKey {
  UpstreamProtocol protocol = UpstreamProtocol::kHttp1;
  health::RoutingPriority priority = health::RoutingPriority::kDefault;
  int transport = -1;  // index into Cluster::matched_transports; -1: the cluster's own
  // Server name and subject names from the request (auto_sni); empty: as configured.
  absl::string_view sni;
};

// Lends ready streams of one host on one worker: HTTP/1 connections one exchange at a time, the
// last used first; HTTP/2 connections up to their limits. Opens connections as the breakers allow
// (one always) while exchanges wait.
//
// Threads: its loop's. Lifetime: owned by HostPools; lives on, draining, when the host has left,
// until its last connection is closed. Lending from a pooled connection does not allocate.
class HttpPool {
 public:
  HttpPool(ClusterView* view, HostPools* host, const PoolKey& key);
  ~HttpPool();
  HttpPool(const HttpPool&) = delete;
  HttpPool& operator=(const HttpPool&) = delete;

  bool Serves(const PoolKey& key) const;
  // No new connections; idle ones close, the others when their exchanges are done.
  void Drain();
  bool unused() const;

  ClusterView& view() { return *view_; }
  HostPools& host() { return *host_; }
  health::RoutingPriority priority() const { return priority_; }
  UpstreamProtocol protocol() const { return protocol_; }
  const std::string& sni() const { return sni_; }
  int transport() const { return transport_; }
  size_t connections() const {
    return connecting_.size + ready_.size + busy_.size + draining_.size;
  }
  bool draining() const { return drain_; }
  size_t waiting() const { return waiting_size_; }

 private:
  friend class StreamLease;
  friend class UpstreamConnection;

  // Connections by state; a connection is in exactly one list.
  struct ConnectionList {
    UpstreamConnection* head = nullptr;
    UpstreamConnection* tail = nullptr;
    size_t size = 0;
  };

  // Of StreamLease.
  void Claim(StreamLease* lease);
  void StopWaiting(StreamLease* lease);

  // Of UpstreamConnection.
  void OnConnected(UpstreamConnection* connection);
  // It closed before it could serve: nobody waits any longer in vain.
  void OnConnectFailed(const PoolFailure& failure);
  // Its state changed to `state` (UpstreamConnection::State).
  void Move(UpstreamConnection* connection, uint8_t state);
  // There may be room: serves those who wait, opens connections for the others.
  void ServeWaiting();
  // It is closed: out of every list, and dead at the end of the turn.
  void Remove(UpstreamConnection* connection);

  bool Attach(StreamLease* lease, UpstreamConnection* connection);
  void Fail(StreamLease* lease, const PoolFailure& failure);
  bool Grow();
  void Preconnect();
  ConnectionList& ListOf(uint8_t state);
  void Unlink(UpstreamConnection* connection);
  void Enqueue(StreamLease* lease);
  void Dequeue(StreamLease* lease);

  ClusterView* view_;
  HostPools* host_;
  UpstreamProtocol protocol_;
  health::RoutingPriority priority_;
  int transport_;
  std::string sni_;
  bool drain_ = false;

  ConnectionList connecting_;
  ConnectionList ready_;  // the last used at the head
  ConnectionList busy_;
  ConnectionList draining_;
  StreamLease* waiting_head_ = nullptr;
  StreamLease* waiting_tail_ = nullptr;
  size_t waiting_size_ = 0;
  // Streams that the connections under way can be expected to carry.
  uint64_t coming_ = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_POOL_H_
