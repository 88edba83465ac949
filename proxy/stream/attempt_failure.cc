#include "proxy/stream/attempt_failure.h"

namespace remora::proxy {
namespace {

// By AttemptFailure.
constexpr AttemptFailureText kTexts[] = {
    {"overflow", "overflow", ResponseFlag::kUpstreamOverflow, 503},
    {"remote connection failure", "remote_connection_failure",
     ResponseFlag::kUpstreamConnectionFailure, 503},
    {"local connection failure", "local_connection_failure",
     ResponseFlag::kUpstreamConnectionFailure, 503},
    {"connection timeout", "connection_timeout", ResponseFlag::kUpstreamConnectionFailure, 503},
    {"connection termination", "connection_termination",
     ResponseFlag::kUpstreamConnectionTermination, 503},
    {"remote reset", "remote_reset", ResponseFlag::kUpstreamRemoteReset, 503},
    {"remote refused stream reset", "remote_refused_stream_reset",
     ResponseFlag::kUpstreamRemoteReset, 503},
    {"local reset", "local_reset", ResponseFlag::kLocalReset, 503},
    {"protocol error", "protocol_error", ResponseFlag::kUpstreamProtocolError, 502},
    {"remote error with CONNECT request", "remote_error_with_CONNECT_request",
     ResponseFlag::kUpstreamRemoteReset, 503},
};

}  // namespace

const AttemptFailureText& TextOf(AttemptFailure failure) {
  return kTexts[static_cast<size_t>(failure)];
}

AttemptFailure FailureOf(PoolFailureKind kind) {
  switch (kind) {
    case PoolFailureKind::kOverflow:
      return AttemptFailure::kOverflow;
    case PoolFailureKind::kConnectFailed:
      return AttemptFailure::kRemoteConnectFailed;
    case PoolFailureKind::kLocalFailed:
      return AttemptFailure::kLocalConnectFailed;
    case PoolFailureKind::kTimeout:
      return AttemptFailure::kConnectTimeout;
  }
  return AttemptFailure::kRemoteConnectFailed;
}

AttemptFailure FailureOf(ResetReason reason, bool broken) {
  switch (reason) {
    case ResetReason::kRemoteReset:
      return AttemptFailure::kRemoteReset;
    case ResetReason::kRemoteRefused:
      return AttemptFailure::kRemoteRefused;
    case ResetReason::kLocalReset:
      return AttemptFailure::kLocalReset;
    case ResetReason::kConnectionClosed:
      return broken ? AttemptFailure::kProtocolError : AttemptFailure::kConnectionTerminated;
    case ResetReason::kProtocolError:
    case ResetReason::kOverflow:
      return AttemptFailure::kProtocolError;
    case ResetReason::kConnectError:
      return AttemptFailure::kConnectRejected;
  }
  return AttemptFailure::kConnectionTerminated;
}

}  // namespace remora::proxy
