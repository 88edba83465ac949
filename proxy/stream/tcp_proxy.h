#ifndef REMORA_PROXY_STREAM_TCP_PROXY_H_
#define REMORA_PROXY_STREAM_TCP_PROXY_H_

#include <cstdint>
#include <memory>

#include "filters/api/stream_info.h"
#include "proxy/base/graveyard.h"
#include "proxy/base/stats.h"
#include "proxy/net/connection.h"
#include "proxy/stream/access_log.h"
#include "proxy/stream/network_filter.h"

namespace remora::xds {
struct TcpProxy;
}

namespace remora::proxy {

class WorkerView;

// "tcp.PREFIX."
enum class TcpStat : uint16_t {
  kDownstreamCxDrainClose,
  kDownstreamCxNoRoute,
  kDownstreamCxOverloadClose,
  kDownstreamCxRxBytesTotal,
  kDownstreamCxTotal,
  kDownstreamCxTxBytesTotal,
  kDownstreamFlowControlPausedReading,
  kDownstreamFlowControlResumedReading,
  kEarlyDataReceived,
  kIdleTimeout,
  kMaxDownstreamConnectionDuration,
  kRouteDelayedTotal,
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
  // A log entry is due: at the start, when connected, at intervals, as configured, and at the end.
  // `info` is valid during the call.
  virtual void OnTcpLog(TcpSession& session, const StreamInfo& info, LogMoment moment) = 0;
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
// once (or when the client spoke, as configured), keeps half-closes in both directions, stops
// reading from the side whose peer is slow, ends when both directions ended, on error, idle time or
// age.
//
// Threads: the loop of its connection. Lifetime: owned by its TcpSessionOwner, which buries it.
class TcpSession : public Mortal {
 public:
  // Takes an accepted connection that is not started (bytes that listener filters read are in its
  // input()). `view` is the worker's. OnTcpSessionEnd comes at the end of a turn, never from inside
  // a call into the session.
  static std::unique_ptr<TcpSession> Make(std::unique_ptr<Connection> downstream,
                                          std::shared_ptr<const TcpProxySettings> settings,
                                          WorkerView* view, TcpSessionOwner* owner);
  // Begins to serve; once. `state`: what network filters noted, or null; read during the call.
  // A session that never begins is ended by Close() and logged like any other.
  virtual void Begin(const FilterState* state) = 0;

  virtual Connection& downstream() = 0;
  virtual StreamInfo& info() = 0;
  // Ends the session now (drain time over); OnTcpSessionEnd follows at the end of the turn.
  virtual void Close() = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_TCP_PROXY_H_
