#ifndef REMORA_PROXY_NET_TLS_STATS_H_
#define REMORA_PROXY_NET_TLS_STATS_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "proxy/base/stats.h"

namespace remora::proxy {

// Counts of one TLS context ("listener.NAME.ssl.", "cluster.NAME.ssl."), as Envoy names them. What
// was negotiated (versions, ciphers, groups, signature algorithms) shows once it was counted.
enum class TlsStat : uint16_t {
  kConnectionError,
  kFailVerifyCertHash,
  kFailVerifyError,
  kFailVerifyNoCert,
  kFailVerifySan,
  kHandshake,
  kNoCertificate,
  kOcspStapleFailed,
  kOcspStapleOmitted,
  kOcspStapleRequests,
  kOcspStapleResponses,
  kSessionReused,
  kFirstNamed,  // the first of the negotiated ones
};

// Registers the block; `prefix` is the owner's ("cluster.web."). Main.
const StatBlock* RegisterTlsStats(StatStore& stats, absl::string_view prefix);

// Counts a negotiated name of one family ("versions.", "ciphers.", "curves.", "sigalgs."); names
// that are not known are counted as "unknown".
void CountNegotiated(const StatScope<TlsStat>& scope, absl::string_view family,
                     absl::string_view name);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_TLS_STATS_H_
