#ifndef REMORA_PROXY_MAIN_LISTENER_STATS_H_
#define REMORA_PROXY_MAIN_LISTENER_STATS_H_

#include <cstdint>

#include "proxy/base/stats.h"

namespace remora::proxy {

// "listener.ADDRESS."
enum class ListenerStat : uint8_t {
  kCxDestroy,
  kCxOverflow,
  kCxOverloadReject,
  kCxTotal,
  kCxTransportSocketConnectTimeout,
  kGlobalCxOverflow,
  kListenerFilterError,
  kListenerFilterRemoteClose,
  kPreCxTimeout,
  kExtensionConfigMissing,
  kNetworkExtensionConfigMissing,
  kNoFilterChainMatch,
  kCxActive,
  kPreCxActive,
  kCxLengthMs,
  kAcceptedPerSocketEvent,
};
StatSchema ListenerStatSchema();
// The same without what no admin listener can have.
StatSchema AdminListenerStatSchema();

// "listener.ADDRESS.worker_N."
enum class ListenerWorkerStat : uint8_t { kCxActive, kCxTotal };
StatSchema ListenerWorkerStatSchema();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_LISTENER_STATS_H_
