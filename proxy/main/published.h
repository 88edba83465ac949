#ifndef REMORA_PROXY_MAIN_PUBLISHED_H_
#define REMORA_PROXY_MAIN_PUBLISHED_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "filters/runtime.h"
#include "proxy/main/served_listener.h"
#include "proxy/upstream/cluster.h"

namespace remora::proxy {

// Everything a worker serves by, whole: replaced, never changed. Parts that did not change are the
// same objects as before.
//
// Threads: made on main, const, shared.
struct Published {
  uint64_t number = 0;
  std::shared_ptr<const ClusterMap> clusters;
  std::shared_ptr<const RouteMap> routes;
  // Empty until the server is initialized: then workers begin to accept.
  std::vector<std::shared_ptr<const ServedListener>> listeners;
  std::shared_ptr<const Runtime> runtime;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_PUBLISHED_H_
