#ifndef REMORA_PROXY_MAIN_SERVER_STATE_H_
#define REMORA_PROXY_MAIN_SERVER_STATE_H_

#include <cstdint>

namespace remora::proxy {

// How far the process is in its life; the numbers are Envoy's (`server.state`).
enum class ServerState : uint8_t {
  kLive = 0,
  kDraining = 1,
  kPreInitializing = 2,
  kInitializing = 3
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_SERVER_STATE_H_
