#ifndef REMORA_FILTERS_X_RATELIMIT_H_
#define REMORA_FILTERS_X_RATELIMIT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "filters/api/headers.h"

namespace remora {

// What a limit comes to for a client, told in x-ratelimit-* fields
// (draft-polli-ratelimit-headers-03).
struct LimitStatus {
  uint64_t limit = 0;
  uint64_t window_seconds = 0;  // 0: not told
  std::string name;
  uint64_t remaining = 0;
  uint64_t reset_seconds = 0;
};

// The limit that is nearest to its end, with the policies of all; nothing when there is none.
void AddRateLimitHeaders(const std::vector<LimitStatus>& limits, Headers& headers);

}  // namespace remora

#endif  // REMORA_FILTERS_X_RATELIMIT_H_
