#ifndef REMORA_PROXY_MAIN_PROBE_EXCHANGE_H_
#define REMORA_PROXY_MAIN_PROBE_EXCHANGE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "filters/api/arena.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"
#include "health/prober.h"
#include "xds/health_check.h"

namespace remora::proxy {

// What one probe asks and how its answer is judged; no sockets.

// The request of an HTTP or gRPC probe, in `arena`. `host`: the authority when the check names
// none.
// `info` tells headers with operators of the host.
Headers* ProbeRequest(const xds::HealthCheck& check, absl::string_view host, const StreamInfo& info,
                      Arena* arena);
// The gRPC message that goes with it, with its prefix; empty for HTTP without a body.
std::string ProbeBody(const xds::HealthCheck& check);

// What was received of an answer.
struct ProbeAnswer {
  int status = 0;
  bool degraded = false;
  std::string healthchecked_cluster;
  std::string body;  // as much as the check wants to see
  int grpc_status = -1;
};
health::ProbeKind Judge(const xds::HealthCheck& check, const ProbeAnswer& answer);

// Whether every pattern occurs in `bytes`, one after the other.
bool ContainsInOrder(absl::string_view bytes, const std::vector<std::string>& patterns);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_MAIN_PROBE_EXCHANGE_H_
