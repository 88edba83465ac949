#include "filters/x_ratelimit.h"

#include "absl/strings/str_cat.h"

namespace remora {

void AddRateLimitHeaders(const std::vector<LimitStatus>& limits, Headers& headers) {
  const LimitStatus* nearest = nullptr;
  std::string policies;
  for (const LimitStatus& limit : limits) {
    if (nearest == nullptr || limit.remaining < nearest->remaining) nearest = &limit;
    if (limit.window_seconds == 0) continue;
    absl::StrAppend(&policies, ", ", limit.limit, ";w=", limit.window_seconds);
    if (!limit.name.empty()) absl::StrAppend(&policies, ";name=\"", limit.name, "\"");
  }
  if (nearest == nullptr) return;
  headers.Set(HeaderId::kXRatelimitLimit, absl::StrCat(nearest->limit, policies));
  headers.Set(HeaderId::kXRatelimitRemaining, absl::AlphaNum(nearest->remaining).Piece());
  headers.Set(HeaderId::kXRatelimitReset, absl::AlphaNum(nearest->reset_seconds).Piece());
}

}  // namespace remora
