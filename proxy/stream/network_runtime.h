#ifndef REMORA_PROXY_STREAM_NETWORK_RUNTIME_H_
#define REMORA_PROXY_STREAM_NETWORK_RUNTIME_H_

#include "proxy/stream/http_worker.h"
#include "xds/network_filter.h"

namespace remora::proxy {

// The flag's value under the layers in force on this worker.
inline bool IsOn(const xds::RuntimeFlag& flag, const HttpWorker& worker) {
  const Runtime* runtime = worker.runtime();
  if (runtime == nullptr || flag.key.empty()) return flag.otherwise;
  return runtime->Boolean(flag.key, flag.otherwise);
}

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_NETWORK_RUNTIME_H_
