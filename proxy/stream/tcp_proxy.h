#ifndef REMORA_PROXY_STREAM_TCP_PROXY_H_
#define REMORA_PROXY_STREAM_TCP_PROXY_H_

#include <cstdint>
#include <memory>

#include "filters/api/stream_info.h"
#include "proxy/base/graveyard.h"
#include "proxy/base/stats.h"
#include "proxy/net/connection.h"

namespace remora::xds {
struct TcpProxy;
}

namespace remora::proxy {

class WorkerView;

// "tcp.PREFIX."
enum class TcpStat : uint16_t {
  kDownstreamCxNoRoute,
  kDownstreamCxRxBytesTotal,
  kDownstreamCxTotal,
  kDownstreamCxTxBytesTotal,
  kDownstreamFlowControlPausedReading,
  kDownstreamFlowControlResumedReading,
  kEarlyDataReceived,
  kIdleTimeout,
  kMaxDownstreamConnectionDuration,
  kUpstreamFlushTotal,
  kDownstreamCxRxBytesBuffered,
  kDownstreamCxTxBytesBuffered,
  kUpstreamFlushActive,
};
StatSchema TcpStatSchema();

class TcpSession;

// Who keeps the sessions of a listener on a worker.
class TcpSessionOwner {
 public:
  // A log entry is due: at the end, when connected or at intervals, as configured. `info` is valid
  // during the call.
  virtual void OnTcpLog(TcpSession& session, const StreamInfo& info) = 0;
  // The session is over; the last call. The owner buries it.
  virtual void OnTcpSessionEnd(TcpSession& session) = 0;

 protected:
  ~TcpSessionOwner() = default;
};

struct TcpProxySettings {
  std::shared_ptr<const xds::TcpProxy> config;
  const StatBlock* stats = nullptr;  // TcpStat, "tcp.PREFIX."
};

// One TCP session: raw bytes between an accepted connection and a host of a cluster. Connects at
// once, keeps half-closes in both directions, stops reading from the side whose peer is slow, ends
// when both directions ended, on error, idle time or age.
//
// Threads: the loop of its connection. Lifetime: owned by its TcpSessionOwner, which buries it.
class TcpSession : public Mortal {
 public:
  // Takes an accepted connection, started or not (bytes that listener filters read are in its
  // input()). `view` is the worker's. OnTcpSessionEnd comes at the end of a turn, never from inside
  // a call into the session.
  static std::unique_ptr<TcpSession> Start(std::unique_ptr<Connection> downstream, bool started,
                                           std::shared_ptr<const TcpProxySettings> settings,
                                           WorkerView* view, TcpSessionOwner* owner);

  virtual Connection& downstream() = 0;
  virtual const StreamInfo& info() const = 0;
  // Ends the session now (drain time over); OnTcpSessionEnd follows at the end of the turn.
  virtual void Close() = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_TCP_PROXY_H_
