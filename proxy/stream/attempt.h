#ifndef REMORA_PROXY_STREAM_ATTEMPT_H_
#define REMORA_PROXY_STREAM_ATTEMPT_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "lb/policy.h"
#include "proxy/base/graveyard.h"
#include "proxy/base/timer.h"
#include "proxy/codec/codec.h"
#include "proxy/stream/attempt_failure.h"
#include "proxy/upstream/cluster_view.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/upstream_connection.h"

namespace remora::proxy {

class Attempt;

// Who makes the attempts. Any call may drop the attempt.
class AttemptEvents {
 public:
  // A stream is there; the request's headers are about to be sent and may still be edited.
  virtual void OnAttemptReady(Attempt& attempt) = 0;
  virtual void OnAttemptInterim(Attempt& attempt, Headers* headers) = 0;
  virtual void OnAttemptHeaders(Attempt& attempt, Headers* headers, bool end) = 0;
  virtual void OnAttemptBody(Attempt& attempt, Body& body, bool end) = 0;
  virtual void OnAttemptTrailers(Attempt& attempt, Headers* trailers) = 0;
  virtual void OnAttemptFailed(Attempt& attempt, AttemptFailure failure,
                               absl::string_view transport_reason) = 0;
  enum class Limit : uint8_t { kPerTry, kPerTryIdle, kStreamDuration };
  virtual void OnAttemptTimeout(Attempt& attempt, Limit limit) = 0;
  // More of the request's body is not wanted now / is again.
  virtual void OnAttemptBlocked() = 0;
  virtual void OnAttemptDrained() = 0;

 protected:
  ~AttemptEvents() = default;
};

// One try to have a request answered by one host: claims a stream, sends the request as far as it
// is known, passes the answer on. Keeps the tallies of connection and stream; what the outcome
// means is the router's business.
//
// Threads: one loop. Lifetime: dropped through Drop(), which cancels everything and buries it.
// Memory comes from a free list of the thread.
class Attempt final : public Mortal, private StreamLease, private MessageSink {
 public:
  struct Start {
    ClusterView* cluster = nullptr;
    lb::Choice choice;
    PoolKey key;
    const Headers* headers = nullptr;
    bool end = false;  // the request has no body and no trailers
    StreamInfo* info = nullptr;
    Arena* arena = nullptr;
    int64_t idle_ms = 0;  // per_try_idle_timeout
  };

  explicit Attempt(AttemptEvents* events) : events_(events) {}
  ~Attempt() override;
  static void* operator new(size_t size);
  static void operator delete(void* memory, size_t size);

  // May fail from inside.
  void Begin(const Start& start);
  void SendBody(Body& body, bool end);
  void SendTrailers(const Headers* trailers);
  // Cancels and buries it.
  static void Drop(std::unique_ptr<Attempt> attempt, Loop& loop);

  void StartPerTryTimer(int64_t ms);
  void PauseResponse();
  void ResumeResponse();

  ClusterView& cluster() { return *cluster_; }
  HostPools* host() { return host_; }
  const lb::HostEntry* entry() const { return entry_; }
  bool ready() const { return ready_; }
  bool headers_received() const { return headers_received_; }
  // The request's headers went out.
  bool sent() const { return sent_; }
  bool blocked() const { return blocked_by_codec_ || blocked_by_wait_; }
  ConnectionHold TakeHold() { return std::move(hold_); }

 private:
  // StreamLease
  MessageSink* lease_sink() override { return this; }
  void OnLeased() override;
  void OnLeaseFailed(const PoolFailure& failure) override;
  // MessageSink
  Arena& arena() override { return *arena_; }
  void OnInterim(Headers* headers) override;
  void OnHeaders(Headers* headers, bool end) override;
  void OnBody(Body& body, bool end) override;
  void OnTrailers(Headers* trailers) override;
  void OnReset(ResetReason reason, absl::string_view details) override;
  void OnSendBlocked() override;
  void OnSendDrained() override;

  void FillInfo();
  void SendKept();
  void RequestEnded();
  void ResponseEnded();
  void FinishIfOver();
  void NoteWireBytes();
  void Touch();
  void Cancel();
  void Fire(AttemptEvents::Limit limit) { events_->OnAttemptTimeout(*this, limit); }

  // Body bytes that may wait for a connection before the client is stopped.
  static constexpr size_t kMostWaiting = 256 * 1024;

  AttemptEvents* events_;
  ClusterView* cluster_ = nullptr;
  ClusterRef cluster_ref_;
  HostPools* host_ = nullptr;
  const lb::HostEntry* entry_ = nullptr;
  StreamInfo* info_ = nullptr;
  Arena* arena_ = nullptr;
  const Headers* headers_ = nullptr;
  const Headers* trailers_ = nullptr;
  Body waiting_;
  std::optional<Timer> per_try_timer_;
  std::optional<Timer> idle_timer_;
  std::optional<Timer> duration_timer_;
  ConnectionHold hold_;
  int64_t idle_ms_ = 0;
  uint32_t pauses_ = 0;
  bool end_with_headers_ = false;
  bool end_with_body_ = false;
  bool ready_ = false;
  bool sent_ = false;
  bool headers_received_ = false;
  bool request_ended_ = false;
  bool response_ended_ = false;
  bool blocked_by_codec_ = false;
  bool blocked_by_wait_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_ATTEMPT_H_
