#ifndef REMORA_PROXY_UPSTREAM_UPSTREAM_CONNECTION_H_
#define REMORA_PROXY_UPSTREAM_UPSTREAM_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "proxy/base/graveyard.h"
#include "proxy/base/timer.h"
#include "proxy/codec/codec.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/cluster_stats.h"
#include "proxy/upstream/pool.h"

namespace remora::proxy {

// One connection of an HTTP pool: connects within the cluster's deadline (handshake included),
// picks its codec, carries exchanges, ends by idle time, age, number of requests or the peer's
// wish.
//
// Threads: its loop's. Lifetime: owned by its pool, buried when it is closed; leases that are open
// then hear OnReset from the codec first.
class UpstreamConnection final : public Mortal,
                                 private Loop::TurnItem,
                                 private ConnectionEvents,
                                 private CodecHost,
                                 private ClientCodecEvents {
 public:
  enum State : uint8_t { kConnecting, kReady, kBusy, kDraining, kClosed };

  // Starts to connect, or to fail in a later turn. `ticket`: of the connection.
  UpstreamConnection(HttpPool* pool, health::Ticket ticket);
  ~UpstreamConnection() override;

  State state() const { return state_; }
  Protocol protocol() const { return codec_ == nullptr ? Protocol::kNone : codec_->protocol(); }
  Connection& connection() { return *connection_; }
  // Monotonic.
  int64_t connect_start_ns() const { return connect_start_ns_; }
  int64_t connect_end_ns() const { return connect_end_ns_; }
  // Exchanges open on it.
  uint32_t leased() const { return leased_; }
  // The peer broke the protocol; streams that end with the connection end because of it.
  bool protocol_error() const { return protocol_error_; }
  // Finishes what is open, then closes.
  void Drain();

 private:
  friend class HttpPool;
  friend class StreamLease;
  friend class ConnectionHold;

  // ConnectionEvents
  void OnConnected() override;
  void OnData(bool eof) override;
  void OnOutputBlocked() override;
  void OnOutputDrained() override;
  void OnOutputEmpty() override;
  void OnClosed(CloseKind kind, bool reset) override;
  // CodecHost
  Body& output() override { return connection_->output(); }
  void WantFlush() override { connection_->Flush(); }
  void WantFeed() override {
    connection_->ResumeReading(Connection::kPauseUser);
    connection_->RedeliverInput();
  }
  void OnIdleChange(bool /*idle*/) override {}
  int64_t now_ns() override { return loop_->now_ns(); }
  // ClientCodecEvents
  void OnGoAway() override;
  void OnMaxStreams(uint32_t most) override;
  void OnStreamClosed() override;
  void OnPingAck() override;

  void Dial();
  void MakeCodec(bool http2);
  // A stream for a lease; null when the codec has no room after all.
  CodecStream* OpenStream(MessageSink* sink);
  void StreamFinished(bool clean);

  void OnConnectTimer();
  void OnIdleTimer();
  void OnAgeTimer();
  void OnKeepaliveTimer();

  // Exchanges that fit on it besides those it has.
  uint32_t Room() const;
  // Brings its state in line with codec and limits. One that is of no more use closes at the end of
  // the turn, never from inside its codec.
  void Settle();
  void RunAtEndOfTurn() override;
  bool Usable() const;
  void Close(bool local);
  void End(bool local);
  void CountEnd(bool local);
  void CountBytes();
  // Its pool's cluster.
  ClusterView& view();
  const StatScope<ClusterStat>& stats();

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
  uint32_t expected_ = 1;  // exchanges that waiting ones may hope for while it connects
  uint32_t remaining_requests_ = UINT32_MAX;
  uint32_t max_streams_ = 1;
  uint32_t leased_ = 0;
  State state_ = kConnecting;
  bool timed_out_ = false;
  bool ping_open_ = false;
  bool drain_ = false;
  bool protocol_error_ = false;
  bool cut_exchanges_ = false;  // the peer's end came while exchanges were open
  bool listed_ = false;
  uint32_t holds_ = 0;
  Loop* loop_;
};

// Keeps an UpstreamConnection in memory, closed or not: what a log entry says of it (addresses,
// TLS) stays readable. A plain count; move-only.
class ConnectionHold {
 public:
  ConnectionHold() = default;
  explicit ConnectionHold(UpstreamConnection* connection) : connection_(connection) {
    if (connection_ != nullptr) ++connection_->holds_;
  }
  ConnectionHold(ConnectionHold&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  ConnectionHold& operator=(ConnectionHold&& other) noexcept {
    if (this != &other) {
      Release();
      connection_ = std::exchange(other.connection_, nullptr);
    }
    return *this;
  }
  ~ConnectionHold() { Release(); }
  void Release();

 private:
  UpstreamConnection* connection_ = nullptr;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_UPSTREAM_CONNECTION_H_
