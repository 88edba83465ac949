#ifndef REMORA_PROXY_STREAM_REQUEST_ID_H_
#define REMORA_PROXY_STREAM_REQUEST_ID_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "filters/runtime.h"
#include "proxy/stream/http_stats.h"
#include "xds/http_connection_manager.h"

namespace remora::proxy {

// Why an exchange is traced, as the request id carries it in the digit that names the UUID's
// version.
enum class TraceReason : char {
  kNotTraceable = '4',
  kSampled = '9',
  kServiceForced = 'a',
  kClientForced = 'b',
};

// A random UUID of version 4 in `out` (36 characters).
void WriteUuid(uint64_t random_high, uint64_t random_low, char* out);

// Sets or keeps x-request-id as the connection manager says. `edge`: from an external client.
void SetRequestId(const xds::HttpConnectionManager& config, bool edge, uint64_t random_high,
                  uint64_t random_low, Headers& request);

// Decides whether the exchange is traced, and writes it into the request id. `sampling` is the
// route's or the connection manager's; null when tracing is not configured: nothing is changed.
TraceReason DecideTracing(const xds::HttpConnectionManager& config,
                          const xds::TracingSampling* sampling, const Runtime* runtime,
                          uint64_t random, Headers& request, const StatScope<HttpStat>& stats);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_REQUEST_ID_H_
