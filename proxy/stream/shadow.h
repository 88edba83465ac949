#ifndef REMORA_PROXY_STREAM_SHADOW_H_
#define REMORA_PROXY_STREAM_SHADOW_H_

#include <cstdint>
#include <memory>
#include <string>

#include "filters/api/body.h"
#include "filters/api/headers.h"
#include "proxy/upstream/worker_view.h"
#include "xds/route.h"

namespace remora {
class Runtime;
struct StreamInfo;
}  // namespace remora

namespace remora::proxy {

// A copy of a request on its way to a mirror (request_mirror_policies). Collects the request, is
// sent when it is whole, and nobody hears of its answer; only the mirror's statistics do.
//
// Threads: the worker's. Lifetime: the exchange's until Launch(), then the view's.
class Shadow {
 public:
  virtual ~Shadow() = default;

  struct Origin {
    const xds::MirrorPolicy* policy = nullptr;
    const Headers* headers = nullptr;      // as they go upstream
    int64_t timeout_ms = 0;                // the exchange's own limit
    const StreamInfo* info = nullptr;      // of the exchange, for headers added to the copy
    const Runtime* runtime = nullptr;      // may be null
    const Address* own_address = nullptr;  // for x-forwarded-for; null: none is added
  };
  // Null when this request is not mirrored: not drawn, or there is no such cluster.
  static std::unique_ptr<Shadow> Create(WorkerView& view, const Origin& origin);

  // Bytes are shared, not copied.
  virtual void AddBody(const Body& body) = 0;
  virtual void AddTrailers(const Headers& trailers) = 0;
  // The request is whole.
  static void Launch(std::unique_ptr<Shadow> shadow);

 private:
  virtual void Begin(std::unique_ptr<Shadow> self) = 0;
};

// "host-shadow:port"
std::string ShadowHost(absl::string_view authority);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_SHADOW_H_
