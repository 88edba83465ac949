#ifndef REMORA_PROXY_STREAM_ATTEMPT_FAILURE_H_
#define REMORA_PROXY_STREAM_ATTEMPT_FAILURE_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "filters/api/response_flag.h"
#include "health/outlier.h"
#include "proxy/codec/codec.h"
#include "proxy/upstream/pool.h"

namespace remora::proxy {

// Why one try gave no complete answer. What each cause means to the client, to logs and to outlier
// detection is one table (attempt_failure.cc), with Envoy's texts.
enum class AttemptFailure : uint8_t {
  kOverflow,             // a breaker is open
  kRemoteConnectFailed,  // refused, or ended while connecting
  kLocalConnectFailed,   // could not even be tried
  kConnectTimeout,
  kConnectionTerminated,
  kRemoteReset,
  kRemoteRefused,  // REFUSED_STREAM or GOAWAY
  kLocalReset,     // per-try timeouts and the like
  kProtocolError,
  kConnectRejected,  // error answer to CONNECT
};

struct AttemptFailureText {
  absl::string_view text;    // in bodies: "reset reason: TEXT"
  absl::string_view detail;  // in details: "{DETAIL}", no blanks
  ResponseFlag flag;
  int status;
};
const AttemptFailureText& TextOf(AttemptFailure failure);

AttemptFailure FailureOf(PoolFailureKind kind);
// `broken`: the connection's peer had violated the protocol.
AttemptFailure FailureOf(ResetReason reason, bool broken);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_ATTEMPT_FAILURE_H_
