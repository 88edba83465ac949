#ifndef REMORA_PROXY_UPSTREAM_UPSTREAM_CONNECTION_H_
#define REMORA_PROXY_UPSTREAM_UPSTREAM_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "proxy/base/graveyard.h"
#include "proxy/base/timer.h"
#include "proxy/codec/codec.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/pool.h"

namespace remora::proxy {

// One connection of an HTTP pool: connects within the cluster's deadline (handshake included), picks
// its codec, carries exchanges, ends by idle time, age, number of requests or the peer's wish.
//
// Threads: its loop's. Lifetime: owned by its pool, buried when it is closed; leases that are open
// then hear OnReset from the codec first.
class UpstreamConnection final : public Mortal,
                                 private ConnectionEvents,
                                 private CodecHost,
                                 private ClientCodecEvents {
 public:
  enum State : uint8_t { kConnecting, kReady, kBusy, kDraining, kClosed };

  // Starts to connect. Without a connection (`error` in `failure_reason`), it fails in a later turn.
  explicit UpstreamConnection(HttpPool* pool);
  ~UpstreamConnection() override;

  State state() const { return state_; }
  Protocol protocol() const;
  Connection& connection() { return *connection_; }
  // Times of its making, monotonic.
  int64_t connect_start_ns() const { return connect_start_ns_; }
  int64_t connect_end_ns() const { return connect_end_ns_; }
  // Exchanges open on it.
  uint32_t leased() const { return leased_; }
  // Finishes what is open, then closes.
  void Drain();

 private:
  friend class HttpPool;
  friend class StreamLease;

  // ConnectionEvents
  void OnConnected() override;
  void OnData(bool eof) override;
  void OnOutputBlocked() override;
  void OnOutputDrained() override;
  void OnOutputEmpty() override;
  void OnClosed(CloseKind kind, bool reset) override;
  // CodecHost
  Body& output() override;
  void WantFlush() override;
  void WantFeed() override;
  void OnIdleChange(bool idle) override;
  // ClientCodecEvents
  void OnGoAway() override;
  void OnMaxStreams(uint32_t most) override;
  void OnStreamClosed() override;
  void OnPingAck() override;

  void Start();
  void OnConnectTimeout();
  void OnIdleTimeout();
  void OnAgeLimit();
  void OnKeepalive();
  void MakeCodec();
  bool Feed();
  // The state that its codec and its limits amount to now.
  State Fitting() const;
  uint32_t Capacity() const;
  void Settle();
  void ArmIdle();
  void Close(bool local);
  void Ended(bool local);
  void CountBytes();

  // Links of the pool's lists.
  UpstreamConnection* prev_ = nullptr;
  UpstreamConnection* next_ = nullptr;

  HttpPool* pool_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<ClientCodec> codec_;
  health::Ticket ticket_;
  Timer connect_timer_;
  Timer idle_timer_;
  Timer age_timer_;
  Timer keepalive_timer_;
  std::string failure_reason_;
  int64_t connect_start_ns_ = 0;
  int64_t connect_end_ns_ = 0;
  uint64_t counted_read_ = 0;
  uint64_t counted_written_ = 0;
  uint64_t requests_ = 0;
  uint32_t remaining_requests_ = UINT32_MAX;
  uint32_t max_streams_ = 1;
  uint32_t leased_ = 0;
  State state_ = kConnecting;
  bool timed_out_ = false;
  bool ping_open_ = false;
  bool drain_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_UPSTREAM_CONNECTION_H_
