#ifndef REMORA_XDS_ADS_STREAM_H_
#define REMORA_XDS_ADS_STREAM_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "health/backoff.h"
#include "lb/random_source.h"
#include "xds/ads_session.h"

namespace remora::xds {

// What an ADS stream needs of the world: a bidirectional call, timers and chance. proxy/ implements
// it over its gRPC client and the main loop; tests by hand.
class AdsWorld {
 public:
  class CallEvents {
   public:
    virtual void OnCallMessage(absl::string_view bytes) = 0;
    // The call ended (or never began); the last event.
    virtual void OnCallEnd(const absl::Status& status) = 0;

   protected:
    ~CallEvents() = default;
  };
  // A call under way; destroying it cancels it, after which no event comes.
  class Call {
   public:
    virtual ~Call() = default;
    virtual void Send(std::string message) = 0;
  };
  class TimerHandle {
   public:
    virtual ~TimerHandle() = default;
  };

  virtual ~AdsWorld() = default;
  // Opens a call of `method` on server number `server` of the configured ones (they are fallbacks
  // of each other). Events come in later turns. Null: there is no such server.
  virtual std::unique_ptr<Call> Open(size_t server, absl::string_view method,
                                     CallEvents* events) = 0;
  virtual std::unique_ptr<TimerHandle> After(std::chrono::nanoseconds delay,
                                             std::function<void()> fire) = 0;
  // For back-off.
  virtual lb::RandomSource& random() = 0;
};

// Keeps one aggregated stream open: connects, hands what arrives to the consumer, sends what the
// session has to say, reconnects with jittered exponential back-off (0.5 s to 30 s, as Envoy's).
//
// Threads: main. Lifetime: owns its call and timer; the world outlives it.
class AdsStream final : private AdsWorld::CallEvents {
 public:
  struct Hooks {
    // A response to apply. The consumer answers by Accept or Refuse of the session, at once.
    std::function<void(const Response&)> on_response;
    std::function<void(bool connected)> on_connected;  // control_plane.connected_state
    std::function<void()> on_failure;                  // a stream that ended: update_failure
    std::function<void(const std::string&)> log;
  };

  // `method`: the full gRPC method, of the aggregated service or of one type's own.
  AdsStream(AdsWorld* world, std::string method, AdsSession* session, Hooks hooks);
  ~AdsStream();

  void Start();
  // The session may have something to say: sends it if the stream is open.
  void Pump();

 private:
  void OnCallMessage(absl::string_view bytes) override;
  void OnCallEnd(const absl::Status& status) override;
  void Connect();
  void Retry(const absl::Status& status);

  AdsWorld* world_;
  std::string method_;
  AdsSession* session_;
  Hooks hooks_;
  health::Backoff backoff_;
  size_t server_ = 0;
  std::unique_ptr<AdsWorld::Call> call_;
  std::unique_ptr<AdsWorld::TimerHandle> retry_;
  bool answered_ = false;  // this stream delivered at least one message
};

}  // namespace remora::xds

#endif  // REMORA_XDS_ADS_STREAM_H_
